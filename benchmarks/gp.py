"""Our Bayesian optimisation against BoTorch's own tutorial loop: time for the same number of
evaluations, and regret, on two problems with limits.

The tutorial's loop: one SingleTaskGP for each output in a ModelListGP, fitted from scratch at each
step, LogConstrainedExpectedImprovement,
optimize_acqf with 10 restarts and 512 raw samples. Ours: bo-logei with its defaults. Both start
from the same first points.
"""

from __future__ import annotations

import statistics
import time
import warnings

import numpy as np
import torch
from botorch.acquisition.analytic import (
    LogConstrainedExpectedImprovement,
    LogProbabilityOfFeasibility,
)
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.optim import optimize_acqf
from gpytorch.mlls import SumMarginalLogLikelihood

from feasible.blackbox.bo_tutorial.bo import BO
from feasible.blackbox.bo_tutorial.native import BayesOpt

from .common import Figure, write

SEEDS, FIRST, STEPS, D = range(5), 12, 15, 5


def sphere(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """min |x - 0.8|^2 under three planes, on [0, 1]^5."""
    g = np.stack([x[:, :3].sum(1) - 1.5, x[:, 2:].sum(1) - 1.8, x[:, 0] - x[:, 4] - 0.1], 1)
    return ((x - 0.8) ** 2).sum(1), g


def waves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A smooth wavy objective under three curved limits, on [0, 1]^5."""
    g = np.stack(
        [
            ((x - 0.5) ** 2).sum(1) - 0.6,
            np.sin(3 * x[:, 0]) - x[:, 1] - 0.3,
            x[:, 2] * x[:, 3] - 0.5 * x[:, 4] - 0.1,
        ],
        1,
    )
    return np.sin(4 * x[:, 0]) + np.cos(3 * x[:, 1]) + (x[:, 2:] - 0.4).sum(1) ** 2 - x[:, 3], g


def best(f: np.ndarray, g: np.ndarray) -> float:
    good = (g <= 1e-6).all(1)
    return float(f[good].min()) if good.any() else float(f.max())


def ours(problem, seed: int) -> tuple[float, float]:
    started = time.perf_counter()
    opt = BayesOpt([(0, 1)] * D, settings=BO(acq="logei", n_init=FIRST), noise=0.0, seed=seed)
    x = np.random.default_rng(seed).random((FIRST, D))
    opt.ask(FIRST)
    f, g = problem(x)
    opt.tell(x, f, constraints=g)
    for _ in range(STEPS):
        x = opt.ask()
        more = problem(x)
        opt.tell(x, more[0], constraints=more[1])
        f, g = np.append(f, more[0]), np.concatenate([g, more[1]])
    return time.perf_counter() - started, best(f, g)


def tutorial(problem, seed: int) -> tuple[float, float]:
    started = time.perf_counter()
    x = np.random.default_rng(seed).random((FIRST, D))
    f, g = problem(x)
    box = torch.stack([torch.zeros(D, dtype=torch.float64), torch.ones(D, dtype=torch.float64)])
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        for _ in range(STEPS):
            inputs = torch.as_tensor(x)
            models = [
                SingleTaskGP(inputs, torch.as_tensor(v)[:, None], outcome_transform=Standardize(1))
                for v in (-f, *g.T)
            ]
            model = ModelListGP(*models)
            fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
            rules = {j + 1: (None, 0.0) for j in range(g.shape[1])}
            good = (g <= 0).all(1)
            acquisition = (
                LogConstrainedExpectedImprovement(model, float((-f[good]).max()), 0, rules)
                if good.any()
                else LogProbabilityOfFeasibility(model, rules)
            )
            z, _ = optimize_acqf(acquisition, box, q=1, num_restarts=10, raw_samples=512)
            more = problem(z.numpy())
            x, f, g = (
                np.concatenate([x, z.numpy()]),
                np.append(f, more[0]),
                np.concatenate([g, more[1]]),
            )
    return time.perf_counter() - started, best(f, g)


def run() -> list[Figure]:
    ratios, rows = [], []
    for problem in (sphere, waves):
        for seed in SEEDS:
            (t1, f1), (t2, f2) = ours(problem, seed), tutorial(problem, seed)
            ratios.append(t1 / t2)
            rows.append(
                {
                    "problem": problem.__name__,
                    "seed": seed,
                    "seconds": t1,
                    "seconds_tutorial": t2,
                    "best": f1,
                    "best_tutorial": f2,
                }
            )
    worse = statistics.median(r["best"] - r["best_tutorial"] for r in rows)
    figures = [
        Figure(
            "time over BoTorch's tutorial loop, median of 2 problems x 5 seeds (5 inputs, 3 "
            "limits)",
            statistics.median(ratios),
            1.0,
        ),
        Figure(
            "best feasible value minus that of the tutorial loop, median", worse, 0.01, "difference"
        ),
    ]
    write("gp", figures, rows=rows)
    return figures
