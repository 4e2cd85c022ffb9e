"""Torch's options and its compiler with every optimiser of the room: done or refused by name, never
ignored.
"""

from __future__ import annotations

import pytest
import torch
from optimizers import OPTIMIZERS, SURROGATE, move, parameters, step, weights

from feasible.core.errors import ArgumentError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
every = pytest.mark.parametrize("name", OPTIMIZERS)
MINIMISE = ("momo", "momo-adam", "hesso-cric", SURROGATE)
"""Those whose step rests on the loss being minimised."""


def turned(optimizer, t):
    """A step by the negative of the gradients that `step` gives."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = -torch.sin(3 * p.detach() + t)
    move(optimizer)


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n not in MINIMISE])
def test_maximize_ascends(name):
    up, down = OPTIMIZERS[name](parameters(), maximize=True), OPTIMIZERS[name](parameters())
    for t in range(6):
        step(up, t)
        turned(down, t)
    assert all(map(torch.equal, weights(up), weights(down)))


@pytest.mark.parametrize("name", ["momo", "momo-adam", SURROGATE])
def test_maximize_is_refused_where_a_loss_is_minimised(name):
    with pytest.raises(ArgumentError, match="maximize"):
        step(OPTIMIZERS[name]([{"params": parameters(), "maximize": True}]))


def test_cric_refuses_to_maximize():
    with pytest.raises(ArgumentError, match="maximize"):
        OPTIMIZERS["hesso-cric"](parameters(), maximize=True)


@every
def test_capturable_is_refused_by_name(name):
    optimizer = OPTIMIZERS[name](parameters())
    before = weights(optimizer)
    optimizer.param_groups[0]["capturable"] = True
    with pytest.raises(ArgumentError, match="capturable"):
        step(optimizer)
    assert all(map(torch.equal, before, weights(optimizer)))


@every
def test_a_compiled_step_is_the_step(name):
    plain, compiled = OPTIMIZERS[name](parameters()), OPTIMIZERS[name](parameters())
    moved = torch.compile(step if name == SURROGATE else move, backend="eager")
    for t in range(4):
        step(plain, t)
        if name == SURROGATE:
            moved(compiled, t)
            continue
        for p in compiled.param_groups[0]["params"]:
            p.grad = torch.sin(3 * p.detach() + t)
        moved(compiled)
    assert all(map(torch.equal, weights(plain), weights(compiled)))
