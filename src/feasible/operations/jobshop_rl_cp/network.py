"""The dispatching network: 2,442 numbers, for shops of any size.

Tokens of a job -> attention within the job -> mean -> attention among the legal jobs that compete
for one machine -> a logit for each job, and one for the no-op.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from .plays import Observation

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

WIDTH = 8
"""d: width of a token."""
HIDDEN = 32
"""Width of the feed-forward layers and of the heads."""
MASKED = torch.finfo(torch.float32).min
"""The logit of an illegal action."""


def position(place: Int[Tensor, "*any"]) -> Float[Tensor, "*any d"]:
    """The sinusoidal encoding of a place, of any size."""
    rate = torch.exp(torch.arange(0, WIDTH, 2) * (-math.log(10000.0) / WIDTH))
    angle = place.unsqueeze(-1) * rate
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)


class Layer(nn.Module):
    """A transformer encoder layer with one head, norms first, without dropout: the function of
    `torch.nn.TransformerEncoderLayer(8, 1, 32, dropout=0, norm_first=True)`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attend = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.linear1, self.linear2 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        nn.init.xavier_uniform_(self.attend.weight)
        nn.init.zeros_(self.attend.bias)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, x: Float[Tensor, "B k d"], blocked: Bool[Tensor, "B k k"] | Bool[Tensor, "B 1 k"]
    ) -> Float[Tensor, "B k d"]:
        """Attend within each row of tokens.

        Args:
            x: (B, k, d) tokens.
            blocked: (B, k or 1, k) pairs that do not attend.
        """
        q, k, v = self.attend(self.norm1(x)).chunk(3, dim=-1)
        score = (q @ k.transpose(-1, -2)) / math.sqrt(WIDTH)
        score = score.masked_fill(blocked, -torch.inf)
        x = x + self.out(score.softmax(dim=-1) @ v)
        return self._forth(x)

    def alone(self, x: Float[Tensor, "*any d"]) -> Float[Tensor, "*any d"]:
        """The same where each token attends to itself only."""
        v = self.attend(self.norm1(x))[..., 2 * WIDTH :]
        return self._forth(x + self.out(v))

    def _forth(self, x: Float[Tensor, "*any d"]) -> Float[Tensor, "*any d"]:
        """The feed-forward half."""
        return x + self.linear2(torch.relu(self.linear1(self.norm2(x))))


def _head() -> nn.Sequential:
    """Return a head: 8 -> 32 -> 1, orthogonal, the last layer small."""
    first, last = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, 1)
    nn.init.orthogonal_(first.weight, math.sqrt(2))
    nn.init.orthogonal_(last.weight, 0.01)
    for layer in (first, last):
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.Tanh(), last)


class DispatchNetwork(nn.Module):
    """Logits of the actions of a shop, whatever its size.

    The parameters come from torch's global random stream; seed it, or fork it, before.

    References:
        Tassel, Gebser, Schekotihin (2023), arXiv 2306.05747, section "Neural network architecture".
    """

    def __init__(self) -> None:
        super().__init__()
        self.fixed, self.legal = nn.Embedding(2, 1), nn.Embedding(2, 1)
        self.border = nn.Embedding(3, 4)  # START and END; row 0 is not used
        self.project = nn.Linear(4, WIDTH)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.within, self.among = Layer(), Layer()
        self.job, self.idle = _head(), _head()

    def forward(self, seen: Observation) -> Float[Tensor, "B n+1"]:
        """Return the logits; illegal actions have the smallest float.

        Args:
            seen: (B copies) what is seen.
        """
        features, kind = torch.from_numpy(seen.features), torch.from_numpy(seen.kind)
        copies, n = features.shape[:2]
        x = torch.cat(
            (
                self.fixed(features[..., 0].long()),
                features[..., 1:3],
                self.legal(features[..., 3].long()),
            ),
            dim=-1,
        )
        inside = (kind == 0).unsqueeze(-1)
        x = torch.where(inside, x, self.border(kind))
        x = self.project(x) + position(torch.from_numpy(seen.place)) * inside
        hidden = torch.from_numpy(seen.hidden).flatten(0, 1).unsqueeze(1)
        jobs = self.within(x.flatten(0, 1), hidden).mean(dim=1).view(copies, n, WIDTH)
        jobs = self._compete(jobs, seen) + jobs
        logits = torch.cat((self.job(jobs).squeeze(-1), self.idle(jobs).mean(dim=1)), dim=1)
        return logits.masked_fill(~torch.from_numpy(seen.legal), MASKED)

    def _compete(self, jobs: Float[Tensor, "B n d"], seen: Observation) -> Float[Tensor, "B n d"]:
        """Attention among the jobs of one group; a job without one attends to itself."""
        legal = seen.legal[:, :-1]
        most = int(legal.sum(axis=1).max(initial=0))
        alone = self.among.alone(jobs)
        if most < 2:
            return alone
        order = torch.from_numpy(np.argsort(~legal, axis=1, kind="stable")[:, :most].copy())
        group = torch.from_numpy(seen.group).gather(1, order)
        index = order.unsqueeze(-1).expand(-1, -1, WIDTH)
        blocked = group.unsqueeze(2) != group.unsqueeze(1)
        return alone.scatter(1, index, self.among(jobs.gather(1, index), blocked))


def parameters(network: nn.Module) -> int:
    """How many numbers a network has."""
    return sum(p.numel() for p in network.parameters())
