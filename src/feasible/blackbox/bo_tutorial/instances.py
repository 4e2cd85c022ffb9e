"""Functions on which Bayesian optimisation is judged: draws from a Gaussian process, noise,
fidelities, environments, gradients, limits.

Sources: A. Picheny, T. Wagner, D. Ginsbourger (2013) for Branin; L. C. W. Dixon, G. P. Szego (1978)
  for Hartmann; R. B. Gramacy et al.
(Technometrics 2016) and A. Townsend (chebfun, 2014) for the two with limits; J. Wu et al. (UAI
2019) for the augmented Branin function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...core.budget import spend
from ...core.errors import ArgumentError, UnknownName, nearest
from ..problem import BlackBox
from ..space import Integer, Real, Variable

if TYPE_CHECKING:
    from jaxtyping import Float

    Points = Float[np.ndarray, "n d"]
    Values = Float[np.ndarray, " n"]

HARTMANN_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
HARTMANN_P = (
    np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    / 1e4
)
HARTMANN_C = np.array([1.0, 1.2, 3.0, 3.2])


def _branin(x: Points) -> Values:
    """Return the Branin function."""
    a, b = x[:, 0], x[:, 1]
    return (
        (b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6) ** 2
        + 10 * (1 - 1 / (8 * math.pi)) * np.cos(a)
        + 10
    )


def branin(noise: float = 0.0) -> BlackBox:
    """Branin's function on [-5, 10] x [0, 15], with three global minima 0.397887. noise: standard
    deviation that is added.
    """
    return BlackBox(
        _branin,
        [(-5, 10), (0, 15)],
        name="branin" + ("-noisy" if noise else ""),
        vectorized=True,
        simulated_noise=noise,
        truth=True,
        best_known=0.39788735772973816,
        best_point=(math.pi, 2.275),
    )


def _hartmann6(x: Points) -> Values:
    """Return the Hartmann function of six variables."""
    return -np.exp(-(HARTMANN_A * (x[:, None, :] - HARTMANN_P) ** 2).sum(2)) @ HARTMANN_C


def hartmann6(noise: float = 0.0) -> BlackBox:
    """Hartmann's function of six inputs on [0, 1]^6, minimum -3.32237. noise: standard deviation
    that is added.
    """
    return BlackBox(
        _hartmann6,
        [(0, 1)] * 6,
        name="hartmann6" + ("-noisy" if noise else ""),
        vectorized=True,
        simulated_noise=noise,
        truth=True,
        best_known=-3.32236801141551,
        best_point=(0.20168952, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730054),
    )


def gp_draw(d: int = 1, seed: int = 0, lengthscale: float = 0.2, noise: float = 0.0) -> BlackBox:
    """A draw from a Gaussian process on [0, 1]^d, d = 1 or 2: Matern-5/2, variance 1, mean 0; the
    function through values drawn on a grid.
    """
    if d not in (1, 2):
        raise ArgumentError(f"d={d!r}: expected 1 or 2, a draw is made on a grid")
    axis = np.linspace(0, 1, 201 if d == 1 else 31)
    grid = np.stack([a.ravel() for a in np.meshgrid(*[axis] * d, indexing="ij")], axis=1)

    def kernel(x: Points, y: Points) -> np.ndarray:
        r = math.sqrt(5) * np.sqrt(((x[:, None] - y) ** 2).sum(2)) / lengthscale
        return (1 + r + r * r / 3) * np.exp(-r)

    low = np.linalg.cholesky(kernel(grid, grid) + 1e-9 * np.eye(len(grid)))
    weights = np.linalg.solve(
        low.T, np.random.default_rng([20180708, seed]).standard_normal(len(grid))
    )

    def f(x: Points) -> Values:
        return kernel(x, grid) @ weights

    fine = np.stack(
        [
            a.ravel()
            for a in np.meshgrid(*[np.linspace(0, 1, 2001 if d == 1 else 121)] * d, indexing="ij")
        ],
        axis=1,
    )
    values = np.concatenate([f(part) for part in np.array_split(fine, 8)])
    best = int(values.argmin())
    return BlackBox(
        f,
        [(0, 1)] * d,
        name=f"gp-draw-{d}d",
        vectorized=True,
        simulated_noise=noise,
        truth=True,
        best_known=float(values[best]),
        best_point=tuple(fine[best].tolist()),
    )


def augmented_branin() -> BlackBox:
    """Branin's function with a fidelity s in [0, 1] as third input, the target s = 1: its term b is
    lowered by 0.1 (1 - s).

    An evaluation costs 0.1 + 0.9 s units of the resource `cost`, charged where a budget limits it.
    The limit "fidelity" >= 1, of s, makes sure that only evaluations at the target are answers.
    Minimum 0.397887 at s = 1.
    """

    def f(x: Float[np.ndarray, " d"]) -> dict[str, float]:
        a, b, s = (float(v) for v in x)
        spend(cost=0.1 + 0.9 * s)
        value = (
            (b - (5.1 / (4 * math.pi**2) - 0.1 * (1 - s)) * a * a + 5 / math.pi * a - 6) ** 2
            + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a)
            + 10
        )
        return {"objective": value, "fidelity": s}

    return BlackBox(
        f,
        {"a": (-5, 10), "b": (0, 15), "s": (0, 1)},
        pass_as="vector",
        objective="objective",
        limits={"fidelity": ">= 1"},
        name="augmented-branin",
        truth=False,
        best_known=0.39788735772973816,
        best_point=(math.pi, 2.275, 1.0),
    )


def random_environment() -> BlackBox:
    """(x - w)^2 for a design x in [0, 4] in one of four environments w in {0, 1, 2, 3}: what counts
    is the mean over w, best at E[w].

    An observation shows one environment; use `BayesOpt(acq="env-kg", environment="w")` and its
    `recommend`.
    """
    variables: list[Variable] = [Real("x", 0, 4), Integer("w", 0, 3)]
    return BlackBox(
        lambda x: (x[:, 0] - x[:, 1]) ** 2,
        variables=variables,
        name="random-environment",
        vectorized=True,
        best_known=0.0,
        best_point=(1.0, 1.0),
    )


def gramacy() -> BlackBox:
    """Minimise x1 + x2 on [0, 1]^2 under a wavy limit and a disc; best known 0.599788 at (0.1954,
    0.4044).
    """

    def f(x: Points) -> dict[str, np.ndarray]:
        a, b = x[:, 0], x[:, 1]
        return {
            "objective": a + b,
            "waves": 1.5 - a - 2 * b - 0.5 * np.sin(2 * math.pi * (a * a - 2 * b)),
            "disc": a * a + b * b - 1.5,
        }

    return BlackBox(
        f,
        [(0, 1)] * 2,
        objective="objective",
        limits={"waves": "<= 0", "disc": "<= 0"},
        scales={"waves": 1.0, "disc": 1.0},
        name="gramacy",
        vectorized=True,
        truth=True,
        best_known=0.5997880520100676,
        best_point=(0.195122684, 0.4046653681),
    )


def townsend() -> BlackBox:
    """Minimise -cos((x1 - 0.1) x2)^2 - x1 sin(3 x1 + x2) inside a curve; best known -2.0239884 at
    (2.0052938, 1.1944509).
    """

    def f(x: Points) -> dict[str, np.ndarray]:
        a, b = x[:, 0], x[:, 1]
        t = np.arctan2(a, b)
        edge = (
            2 * np.cos(t) - 0.5 * np.cos(2 * t) - 0.25 * np.cos(3 * t) - 0.125 * np.cos(4 * t)
        ) ** 2 + (2 * np.sin(t)) ** 2
        return {
            "objective": -(np.cos((a - 0.1) * b) ** 2) - a * np.sin(3 * a + b),
            "curve": a * a + b * b - edge,
        }

    return BlackBox(
        f,
        [(-2.25, 2.5), (-2.5, 1.75)],
        objective="objective",
        limits={"curve": "<= 0"},
        scales={"curve": 1.0},
        name="townsend",
        vectorized=True,
        truth=True,
        best_known=-2.0239884,
        best_point=(2.0052938, 1.1944509),
    )


def ackley_gradient(x: Points) -> dict[str, np.ndarray]:
    """Ackley's function and its partial derivatives (taken as 0 at the kink)."""
    d = x.shape[1]
    r = np.sqrt((x**2).mean(axis=1))
    e1, e2 = np.exp(-0.2 * r), np.exp(np.cos(2 * math.pi * x).mean(axis=1))
    slope = (
        4 * e1[:, None] * x / (d * np.where(r > 0, r, 1.0))[:, None]
        + 2 * math.pi / d * np.sin(2 * math.pi * x) * e2[:, None]
    )
    return {
        "objective": 20 * (1 - e1) + math.e - e2,
        **{f"d_x{j + 1}": slope[:, j] for j in range(d)},
    }


