"""The convex functions kappa of Lion-K, each with what the theory asks of it (Chen, Liu, Liang,
Liu, ICLR 2024, arXiv 2310.05898, table 1).

With kappa, Lion's momentum and decoupled weight decay lam minimise f(x) + kappa*(lam x) / lam;
kappa*(z) = sup_v z'v - kappa(v) is the conjugate.

| kappa | kappa(v) | the problem it solves |
| --- | --- | --- |
| l1 (Lion) | sum abs v | abs x_i <= 1/lam |
| lp, l2 | p-norm, p > 1 | q-norm of x <= 1/lam, 1/p + 1/q = 1 |
| linf | max abs v | sum abs x <= 1/lam |
| soft | sum max(abs v - e, 0) | + e sum abs x, abs x_i <= 1/lam |
| topk | the k largest abs v | abs x_i <= 1/lam, sum abs x <= k/lam |
| huber | v^2/2e up to e, then abs v - e/2 | + e lam/2 sum x^2, abs x_i <= 1/lam |
| quadratic | sum v^2 / 2 | + lam/2 sum x^2 |
| entropy | a sum log cosh(v/a) | an entropy barrier in abs x_i <= 1/lam |
| relativistic | sum sqrt(v^2 + a^2) - a | a barrier, finite at the border |
| log | sum abs v - a log(1 + abs v / a) | a logarithmic barrier |
| group | sum of the groups' 2-norms | 2-norm of each group of x <= 1/lam |
| nuclear | sum of singular values | largest singular value of x <= 1/lam |

The table's first rows down to huber are the paper's; the others are natural further members. The
classes are in `separable` and `coupled`, what each of their functions is says `Kappa`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

from ...core.errors import ArgumentError, ArgumentTypeError, UnknownName, nearest
from ...core.registry import split_settings
from .coupled import Group, Linf, Lp, Nuclear, TopK
from .kappa import Kappa
from .separable import L1, Entropy, Huber, Log, Quadratic, Relativistic, Soft

__all__ = [
    "KAPPAS",
    "L1",
    "Entropy",
    "Group",
    "Huber",
    "Kappa",
    "Linf",
    "Log",
    "Lp",
    "Nuclear",
    "Quadratic",
    "Relativistic",
    "Soft",
    "TopK",
    "kappa_of",
]

KAPPAS: dict[str, Callable[..., Kappa]] = {
    "l1": L1,
    "lp": Lp,
    "linf": Linf,
    "soft": Soft,
    "topk": TopK,
    "huber": Huber,
    "quadratic": Quadratic,
    "entropy": Entropy,
    "relativistic": Relativistic,
    "log": Log,
    "group": Group,
    "nuclear": Nuclear,
    "l2": lambda: Lp(2.0),
}
"""Name -> class. A class of one's own joins by its name; its settings are numbers or text."""


@cache
def _of_text(text: str) -> Kappa:
    """The kappa of a text with settings."""
    name, settings = split_settings(text)
    return _made(name, settings)


def _made(name: str, settings: dict[str, Any]) -> Kappa:
    """The kappa of a name and its settings."""
    if name not in KAPPAS:
        raise UnknownName(f"kappa='{name}': {nearest(name, KAPPAS)}")
    build = KAPPAS[name]
    fields = dataclasses.fields(build) if isinstance(build, type) else ()
    missing = [
        f.name for f in fields if f.default is dataclasses.MISSING and f.name not in settings
    ]
    if missing:
        raise ArgumentError(
            f"kappa '{name}' needs {', '.join(missing)}: expected it as a setting, such as "
            f"'{name}[{missing[0]}=...]'"
        )
    strange = sorted(settings.keys() - {f.name for f in fields})
    if strange:
        raise ArgumentError(
            f"kappa '{name}' has no setting '{strange[0]}': "
            f"{nearest(strange[0], [f.name for f in fields])}"
        )
    return build(**settings)


def kappa_of(given: Any, **settings: Any) -> Kappa:
    """A kappa from an object, or a name with its settings.

    Args:
        given: A `Kappa`, or text such as "l1" or "lp[p=1.6]".
        **settings: Settings beside a name, as "lp" and p=1.6; None counts as not given.

    Raises:
        ArgumentTypeError: Neither text nor a `Kappa`.
        UnknownName: No kappa has this name.
        ArgumentError: A setting that it does not have, lacks, or has twice.

    Examples:
        >>> str(kappa_of("lp", p=1.6))
        'lp[p=1.6]'
        >>> import torch
        >>> kappa_of("l1").subgrad(torch.tensor([0.3, -2.0]))
        tensor([ 1., -1.])
    """
    settings = {k: v for k, v in settings.items() if v is not None}
    if isinstance(given, Kappa):
        if settings:
            raise ArgumentError(
                f"kappa={given} has its settings already, got {', '.join(settings)} as well"
            )
        return given
    if not isinstance(given, str):
        raise ArgumentTypeError(
            f"kappa: got {type(given).__name__}, expected a name such as 'l1' or a Kappa"
        )
    if not settings:
        return _of_text(given)
    name, inner = split_settings(given)
    return _made(name, {**inner, **settings})
