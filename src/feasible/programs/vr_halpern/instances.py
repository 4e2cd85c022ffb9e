"""Matrix games and least squares as inclusions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...core.checks import whole
from .operators import AffineFiniteSum, MatrixGame
from .problem import Inclusion


def policeman_burglar(size: int = 200, decay: float = 0.8, seed: int = 0) -> Inclusion:
    """The policeman and the burglar on 200 houses: M_ij = w_i (1 - exp(-0.8 |i - j|)).

    House i is worth w_i = |N(0, 1)|; the policeman at j catches the burglar at i with a chance that
    falls with their distance. The norms |M|_F and |M|_2 are nearly equal, where variance reduction
    gains most.

    Args:
        size: Houses.
        decay: Of the chance, per house.
        seed: Of the houses' worth.
    """
    worth = np.abs(np.random.default_rng(seed).standard_normal(whole("size", size, least=1)))
    place = np.arange(size)
    away = np.exp(-decay * np.abs(place[:, None] - place))
    return Inclusion(MatrixGame(worth[:, None] * (1 - away)), name="policeman-burglar")


def gaussian_game(size: int = 200, seed: int = 0) -> Inclusion:
    """A game of 200 x 200 standard normal payments, whose |M|_F is 7 times |M|_2.

    Variance reduction loses here, as its theory says.

    Args:
        size: Strategies of each player.
        seed: Of the payments.
    """
    whole("size", size, least=1)
    payments = np.random.default_rng(seed).standard_normal((size, size))
    return Inclusion(MatrixGame(payments), name="gaussian-game")


def least_squares(n: int = 2000, d: int = 50, seed: int = 0) -> Inclusion:
    """Least squares of 2000 rows and 50 unknowns: F_i(u) = a_i (a_i' u - b_i).

    The rows are normal with standard deviations from 1 to 0.01; b = A x + 0.1 N(0, 1), x ~ N(0, I).

    Args:
        n: Rows.
        d: Unknowns.
        seed: Of the data.
    """
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((whole("n", n, least=1), whole("d", d, least=1)))
    rows *= np.logspace(0, -2, d)
    sides = rows @ rng.standard_normal(d) + 0.1 * rng.standard_normal(n)
    return Inclusion(AffineFiniteSum(rows, sides), np.zeros(d), name="least-squares-inclusion")


PROBLEMS: dict[str, Callable[..., Inclusion]] = {
    "policeman-burglar": policeman_burglar,
    "gaussian-game": gaussian_game,
    "least-squares-inclusion": least_squares,
}
"""Ready-made problems: name -> factory."""
