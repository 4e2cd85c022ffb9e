"""What one evaluation of one point gave."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """What one evaluation gave: metrics by name, or why there are none."""

    metrics: dict[str, float] = field(default_factory=dict)
    failed: str | None = None
    seconds: float = math.nan
