"""budgeted_compare: the rate is tuned apart from what is reported, and ranks are ranks."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError, UnknownName
from feasible.training import Comparison, Recipe, budgeted_compare
from feasible.training.instances.small import digits_cnn, moons_mlp


def table(loss):
    """A Comparison of one problem, optimiser and budget from (schedules, rates, 1 choosing + 2
    reported seeds).
    """
    loss = np.asarray(loss, dtype=float)
    return Comparison(
        ("p",),
        ("sgd",),
        (10,),
        tuple("abc"[: len(loss)]),
        {"sgd": (0.1, 0.2)},
        (100,),
        (0, 1),
        {"loss": loss[None, None, None]},
    )


def test_the_rate_is_chosen_on_the_choosing_seeds_only():
    found = table([[[1, 9, 9], [2, 0, 0]], [[3, 5, 7], [np.nan, 0, 0]]])
    assert found.rates().ravel().tolist() == [0, 0]
    assert found.cells().ravel().tolist() == [9, 6]
    assert found.ranks().ravel().tolist() == [2, 1]


def test_ties_share_a_rank_and_a_divergence_is_last():
    found = table([[[1, 5, 5]] * 2, [[1, np.nan, 5]] * 2, [[1, 5, 5]] * 2])
    assert found.ranks().ravel().tolist() == [1.5, 3, 1.5]
    assert found.summary()["first"].tolist() == [1, 1, 0]


def test_figures_are_those_of_single_runs(tmp_path):
    problem = moons_mlp(steps=100)
    found = budgeted_compare(
        problem,
        ["rex", "torch-cosine", "plateau"],
        [0.3, 20],
        lrs={"sgd": (0.03, 0.1), "adam": (0.003, 0.01)},
        optimizers=["sgd", "adam"],
        seeds=2,
        choosing=[100],
    )
    assert found.budgets == (30, 20)
    for j, optimizer in enumerate(("sgd", "adam")):
        for k, steps in enumerate((30, 20)):
            for n, schedule in enumerate(found.schedules):
                recipe = Recipe(
                    optimizer, schedule, found.lrs[optimizer][found.rates()[0, j, k, n]]
                )
                alone = feasible.solve(problem, recipe, budget={"steps": steps}, seed=1)
                assert found.by_seed()[0, j, k, n, 1] == pytest.approx(
                    alone.verdict.objective, rel=1e-3
                )
    found.to_csv(tmp_path / "t.csv", "error")
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + 2 * 2 * 3
    assert found.summary()["rank"].mean() == pytest.approx(2)


def test_a_model_with_buffers_is_trained_one_by_one():
    found = budgeted_compare(digits_cnn(), ["rex"], [2], lrs=[0.1], seeds=1, choosing=[100])
    assert (
        found.cells().ravel()[0]
        == feasible.solve(
            digits_cnn(), Recipe("sgd", "rex", 0.1), budget={"steps": 2}
        ).verdict.objective
    )


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"choosing": [0]}, ArgumentError, "choosing="),
        ({"budgets": [0.0]}, ArgumentError, "budgets: got 0"),
        ({"budgets": []}, ArgumentError, "budgets"),
        ({"budgets": [1.5]}, ArgumentError, "budgets: got 1.5"),
        ({"lrs": []}, ArgumentError, "lrs"),
        ({"seeds": 0}, ArgumentError, "seeds=0"),
        ({"schedules": ["rexx"]}, UnknownName, "did you mean 'rex'"),
        ({"optimizers": ["sdg"]}, UnknownName, "optimizer='sdg'"),
        ({"lrs": [-0.1]}, ArgumentError, r"lr=-0\.1"),
    ],
)
def test_bad_settings_are_named(settings, error, words):
    with pytest.raises(error, match=words):
        budgeted_compare(
            moons_mlp(), **{"schedules": ["rex"], "budgets": [2], "lrs": [0.1], **settings}
        )
    with pytest.raises(UnknownName, match="metric='accuracy'"):
        table([[[1, 1, 1]] * 2]).cells("accuracy")
