"""What Bayesian optimisation believes of a problem: models of the objective and of the limits,
fitted to what was told. The model holds -f, standardised; limits are g <= 0.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ...core.annotations import Checked
from ...core.checks import one_of, whole
from ...core.errors import ArgumentError
from .gp import Predictor, Scale, first_output
from .gradgp import GradBeliefs, GradGP
from .posterior import Beliefs

if TYPE_CHECKING:
    from botorch.models import SingleTaskGP
    from jaxtyping import Bool, Float
    from torch import Tensor

    from .search import Domain


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Checked):
    """How the Gaussian processes are built and fitted.

    Attributes:
        kernel: "matern52", "matern32" or "rbf", with a lengthscale for each input.
        mean: "constant" or "linear".
        outputs: How outputs are brought near a normal shape: "standardize", "bilog" (for heavy
            tails) or "none".
        hyperparameters: "map", "mle", "bayes" (acquisitions are averaged over `draws` by slice
            sampling), or a mapping with lengthscale (a number or one for each variable, in its own
            unit; of log variables: in the unit cube), outputscale and mean, which fixes them for
            the objective.
        draws: Draws of the hyperparameters beside "bayes".
    """

    kernel: Literal["matern52", "matern32", "rbf"] = "matern52"
    mean: Literal["constant", "linear"] = "constant"
    outputs: Literal["standardize", "bilog", "none"] = "standardize"
    hyperparameters: Any = "map"
    draws: int = 8

    def __post_init__(self) -> None:
        one_of("kernel", self.kernel, ("matern52", "matern32", "rbf"))
        one_of("mean", self.mean, ("constant", "linear"))
        one_of("outputs", self.outputs, ("standardize", "bilog", "none"))
        whole("draws", self.draws, least=1)
        if not isinstance(self.hyperparameters, Mapping):
            note = " or a mapping"
            one_of("hyperparameters", self.hyperparameters, ("map", "mle", "bayes"), note=note)
            return
        unknown = set(self.hyperparameters) - {"lengthscale", "outputscale", "mean"}
        if unknown or "lengthscale" not in self.hyperparameters:
            raise ArgumentError(
                f"hyperparameters={dict(self.hyperparameters)!r}: expected lengthscale, and "
                "optionally outputscale and mean"
            )

    def known_parameters(self, domain: Domain) -> tuple[np.ndarray, float, float] | None:
        """Fixed lengthscales (k,), output scale and mean in the unit cube, or None."""
        if not isinstance(self.hyperparameters, Mapping):
            return None
        space, given = domain.space, self.hyperparameters
        length = np.broadcast_to(np.asarray(given["lengthscale"], float), (space.d,))
        width = np.array(
            [
                1.0 if v.log or v.choices else max(hi - lo, 1e-300)
                for v, lo, hi in zip(space.variables, space.low, space.high, strict=True)
            ]
        )
        parts = list(zip(domain.columns, length / width, strict=True))
        parts += [(columns, length[j]) for j, (columns, _) in domain.told.items()]
        wide = np.concatenate([np.full(len(c), s) for c, s in parts])
        return wide, float(given.get("outputscale", 1.0)), -float(given.get("mean", 0.0))


@dataclass(slots=True)
class BeliefData:
    """The rows that were told.

    Attributes:
        x: (n, d) points.
        f: (n,) objectives to be minimised, NaN where missing.
        g: (n, m) limits, NaN where missing.
        grad: (n, d) gradients of f, NaN where missing.
        noise: 0 for an exact objective, its standard deviation, or None where it is learned.
        tolerance: Violation that counts as feasible.
        error: (n,) standard error of each objective, NaN where `noise` holds; None for all so.
        size: (m,) what violations are measured in; None for 1.
    """

    x: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, " n"]
    g: Float[np.ndarray, "n m"]
    grad: Float[np.ndarray, "n d"]
    noise: float | None = 0.0
    tolerance: float = 1e-6
    error: Float[np.ndarray, " n"] | None = None
    size: Float[np.ndarray, " m"] | None = None

    @property
    def edge(self) -> Float[np.ndarray, " m"]:
        """(m,) values up to which the limits count as kept."""
        m = self.g.shape[1]
        size = np.ones(m) if self.size is None or len(self.size) != m else self.size
        return self.tolerance * size

    @property
    def feasible(self) -> Bool[np.ndarray, " n"]:
        """(n,) True for measured rows that keep to the limits."""
        return np.isfinite(self.f) & (self.g <= self.edge).all(axis=1)

    @property
    def ranked(self) -> Float[np.ndarray, "n d"]:
        """The points by merit: feasible by objective, then the others by violation."""
        worst = (
            np.nan_to_num(self.g.max(axis=1), nan=np.inf)
            if self.g.shape[1]
            else np.zeros(len(self.f))
        )
        good = self.feasible
        return self.x[np.lexsort((np.where(good, self.f, worst), ~good))]


@dataclass(slots=True)
class Part:
    """Models of some outputs over the same rows: one per draw of the hyperparameters."""

    models: list[SingleTaskGP]
    predictors: list[Predictor]


@dataclass(slots=True)
class Surrogate:
    """The fitted models of one proposal.

    Attributes:
        domain: The box as the models see it.
        told: The rows that were told.
        y: Scale of -f.
        limits: Scale of g.
        parts: The models of -f and g: one part where they share their rows, else two.
        gradients: A model of -f that knows gradients, where there is one.
        warm: Hyperparameters for the next fit, by name.
        failures: Why fits failed.
        cached: Posteriors in closed form, by draw of the hyperparameters.
    """

    domain: Domain
    told: BeliefData
    y: Scale
    limits: Scale
    parts: list[Part]
    gradients: GradGP | None = None
    warm: dict[str, np.ndarray] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    cached: dict[int, Beliefs] = field(default_factory=dict)

    @property
    def draws(self) -> int:
        """Number of hyperparameter draws."""
        return len(self.parts[0].models)

    @property
    def m(self) -> int:
        """Number of limits."""
        return self.told.g.shape[1]

    def predict(self, z: Tensor, s: int = 0) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (b, 1 + m) of -f and g, standardised, with draw s of the
        hyperparameters.
        """
        means, sds = zip(*(part.predictors[s](z) for part in self.parts), strict=True)
        mean, sd = torch.cat(means, 1), torch.cat(sds, 1)
        if self.gradients is not None:
            slope = self.slopes()
            mean = torch.cat([slope.mean(z).unsqueeze(1), mean[:, 1:]], 1)
            sd = torch.cat([slope.var(z).sqrt().unsqueeze(1), sd[:, 1:]], 1)
        return mean, sd

    def slopes(self) -> GradBeliefs:
        """The posterior that knows gradients."""
        if self._slopes is None:
            self._slopes = GradBeliefs(self.gradients)  # type: ignore[arg-type]
        return self._slopes

    _slopes: GradBeliefs | None = None

    def objective(self, s: int = 0) -> SingleTaskGP:
        """The model of -f alone."""
        return first_output(self.parts[0].models[s])

    def lines(self, s: int = 0) -> Beliefs:
        """The posterior of -f in closed form."""
        if s not in self.cached:
            self.cached[s] = Beliefs(self.objective(s))
        return self.cached[s]

    def log_feasible(self, mean: Tensor, sd: Tensor) -> Tensor:
        """(b,) log probability that all limits hold."""
        if not self.m:
            return torch.zeros(len(mean), dtype=mean.dtype)
        edge = torch.as_tensor(self.limits.apply(self.told.edge[None]))
        return torch.special.log_ndtr((edge - mean[:, 1:]) / sd[:, 1:]).sum(1)

    def feasibility(self, z: Tensor, s: int = 0) -> Tensor:
        """(b,) log probability that all limits hold at features z."""
        return (
            self.log_feasible(*self.predict(z, s)) if self.m else torch.zeros(len(z), dtype=z.dtype)
        )

    def best(self, kind: str, s: int = 0) -> float:
        """The value to improve on: the best feasible observation, or the best posterior mean at
        these rows.
        """
        rows = self.told.feasible
        if kind == "observed":
            return float(self.y.apply(-self.told.f[rows][:, None]).max())
        with torch.no_grad():
            return float(
                self.predict(torch.as_tensor(self.domain.z(self.told.x[rows])), s)[0][:, 0].max()
            )

    def points(self, extra: Float[np.ndarray, "e d"] | None = None) -> Tensor:
        """Features of the feasible rows (all rows where none is) and of further points."""
        rows = self.told.feasible
        x = self.told.x[rows] if rows.any() else self.told.x
        x = x if extra is None else np.concatenate([x, extra])
        return torch.as_tensor(self.domain.z(np.unique(x, axis=0)))


__all__ = ["BeliefData", "ModelSettings", "Part", "Surrogate"]
