import dataclasses

import numpy as np
import pytest
import torch
from pruned_networks import MLP

import feasible
from feasible.core.checkpoint import decode, encode
from feasible.core.errors import ArgumentError, Infeasible, LimitError
from feasible.training import Trained, TrainingProblem
from feasible.training.hesso.peers import TorchPruningMagnitude
from feasible.training.hesso.run import GroupPruning
from feasible.training.mfac.obs_pruner import Masks
from feasible.training.mfac.run import WeightPruning

STEPS = 60
SMALL = {"lr": 0.01, "schedule": "constant"}
FEW = {"ngrads": 8, "recomputations": 2, "lr": 0.01}


def problem(limits=None, seed=0, steps=STEPS):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((200, 8)).astype(np.float32)
    y = (x @ rng.standard_normal((8, 3))).argmax(1)
    return TrainingProblem(
        MLP, (x[:140], y[:140]), (x[140:], y[140:]), batch_size=20, steps=steps, limits=limits
    )


METHODS = {
    "hesso": GroupPruning(**SMALL),
    "hesso-cric": GroupPruning(**SMALL, corrective=True, pruning=0.3),
    "one shot": GroupPruning(**SMALL, one_shot=True),
    "torch-pruning": TorchPruningMagnitude(**SMALL),
    "obs": WeightPruning(**FEW),
    "magnitude": WeightPruning("magnitude", **FEW),
}
LIMITS = {
    name: {"sparsity": ">= 0.6"} if isinstance(m, WeightPruning) else {"parameters": "<= 170"}
    for name, m in METHODS.items()
}


@pytest.mark.parametrize("name", METHODS)
def test_the_problems_limit_is_met_by_what_is_judged(name):
    result = feasible.solve(problem(LIMITS[name]), METHODS[name], budget={"steps": STEPS}, seed=1)
    assert result.verdict.feasible
    assert result.spent["steps"] == STEPS


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_weights_also_over_a_checkpoint(name):
    p, method = problem(LIMITS[name], steps=36), METHODS[name]
    whole = method.init(p, np.random.default_rng(3))
    for _ in range(36):
        whole = method.step(p, whole)
    for cut in (5, 16, 29):
        state = method.init(p, np.random.default_rng(3))
        for _ in range(cut):
            state = method.step(p, state)
        state = decode(encode(state), method.init(p, np.random.default_rng(3)))
        for _ in range(cut, 36):
            state = method.step(p, state)
        one, other = method.answer(p, whole), method.answer(p, state)
        assert one.plan == other.plan
        assert all(torch.equal(one.weights[k], other.weights[k]) for k in one.weights)


def test_the_answer_is_the_cut_network_and_reads_back_from_its_file(tmp_path):
    p = problem({"parameters": "<= 170"})
    result = feasible.solve(p, METHODS["hesso"], budget={"steps": STEPS}, seed=1)
    p.write(result.answer, str(tmp_path / "small.safetensors"))
    model = Trained.load(tmp_path / "small.safetensors").into(MLP())
    assert sum(w.numel() for w in model.parameters()) <= 170
    assert model.net[0].out_features < 12


def test_without_limits_half_of_the_groups_and_nine_tenths_of_the_weights_go():
    p = problem()
    state = METHODS["hesso"].init(p, np.random.default_rng(0))
    assert state.optimizer.target == 11
    result = feasible.solve(p, METHODS["magnitude"], budget={"steps": STEPS})
    assert Masks(result.answer.into(MLP())).sparsity == pytest.approx(0.9, abs=0.5 / 246)


def test_gradients_of_the_fisher_matrix_are_charged():
    result = feasible.solve(problem(), METHODS["obs"], budget={"steps": STEPS})
    assert result.spent["gradients"] == STEPS + 5 * 2 * 8


def test_events_are_spread_from_dense_to_last_and_one_shot_is_at_the_end():
    assert WeightPruning(dense=0.4, last=0.8, events=5).when(100) == [40, 50, 60, 70, 80]
    assert WeightPruning(dense=1.0, events=1).when(100) == [100]


def test_the_sparsity_of_the_last_event_counts_the_weights_the_problem_counts():
    p = problem({"sparsity": ">= 0.6"})
    assert WeightPruning().target(p, MLP()) == pytest.approx(np.ceil(0.6 * 246) / 246)


@pytest.mark.parametrize(
    ("make", "limits", "error", "words"),
    [
        (
            lambda: GroupPruning(),
            {"sparsity": ">= 0.5"},
            LimitError,
            "hesso cuts channels and leaves no zeros",
        ),
        (
            lambda: WeightPruning(),
            {"macs": "<= 50"},
            LimitError,
            "obs-pruning leaves zeros and cuts nothing",
        ),
        (lambda: GroupPruning(), {"parameters": "<= 3"}, Infeasible, "at least"),
        (lambda: GroupPruning(), {"parameters": "<= 3000"}, ArgumentError, "keeps them as it is"),
        (
            lambda: GroupPruning(warmup=0.6, pruning=0.6),
            None,
            ArgumentError,
            "needs up to 72 of them",
        ),
        (
            lambda: GroupPruning(corrective=True, warmup=0.5),
            None,
            ArgumentError,
            "give it more, or smaller shares",
        ),
        (
            lambda: GroupPruning(schedule="plateau"),
            None,
            ArgumentError,
            "steers by the held-out loss",
        ),
        (lambda: GroupPruning(variant="lion"), None, ArgumentError, "variant='lion'"),
        (
            lambda: GroupPruning(one_shot=True, corrective=True),
            None,
            ArgumentError,
            "one_shot and corrective",
        ),
        (lambda: GroupPruning(criterion="size"), None, ArgumentError, "criterion='size'"),
        (lambda: WeightPruning("size"), None, ArgumentError, "criterion='size'"),
        (lambda: WeightPruning(sparsity=1), None, ArgumentError, "sparsity=1"),
        (lambda: WeightPruning(events=0), None, ArgumentError, "events=0"),
        (lambda: WeightPruning(damp=0), None, ArgumentError, "damp=0"),
    ],
)
def test_bad_settings_and_limits_it_does_not_serve_are_named(make, limits, error, words):
    with pytest.raises(error, match=words):
        feasible.solve(problem(limits), make(), budget={"steps": STEPS})


def test_settings_are_plain_so_that_they_can_be_given_by_name():
    for cls in (GroupPruning, WeightPruning, TorchPruningMagnitude):
        assert all(
            isinstance(f.default, (int, float, str, bool, type(None)))
            for f in dataclasses.fields(cls)
        )
