"""The claims about schedules: their experiments measure what they say. And schedules by name on the
command line.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from feasible.cli import app
from feasible.training import Comparison, Recipe, train_many
from feasible.training.refined_schedule import claim as refinement
from feasible.training.uba import claim as uba


@pytest.mark.parametrize(("kappa", "steps"), uba.QUADRATICS)
def test_every_other_schedule_contracts_less_than_the_chebyshev_value(kappa, steps):
    found = uba.contractions(kappa, steps, peaks=60)
    best = 1 / math.cosh(steps * math.acosh((kappa + 1) / (kappa - 1)))
    assert found.pop("UBA") == pytest.approx(best, rel=1e-9)
    assert min(found.values()) > best / 0.35
    assert found["constant"] == pytest.approx(
        ((kappa - 1) / (kappa + 1)) ** steps, rel=0.35
    )  # its best peak is 2/(1 + kappa), within the grid


def test_a_single_phi_is_chosen_at_one_budget_and_ranked_at_the_others():
    budgets, names = uba.STEPS, (*uba.PHIS, *uba.BASELINES)
    errors = np.full((1, 1, len(budgets), len(names), 1, 3), 0.5)  # one choosing seed, two reported
    at = budgets.index(uba.CHOSEN_AT)
    errors[0, 0, at, 1, 0, 0] = 0.1  # phi = 1 is best where phi is chosen, on the choosing seed
    errors[0, 0, at, 2, 0, 1:] = 0.0  # what the reported seeds say there must not count
    others = [k for k in range(len(budgets)) if k != at]
    errors[0, 0, others, 1, 0, 1:] = 0.4
    errors[0, 0, others, 3, 0, 1:] = 0.6  # cosine is last of the 1 + 6
    found = Comparison(
        ("p",), ("sgd",), budgets, names, {"sgd": (0.1,)}, (100,), (0, 1), {"error": errors}
    )
    assert uba.single(found) == (uba.PHIS[1], 1.0, 7.0)


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_no_weights_have_a_smaller_loss_than_the_one_found(name):
    problem, best = refinement.logistic(name, 400)
    ends = train_many(
        problem, [Recipe("adam", "linear", lr) for lr in (0.01, 0.1)], [100], 400
    ).loss
    assert (ends > best - 1e-6).all()
    assert ends.min() < best + 0.02
    model = problem.model().double()
    x, y = problem.train.inputs.double(), problem.train.targets
    lbfgs = torch.optim.LBFGS(
        model.parameters(),
        max_iter=3000,
        max_eval=6000,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def closure():
        lbfgs.zero_grad()
        loss = problem.loss(model(x), y)
        loss.backward()
        return loss

    lbfgs.step(closure)
    assert float(closure().detach()) == pytest.approx(best, abs=1e-6)


def test_norms_are_logged_at_every_step_of_the_run():
    problem, _ = refinement.logistic("iris", 30)
    assert refinement.norms(
        problem, Recipe("sgd[momentum=0]", "torch-linear", 0.1), 100, 30
    ).shape == (30,)


def test_schedules_race_by_name_and_explain_themselves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    done = run(
        app,
        [
            "race",
            "moons-mlp",
            "--methods",
            "sgd-uba,sgd-rex,sgd-refined,recipe[optimizer=sgd,schedule=uba[phi=5,min_lr=0.001]]",
            "--seeds",
            "2",
            "--budget",
            "steps=20",
            "-j",
            "1",
            "--store",
            "r.db",
            "--name",
            "r",
        ],
    )
    assert done.exit_code == 0, done.output
    for name in ("sgd-uba", "adamw-rex", "sgd-refined"):
        done = run(app, ["explain", name])
        assert done.exit_code == 0, done.output
        assert "digits-mlp" in done.output
