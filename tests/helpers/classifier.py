"""A small classifier, trained step by step on batches that depend on the step alone."""

import torch
from torch import nn


def network(dtype=torch.float64, seed=100):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)


def loss_of(model, i):
    rng = torch.Generator().manual_seed(1000 + i)
    dtype = next(model.parameters()).dtype
    x = torch.randn(16, 6, generator=rng, dtype=torch.float64).to(dtype)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
    return nn.functional.cross_entropy(model(x), y)


def train(model, optimizer, steps, start=0, momo=False):
    for i in range(start, start + steps):
        optimizer.zero_grad()
        loss = loss_of(model, i)
        loss.backward()
        optimizer.step(**({"loss": loss} if momo else {}))
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def apart(a, b):
    return float((a - b).norm() / b.norm())
