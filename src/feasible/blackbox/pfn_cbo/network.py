"""The transformer of a prior-fitted network, and the file of weights that it is kept in.

Every observed point is a token; every token attends to the observed points only, so predictions
depend neither on the order of the observations nor on what else is asked (Müller et al.,
Transformers can do Bayesian inference, 2022; PFNs4BO, 2023; Yu, Picard and Ahmed, arXiv
2404.04495).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save as write_tensors
from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from .bars import Bars

FORMAT = "feasible-pfn-1"
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Shape:
    """Size of a network.

    Attributes:
        d_max: Most inputs.
        rows: Most observed points that it was trained on.
        width: Of a token.
        layers: Layers.
        heads: Heads of the attention.
        hidden: Width of the feed-forward nets.
        bars: Bars of the answer.
    """

    d_max: int = 18
    rows: int = 300
    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int = 256
    bars: int = 240


class Layer(nn.Module):  # type: ignore[misc]
    """One pre-norm layer. Keys and values come from observed points, and from one learnt token that
    holds the prior.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.kv, self.out = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.up, self.down = nn.Linear(width, shape.hidden), nn.Linear(shape.hidden, width)
        self.prior = nn.Parameter(torch.zeros(2, shape.heads, 1, width // shape.heads))
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def keys(self, t: Float[Tensor, "b n w"]) -> tuple[Tensor, Tensor]:
        """Keys and values (b, heads, n + 1, w / heads) of the observed points' tokens."""
        b, n, w = t.shape
        k, v = (
            self.kv(self.norm(t)).view(b, n, 2, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        )
        prior = self.prior[:, None].expand(2, b, self.heads, 1, w // self.heads)
        return torch.cat([k, prior[0]], dim=2), torch.cat([v, prior[1]], dim=2)

    def forward(self, t: Float[Tensor, "b q w"], k: Tensor, v: Tensor) -> Float[Tensor, "b q w"]:
        """Tokens after attention to the observed points and a feed-forward net."""
        b, q, w = t.shape
        heads = self.q(self.norm(t)).view(b, q, self.heads, w // self.heads).transpose(1, 2)
        seen = nn.functional.scaled_dot_product_attention(heads, k, v)
        t = t + self.out(seen.transpose(1, 2).reshape(b, q, w))
        return t + self.down(nn.functional.gelu(self.up(self.norm2(t)), approximate="tanh"))


Cache = list[tuple["Tensor", "Tensor"]]


class Network(nn.Module):  # type: ignore[misc]
    """The transformer: observed points (x, y) and query points x to logits over bars."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.x = nn.Linear(2 * shape.d_max, shape.width)
        self.y = nn.Linear(1, shape.width)
        self.sizes = nn.Linear(2, shape.width)
        self.layers = nn.ModuleList([Layer(shape) for _ in range(shape.layers)])
        self.norm = nn.LayerNorm(shape.width)
        self.head = nn.Sequential(
            nn.Linear(shape.width, shape.width),
            nn.GELU(approximate="tanh"),
            nn.Linear(shape.width, shape.bars),
        )

    def embed(
        self, x: Float[Tensor, "b n D"], d: Int[Tensor, " b"], n: int
    ) -> Float[Tensor, "b n w"]:
        """Tokens of points. Inputs are standardised and scaled by sqrt(d_max / d).

        Args:
            x: (b, n, D) points of the unit cube; columns from d on must be 0.5.
            d: (b,) number of inputs.
            n: Observed points.
        """
        v = (x - 0.5) * math.sqrt(12.0)
        stretch = (self.shape.d_max / d.to(x.dtype)).sqrt()[:, None, None]
        used = (torch.arange(self.shape.d_max, device=x.device) < d[:, None]).to(x.dtype)[:, None]
        share = d.to(x.dtype) / self.shape.d_max
        sizes = torch.stack(
            [share, torch.full_like(share, math.log(n) / math.log(self.shape.rows))], dim=1
        )
        return (
            self.x(torch.cat([v * stretch, (v * v - 1) * stretch * used], dim=2))
            + self.sizes(sizes)[:, None]
        )

    def context(
        self, x: Float[Tensor, "b n D"], d: Int[Tensor, " b"], y: Float[Tensor, "b n"]
    ) -> Cache:
        """What later queries need of the observed points: keys and values by layer."""
        t = self.embed(x, d, x.shape[1]) + self.y(y[..., None])
        cache = []
        for layer in self.layers:
            k, v = layer.keys(t)
            cache.append((k, v))
            if len(cache) < len(self.layers):
                t = layer(t, k, v)
        return cache

    def query(
        self, cache: Cache, x: Float[Tensor, "b q D"], d: Int[Tensor, " b"]
    ) -> Float[Tensor, "b q K"]:
        """Logits at query points."""
        t = self.embed(x, d, cache[0][0].shape[2] - 1)
        for layer, (k, v) in zip(self.layers, cache, strict=True):
            t = layer(t, k, v)
        return self.head(self.norm(t))

    def forward(self, x: Tensor, d: Tensor, y: Tensor, x_query: Tensor) -> Float[Tensor, "b q K"]:
        """`query` after `context`."""
        return self.query(self.context(x, d, y), x_query, d)


def write(
    file: str | Path, network: Network, bars: Bars, note: Mapping[str, Any] | None = None
) -> Path:
    """Write the weights as safetensors, and beside them a JSON with their sha256, shape and note.

    Args:
        file: Where the weights go; the JSON has the same name and another ending.
        network: The network.
        bars: The bars that its logits stand for.
        note: Plain data to be kept in the JSON.

    Returns:
        The path of the weights.
    """
    path = Path(file)
    tensors = {"borders": bars.borders.clone()} | {
        f"network.{k}": v.detach().clone() for k, v in network.state_dict().items()
    }
    data = write_tensors(tensors, {"format": FORMAT})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    found = {
        "format": FORMAT,
        "sha256": hashlib.sha256(data).hexdigest(),
        "shape": asdict(network.shape),
    } | dict(note or {})
    path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    return path
