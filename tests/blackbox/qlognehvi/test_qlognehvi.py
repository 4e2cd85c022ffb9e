"""bo-qlognehvi fills the front and lives with limits, open points and failures."""

from __future__ import annotations

import os
import threading
import time
import warnings

import numpy as np
import pytest

import feasible
from feasible.blackbox import BlackBox, QLogNEHVI
from feasible.blackbox.qlognehvi.qlognehvi import LEFT_BEHIND, free_compiler
from feasible.core.errors import EvaluationFailed, WrongProblem

FAST = QLogNEHVI(n_init=4, num_restarts=2, raw_samples=16, mc_samples=16, maxiter=10)


def problem(fun=None, **options):
    """min x^2 + y and (x - 1)^2 + y on [0, 1]^2: the front is y = 0."""
    return BlackBox(
        fun or (lambda p: (p[0] ** 2 + p[1], (p[0] - 1) ** 2 + p[1])),
        [(0, 1), (0, 1)],
        objectives={"a": "min", "b": "min"},
        reference={"a": 2, "b": 2},
        **options,
    )


def test_its_front_is_better_than_random_points_and_no_proposal_is_a_random_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = feasible.solve(problem(), FAST, budget=10, seed=0)
    drawn = [feasible.solve(problem(), "random-search", budget=10, seed=s) for s in range(3)]
    assert all(ours.verdict.beats(other.verdict) for other in drawn)
    assert ours.spent["evaluations"] == 10


def test_limits_and_known_constraints_are_kept():
    given = problem(
        lambda p: ((p[0] ** 2 + p[1], (p[0] - 1) ** 2 + p[1]), [p[0] + p[1]]),
        limits={"sum": ">= 0.4"},
        known=lambda x: x[:, 1] <= 0.8,
    )
    result = feasible.solve(given, FAST, budget=8, seed=1)
    rows = result.ledger.all()
    assert len(rows) == 8
    assert (rows.x[:, 1] <= 0.8).all()
    assert (result.answer["sum"] >= 0.4 - 1e-6).all()


def test_open_points_are_not_proposed_again():
    given, method = problem(), FAST
    state = method.init(given, np.random.default_rng(0))
    first = method.ask(given, state, 6)
    method.tell(given, state, given.measure(first.x, np.arange(6), first.tag))
    batch = method.ask(given, state, 3)
    assert len(np.unique(batch.x.round(6), axis=0)) == 3
    assert len(state.open) == 3
    second = method.ask(given, state, 1)
    assert not (np.abs(batch.x - second.x) < 1e-9).all(axis=1).any()


def test_failures_are_lived_with():
    def fails(p):
        if p[0] > 0.7:
            raise EvaluationFailed("the mesh broke")
        return p[0] ** 2 + p[1], (p[0] - 1) ** 2 + p[1]

    result = feasible.solve(problem(fails), FAST, budget=8, seed=0, on_failure="skip")
    rows = result.ledger.all()
    assert len(rows) == 8
    assert rows.reason
    assert (result.answer["x1"] <= 0.7).all()


def test_it_refuses_a_single_objective():
    with pytest.raises(WrongProblem, match="takes several objectives"):
        feasible.solve(BlackBox(lambda x: x[0], [(0, 1)]), "bo-qlognehvi", budget=5)


@pytest.mark.parametrize("setting", ["num_restarts", "raw_samples", "mc_samples", "maxiter"])
def test_settings_are_whole_numbers(setting):
    with pytest.raises(feasible.errors.ArgumentError, match=f"{setting}=0: expected a whole"):
        QLogNEHVI(**{setting: 0})


def test_nobody_waits_for_a_compilation_that_was_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    lock = tmp_path / "kernel" / "lock"
    lock.parent.mkdir()
    lock.touch()
    old = time.time() - 2 * LEFT_BEHIND
    os.utime(lock, (old, old))
    free_compiler("kernel")
    assert not lock.exists()
    lock.touch()  # somebody is at work
    waiting = threading.Thread(target=free_compiler, args=("kernel",))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    lock.unlink()
    waiting.join(10)
    assert not waiting.is_alive()
