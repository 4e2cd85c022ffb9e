"""The acquisition of constrained Bayesian optimisation under a prior-fitted network: one pass for
the objective and all constraints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from jaxtyping import Float

    from .columns import Columns
    from .pfn import PFN, Posterior

TINY = 1e-300


@dataclass(slots=True)
class NetworkSurrogate:
    """The acquisition under the network.

    Attributes:
        columns: What was learned.
        parts: Posteriors with the numbers of their columns; columns known at the same points share
            a pass.
        plus: Whether probabilities are min(1, 2 P).
    """

    columns: Columns
    parts: list[tuple[np.ndarray, Posterior]]
    plus: bool

    @classmethod
    def of(
        cls,
        model: PFN,
        columns: Columns,
        u: Float[np.ndarray, "n d"],
        pending: Float[np.ndarray, "p d"],
        plus: bool,
    ) -> NetworkSurrogate:
        """Read the observations.

        Args:
            model: The network.
            columns: The outputs.
            u: (n, d) where they were observed, in the unit cube.
            pending: (p, d) points whose outcomes are open; they count as observed at the predicted
                mean.
            plus: Whether probabilities are min(1, 2 P).
        """
        seen = ~np.isnan(columns.values)
        groups: dict[bytes, list[int]] = {}
        for i, mask in enumerate(seen):
            groups.setdefault(mask.tobytes(), []).append(i)
        parts = []
        with torch.no_grad():
            for members in groups.values():
                mask = seen[members[0]]
                x, y = torch.from_numpy(u[mask]), torch.from_numpy(columns.values[members][:, mask])
                posterior = model.condition(x, y)
                if len(pending):
                    open_ = torch.from_numpy(pending[: max(model.rows - len(x), 0)])
                    if len(open_):
                        posterior = model.condition(
                            torch.cat([x, open_]),
                            torch.cat([y, posterior.predict(open_).mean], dim=1),
                        )
                parts.append((np.array(members), posterior))
        return cls(columns, parts, plus)

    def score(self, u: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " k"]:
        """log EI + sum_j log PF_j, or log min(1, 2 PF_j)."""
        total = torch.zeros(len(u), dtype=torch.float64)
        with torch.no_grad():
            for members, posterior in self.parts:
                found = posterior.predict(torch.from_numpy(u))
                tau = torch.from_numpy(self.columns.thresholds[members])
                for row, improves in enumerate((members == 0) & self.columns.objective):
                    if improves:
                        total += torch.log(found.ei(tau)[row].clamp_min(TINY))
                chance = found.pi(tau)[
                    torch.from_numpy((members > 0) | (not self.columns.objective))
                ]
                chance = (2 * chance).clamp_max(1.0) if self.plus else chance
                total += torch.log(chance.clamp_min(TINY)).sum(dim=0)
        return total.numpy()

    def climb(self, seed: int) -> Float[np.ndarray, " d"] | None:
        """Candidates only."""
        return None
