"""Judges that nothing satisfies, and budgets of divergence that no satisfied policy keeps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import real

if TYPE_CHECKING:
    from jaxtyping import Bool


def contradiction(judged: Mapping[str, Bool[np.ndarray, " N"]]) -> str | None:
    """Say which judges no response satisfies, or satisfies together; None where one does all.

    Args:
        judged: Judge -> whether each of N responses satisfies it; where it does not apply it counts
            as satisfied.

    Examples:
        >>> import numpy as np
        >>> short = np.array([True, True, False])
        >>> contradiction({"short": short, "long": ~short, "ends": np.array([True] * 3)})
        "of 3 responses none satisfies 'short' and 'long' together"
    """
    tables = {name: np.asarray(v, bool).ravel() for name, v in judged.items()}
    if not tables:
        return None
    many = len(next(iter(tables.values())))
    if many == 0 or np.logical_and.reduce(list(tables.values())).any():
        return None
    never = [repr(name) for name, v in tables.items() if not v.any()]
    if never:
        return f"of {many} responses none satisfies {', '.join(never)}"
    for size in range(2, len(tables) + 1):
        for names in itertools.combinations(tables, size):
            if not np.logical_and.reduce([tables[n] for n in names]).any():
                *first, last = (repr(n) for n in names)
                return f"of {many} responses none satisfies {', '.join(first)} and {last} together"
    return None


def least_divergence(satisfied: float) -> float:
    """-log pi_ref(satisfied): the divergence of the nearest policy that satisfies all judges.

    Args:
        satisfied: Share of the reference's responses that satisfy every judge.

    Examples:
        >>> round(least_divergence(0.3), 2)
        1.2
    """
    share = real("satisfied", satisfied, least=0, most=1)
    return -math.log(share) if share > 0 else math.inf


def budget_warning(kl_max: float, satisfied: Any) -> str | None:
    """What to say where a bound on the divergence cannot be met by satisfied responses alone.

    Args:
        kl_max: The bound in nats.
        satisfied: Whether each of the reference's responses satisfies every judge, of any shape.
    """
    seen = np.asarray(satisfied, bool)
    need = least_divergence(float(seen.mean())) if seen.size else 0.0
    if not math.isfinite(need) or real("kl_max", kl_max, above=0) >= need:
        return None
    return (
        f"kl_max={kl_max:g} is below -log of the share of the reference's responses that satisfy "
        f"all judges, about {need:.2g} ({seen.mean():.2g} of {seen.size}): the two constraints "
        "contradict each other, and satisfaction will stay below 1"
    )
