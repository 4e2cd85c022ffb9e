"""Common descent on functions whose critical points are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.physics import DescentSettings, NotConverged, common_descent
from feasible.physics.nonsmooth_pde_pareto.descent import min_norm, plain_descent
from feasible.physics.nonsmooth_pde_pareto.instances import crossed_kinks, curved_valleys
from feasible.physics.nonsmooth_pde_pareto.oracle import FunctionOracle

ABS = ([lambda x: abs(x[0]), lambda x: abs(x[0] - 1)], [np.sign, lambda x: np.sign(x - 1)])


@pytest.mark.parametrize(("start", "end"), [(-2.0, 0.0), (3.0, 1.0), (0.4, 0.4)])
def test_two_distances_on_a_line_end_at_the_nearest_point_between(start, end):
    found = common_descent(*ABS, [start])
    assert found.x[0] == pytest.approx(end, abs=1e-3)
    assert found.critical_norm <= 1e-3
    assert found.multipliers.sum() == pytest.approx(1)


def test_two_squared_distances_end_on_the_segment():
    e = np.array([2.0, 1.0])
    rng = np.random.default_rng(100)
    for start in rng.uniform(-3, 3, (5, 2)):
        found = common_descent(
            [lambda x: x @ x, lambda x: (x - e) @ (x - e)],
            [lambda x: 2 * x, lambda x: 2 * (x - e)],
            start,
        )
        t = float(found.x @ e / (e @ e))
        assert -1e-2 <= t <= 1 + 1e-2
        assert np.allclose(found.x, t * e, atol=2e-3)
        assert found.multipliers[1] == pytest.approx(t, abs=2e-3)  # a 2x + (1 - a) 2(x - e) = 0


def test_one_function_ends_within_the_radius_of_its_kink():
    assert abs(common_descent([lambda x: abs(x[0])], [np.sign], [1.0]).x[0]) <= 1e-4


def test_the_diagonal_is_reached_with_few_subgradients():
    f, g = crossed_kinks()
    for start in np.random.default_rng(100).uniform(-2, 2, (5, 2)):
        found = common_descent(f, g, start)
        assert found.x[0] == pytest.approx(found.x[1], abs=1e-3)
        assert -1e-3 <= found.x[0] <= 1 + 1e-3
        assert found.subgradients <= 60


def test_a_curved_kink_is_followed_where_plain_descent_jams():
    f, g = curved_valleys()
    good = plain = 0
    for start in np.random.default_rng(100).uniform(-2, 2, (10, 2)):
        x = common_descent(f, g, start).x
        good += abs(x[0] ** 2 - x[1]) <= 1e-3 and 0.98 <= x[0] <= 2.02
        y = plain_descent(FunctionOracle(f, g, 2), start, DescentSettings()).x
        plain += abs(y[0] ** 2 - y[1]) <= 1e-3 and 0.98 <= y[0] <= 2.02
    assert good >= 9
    assert plain <= 4


def test_a_value_that_fails_on_the_way_is_a_shorter_step():
    f, g = curved_valleys()
    calls = []

    def fails(x):
        calls.append(1)
        if len(calls) % 3 == 0:
            raise NotConverged("injected")
        return f[0](x)

    found = common_descent([fails, f[1]], g, [0.0, 2.0])
    assert abs(found.x[0] ** 2 - found.x[1]) <= 2e-3


def test_weights_change_the_norm_and_not_the_critical_points():
    for weight in (1e-4, 1.0, 1e4):
        found = common_descent(*ABS, [3.0], weights=[weight], eps=[1e-3, 1e-4])
        reach = 1e-4 / np.sqrt(weight)
        assert -reach <= found.x[0] <= 1 + reach
        plain = common_descent(
            [lambda v, w=weight: abs(v[0]) / np.sqrt(w)],
            [lambda v, w=weight: np.sign(v) / np.sqrt(w)],
            [3.0 * np.sqrt(weight)],
        )
        scaled = common_descent([lambda x: abs(x[0])], [np.sign], [3.0], weights=[weight])
        assert scaled.x[0] * np.sqrt(weight) == pytest.approx(plain.x[0], abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 10**6))
def test_the_least_element_is_the_projection_of_0_on_the_hull(m, d, seed):
    G = np.random.default_rng(seed).standard_normal((m, d)) + 0.5
    v, w = min_norm(G)
    assert (w >= 0).all()
    assert w.sum() == pytest.approx(1)
    assert np.allclose(w @ G, v, atol=1e-9)
    assert (G @ v >= v @ v - 1e-4 * max(1.0, (G**2).sum(axis=1).max())).all()


def test_equal_vectors_and_zeros_have_a_least_element():
    assert min_norm(np.array([[1.0, 2.0], [1.0, 2.0]]))[0].tolist() == [1.0, 2.0]
    assert min_norm(np.zeros((3, 2)))[0].tolist() == [0.0, 0.0]


def test_bad_arguments_are_named():
    f, g = crossed_kinks()
    with pytest.raises(ArgumentError, match="one subgradient for each function"):
        common_descent(f, g[:1], [0.0, 0.0])
    with pytest.raises(ArgumentError, match="functions"):
        common_descent([], [], [0.0])
    with pytest.raises(ShapeError, match=r"subgradients\[0\] gave shape \(3,\)"):
        common_descent(f, [lambda x: np.ones(3), g[1]], [0.5, 0.1])
    with pytest.raises(NotFinite, match=r"functions\[1\] gave a NaN"):
        common_descent([f[0], lambda x: np.nan], g, [0.5, 0.1])
    with pytest.raises(ArgumentError, match="eps"):
        common_descent(f, g, [0.5, 0.1], eps=[])
    with pytest.raises(ArgumentError, match="c=1"):
        common_descent(f, g, [0.5, 0.1], c=1.0)
    with pytest.raises(ArgumentError, match="weights"):
        common_descent(f, g, [0.5, 0.1], weights=[1.0, 0.0])
