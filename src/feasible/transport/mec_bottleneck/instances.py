"""Ready-made laws and games: Zipf and Dirichlet laws, and the paper's grid world."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...core.annotations import checked
from ...core.checks import real, whole
from ...core.errors import UnknownName, nearest
from .coding_problem import CodingGame
from .problem import RateLimitedCoupling
from .world import grid_world

if TYPE_CHECKING:
    from jaxtyping import Float


@checked
def zipf_law(n: int, exponent: float = 1.0) -> Float[np.ndarray, " n"]:
    """p_i proportional to 1 / i^exponent, i = 1 .. n."""
    p = np.arange(1, whole("n", n, least=1) + 1) ** -real("exponent", exponent, above=0)
    return p / p.sum()


@checked
def dirichlet_law(n: int, concentration: float = 1.0, seed: int = 0) -> Float[np.ndarray, " n"]:
    """A law drawn from the symmetric Dirichlet distribution.

    Args:
        n: Symbols.
        concentration: The smaller, the more uneven.
        seed: Of the draw.
    """
    return np.random.default_rng(seed).dirichlet(
        np.full(whole("n", n, least=1), real("concentration", concentration, above=0))
    )


def zipf_bottleneck(n: int = 1000, rate_bits: float = 4.0) -> RateLimitedCoupling:
    """Zipf laws of exponents 1 and 1.2 on 1,000 symbols, and a code of 4 bits."""
    return RateLimitedCoupling(zipf_law(n), zipf_law(n, 1.2), rate_bits, "zipf-bottleneck")


def dirichlet_bottleneck(n: int = 7, rate_bits: float = 1.5, seed: int = 0) -> RateLimitedCoupling:
    """Two laws of 7 symbols from a flat Dirichlet distribution, and a code of 1.5 bits.

    Small enough for all functions to be visited.
    """
    return RateLimitedCoupling(
        dirichlet_law(n, 1.0, seed),
        dirichlet_law(n, 1.0, seed + 1),
        rate_bits,
        "dirichlet-bottleneck",
    )


def coding_grid(
    compression: float = 0.9,
    log_beta: float = -6.0,
    episodes: int = 200,
    messages: int = 50,
    seed: int = 0,
) -> CodingGame:
    """One of 50 messages sent through a walk to the goal of the paper's 8 x 8 grid.

    Args:
        compression: Entropy of the code, as a share of the message's.
        log_beta: Logarithm of the policy's temperature.
        episodes: Messages that are sent.
        messages: Symbols there are.
        seed: Of the messages.
    """
    return CodingGame(
        grid_world(),
        math.exp(log_beta),
        real("compression", compression, above=0) * math.log2(whole("messages", messages, least=2)),
        messages,
        episodes=episodes,
        seed=seed,
        name="coding-grid",
    )


PROBLEMS: dict[str, Callable[..., RateLimitedCoupling | CodingGame]] = {
    "zipf-bottleneck": zipf_bottleneck,
    "dirichlet-bottleneck": dirichlet_bottleneck,
    "coding-grid": coding_grid,
}
"""Ready-made problems: name -> factory."""


def get(name: str, **options: object) -> RateLimitedCoupling | CodingGame:
    """A ready-made problem by name: ``get("coding-grid", compression=0.4)``.

    Args:
        name: As in `PROBLEMS`.
        **options: Arguments of its factory.

    Raises:
        UnknownName: No problem of this name.
    """
    if name not in PROBLEMS:
        raise UnknownName(f"no problem of couplings is called {name!r}: {nearest(name, PROBLEMS)}")
    return partial(PROBLEMS[name], **options)()
