"""Tables of responses whose reward is hacked by what the judges forbid."""

from __future__ import annotations

import math

import numpy as np

from ...core.checks import fraction, real, whole
from .table import ResponseTable


def hackable_table(
    prompts: int = 32,
    responses: int = 50,
    feasible: float = 0.3,
    bonus: float = 1.5,
    seed: int = 0,
) -> ResponseTable:
    """Rewards N(0, 1), and a bonus for every response that one of two judges refuses.

    A policy that follows the reward alone learns to give refused responses. The baseline is drawn
    from the reference, which is uniform.

    Args:
        prompts: n.
        responses: m.
        feasible: Share of the responses that satisfy both judges; each prompt has one at least.
        bonus: For the others.
        seed: Of the tables.
    """
    rng = np.random.default_rng([whole("seed", seed, least=0), 2409])
    n, m = whole("prompts", prompts, least=1), whole("responses", responses, least=2)
    share = math.sqrt(fraction("feasible", feasible, zero=False))
    judges = {name: rng.random((n, m)) < share for name in ("correct", "well-formed")}
    sure = rng.integers(m, size=n)
    for table in judges.values():
        table[np.arange(n), sure] = True
    satisfied = judges["correct"] & judges["well-formed"]
    reward = rng.standard_normal((n, m)) + real("bonus", bonus) * ~satisfied
    name = "hackable-small" if n < 10 else f"hackable-{round(100 * feasible)}"
    return ResponseTable(reward, judges, None, rng.integers(m, size=n), name=name)
