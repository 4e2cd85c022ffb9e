"""Three blobs, and a few labels of them."""

from __future__ import annotations

import numpy as np


def blobs(n=90, seed=100, gap=3.0):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    return gap * np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])[truth] + rng.normal(size=(n, 3)), truth


def few(truth, shots=1, seed=0):
    rng = np.random.default_rng(seed)
    y = np.full(len(truth), -1)
    for k in np.unique(truth):
        y[rng.choice(np.flatnonzero(truth == k), shots, replace=False)] = k
    return y
