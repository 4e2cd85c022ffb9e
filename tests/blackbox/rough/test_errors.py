"""Standard errors of single rows in robust-bo."""

from __future__ import annotations

import numpy as np

from feasible.blackbox import BlackBox
from feasible.blackbox.rough.belief import objective
from feasible.blackbox.rough.inputs import Inputs
from feasible.core.registry import load_method


def belief(errors):
    """What robust-bo believes after 12 rows with these standard errors, of which the sixth is far
    from the others.
    """
    problem = BlackBox(None, bounds=[(0, 1)], objective="y", noise=True)
    method = load_method("robust-bo")
    state = method.init(problem, np.random.default_rng(0))
    for x, e in zip(np.linspace(0, 1, 12), errors, strict=True):
        metrics = {"y": x * x + 0.1 * (abs(x - 5 / 11) < 1e-9)}
        if e is not None:
            metrics["y_se"] = e
        method.tell(problem, state, problem.from_metrics(np.array([x]), metrics, None, state.n))
    return state, objective(Inputs(problem.space, None), state, 1e-6, True)


def test_a_row_of_large_standard_error_moves_the_mean_less():
    same = [0.02] * 12
    loose, tight = ([*same[:5], e, *same[6:]] for e in (0.5, 0.002))
    state, far = belief(loose)
    _, near = belief(tight)
    assert state.error[5] == 0.5
    at = (5 / 11) ** 2
    assert abs(far.gp.at_rows()[0][5] - at) < 0.5 * abs(near.gp.at_rows()[0][5] - at)


def test_the_noise_is_shared_out_by_the_squares_of_the_errors():
    _, found = belief([0.1, 0.2, *[None] * 10])
    ratio = found.gp.mult[1] / found.gp.mult[0]
    assert ratio > 1.5  # 4 before what lies far off counts less
    _, plain = belief([None] * 12)
    assert not np.array_equal(plain.gp.mult, found.gp.mult)


def test_a_standard_error_says_that_values_do_not_repeat():
    problem = BlackBox(None, bounds=[(0, 1)], objective="y")
    method = load_method("robust-bo")
    state = method.init(problem, np.random.default_rng(0))
    method.tell(problem, state, problem.from_metrics(np.array([0.5]), {"y": 1.0}, None, 0))
    assert not state.noisy
    told = {"y": 1.0, "y_se": 0.1}
    method.tell(problem, state, problem.from_metrics(np.array([0.6]), told, None, 1))
    assert state.noisy
