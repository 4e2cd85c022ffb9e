"""TrainingProblem: what is charged, what is judged, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import feasible
from feasible.core import errors
from feasible.core.budget import Budget
from feasible.training import Recipe, Trained, TrainingProblem
from feasible.training.instances.small import PROBLEMS, digits_cnn, digits_mlp, mlp, split
from feasible.training.trained import multiply_adds, sparsity


def line(n=40, **more):
    """y = 2 x + 1 exactly, learned by one linear layer."""
    x = np.linspace(-1, 1, n, dtype=np.float32)[:, None]
    data = x, 2 * x + 1
    return TrainingProblem(
        lambda: nn.Linear(1, 1), data, data, F.mse_loss, **{"batch_size": 8, "steps": 60, **more}
    )


def weights(problem, slope, offset):
    return Trained(
        {"weight": torch.tensor([[float(slope)]]), "bias": torch.tensor([float(offset)])}
    )


def test_the_judge_measures_the_held_out_loss_of_the_weights():
    problem = line()
    assert problem.judge(weights(problem, 2, 1)).objective == 0
    assert problem.judge(weights(problem, 2, 3)).objective == pytest.approx(4, rel=1e-6)
    assert problem.judge(None).objective != problem.judge(None).objective


def test_the_mean_over_blocks_is_the_mean_over_examples():
    problem = line(n=2500)
    x = np.linspace(-1, 1, 2500)
    assert problem.judge(weights(problem, 0, 0)).objective == pytest.approx(
        np.mean((2 * x + 1) ** 2), rel=1e-5
    )


def test_a_step_is_a_gradient_and_the_budget_is_kept():
    result = feasible.solve(line(), Recipe(schedule="constant"), budget="gradients=17")
    assert result.spent["gradients"] == 17
    assert result.steps == 17


def test_the_answer_is_the_last_one_and_not_the_luckiest():
    problem = digits_mlp(noise=0.5, steps=1500)
    result = feasible.solve(problem, Recipe("adamw", "constant", lr=0.01), budget="steps=1500")
    losses = [p.verdict.objective for p in result.trail]
    assert result.verdict.objective == losses[-1]
    assert min(losses) < 0.8 * losses[-1]


def test_an_earlier_answer_counts_where_it_keeps_to_the_limits_and_the_last_does_not():
    class Fading(Recipe):
        def answer(self, problem, state):
            return weights(problem, 0 if state.steps < 5 else 2, 1)

    result = feasible.solve(
        line(limits={"sparsity": ">= 0.5"}), Fading(schedule="constant"), budget="steps=20"
    )
    assert result.verdict.feasible
    assert result.answer.weights["weight"].item() == 0


def test_limits_are_measured_on_the_network():
    problem = line(limits={"sparsity": ">= 0.5", "parameters": "<= 2", "macs": "<= 1"})
    full, cut = problem.judge(weights(problem, 2, 1)), problem.judge(weights(problem, 0, 1))
    assert full.metrics == {"sparsity": 0.0, "parameters": 2.0, "macs": 1.0}
    assert full.violations == {"sparsity": 1.0, "parameters": 0.0, "macs": 0.0}
    assert not full.feasible
    assert cut.feasible


def test_multiply_adds_are_those_of_the_layers():
    assert multiply_adds(mlp(64, 32, 10), torch.zeros(1, 64)) == 64 * 32 + 32 * 10
    assert multiply_adds(nn.Conv2d(3, 8, 3), torch.zeros(1, 3, 10, 10)) == 8 * 8 * 8 * 3 * 9
    model = mlp(4, 4)
    model[0].weight.data[:2] = 0
    assert sparsity(model) == 0.5


def test_every_epoch_shows_every_example_once_in_an_order_of_its_own():
    problem = line(n=40)
    _, batches = problem.begin(np.random.default_rng(0))
    epochs = [torch.cat([batches.next(8) for _ in range(5)]) for _ in range(3)]
    assert all(sorted(e.tolist()) == list(range(40)) for e in epochs)
    assert len({tuple(e.tolist()) for e in epochs}) == 3


def test_a_dataset_trains_as_the_arrays_do():
    class Pairs(torch.utils.data.Dataset):
        def __init__(self, x, y):
            self.x, self.y = x, y

        def __len__(self):
            return len(self.x)

        def __getitem__(self, i):
            return self.x[i], self.y[i]

    arrays = line()
    pairs = Pairs(arrays.train.inputs, arrays.train.targets)
    other = TrainingProblem(lambda: nn.Linear(1, 1), pairs, pairs, F.mse_loss, 8, 60)
    first, second = (
        feasible.solve(p, Recipe(schedule="constant"), budget="steps=20").answer.weights
        for p in (arrays, other)
    )
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_training_starts_from_the_weights_that_are_given():
    problem = line(initial=weights(None, 2, 1))
    model, _ = problem.begin(np.random.default_rng(3))
    assert model.weight.item() == 2
    assert feasible.solve(
        problem, Recipe(schedule="constant", optimizer="sgd"), budget="steps=3"
    ).verdict.objective == pytest.approx(0, abs=1e-12)


def test_steps_of_a_model_with_dropout_repeat_and_leave_the_global_generator_alone():
    problem = TrainingProblem(
        lambda: nn.Sequential(nn.Linear(1, 32), nn.Dropout(0.5), nn.Linear(32, 1)),
        *[(np.ones((9, 1), np.float32),) * 2] * 2,
        loss=F.mse_loss,
        batch_size=3,
    )
    torch.manual_seed(5)
    before = torch.get_rng_state()
    found = []
    for _ in range(2):
        found.append(
            feasible.solve(problem, Recipe(schedule="constant"), budget="steps=9").answer.weights
        )
        torch.rand(7)
    assert all(torch.equal(found[0][k], found[1][k]) for k in found[0])
    torch.manual_seed(5)
    feasible.solve(problem, Recipe(schedule="constant"), budget="steps=9")
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_round_trip_through_a_file_that_runs_no_code(tmp_path):
    problem = line()
    result = feasible.solve(problem, Recipe(schedule="constant"), budget="steps=9")
    problem.write(result.answer, str(tmp_path / "w.safetensors"))
    back = Trained.load(tmp_path / "w.safetensors")
    assert back.plan is None
    assert problem.judge(back) == result.verdict
    (tmp_path / "bad").write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(errors.ArgumentError, match="no file of trained weights"):
        Trained.load(tmp_path / "bad")


def test_weights_of_another_model_are_refused_by_name_and_shape():
    with pytest.raises(errors.ShapeError, match=r"weight has shape \(1, 1\), expected \(2, 1\)"):
        weights(None, 2, 1).into(nn.Linear(1, 2))
    with pytest.raises(
        errors.ShapeError, match=r"missing 0\.bias, 0\.weight; not known here: bias, weight"
    ):
        weights(None, 2, 1).into(nn.Sequential(nn.Linear(1, 1)))


X = np.zeros((4, 2), np.float32)
BAD = [
    ({"model": nn.Linear(2, 1)}, errors.ArgumentTypeError, "model: got Linear"),
    (
        {"train": (X, X[:3])},
        errors.ShapeError,
        r"inputs of shape \(4, 2\) and targets of shape \(3, 2\)",
    ),
    ({"train": (X[:0], X[:0])}, errors.ShapeError, "at least one"),
    ({"train": (X, X, X)}, errors.ShapeError, "3 parts"),
    ({"train": (X + math.nan, X)}, errors.NotFinite, "train: inputs hold a NaN"),
    ({"valid": (X, X + math.inf)}, errors.NotFinite, "valid: targets"),
    ({"train": 3}, errors.ArgumentTypeError, "train: got int"),
    ({"batch_size": 5}, errors.ArgumentError, "at most the 4 training examples"),
    ({"batch_size": 0}, errors.ArgumentError, "batch_size=0"),
    ({"steps": 2.5}, errors.ArgumentError, r"steps=2\.5"),
    ({"limits": {"sparsty": ">= 0.5"}}, errors.LimitError, "did you mean 'sparsity'"),
]


@pytest.mark.parametrize(("bad", "kind", "words"), BAD)
def test_bad_problems_are_refused_in_words(bad, kind, words):
    with pytest.raises(kind, match=words):
        TrainingProblem(
            **{
                "model": lambda: nn.Linear(2, 2),
                "train": (X, X),
                "valid": (X, X),
                "loss": F.mse_loss,
                "batch_size": 2,
                **bad,
            }
        )


def test_a_loss_that_is_no_scalar_is_refused():
    problem = line()
    problem.loss = lambda outputs, targets: (outputs - targets) ** 2
    with pytest.raises(errors.ShapeError, match=r"loss has shape .* expected a scalar"):
        feasible.solve(problem, Recipe(schedule="constant"), budget="steps=2")


def test_a_model_function_that_makes_no_module_is_refused():
    with pytest.raises(errors.ArgumentTypeError, match="model made a int"):
        feasible.solve(
            TrainingProblem(lambda: 3, (X, X), (X, X), batch_size=2),
            Recipe(schedule="constant"),
            budget="steps=2",
        )


def test_a_loss_that_is_no_longer_finite_ends_the_run_with_a_reason():
    result = feasible.solve(line(), Recipe("sgd", "constant", lr=1e30), budget="steps=50")
    assert "a smaller lr may help" in result.stopped
    assert result.steps < 50


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_every_instance_learns_and_has_the_name_it_is_registered_by(name):
    problem = feasible.core.registry.load_problem(name)
    assert problem.name == name
    _, batches = problem.begin(np.random.default_rng(0))
    assert torch.equal(problem.train.inputs[:3], PROBLEMS[name]().train.inputs[:3])
    if name != "text-lm":
        start = problem.judge(Trained.of(problem.begin(np.random.default_rng(0))[0])).objective
        assert (
            feasible.solve(
                problem, Recipe("adamw", "constant"), budget="steps=40"
            ).verdict.objective
            < 0.9 * start
        )
    assert batches.at == 0


def test_label_noise_is_in_the_training_labels_only():
    x, y = np.random.default_rng(0).normal(size=(3000, 2)), np.tile([0, 1, 2], 1000)
    (_, clean), (_, held) = split(x, y)
    (_, noisy), (_, also) = split(x, y, noise=0.3)
    assert (held == also).all()
    assert (
        0.15 < (clean != noisy).mean() < 0.25
    )  # a third of what is drawn again is drawn as it was


def test_buffers_are_part_of_the_answer():
    result = feasible.solve(digits_cnn(), Recipe("adamw", "constant"), budget=Budget(steps=8))
    assert "1.running_mean" in result.answer.weights
    assert result.verdict.metrics["error"] < 0.95
