"""RefinedRecipe: a logged run, then one with the schedule refined from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import feasible
from feasible.core.errors import ArgumentError
from feasible.core.registry import load_method
from feasible.lab import stored
from feasible.lab.store import Store
from feasible.training import GradNormLogger, Recipe, RefinedRecipe, refine_schedule
from feasible.training.instances.small import moons_mlp

pytestmark = pytest.mark.filterwarnings("ignore::feasible.training.DegenerateScheduleWarning")


def weights(result):
    return torch.cat([v.reshape(-1) for v in result.answer.weights.values()])


def by_hand(problem, recipe, steps, seed, norms_of=None):
    """Weights, and norms, of a run of this many steps that starts where the seed's generator
    stands.
    """
    rng = np.random.default_rng([seed]) if norms_of is None else norms_of
    model, batches = problem.begin(rng)
    optimizer, scheduler = recipe.tools(model.parameters(), steps)
    log = GradNormLogger(model.parameters())
    for _ in range(steps):
        problem.gradient(model, problem.batch(batches))
        log.record()
        optimizer.step()
        scheduler.step()
    return model, log, rng


@pytest.mark.parametrize(("optimizer", "kind"), [("sgd", "l2"), ("adamw", "l1")])
def test_it_logs_under_linear_decay_and_trains_anew_with_what_it_found(optimizer, kind):
    problem = moons_mlp()
    _, log, rng = by_hand(problem, Recipe(optimizer, "linear"), 20, 7)
    norms = getattr(log, kind)
    model, _, _ = by_hand(problem, RefinedRecipe(optimizer, norms=tuple(norms)), 30, 7, rng)
    result = feasible.solve(
        problem, RefinedRecipe(optimizer, logging=0.4), budget="steps=50", seed=7
    )
    assert result.steps == 50
    assert torch.allclose(
        weights(result), torch.cat([v.reshape(-1) for v in model.state_dict().values()]), atol=1e-6
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_norms_of_a_file_are_refined_for_the_budget(optimizer, tmp_path):
    problem = moons_mlp()
    _, log, _ = by_hand(problem, Recipe(optimizer, "linear"), 40, 7)
    log.save(tmp_path / "norms.npz")
    recipe = RefinedRecipe(optimizer, norms=str(tmp_path / "norms.npz"), lr=0.02)
    found = recipe.tools([torch.nn.Parameter(torch.zeros(1))], 25)[1].profile()
    kind = "l2" if optimizer == "sgd" else "l1"
    assert np.allclose(found, 0.02 * refine_schedule(getattr(log, kind), kind, total_steps=25))
    assert np.isfinite(feasible.solve(problem, recipe, budget="steps=25").verdict.objective)


@pytest.mark.parametrize("cut", [11, 33])
def test_a_run_that_is_cut_in_either_half_goes_on_to_the_same_weights(cut, tmp_path, monkeypatch):
    recipe, store = load_method("sgd-refined"), str(tmp_path / "a.db")
    whole = feasible.solve(moons_mlp(), recipe, budget="steps=40", seed=7)
    monkeypatch.setattr(stored, "CHECKPOINT_SECONDS", 0.0)

    def stop(point):
        if point.step >= cut:
            raise StopIteration

    assert (
        feasible.solve(
            moons_mlp(), recipe, budget="steps=40", seed=7, store=store, name="r", observers=[stop]
        ).steps
        < 40
    )
    Store(store).update_run(1, state="interrupted")
    assert torch.equal(
        weights(
            feasible.solve(moons_mlp(), recipe, budget="steps=40", seed=7, store=store, name="r")
        ),
        weights(whole),
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"schedule": "rex"}, "schedule='rex'"),
        ({"logging": 0.0}, "logging=0.0"),
        ({"logging": 1.0}, "logging=1.0"),
        ({"tau": 0.9}, "tau=0.9"),
        ({"lr": -1.0}, "lr=-1"),
        ({"warmup": 0.1}, "warmup=0.1: the refined schedule finds its warm-up"),
    ],
)
def test_bad_settings_are_named(settings, words):
    with pytest.raises(ArgumentError, match=words):
        RefinedRecipe(**settings)


def test_a_budget_too_small_to_log_is_refused():
    with pytest.raises(ArgumentError, match="budget of 3 steps: expected at least 4"):
        feasible.solve(moons_mlp(), "sgd-refined", budget="steps=3")