def rosenbrock_gradient(x: Points) -> dict[str, np.ndarray]:
    """Rosenbrock's function of two inputs and its partial derivatives."""
    a, b = x[:, 0], x[:, 1]
    return {
        "objective": 100 * (b - a * a) ** 2 + (1 - a) ** 2,
        "d_x1": -400 * a * (b - a * a) - 2 * (1 - a),
        "d_x2": 200 * (b - a * a),
    }


def with_gradient(name: str = "rosenbrock", low: float = -2.0, high: float = 2.0) -> BlackBox:
    """Rosenbrock's or Ackley's function of two inputs with its gradient in the metrics d_x1 and
    d_x2.
    """
    functions: dict[str, tuple[Callable[[Points], dict[str, np.ndarray]], float]]
    functions = {"rosenbrock": (rosenbrock_gradient, 1.0), "ackley": (ackley_gradient, 0.0)}
    if name not in functions:
        raise ArgumentError(f"name={name!r}: {nearest(name, functions)}")
    f, at = functions[name]
    return BlackBox(
        f,
        [(low, high)] * 2,
        objective="objective",
        name=f"{name}-gradient",
        vectorized=True,
        truth=True,
        best_known=0.0,
        best_point=(at, at),
    )


PROBLEMS: dict[str, Callable[..., BlackBox]] = {
    "branin": branin,
    "branin-noisy": partial(branin, noise=2.0),
    "hartmann6": hartmann6,
    "hartmann6-noisy": partial(hartmann6, noise=0.2),
    "gp-draw-1d": gp_draw,
    "gp-draw-2d": partial(gp_draw, d=2),
    "augmented-branin": augmented_branin,
    "random-environment": random_environment,
    "gramacy": gramacy,
    "townsend": townsend,
    "rosenbrock-gradient": with_gradient,
    "ackley-gradient": partial(with_gradient, name="ackley"),
}
"""name -> factory."""


def get(name: str, **options: object) -> BlackBox:
    """A ready-made problem of this file by name. Raises UnknownName."""
    if name not in PROBLEMS:
        raise UnknownName(f"no problem is called {name!r}; {nearest(name, PROBLEMS)}")
    return PROBLEMS[name](**options)


__all__ = [
    "PROBLEMS",
    "augmented_branin",
    "branin",
    "get",
    "gp_draw",
    "gramacy",
    "hartmann6",
    "random_environment",
    "townsend",
    "with_gradient",
]
