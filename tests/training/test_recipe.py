"""Recipes: any optimiser with any schedule; a run that is killed goes on to the same weights; many
at once are the same as one by one.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import feasible
from feasible.core import errors
from feasible.lab import stored
from feasible.lab.store import Store
from feasible.training import Recipe, train_many
from feasible.training.instances.small import digits_cnn, digits_mlp, moons_mlp
from feasible.training.parts import OPTIMIZERS, SCHEDULES
from feasible.training.recipe import curves


def equal(first, second):
    assert first.answer.weights.keys() == second.answer.weights.keys()
    assert all(
        torch.equal(first.answer.weights[k], second.answer.weights[k]) for k in first.answer.weights
    )
    assert [(p.step, p.verdict) for p in first.trail] == [(p.step, p.verdict) for p in second.trail]


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_every_optimiser_learns_repeats_itself_and_resumes_from_a_checkpoint(
    optimizer, tmp_path, monkeypatch
):
    recipe = Recipe(optimizer, "torch-linear")
    whole = feasible.solve(moons_mlp(), recipe, budget="steps=30", seed=7)
    monkeypatch.setattr(stored, "CHECKPOINT_SECONDS", 0.0)

    def stop(point):
        if point.step >= 11:
            raise StopIteration

    cut = feasible.solve(
        moons_mlp(),
        recipe,
        budget="steps=30",
        seed=7,
        store=str(tmp_path / "a.db"),
        name="r",
        observers=[stop],
    )
    assert cut.steps < 30
    Store(str(tmp_path / "a.db")).update_run(1, state="interrupted")
    equal(
        feasible.solve(
            moons_mlp(), recipe, budget="steps=30", seed=7, store=str(tmp_path / "a.db"), name="r"
        ),
        whole,
    )


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_every_schedule_resumes_from_a_checkpoint_to_the_same_weights(
    schedule, tmp_path, monkeypatch
):
    recipe = Recipe("sgd", schedule, lr=0.05)
    whole = feasible.solve(moons_mlp(), recipe, budget="steps=40")
    assert whole.steps == 40
    monkeypatch.setattr(stored, "CHECKPOINT_SECONDS", 0.0)

    def stop(point):
        if point.step >= 17:
            raise StopIteration

    feasible.solve(
        moons_mlp(),
        recipe,
        budget="steps=40",
        store=str(tmp_path / "a.db"),
        name="r",
        observers=[stop],
    )
    Store(str(tmp_path / "a.db")).update_run(1, state="interrupted")
    equal(
        feasible.solve(
            moons_mlp(), recipe, budget="steps=40", store=str(tmp_path / "a.db"), name="r"
        ),
        whole,
    )


def test_a_finished_run_gives_its_weights_back_from_the_store(tmp_path):
    db = str(tmp_path / "a.db")
    first = feasible.solve(
        moons_mlp(), Recipe("sgd", "constant"), budget="steps=20", store=db, name="r"
    )
    again = feasible.solve(
        moons_mlp(), Recipe("sgd", "constant"), budget="steps=20", store=db, name="r"
    )
    equal(first, again)


def test_the_command_writes_the_weights(tmp_path):
    from typer.testing import CliRunner

    from feasible.cli import app
    from feasible.training import Trained

    out = tmp_path / "w.safetensors"
    done = CliRunner().invoke(
        app,
        [
            "solve",
            "moons-mlp",
            "--method",
            "recipe[optimizer=sgd[momentum=0.5,nesterov=true],lr=0.05]",
            "--budget",
            "steps=30",
            "--output",
            str(out),
            "--store",
            str(tmp_path / "s.db"),
        ],
    )
    assert done.exit_code == 0, done.output
    assert moons_mlp().judge(Trained.load(out)).objective < 0.6
    done = CliRunner().invoke(
        app,
        [
            "solve",
            "sphere",
            "--budget",
            "evaluations=20",
            "--output",
            "x.bin",
            "--store",
            str(tmp_path / "s.db"),
        ],
    )
    assert done.exit_code != 0


@pytest.mark.parametrize(
    "recipes",
    [
        [
            Recipe("sgd", "torch-onecycle", lr=0.1),
            Recipe("sgd[momentum=0.5,nesterov=true]", "constant", lr=0.03, weight_decay=0.01),
        ],
        [Recipe("adam[beta2=0.95]", "torch-cosine", lr=0.01)],
        [Recipe("sgd", "torch-plateau", lr=0.3), Recipe("sgd", "plateau", lr=0.2)],
        [
            Recipe("adamw", "torch-linear", lr=0.01, weight_decay=0.1),
            Recipe("adamw", "torch-onecycle", lr=0.003),
        ],
        [
            Recipe("sgd", "linear[warmup_steps=7]", lr=0.1),
            Recipe("sgd", "cosine", lr=0.1, warmup=0.6),
        ],
    ],
)
def test_many_at_once_end_where_each_by_itself_ends(recipes):
    problem = digits_mlp()
    found = train_many(problem, recipes, [4, 5], 60, at=(30, 60))
    for i, recipe in enumerate(recipes):
        for j, seed in enumerate((4, 5)):
            alone = feasible.solve(problem, recipe, budget="steps=60", seed=seed)
            for name, value in alone.answer.weights.items():
                assert torch.allclose(found.weights[name][i, j], value, atol=2e-5)
            assert found.loss[i, j] == pytest.approx(alone.verdict.objective, rel=1e-4)
            assert found.metrics["error"][i, j] == pytest.approx(
                alone.verdict.metrics["error"], abs=0.004
            )
    assert (found.curve[..., 1] == found.loss).all()


def test_what_cannot_be_trained_together_is_refused():
    with pytest.raises(errors.ArgumentError, match="expected one of sgd, adam, adamw for all"):
        train_many(digits_mlp(), [Recipe("sgd", "constant"), Recipe("adam", "constant")], [0], 3)
    with pytest.raises(errors.ArgumentError, match="without BatchNorm"):
        train_many(digits_cnn(), [Recipe("sgd", "constant")], [0], 3)


def test_curves_are_what_torch_documents():
    lr, momentum = curves(Recipe("sgd", "torch-cosine", lr=0.2), 50)
    assert lr == pytest.approx(0.1 * (1 + np.cos(np.pi * np.arange(50) / 50)))
    assert (momentum == 0.9).all()


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"optimizer": "sdg"}, errors.UnknownName, "optimizer='sdg': did you mean 'sgd'"),
        ({"schedule": "cosinus"}, errors.UnknownName, "schedule='cosinus'"),
        ({"lr": 0.0}, errors.ArgumentError, "lr=0: expected a number > 0"),
        ({"lr": -1.0}, errors.ArgumentError, "lr=-1"),
        ({"lr": float("nan")}, errors.ArgumentError, "lr=nan"),
        ({"lr": "high"}, errors.ArgumentTypeError, "lr='high': expected a number"),
        ({"warmup": 1.0}, errors.ArgumentError, "warmup=1"),
        ({"weight_decay": -0.1}, errors.ArgumentError, r"weight_decay=-0\.1"),
    ],
)
def test_bad_recipes_are_refused_in_words(settings, kind, words):
    with pytest.raises(kind, match=words):
        Recipe(**settings)


def test_a_setting_that_the_optimiser_does_not_have_is_named():
    with pytest.raises(errors.ArgumentError, match=r"optimizer='sgd.speed=3.'.*speed"):
        feasible.solve(moons_mlp(), Recipe("sgd[speed=3]", "constant"), budget="steps=2")
