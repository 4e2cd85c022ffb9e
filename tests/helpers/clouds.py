"""Small transport problems."""

import numpy as np


def clouds(m=32, n=32, seed=100, uneven=False):
    """Weights of two clouds of points in the plane and their squared distances, scaled to 1."""
    rng = np.random.default_rng(seed)
    cost = ((rng.normal(size=(m, 2))[:, None] - rng.normal(size=(n, 2)) - 1) ** 2).sum(2)
    a, b = (rng.dirichlet(np.full(s, 5.0)) if uneven else np.full(s, 1 / s) for s in (m, n))
    return a, b, cost / cost.max()
