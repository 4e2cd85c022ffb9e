"""Every optimiser of the room keeps torch's habits: copies, pickles, states, groups that join, half
precision, options, closures and memory.
"""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
from optimizers import (
    OPTIMIZERS,
    PRUNING,
    SURROGATE,
    advanced,
    go_on_alike,
    move,
    parameters,
    step,
    stored,
    weights,
)
from torch import nn

from feasible import training
from feasible.core.errors import FeasibleError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
every = pytest.mark.parametrize("name", OPTIMIZERS)
by_gradients = pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n != SURROGATE])
"""Those that read gradients from their parameters."""
averaged = pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n not in PRUNING])


def named(params, order=(0, 1, 2)):
    return [(f"p{i}", params[i]) for i in order]


@every
@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("twin", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copy_goes_on_by_itself(name, twin, steps):
    optimizer = advanced(name, steps=steps)
    other = twin(optimizer)
    assert type(other) is type(optimizer)
    assert go_on_alike(optimizer, other)


@every
def test_a_state_reads_as_plain_data_and_goes_on(name):
    optimizer = advanced(name)
    other = OPTIMIZERS[name]([nn.Parameter(w) for w in weights(optimizer)])
    other.load_state_dict(stored(optimizer))
    assert go_on_alike(optimizer, other)


@every
@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0)])
def test_a_state_of_named_parameters_fits_in_another_order(name, order):
    optimizer = OPTIMIZERS[name](named(parameters()))
    for t in range(3):
        step(optimizer, t)
    now = weights(optimizer)
    held = [nn.Parameter(w) for w in now]
    other = OPTIMIZERS[name](named(held, order))
    other.load_state_dict(stored(optimizer))
    for t in range(4):
        step(optimizer, t)
        step(other, t)
    for a, b in zip(weights(optimizer), held, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


@by_gradients
@pytest.mark.parametrize("steps", [0, 3])
def test_a_group_that_joins_is_trained_and_saved(name, steps):
    def grown(values=None):
        optimizer = advanced(name, steps=steps)
        new = nn.Parameter(torch.ones(5))
        optimizer.add_param_group({"params": [("new", new) if name in PRUNING else new]})
        if values is not None:
            for p, w in zip(
                (p for g in optimizer.param_groups for p in g["params"]), values, strict=True
            ):
                p.data.copy_(w)
        return optimizer

    optimizer = grown()
    for t in range(3):
        step(optimizer, t)
    assert not torch.equal(weights(optimizer)[-1], torch.ones(5))
    other = grown(weights(optimizer))
    other.load_state_dict(stored(optimizer))
    assert go_on_alike(optimizer, other)


@by_gradients
def test_a_parameter_without_a_gradient_stays(name):
    optimizer = advanced(name)
    params = optimizer.param_groups[0]["params"]
    before = params[1].detach().clone()
    for p in params:
        p.grad = torch.ones_like(p)
    params[1].grad = None
    move(optimizer)
    assert torch.equal(params[1], before)


@by_gradients
def test_a_sparse_gradient_is_a_runtime_error_as_torchs_is(name):
    table = nn.Embedding(5, 3, sparse=True)
    optimizer = OPTIMIZERS[name](table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse gradient") as caught:
        move(optimizer)
    assert isinstance(caught.value, FeasibleError)


@by_gradients
def test_complex_parameters_are_refused_by_name(name):
    p = nn.Parameter(torch.ones(4, 3, dtype=torch.complex64))
    p.grad = torch.ones_like(p)
    with pytest.raises(FeasibleError, match=r"complex|real"):
        move(OPTIMIZERS[name]([p]))


@by_gradients
def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned(name):
    optimizer = OPTIMIZERS[name](parameters())

    def closure():
        optimizer.zero_grad()
        loss = sum(p.square().sum() for p in optimizer.param_groups[0]["params"])
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure=closure).item() > 0


@every
def test_it_is_freed_without_the_garbage_collector(name):
    optimizer = advanced(name)
    alive = weakref.ref(optimizer)
    gc.collect()
    gc.disable()
    try:
        del optimizer
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["dog", "dog by groups", "ldog", "dowg"])
def test_distances_and_sums_of_half_precision_are_kept_in_float32(name, dtype):
    def rates(of):
        p = nn.Parameter(torch.full((64,), 2.0).to(of))
        optimizer = OPTIMIZERS[name]([p])
        found = []
        for _ in range(
            300
        ):  # the same gradients in both; bfloat16 sums would stop at 256 times one
            p.grad = torch.full_like(p, 32.0)
            optimizer.step()
            found.append(optimizer.effective_lr()[0])
            with torch.no_grad():
                p.fill_(2.0)
        return torch.tensor(found)

    assert torch.allclose(rates(dtype), rates(torch.float32), rtol=1e-5)


# -- the average -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("first", ["averager", "state"])
@averaged
def test_an_average_resumes_in_its_mode_whichever_comes_first(name, first, mode):
    optimizer = OPTIMIZERS[name](parameters())
    averager = training.PolynomialAverager(optimizer, gamma=3.0)
    for t in range(5):
        step(optimizer, t)
    getattr(averager, mode)()
    other = OPTIMIZERS[name]([nn.Parameter(w) for w in weights(optimizer)])
    state = stored(optimizer)
    if first == "state":
        other.load_state_dict(state)
        again = training.PolynomialAverager(other, gamma=3.0)
    else:
        again = training.PolynomialAverager(other, gamma=3.0)
        other.load_state_dict(state)
    assert again.training == averager.training == (mode == "train")
    averager.train()
    again.train()
    assert go_on_alike(optimizer, other)
    averager.eval()
    again.eval()
    assert all(map(torch.equal, weights(optimizer), weights(other)))


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n not in (*PRUNING, SURROGATE)])
def test_a_group_that_joins_is_averaged_from_its_first_step(name):
    optimizer = OPTIMIZERS[name](parameters())
    averager = training.PolynomialAverager(optimizer, gamma=0.0)
    step(optimizer)
    new = nn.Parameter(torch.ones(5))
    optimizer.add_param_group({"params": [new]})
    seen = []
    for t in range(3):
        step(optimizer, t)
        seen.append(new.detach().clone())
    averager.eval()
    assert torch.allclose(new, torch.stack(seen).mean(0), rtol=1e-5)


@pytest.mark.parametrize("name", PRUNING)
def test_what_sets_weights_to_zero_is_not_averaged(name):
    with pytest.raises(FeasibleError, match="zero in an average"):
        training.PolynomialAverager(OPTIMIZERS[name](parameters()))
