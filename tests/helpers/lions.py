"""Kappas, networks and quadratics on which Lion-K is tried."""

import numpy as np
import torch
from torch import nn

ALL = [
    "l1",
    "soft[e=0.3]",
    "huber[e=0.3]",
    "quadratic",
    "entropy[a=0.5]",
    "relativistic[a=0.5]",
    "log[a=0.5]",
    "l2",
    "lp[p=1.5]",
    "linf",
    "topk[k=3]",
    "group",
    "group[by=tensor]",
    "nuclear",
]


VECTOR = [text for text in ALL if text != "nuclear"]


RATES = np.concatenate([np.full(700, rate) for rate in (3e-2, 3e-3, 3e-4)])


def net(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)).to(dtype)


def train(model, *optimizers, steps=5, seed=0, schedulers=()):
    dtype = next(model.parameters()).dtype
    for x in torch.randn(
        steps, 8, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).to(dtype):
        for opt in optimizers:
            opt.zero_grad()
        model(x).square().sum().backward()
        for opt in optimizers:
            opt.step()
        for scheduler in schedulers:
            scheduler.step()
    return [p.detach().clone() for p in model.parameters()]


def quadratic(seed, shape=(3, 4)):
    rng = np.random.default_rng(seed)
    d = int(np.prod(shape))
    a = rng.normal(size=(d, d)) / np.sqrt(d)
    q, c = torch.from_numpy(a.T @ a + 0.1 * np.eye(d)), torch.from_numpy(rng.normal(size=d) * 3)
    x = nn.Parameter(torch.from_numpy(rng.normal(size=shape)))
    return (
        x,
        lambda: ((x.reshape(-1) - c) @ q @ (x.reshape(-1) - c)) / 2,
        float(torch.linalg.eigvalsh(q)[-1]),
    )
