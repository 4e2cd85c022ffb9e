"""Constraints by a penalty that grows."""

import numpy as np
from hypothesis import given, settings, strategies as st

from feasible.blackbox.cbo.penalty import Penalty


@settings(max_examples=50)
@given(st.floats(1e-5, 1e5), st.floats(1e-5, 1e5))
def test_the_order_of_penalised_points_does_not_depend_on_units(a, b):
    rng = np.random.default_rng(0)
    f, g = rng.standard_normal(30), rng.standard_normal((30, 2))
    orders = []
    for s, t in ((1.0, 1.0), (a, b)):
        penalty = Penalty(3.0)
        penalty.learn(t * f, s * g, 1.0)
        orders.append(np.argsort(penalty.energy(t * f, s * g)).tolist())
    assert orders[0] == orders[1]


def test_failed_points_are_infinite_and_points_without_objective_rank_by_violation():
    f = np.array([1.0, 2.0, np.nan, np.nan, np.nan])
    g = np.array([[-1.0], [0.5], [0.1], [3.0], [np.nan]])
    penalty = Penalty(1.0)
    penalty.learn(f, g, 1.0)
    e = penalty.energy(f, g)
    assert not np.isnan(e).any()
    assert e[4] == np.inf
    assert e[0] < e[1]
    assert max(e[0], 2.0) <= e[2] < e[3] < np.inf
