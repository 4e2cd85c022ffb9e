"""A prior-fitted network: a small transformer that predicts like a Gaussian process, without
fitting anything at hand.

Every observed point is a token; every token attends to the observed points only, so predictions
depend neither on the order of the observations nor on what else is asked. The answer is a
distribution over bars (a histogram with half-normal tails). The packaged network was trained here,
on the prior of `prior.py`; see weights/pfn.md.

References:
    Müller et al., Transformers can do Bayesian inference (2022) and PFNs4BO (2023); as a surrogate
    for constrained engineering problems: Yu, Picard and Ahmed (arXiv 2404.04495).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from torch import nn

from ...core.errors import CheckpointError, NotFinite, ShapeError, UnknownName, nearest
from .bars import Bars
from .network import WEIGHTS, Cache, Network, Shape, write

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from .prior import Prior


@dataclass(frozen=True)
class Prediction:
    """Predictive distributions at q query points for s outputs, in the outputs' own units.

    Attributes:
        logits: (s, q, K) of the bars.
        bars: The bars, of standardised outputs.
        shift: (s, 1) an output is `scale` times the bars plus this.
        scale: (s, 1) see `shift`.
    """

    logits: Float[Tensor, "s q K"]
    bars: Bars
    shift: Float[Tensor, "s 1"]
    scale: Float[Tensor, "s 1"]

    @property
    def mean(self) -> Float[Tensor, "s q"]:
        """Expected values."""
        return self.shift + self.scale * self.bars.mean(self.logits)

    @property
    def variance(self) -> Float[Tensor, "s q"]:
        """Variances."""
        return self.scale**2 * self.bars.variance(self.logits)

    def quantile(self, q: Any) -> Float[Tensor, "s q"]:
        """Values below which the outputs lie with probability q."""
        return self.shift + self.scale * self.bars.quantile(self.logits, q)

    def ei(self, tau: Any) -> Float[Tensor, "s q"]:
        """Expected improvement above tau: one number, or one for each output."""
        return self.scale * self._mixed(self.bars.ei_parts(self._standard(tau)))

    def pi(self, tau: Any) -> Float[Tensor, "s q"]:
        """Probability of lying above tau: one number, or one for each output."""
        return self._mixed(self.bars.pi_parts(self._standard(tau)))

    def _standard(self, tau: Any) -> Float[Tensor, " s"]:
        """Return thresholds in the bars' units."""
        given = torch.as_tensor(tau, dtype=torch.float64).expand(len(self.logits))
        return (given - self.shift[:, 0]) / self.scale[:, 0]

    def _mixed(self, parts: Float[Tensor, "s K"]) -> Float[Tensor, "s q"]:
        """Return the mean over the bars of figures by bar."""
        return (torch.softmax(self.logits.double(), dim=-1) @ parts[..., None])[..., 0]


