"""The networks that say which states to aim at."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..networks import STRICT_MOST, NetworkTargets, season

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..multistage import MultistageLP
    from .settings import TSDDRSettings


class Pointer(nn.Module):  # type: ignore[misc, unused-ignore]
    """x_hat_t = low_t + span_t sigmoid(net(w_t, x_{t-1}, season)).

    Args:
        problem: Whose states it points at.
        settings: Its kind, layers and season.
    """

    def __init__(self, problem: MultistageLP, settings: TSDDRSettings):
        super().__init__()
        self.kind, self.stretch, self.strict = settings.net, settings.stretch, settings.strict
        self.T, self.period = problem.T, settings.period
        self.center, self.spread, self.low, self.span = frame(problem)
        self.seasons = torch.tensor(
            [season(t, problem.T, settings.period) for t in range(problem.T)]
        ).double()
        self._span, self._low = torch.tensor(self.span), torch.tensor(self.low)
        d, k = problem.d, problem.k
        if self.kind == "lstm":
            width = settings.hidden[0]
            self.encoder = nn.LSTM(d + 3, width, len(settings.hidden), batch_first=True).double()
            self.layers = nn.Sequential(
                nn.Linear(width + k, width), nn.Tanh(), nn.Linear(width, k)
            ).double()
            return
        sizes = (d + k + 3, *(() if self.kind == "linear" else settings.hidden), k)
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.Tanh()]
        self.layers = nn.Sequential(*layers[:-1]).double()
        if self.kind == "linear":  # the middle of the range, wherever it begins
            nn.init.zeros_(layers[0].weight)  # type: ignore[arg-type]
            nn.init.constant_(layers[0].bias, 0.5)  # type: ignore[arg-type]

    def encode(self, paths: Float[np.ndarray, "S T d"]) -> Tensor:
        """Return what the network is given of each stage's noise and season: (S, T, f)."""
        noise = torch.from_numpy((paths - self.center) / self.spread)
        if self.kind != "lstm":
            return noise
        seasons = self.seasons.expand(len(paths), -1, -1)
        return self.encoder(torch.cat([noise, seasons], dim=2))[0]

    def point(self, t: int, encoded: Tensor, before: Tensor) -> Tensor:
        """Return the targets of a stage; where strict, the shares of what it can reach.

        Args:
            t: Number of the stage.
            encoded: (S, T, f) of `encode`.
            before: (S, k) states before it.
        """
        at = max(t - 1, 0)
        state = (before - self._low[at]) / self._span[at]
        parts = [encoded[:, t], state]
        if self.kind != "lstm":
            parts.append(self.seasons[t].expand(len(before), -1))
        z = self.layers(torch.cat(parts, dim=1))
        if self.kind == "linear":
            return self._low[t] + self._span[t] * z
        share = torch.sigmoid(z)
        most = STRICT_MOST if self.strict else 1.0
        if self.stretch:
            share = ((1 + 2 * self.stretch) * share - self.stretch).clamp(0.0, most)
        return share if self.strict else self._low[t] + self._span[t] * share

    def policy(self, penalty: float, square: float = 0.0) -> NetworkTargets:
        """Return its weights as plain data."""
        weights = [v.detach().numpy().copy() for v in self.state_dict().values()]
        return NetworkTargets(
            self.kind,
            weights,
            self.center,
            self.spread,
            self.low,
            self.span,
            self.period,
            self.stretch,
            penalty,
            square,
            self.strict,
        )


def frame(problem: MultistageLP) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what noise and states are measured from and by: (T, d) centre and spread of the noise,
    (T, k) low and span of the states.
    """
    center = problem.mean_noise
    deviation = np.array(
        [np.sqrt(s.probability @ (s.noise - s.mean) ** 2) for s in problem.stages]
    ).reshape(center.shape)
    spread = np.where(np.abs(center) > 0, np.abs(center), np.where(deviation > 0, deviation, 1.0))
    low = np.array([s.lower[s.states] for s in problem.stages])
    return center, spread, np.where(np.isfinite(low), low, 0.0), problem.scale
