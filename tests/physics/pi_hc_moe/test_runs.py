"""Learning an operator in runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.core.registry import load_claim
from feasible.lab.claim import run_claim
from feasible.lab.shown import shown_problem
from feasible.lab.store import Store
from feasible.lab.stored import stored_result
from feasible.physics.pi_hc_moe import Burgers, Grid
from feasible.physics.pi_hc_moe.instances import heat_operator, vorticity_operator
from feasible.physics.pi_hc_moe.problem import OperatorLearning, Surrogate
from feasible.physics.pi_hc_moe.run import PIHCMoE


@pytest.fixture(scope="module")
def burgers():
    grid = Grid.of(1.0, 8, 16, periodic=True)
    x = grid.axes[1].numpy()
    values = 0.4 * np.sin(2 * np.pi * (x + np.linspace(0, 1, 8, endpoint=False)[:, None]))
    return OperatorLearning(Burgers(grid), values[:5], values[5:], 2)


def test_training_lowers_the_error_and_the_solvers_stand_beside_it(burgers):
    before = burgers.judge(PIHCMoE(experts="1").surrogate(burgers)).objective
    after = feasible.solve(burgers, PIHCMoE(experts="1", n_basis=4), {"steps": 40}, seed=100)
    assert after.verdict.objective < 0.95 * before
    plain = feasible.solve(burgers, "implicit-euler", {"steps": 5})
    assert plain.steps == 1
    assert plain.verdict.objective < after.verdict.objective


def test_the_judge_measures_and_does_not_believe(burgers):
    exact = burgers.judge(Surrogate("bdf"))
    assert exact.objective < 0.1
    assert exact.metrics["equation left"] > 0
    assert math.isnan(burgers.judge(None).objective)
    with pytest.raises(feasible.errors.UnknownName, match="implicit-euler"):
        burgers.judge(Surrogate("implicit-euller"))


def test_a_bound_on_the_error_is_a_limit(burgers):
    strict = OperatorLearning(burgers.pde, burgers.train, burgers.test, 2, bound=1e-4)
    verdict = strict.judge(Surrogate("implicit-euler"))
    assert verdict.violations["relative error"] == pytest.approx(verdict.objective / 1e-4 - 1)


def test_steps_are_gradients(burgers):
    result = feasible.solve(burgers, "pi-hc[n_basis=3]", {"gradients": 4})
    assert result.spent["gradients"] == result.steps == 4
    assert any("terms of the last loss, unweighted: equation" in note for note in result.notes)


def stored(url, name):
    opened = Store(url)
    row = opened.run(name)
    return stored_result(opened, row, shown_problem(row))


def test_weights_go_to_a_store_and_come_back(burgers, tmp_path):
    store = f"sqlite:///{tmp_path}/runs.db"
    kept = feasible.solve("heat-operator", "pi-hc-moe", {"steps": 3}, store=store, name="kept")
    again = stored(store, "kept").answer
    assert set(again.weights) == set(kept.answer.weights)
    assert heat_operator().judge(again).objective == kept.verdict.objective


def test_gradients_that_are_not_finite_count_as_nothing_and_are_counted(burgers):
    method = PIHCMoE(experts="1", n_basis=2)
    state = method.init(burgers, np.random.default_rng(0))
    for p in state.model.parameters():
        p.register_hook(lambda g: torch.full_like(g, math.nan))
    before = [p.detach().clone() for p in state.model.parameters()]
    method.step(burgers, state)
    assert all(torch.equal(a, b) for a, b in zip(before, state.model.parameters(), strict=True))
    assert state.skipped == 1
    assert any("1 gradients were not finite" in r for r in method.remarks(burgers, state))


def test_solves_that_do_not_converge_are_said(burgers):
    result = feasible.solve(burgers, "pi-hc[n_basis=3,max_iter=1,tol=1e-14]", {"steps": 2})
    assert any("solves of the layer did not meet" in note for note in result.notes)
    assert result.verdict.metrics["solves that met the tolerance"] < 1


def test_a_flow_in_two_dimensions_runs():
    problem = vorticity_operator(n=2, tests=1)
    result = feasible.solve(problem, "pi-hc-moe[experts=1x2x2,n_basis=2,width=4]", {"steps": 1})
    assert math.isfinite(result.verdict.objective)


def test_bad_input_is_named():
    pde = Burgers(Grid.of(1.0, 8, 16, periodic=True))
    good = np.zeros((4, 16))
    with pytest.raises(ArgumentTypeError, match="expected a PDE"):
        OperatorLearning("burgers", good, good)
    with pytest.raises(ShapeError, match=r"train has shape \(4, 15\), expected \(n, 16\)"):
        OperatorLearning(pde, good[:, :15], good)
    with pytest.raises(NotFinite, match="test: expected finite"):
        OperatorLearning(pde, good, good + np.nan)
    with pytest.raises(ArgumentError, match="batch_size=9"):
        OperatorLearning(pde, good, good, 9)
    with pytest.raises(ArgumentError, match="bound=-1"):
        OperatorLearning(pde, good, good, bound=-1.0)
    with pytest.raises(ArgumentError, match="experts='four'"):
        PIHCMoE(experts="four")
    with pytest.raises(ArgumentError, match="expected at most 2 numbers"):
        feasible.solve(OperatorLearning(pde, good, good), PIHCMoE(experts="1x1x2"), {"steps": 1})


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("pi-hc-moe"), "smoke", (100,), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
    assert {p["experiment"] for p in found["per_seed"]} == {"burgers", "sorption"}
