"""One scheduler of each kind, and how they are stepped."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import nn

from feasible.training import (
    REX,
    UBA,
    InverseSqrt,
    LinearDecay,
    OneCycle,
    ProfileLR,
    Refined,
    Sampling,
)

MAKERS = {
    "linear": partial(LinearDecay, total_steps=40),
    "rex": partial(REX, total_steps=40, beta=0.7, min_lr=1e-3),
    "uba": partial(UBA, total_steps=40, phi=5.0, warmup_steps=5),
    "uba phases": partial(UBA, total_steps=40, phi=0.5, phases=[(10, 0.1, 0.01), (30, 0.05, 0.0)]),
    "refined": partial(Refined, schedule=np.abs(np.sin(np.arange(40.0)))),
    "onecycle": partial(OneCycle, total_steps=40),
    "inverse-sqrt": partial(InverseSqrt, total_steps=40, warmup_steps=3),
    "cosine by epochs": partial(
        ProfileLR, profile="cosine", total_steps=40, sampling=Sampling.epoch(7)
    ),
    "step": partial(
        ProfileLR, profile="step", total_steps=40, sampling=Sampling.milestones(0.5, 0.75)
    ),
}


def optimizer(lrs=(0.1, 0.02), tensor=False, kind=torch.optim.SGD):
    groups = [
        {
            "params": [nn.Parameter(torch.ones(3))],
            "lr": torch.tensor(lr, dtype=torch.float64) if tensor else lr,
        }
        for lr in lrs
    ]
    return kind(groups, momentum=0.9) if kind is torch.optim.SGD else kind(groups)


def advance(opt, sched, steps):
    """Steps of both; the rates that each step of the optimiser used, (steps, groups)."""
    used = []
    for _ in range(steps):
        for group in opt.param_groups:
            for p in group["params"]:
                p.grad = torch.sin(p.detach())
        used.append([float(g["lr"]) for g in opt.param_groups])
        opt.step()
        sched.step()
    return used
