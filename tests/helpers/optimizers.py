"""Every optimiser of the training room by name, made from the same parameters and stepped along the
same gradients, for tests of what all of them keep to.
"""

from __future__ import annotations

import io

import torch
from torch import nn

from feasible import training

Mechanized = training.mechanize(torch.optim.AdamW, s_init=1e-3)
SHAPES = ((4, 3), (3,), (2, 3))


def _pruning(kind, **settings):
    """HESSO on a model that holds the parameters; two groups of p0's rows."""

    def make(params, **more):
        params = list(params)
        named = [p if isinstance(p, tuple) else (f"p{i}", p) for i, p in enumerate(params)]
        model = nn.Module()
        for name, p in named:
            model.register_parameter(name, p)
        whole = max((p for p in named if p[1].ndim == 2), key=lambda p: p[1].numel())[0]
        groups = {"first": [(whole, 0, [0, 1])], "second": [(whole, 0, [2, 3])]}
        return kind(model, groups, target_group_sparsity=0.5, **settings, **more)

    return make


OPTIMIZERS = {
    "cocob": training.COCOB,
    "dadapt-adam": training.DAdaptAdam,
    "dadapt-sgd": training.DAdaptSGD,
    "prodigy": training.Prodigy,
    "dog": training.DoG,
    "dog by groups": lambda ps, **more: training.DoG(ps, per_group=True, **more),
    "ldog": training.LDoG,
    "dowg": training.DoWG,
    "momo": training.MoMo,
    "momo-adam": training.MoMoAdam,
    "nadamw": training.NAdamW,
    "mechanic": Mechanized,
    "mfac": lambda ps, **more: training.MFAC(ps, ngrads=4, **more),
    "mfac with momentum": lambda ps, **more: training.MFAC(ps, ngrads=4, momentum=0.5, **more),
    "lion": lambda ps, **more: training.LionK(ps, lr=1e-3, **more),
    "lion-l2": lambda ps, **more: training.LionK(ps, lr=1e-3, kappa="l2", **more),
    "hesso": _pruning(training.HESSO, start_pruning_step=2, pruning_steps=4, pruning_periods=2),
    "hesso-cric": _pruning(
        training.HESSOCRIC,
        start_pruning_step=1,
        sampling_steps=2,
        hybrid_training_steps=2,
        trials=(0.5,),
    ),
    "target-surrogate": lambda ps, **more: training.TargetSurrogate(
        ps, eta=0.1, m=2, metric="adam", points=21, **more
    ),
}
"""Name -> what makes it of parameters, named or not."""
SURROGATE = "target-surrogate"
"""It takes outputs and a loss in the place of gradients."""
PRUNING = ("hesso", "hesso-cric")
"""They take a model in the place of parameters, and one group."""


def parameters(dtype=torch.float32):
    """Three parameters, always the same."""
    draw = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(s, generator=draw).to(dtype)) for s in SHAPES]


def step(optimizer, t=0):
    """A step on the sum of -cos(3 x + t) / 3 over all entries; the loss is said to be 1."""
    if isinstance(optimizer, training.TargetSurrogate):
        params = optimizer.param_groups[0]["params"]
        order = sorted(range(len(params)), key=lambda i: SHAPES.index(tuple(params[i].shape)))
        optimizer.step(
            lambda: torch.cat([params[i].reshape(-1) for i in order]),
            loss=lambda z: -torch.cos(3 * z + t).sum() / 3,
            rows=torch.arange(sum(p.numel() for p in params)),
        )
        return
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = torch.sin(3 * p.detach() + t)
    move(optimizer)


def move(optimizer):
    """A step by the gradients that are there."""
    if isinstance(optimizer, training.MoMo | training.MoMoAdam | training.HESSOCRIC):
        return optimizer.step(loss=1.0)
    return optimizer.step()


def stored(optimizer):
    """Its state, as it comes back from a file."""
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def advanced(name, dtype=torch.float32, steps=3):
    """An optimiser after some steps."""
    optimizer = OPTIMIZERS[name](parameters(dtype))
    for t in range(steps):
        step(optimizer, t)
    return optimizer


def weights(optimizer):
    """Copies of its parameters."""
    return [p.detach().clone() for g in optimizer.param_groups for p in g["params"]]


def go_on_alike(one, other, steps=4):
    """Whether both come to the same weights, bit for bit."""
    for t in range(steps):
        step(one, t)
        step(other, t)
    return all(map(torch.equal, weights(one), weights(other)))
