"""What a step is worth where there are limits."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from feasible.blackbox import BlackBox
from feasible.blackbox.smooth.cube import Cube
from feasible.blackbox.smooth.local import LocalState
from feasible.blackbox.smooth.merit import limited, steer
from feasible.blackbox.smooth.quadratic import Programme
from feasible.blackbox.smooth.rows import Ground, Rows


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_a_step_that_cannot_keep_to_the_limits_lowers_the_merit_all_the_same(seed, k, m, tie):
    rng = np.random.default_rng(seed)
    equal, cube = np.arange(m) < int(tie), Cube.of(BlackBox(None, [(0, 1)] * k))
    ground = Ground(Rows.none(k), cube, np.arange(m), equal, np.zeros(m), np.ones(m))
    s = LocalState(f=0.0, g=10 ** rng.uniform(-3, 3) * rng.standard_normal(k), steps=1)
    s.J, s.c = rng.standard_normal((m, k)), 1 + rng.exponential(1.0, m)
    s.B, s.lam, s.nu = 10 ** rng.uniform(-3, 3) * np.eye(k), np.zeros(m), np.full(m, 1e-9)
    near = Programme(s.B, s.g, s.J, s.c, equal, np.full(k, -0.1), np.full(k, 0.1))
    _, p = limited(s, near, near)
    over = ground.excess(s.c)
    less = over - ground.excess(s.c + s.J @ p)
    change = steer(ground, s, p)
    if (over / (s.J * s.J).sum(axis=1)) @ less > 1e-6:  # they do not contradict each other
        assert change < 0
        assert max(s.g @ p + 0.5 * p @ s.B @ p, 0) <= 0.7 * (s.nu @ less) * (1 + 1e-6) + 1e-12


def test_multipliers_know_the_limits_that_a_short_step_does_not_reach():
    # min -x with x <= 1, a step of 0.1: the limit is far, and the merit must not forget it
    s = LocalState(f=0.0, g=np.array([-1.0]), steps=1)
    s.J, s.c, s.B = np.array([[1.0]]), np.array([-1.0]), np.array([[1e-3]])
    s.lam, s.nu = np.zeros(1), np.zeros(1)
    whole = Programme(s.B, s.g, s.J, s.c, np.zeros(1, bool), np.array([-9.0]), np.array([9.0]))
    near = Programme(s.B, s.g, s.J, s.c, np.zeros(1, bool), np.array([-0.1]), np.array([0.1]))
    _, p = limited(s, whole, near)
    np.testing.assert_allclose(p, 0.1, rtol=1e-9)
    np.testing.assert_allclose(s.lam, 1 - 1e-3, rtol=1e-6)
    assert s.nu[0] >= s.lam[0]
