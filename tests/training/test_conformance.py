"""Every optimiser of the room keeps torch's habits: copies, pickles, states, groups that join, half
precision, options, closures and memory.
"""

from __future__ import annotations

import copy
import gc
import io
import pickle
import weakref

import pytest
import torch
from torch import nn

from feasible import training
from feasible.core.errors import ArgumentError, FeasibleError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

Mechanized = training.mechanize(torch.optim.AdamW, s_init=1e-3)
OPTIMIZERS = {
    "cocob": training.COCOB,
    "dadapt-adam": training.DAdaptAdam,
    "dadapt-sgd": training.DAdaptSGD,
    "prodigy": training.Prodigy,
    "dog": training.DoG,
    "dog by groups": lambda ps: training.DoG(ps, per_group=True),
    "ldog": training.LDoG,
    "dowg": training.DoWG,
    "momo": training.MoMo,
    "momo-adam": training.MoMoAdam,
    "nadamw": training.NAdamW,
    "mechanic": Mechanized,
    "mfac": lambda ps: training.MFAC(ps, ngrads=4),
    "lion": lambda ps: training.LionK(ps, lr=1e-3),
    "lion-l2": lambda ps: training.LionK(ps, lr=1e-3, kappa="l2"),
}
every = pytest.mark.parametrize("name", OPTIMIZERS)


def parameters(dtype=torch.float32):
    draw = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(s, generator=draw).to(dtype)) for s in ((4, 3), (3,), (2, 3))]


def named(params, order=(0, 1, 2)):
    return [(f"p{i}", params[i]) for i in order]


def step(optimizer, t=0):
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = torch.sin(3 * p.detach() + t)
    if isinstance(optimizer, training.MoMo | training.MoMoAdam):
        optimizer.step(loss=1.0)
    else:
        optimizer.step()


def stored(optimizer):
    """Its state, as it comes back from a file."""
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def advanced(name, dtype=torch.float32, steps=3):
    optimizer = OPTIMIZERS[name](parameters(dtype))
    for t in range(steps):
        step(optimizer, t)
    return optimizer


def weights(optimizer):
    return [p.detach().clone() for g in optimizer.param_groups for p in g["params"]]


def go_on_alike(one, other, steps=4):
    for t in range(steps):
        step(one, t)
        step(other, t)
    return all(map(torch.equal, weights(one), weights(other)))


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


@every
@pytest.mark.parametrize("steps", [0, 3])
def test_a_group_that_joins_is_trained_and_saved(name, steps):
    def grown(values=None):
        optimizer = advanced(name, steps=steps)
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(5))]})
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


@every
def test_a_parameter_without_a_gradient_stays(name):
    optimizer = advanced(name)
    params = optimizer.param_groups[0]["params"]
    before = params[1].detach().clone()
    for p in params:
        p.grad = torch.ones_like(p)
    params[1].grad = None
    optimizer.step(**({"loss": 1.0} if "momo" in name else {}))
    assert torch.equal(params[1], before)


@every
def test_a_sparse_gradient_is_a_runtime_error_as_torchs_is(name):
    table = nn.Embedding(5, 3, sparse=True)
    optimizer = OPTIMIZERS[name](table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse gradient") as caught:
        optimizer.step(**({"loss": 1.0} if "momo" in name else {}))
    assert isinstance(caught.value, FeasibleError)


@every
def test_complex_parameters_are_refused_by_name(name):
    p = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    p.grad = torch.ones_like(p)
    with pytest.raises(FeasibleError, match=r"complex|real"):
        OPTIMIZERS[name]([p]).step(**({"loss": 1.0} if "momo" in name else {}))


@every
def test_maximize_is_done_or_refused_never_ignored(name):
    optimizer = OPTIMIZERS[name]([{"params": parameters(), "maximize": True}])
    if name == "mechanic":
        other = OPTIMIZERS[name](parameters())
        for t in range(4):
            step(optimizer, t)
            for p in (params := other.param_groups[0]["params"]):
                p.grad = -torch.sin(3 * p.detach() + t)
            assert params
            other.step()
        assert all(map(torch.equal, weights(optimizer), weights(other)))
        return
    before = weights(optimizer)
    with pytest.raises(ArgumentError, match="maximize"):
        step(optimizer)
    assert all(map(torch.equal, before, weights(optimizer)))


@every
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
@every
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


@every
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
