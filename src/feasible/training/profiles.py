"""Profiles of a learning rate: functions s of the share z in [0, 1] of a run that is over, in units
of the peak rate.

A schedule is a profile and a rule how often the rate follows it (`Sampling`); `ProfileLR` joins the
two. All of these take a float or an array and return the same. Profile and sampling as two choices:
J. Chen, C. Wolfe, A. Kyrillidis, REX (MLSys 2022, arXiv 2107.04197), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..core.checks import floats
from ..core.errors import ArgumentError, NotFinite, ShapeError, UnknownName, nearest

Profile = Callable[[Any], Any]
"""share of the run that is over -> rate over peak rate."""


def constant(z: Any) -> Any:
    """s(z) = 1."""
    return z * 0.0 + 1.0


def linear(z: Any) -> Any:
    """s(z) = 1 - z."""
    return 1.0 - z


def rex(z: Any) -> Any:
    """s(z) = (1 - z) / (1/2 + (1 - z)/2), REX's profile: high for longer than linear, then faster
    to zero. Mean 2 - 2 ln 2.
    """
    return (1.0 - z) / (0.5 + 0.5 * (1.0 - z))


def rational(beta: float) -> Profile:
    """s(z) = (1 - z) / ((1 - beta) + beta (1 - z)): 0 is linear, 1/2 REX, towards 1 constant, below
    0 under linear. Its own inverse.

    Mean over a run: (beta + (1 - beta) ln(1 - beta)) / beta^2.

    Args:
        beta: < 1.

    Raises:
        ArgumentError: beta >= 1, or no finite number.
    """
    beta = _number("beta", beta)
    if not beta < 1:
        raise ArgumentError(f"beta={beta:g}: expected a number < 1 (0 is linear, 0.5 REX)")
    return rex if beta == 0.5 else partial(_rational, beta=beta)


def _rational(z: Any, beta: float) -> Any:
    """The profile of `rational`."""
    return (1.0 - z) / ((1.0 - beta) + beta * (1.0 - z))


def cosine(z: Any) -> Any:
    """s(z) = (1 + cos(pi z)) / 2 (Loshchilov and Hutter 2017)."""
    return 0.5 * (1.0 + np.cos(np.pi * z))


def uba(phi: float) -> Profile:
    """s(z) = 1 / (1 + (phi/2) tan^2(pi z/2)), UBA's profile: phi = 2 is cosine, 0 constant, larger
    falls sooner.

    Equal to 2(1 + cos(pi z)) / (2 phi + (2 - phi)(1 + cos(pi z))), without its 0/0. Mean over a run
    1/(1 + sqrt(phi/2)).

    Args:
        phi: >= 0.

    Raises:
        ArgumentError: phi < 0, or no finite number.

    References:
        Tang et al., arXiv 2505.24452.
    """
    phi = _number("phi", phi)
    if not phi >= 0:
        raise ArgumentError(f"phi={phi:g}: expected a number >= 0 (2 is cosine, 0 constant)")
    return partial(_uba, phi=phi)


def _uba(z: Any, phi: float) -> Any:
    """The profile of `uba`."""
    c2, s2 = np.cos(0.5 * np.pi * z) ** 2, np.sin(0.5 * np.pi * z) ** 2
    return c2 / (c2 + 0.5 * phi * s2) if phi else constant(z)


def exponential(gamma: float = -5.0) -> Profile:
    """s(z) = exp(gamma z), by default down to exp(-5) = 0.0067. Raises NotFinite."""
    return partial(_exponential, gamma=_number("gamma", gamma))


def _exponential(z: Any, gamma: float) -> Any:
    """The profile of `exponential`."""
    return np.exp(gamma * z)


def step(milestones: Sequence[float] = (0.5, 0.75), factor: float = 0.1) -> Profile:
    """Multiplied by `factor` at each milestone.

    A quotient of whole numbers is rounded once, as the milestone was, so z >= milestone holds at
    the very step.

    Args:
        milestones: Shares of the run; (1/3, 2/3) is that of a 90-epoch recipe.
        factor: What the rate is multiplied by.

    Raises:
        ArgumentError: Milestones that do not increase within the run, or a factor out of range.
    """
    at = tuple(_number("milestones", m) for m in milestones)
    if not at or any(not 0 < m < 1 for m in at) or any(b <= a for a, b in pairwise(at)):
        raise ArgumentError(
            f"milestones={list(milestones)}: expected increasing shares of the run, above 0 and "
            "below 1"
        )
    if not _number("factor", factor) >= 0:
        raise ArgumentError(f"factor={factor:g}: expected a number >= 0")
    return partial(_step, milestones=np.array(at), factor=float(factor))


def _step(z: Any, milestones: np.ndarray, factor: float) -> Any:
    """The profile of `step`."""
    return factor ** milestones.searchsorted(z, side="right")


RISE, START, END = 0.3, 1 / 25, 1 / 25e4
"""Of `onecycle`: torch's defaults."""


