"""Settings of DADAO: the same for the function and for runs, and the constants that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError
from .engines import ENGINES

if TYPE_CHECKING:
    from jaxtyping import Float

RATES = ("auto", "uniform", "optimal")


@dataclass(frozen=True)
class DADAOSettings:
    """How a sum of objectives is minimised over a network.

    Attributes:
        rates: Exchanges of the edges: "uniform", all alike; "optimal", the least sum; "auto":
            optimal up to 200 nodes and 2000 edges.
        L: Lipschitz constant of the gradients; None: the problem's.
        mu: Strong convexity; None: the problem's.
        batch: Rows of a node's data that a gradient draws; 0: all.
        average: Answer the mean over time of each copy, for minibatches.
        engine: "simulate": in this process; "processes": local ones; "ray": actors. All give the
            same bits.
        workers: Processes or actors among which the nodes are divided.
    """

    rates: str = "auto"
    L: float | None = None
    mu: float | None = None
    batch: int = 0
    average: bool = False
    engine: str = "simulate"
    workers: int = 4

    def __post_init__(self) -> None:
        one_of("rates", self.rates, RATES)
        if self.mu is not None:
            real("mu", self.mu, above=0, note=", or None")
        if self.L is not None:
            real("L", self.L, above=0, note=", or None")
            if self.mu is not None and self.mu > self.L:
                raise ArgumentError(f"L={self.L:g} is below mu={self.mu:g}: expected L >= mu")
        whole("batch", self.batch, least=0)
        one_of("engine", self.engine, ENGINES)
        whole("workers", self.workers, least=1)


def constants(L: float, mu: float, chi1: float) -> Float[np.ndarray, " 14"]:
    """Return the parameters of the method as the kernels read them.

    In order: nu, s, eta, alpha, theta, gamma, gamma~, delta, delta~, beta, beta~, k, omega, alpha~,
    with nu = mu / 2 and s = sqrt(nu / L); k = 1 / (1 + 3 s^2 / 8) and omega = sqrt(1/8 - s^2 / 64)
    belong to the solution of the flow.

    Args:
        L: Lipschitz constant of the gradients.
        mu: Strong convexity.
        chi1: 1 / lambda_min+ of the scaled rates' Laplacian.

    Raises:
        ArgumentError: mu > L.
    """
    if not 0 < mu <= L:
        raise ArgumentError(f"L={L:g}, mu={mu:g}: expected 0 < mu <= L")
    nu = mu / 2
    s = (nu / L) ** 0.5
    return np.array(
        [
            nu,
            s,
            s / 8,  # eta = eta~
            s / 4,  # alpha
            1 / (2 * s),  # theta
            1 / (4 * L),  # gamma
            1 / (4 * (L * nu) ** 0.5),  # gamma~
            s / 4,  # delta
            1.0,  # delta~
            0.5,  # beta
            2 * chi1 / s,  # beta~
            1 / (1 + 3 * s**2 / 8),
            (1 / 8 - s**2 / 64) ** 0.5,
            s / 8,  # alpha~
        ]
    )
