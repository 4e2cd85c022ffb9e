"""The training room's default keeps the limits that are declared, or says that none can."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import feasible
from feasible.core.errors import LimitError
from feasible.training import TrainingProblem
from feasible.training.instances.pruning import digits_small, digits_small_cnn, digits_sparse


def blobs(limits, width=32):
    draw = np.random.default_rng(0)
    y = np.arange(300) % 3
    x = (draw.normal(size=(300, 10)) + 3 * np.eye(10)[y]).astype(np.float32)
    return TrainingProblem(
        lambda: nn.Sequential(nn.Linear(10, width), nn.ReLU(), nn.Linear(width, 3)),
        (x[:200], y[:200]),
        (x[200:], y[200:]),
        limits=limits,
    )


@pytest.mark.parametrize(
    ("limits", "method"),
    [
        ({"parameters": "<= 200"}, "hesso"),
        ({"macs": "<= 200"}, "hesso"),
        ({"parameters": "<= 200", "macs": "<= 200"}, "hesso"),
        ({"sparsity": ">= 0.5"}, "obs-pruning"),
    ],
)
def test_declared_limits_are_kept(limits, method):
    result = feasible.solve(blobs(limits), budget=feasible.Budget(steps=150))
    assert result.method.startswith(method)
    assert result.verdict.feasible, result.verdict.violations


@pytest.mark.parametrize(
    "limits", [None, {"parameters": "<= 1000"}, {"sparsity": "<= 0.5"}, {"macs": ">= 10"}]
)
def test_limits_that_the_network_keeps_change_nothing(limits):
    before = torch.random.get_rng_state()
    name, _ = feasible.training.default.choose(blobs(limits), feasible.Budget(steps=10))
    assert name == "adamw-uba"
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "limits",
    [{"parameters": ">= 1000"}, {"sparsity": ">= 0.5", "parameters": "<= 200"}],
)
def test_limits_that_no_method_keeps_are_refused_before_anything_is_spent(limits):
    with pytest.raises(LimitError, match="no method here keeps"):
        feasible.solve(blobs(limits), budget=feasible.Budget(steps=10))


@pytest.mark.parametrize(
    ("problem", "method"),
    [(digits_small, "hesso"), (digits_small_cnn, "hesso"), (digits_sparse, "obs-pruning")],
)
def test_the_problems_with_limits_get_a_method_for_them(problem, method):
    assert feasible.training.default.choose(problem(), feasible.Budget(steps=10))[0] == method