def onecycle(rise: float = RISE, start: float = START, end: float = END) -> Profile:
    """Linear from `start` to 1 over the share `rise`, then linear to `end`.

    As torch's OneCycleLR with two linear phases.

    Args:
        rise: Share of the run that rises, in (0, 1).
        start: Rate at the start over the peak, in [0, 1].
        end: Rate at the end over the peak, in [0, 1].

    Raises:
        ArgumentError: A share out of its range.

    References:
        Smith, Topin, arXiv 1708.07120.
    """
    for name, value, low in (("rise", rise, 0.0), ("start", start, -1e-300), ("end", end, -1e-300)):
        if not low < _number(name, value) <= 1 or (name == "rise" and value == 1):
            raise ArgumentError(
                f"{name}={value:g}: expected a share, "
                f"{'above 0 and below 1' if name == 'rise' else '0 to 1'}"
            )
    return partial(_legs, rise=float(rise), start=float(start), end=float(end))


def _legs(z: Any, rise: float, start: float, end: float) -> Any:
    """The profile of `onecycle`."""
    return np.minimum(start + (1 - start) * z / rise, 1 - (1 - end) * (z - rise) / (1 - rise))


def table(values: Sequence[float]) -> Profile:
    """Linear between n >= 2 given values that are spread evenly over [0, 1].

    Args:
        values: (n,) shares of the peak rate.

    Raises:
        ShapeError: Fewer than two values, or more than one axis.
        NotFinite: A NaN or an infinity.
        ArgumentError: A value below 0.
    """
    given = floats("values", values)
    if given.ndim != 1 or len(given) < 2:
        raise ShapeError(f"values have shape {given.shape}, expected (n,) with n >= 2")
    if not np.isfinite(given).all():
        raise NotFinite("values hold a NaN or an infinity, expected finite numbers")
    if (given < 0).any():
        raise ArgumentError(f"values fall to {given.min():g}, expected numbers >= 0")
    return partial(_table, values=given, at=np.arange(len(given)))


def _table(z: Any, values: np.ndarray, at: np.ndarray) -> Any:
    """The profile of `table`."""
    return np.interp(np.asarray(z) * at[-1], at, values)


def _number(name: str, value: Any) -> float:
    """A finite number; an error that names it where it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}={value!r}: expected a number") from None
    if not math.isfinite(found):
        raise NotFinite(f"{name}={found}: expected a finite number")
    return found


NAMED: dict[str, Profile] = {
    "constant": constant,
    "linear": linear,
    "rex": rex,
    "cosine": cosine,
    "exponential": exponential(),
    "step": step(),
    "onecycle": onecycle(),
}
"""Profiles by name, with their default constants."""


def of(profile: str | Profile) -> Profile:
    """A profile given by name or as a function of z. Raises UnknownName, ArgumentError."""
    if isinstance(profile, str):
        if profile not in NAMED:
            raise UnknownName(f"profile='{profile}': {nearest(profile, NAMED)}")
        return NAMED[profile]
    if not callable(profile):
        raise ArgumentError(
            f"profile: got {type(profile).__name__}, expected a function of z in [0, 1] or one of "
            f"{', '.join(NAMED)}"
        )
    return profile
