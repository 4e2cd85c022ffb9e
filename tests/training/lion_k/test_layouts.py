"""Lion-K in every memory layout and precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from feasible.training import LionK
from feasible.training.lion_k.kappas import KAPPAS, kappa_of

SETTINGS = {
    "lp": {"p": 1.6},
    "soft": {"e": 0.1},
    "topk": {"k": 7},
    "huber": {"e": 0.1},
    "entropy": {"a": 0.1},
    "relativistic": {"a": 0.1},
    "log": {"a": 0.1},
}
every = pytest.mark.parametrize("name", KAPPAS)


def stepped(name, weight, gradient):
    p = nn.Parameter(weight)
    optimizer = LionK([p], lr=0.1, weight_decay=0.1, kappa=kappa_of(name, **SETTINGS.get(name, {})))
    for t in range(3):
        p.grad = gradient * (1 + t)
        optimizer.step()
    return p.detach()


def drawn(seed, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(8, 4, 3, 3, generator=draw).to(dtype)


@every
def test_channels_last_takes_the_same_steps(name):
    w, g = drawn(0), drawn(1)
    plain = stepped(name, w.clone(), g)
    last = stepped(name, *(t.contiguous(memory_format=torch.channels_last) for t in (w, g)))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(plain, last, rtol=1e-5, atol=1e-6)


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_takes_the_steps_of_float32_but_for_rounding(name, dtype):
    # the weights begin at 0, so that a step and not the weight is what is rounded
    g = drawn(1, dtype)
    half = stepped(name, torch.zeros(8, 4, 3, 3, dtype=dtype), g)
    full = stepped(name, torch.zeros(8, 4, 3, 3), g.float())
    assert half.dtype == dtype
    assert torch.linalg.norm(half.float() - full) <= 0.01 * torch.linalg.norm(full)