@dataclass(frozen=True)
class Posterior:
    """A network that has read its observations of s outputs at n common points.

    Attributes:
        model: The network with its bars.
        cache: Keys and values by layer.
        d: Number of inputs.
        shift: (s, 1) means of the outputs.
        scale: (s, 1) their standard deviations.
    """

    model: PFN
    cache: Cache
    d: int
    shift: Float[Tensor, "s 1"]
    scale: Float[Tensor, "s 1"]

    def predict(self, x: Float[Tensor, "q d"], chunk: int = 8192) -> Prediction:
        """Distributions at points.

        Args:
            x: (q, d) points of the unit cube.
            chunk: Most tokens at a time, which bounds the memory.
        """
        model, s = self.model, len(self.shift)
        query = model.padded(x, self.d)
        d = torch.full((s,), self.d)
        parts = [
            model.network.query(self.cache, rows.expand(s, -1, -1), d)
            for rows in query.split(max(chunk // s, 1))
        ]
        return Prediction(torch.cat(parts, dim=1), model.bars, self.shift, self.scale)


@dataclass(frozen=True)
class PFN:
    """A trained network with its bars. `PFN.load("small")` is the packaged one; `PFN.train` makes
    another.

    Attributes:
        network: The transformer.
        bars: What its logits stand for.

    Examples:
        >>> model = PFN.load("small")
        >>> x = torch.linspace(0, 1, 9)[:, None]
        >>> found = model.predict(x, (x[:, 0] ** 2)[None], torch.tensor([[0.5]]))
        >>> bool(abs(found.mean[0, 0] - 0.25) < 0.05)
        True
    """

    network: Network
    bars: Bars

    @property
    def d_max(self) -> int:
        """Most inputs."""
        return self.network.shape.d_max

    @property
    def rows(self) -> int:
        """Most observed points that the network was trained on."""
        return self.network.shape.rows

    def condition(self, x: Float[Tensor, "n d"], y: Float[Tensor, "s n"]) -> Posterior:
        """Read n observations of s outputs; each is standardised by its own mean and spread. A
        constant output is predicted around that constant, with spread 1.

        Args:
            x: (n, d) points of the unit cube.
            y: (s, n) outputs.

        Raises:
            ShapeError: The shapes do not fit, or there are more rows than the network takes.
            NotFinite: A number is NaN or infinite.
        """
        x, y = torch.as_tensor(x), torch.as_tensor(y)
        if (
            x.ndim != 2
            or y.ndim != 2
            or y.shape[1] != len(x)
            or not len(y)
            or not 1 <= len(x) <= self.rows
        ):
            raise ShapeError(
                f"x has shape {tuple(x.shape)} and y {tuple(y.shape)}, expected (n, d) and (s, n) "
                f"with n from 1 to {self.rows}"
            )
        if not (bool(torch.isfinite(x).all()) and bool(torch.isfinite(y).all())):
            raise NotFinite("x or y: got NaN or an infinity, expected finite numbers")
        y = y.double()
        shift = y.mean(dim=1, keepdim=True)
        scale = y.std(dim=1, unbiased=False, keepdim=True)
        scale = torch.where(scale > 1e-12 * (1 + shift.abs()), scale, 1.0)
        z = ((y - shift) / scale).float()
        s, d = len(y), x.shape[1]
        points = self.padded(x, d).expand(s, -1, -1)
        cache = self.network.context(points, torch.full((s,), d), z)
        return Posterior(self, cache, d, shift, scale)

    def predict(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "s n"], query: Float[Tensor, "q d"]
    ) -> Prediction:
        """`condition` and then predict, without gradients."""
        with torch.no_grad():
            return self.condition(x, y).predict(torch.as_tensor(query))

    def padded(self, x: Float[Tensor, "n d"], d: int) -> Float[Tensor, "n D"]:
        """Points with the columns that the network expects. Raises ShapeError."""
        if x.shape[-1] != d or d > self.d_max:
            raise ShapeError(
                f"points have shape {tuple(x.shape)}, expected (n, {min(d, self.d_max)}): the "
                f"network takes at most {self.d_max} inputs"
            )
        return nn.functional.pad(x.float(), (0, self.d_max - d), value=0.5)

    @classmethod
    def train(
        cls,
        prior: Prior | None = None,
        steps: int = 10_000,
        seed: int = 0,
        shape: Shape | None = None,
        **settings: Any,
    ) -> PFN:
        """Train a network; the same arguments give the same network.

        Args:
            prior: What it learns from; None: the packaged network's.
            steps: Of the training.
            seed: Of everything random.
            shape: Size of the network; None: the packaged one's.
            settings: Further ones of `train.Recipe`.
        """
        from . import prior as pfn_prior, train as pfn_train

        recipe = pfn_train.Recipe(
            shape=shape or Shape(),
            prior=prior or pfn_prior.Prior(d_max=(shape or Shape()).d_max),
            steps=steps,
            seed=seed,
            **settings,
        )
        training = pfn_train.train(recipe)
        return cls(training.averaged.eval(), training.bars)

    def save(self, file: str | Path, note: dict[str, Any] | None = None) -> Path:
        """Write the weights as safetensors, and beside them a JSON; see `network.write`."""
        return write(file, self.network, self.bars, note)

    @classmethod
    def load(cls, name: str | Path = "small") -> PFN:
        """Read a network. Nothing in a file is executed.

        Args:
            name: Of a packaged network, or a .safetensors file that `save` wrote.

        Raises:
            UnknownName: There is no packaged network of that name.
            CheckpointError: The bytes are not those whose sha256 the JSON beside them records.
        """
        text = str(name)
        packaged = not text.endswith(".safetensors")
        file = WEIGHTS / f"pfn-{text}.safetensors" if packaged else Path(name)
        if packaged and not file.is_file():
            known = [p.stem.removeprefix("pfn-") for p in WEIGHTS.glob("pfn-*.safetensors")]
            raise UnknownName(
                f"no network is called {text!r}; {nearest(text, known)}; a file of your own ends "
                "in .safetensors"
            )
        return _loaded(file)


def _loaded(file: Path) -> PFN:
    """Read the weights and the JSON beside them."""
    try:
        note = json.loads(file.with_suffix(".json").read_text())
        data = file.read_bytes()
        expected, shape = note["sha256"], Shape(**note["shape"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(
            f"{file}: cannot read the weights and the JSON beside them ({type(error).__name__}: "
            f"{error})"
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise CheckpointError(
            f"{file}: the sha256 is {found[:16]}..., expected {str(expected)[:16]}...: the weights "
            "were changed or damaged"
        )
    try:
        tensors = read_tensors(data)
        with torch.random.fork_rng(devices=[]):
            network = Network(shape)
        network.load_state_dict(
            {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        )
        bars = Bars(tensors["borders"])
        if len(bars.borders) != shape.bars + 1:
            raise ValueError(f"{len(bars.borders)} borders")
    except (SafetensorError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file}: not a prior-fitted network of shape {shape} ({type(error).__name__}: {error})"
        ) from None
    return PFN(network.requires_grad_(False).eval(), bars)
