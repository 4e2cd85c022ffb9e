"""Data, models and losses on which target surrogates are tried."""

import torch
from torch import nn
from torch.nn import functional as F

from feasible.training.target_surrogates.inner_solvers import GD

SOLVERS = (
    "armijo",
    "lstsq",
    "gauss-newton",
    "cg",
    "lbfgs",
    GD(0.01),
    lambda ps: torch.optim.Adam(ps, 0.01),
)


def data(n=20, d=4, k=None, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=rng, dtype=torch.float64)
    return x, torch.randn(n, generator=rng, dtype=torch.float64) if k is None else torch.randint(
        k, (n,), generator=rng
    )


def linear(d=4, out=1, seed=0):
    torch.manual_seed(seed)
    return nn.Linear(d, out, bias=False).double()


def mlp(d=4, out=1, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, 6), nn.Tanh(), nn.Linear(6, out)).double()


def weights(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).clone()


def half_squares(y):
    return lambda z: (z[:, 0] - y).square().sum() / 2


LOSSES = {
    "squared": (1.0, lambda z, y: (z[:, 0] - y).square().sum() / 2, 1),
    "logistic": (
        0.25,
        lambda z, y: F.binary_cross_entropy_with_logits(z[:, 0], (y > 0).double(), reduction="sum"),
        1,
    ),
    "softmax": (0.5, lambda z, y: F.cross_entropy(z, (y > 0).long(), reduction="sum"), 2),
}
