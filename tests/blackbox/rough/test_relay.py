"""One method hands over to another when values do not repeat or evaluations fail."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.blackbox import BlackBox
from feasible.blackbox.rough.relay import Relay
from feasible.core.checkpoint import decode, encode
from feasible.core.errors import ArgumentError


def bowl(x):
    return float(np.sum((np.asarray(x) - 0.3) ** 2 * np.arange(1, len(x) + 1)))


def spoilt(x):
    """Fails in a quarter of the box, towards which it falls from everywhere else."""
    if x[0] > 0.5 and x[1] > 0.5:
        raise RuntimeError("gelled")
    return float((x[0] - 0.7) ** 2 + (x[1] - 0.55) ** 2)


def told(problem, n, seed=100):
    method = Relay()
    state, rows = method.init(problem, np.random.default_rng(seed)), 0
    while rows < n:
        proposed = method.ask(problem, state, 1)
        method.tell(problem, state, problem.measure(proposed.x, np.array([rows]), proposed.tag))
        rows += 1
    return method, state


def test_a_smooth_function_stays_with_the_first_method_and_is_met_exactly():
    problem = BlackBox(bowl, [(-1, 2)] * 3)
    found = feasible.solve(problem, "relay", budget=80, seed=100)
    assert found.verdict.objective < 1e-10
    assert not any("handed over" in note for note in found.notes)


def test_noise_that_nobody_declared_hands_over_and_the_answer_is_the_models():
    rng = np.random.default_rng(0)
    problem = BlackBox(lambda x: bowl(x) + 0.1 * rng.standard_normal(), [(-1, 2)] * 2)
    found = feasible.solve(problem, "relay", budget=40, seed=100)
    assert any("handed over" in note and "repeat" in note for note in found.notes)
    assert any("+-" in note for note in found.notes)
    assert bowl(found.answer.x) < 0.1


@pytest.mark.parametrize("method", ["relay", "gp-relay"])
def test_failures_hand_over_with_all_rows_and_are_learned(method):
    problem = BlackBox(spoilt, [(0, 1)] * 2)
    found = feasible.solve(problem, method, budget=30, seed=100, on_failure="skip")
    rows = found.ledger.all()
    failed = ~np.isfinite(rows.objective)
    assert failed.sum() <= 8
    assert any("handed over" in note and "failed" in note for note in found.notes)
    assert found.verdict.objective < 0.01
    apart = np.abs(rows.x[failed][:, None] - rows.x[None]).max(axis=2)
    assert ((apart < 1e-6).sum(axis=1) == 1).all()


def test_the_second_method_knows_every_row_when_it_takes_over():
    rng = np.random.default_rng(0)
    problem = BlackBox(lambda x: bowl(x) + 0.1 * rng.standard_normal(), [(-1, 2)] * 2)
    _, state = told(problem, 12)
    assert state.handed
    assert state.second.n == 12
    assert not state.out


def test_an_open_box_stays_with_the_first_method():
    problem = BlackBox(bowl, [(-np.inf, np.inf)] * 2, x0=[1.0, 1.0])
    found = feasible.solve(problem, "relay", budget=60, seed=100)
    assert found.verdict.objective < 1e-8


def test_a_state_that_was_saved_goes_on_bit_for_bit():
    problem = BlackBox(spoilt, [(0, 1)] * 2)
    method, state = told(problem, 9)
    fresh = decode(encode(state), method.init(problem, np.random.default_rng(9)))
    for k in range(6):
        one, two = method.ask(problem, state, 1), method.ask(problem, fresh, 1)
        np.testing.assert_array_equal(one.x, two.x)
        seen = problem.measure(one.x, np.array([9 + k]), one.tag)
        method.tell(problem, state, seen)
        method.tell(problem, fresh, seen)


def test_another_first_method_is_refused():
    with pytest.raises(ArgumentError, match="first"):
        Relay(first="cobyqa")
