"""What is said of responses: scores of some, and of those to held-out prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from .policy import Responses, TokenLogps


@dataclass
class Scores:
    """What reward and judges say of responses.

    Attributes:
        reward: (B,) NaN where it does not apply or failed.
        satisfied: Judge -> (B,) 1, 0, or NaN where it does not apply.
        reasons: "NAME, response i" -> why it gave no value.
    """

    reward: Float[np.ndarray, " B"]
    satisfied: dict[str, Float[np.ndarray, " B"]]
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def all_satisfied(self) -> np.ndarray:
        """(B,) True where no judge that applies said no."""
        found = np.ones(len(self.reward), dtype=bool)
        for values in self.satisfied.values():
            found &= ~(values == 0)
        return found


@dataclass
class Judged:
    """Responses to held-out prompts, and what is said of them.

    Attributes:
        rows: (n,) numbers of the prompts.
        greedy: The most likely response to each.
        drawn: (n * samples) others, those to one prompt one after the other.
        of_greedy: Scores of the former.
        of_drawn: Scores of the latter.
        logps: Of the latter, under the policy.
        kl: Mean over the latter of log(policy / policy at the beginning), in nats a response.
    """

    rows: list[int]
    greedy: Responses
    drawn: Responses
    of_greedy: Scores
    of_drawn: Scores
    logps: TokenLogps
    kl: float


def share(values: Float[np.ndarray, " n"]) -> float:
    """The mean of the values that apply; NaN where none does."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
