"""The tutorial's acquisitions as objects: each knows its formula, its settings, and how it is
searched. Here are those in closed form and those that are an expected best of lines.

An acquisition sees a fitted `Surrogate` of -f, which it maximises, and of the limits g <= 0. Every
score is weighted by the probability that all limits hold (their Gaussian processes count as
independent), so log EI is with limits the constrained EI of section 5.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), sections 4 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from .gradgp import d_kg
from .lines import LineGain, log_f

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from .belief import Surrogate
    from .search import AcquisitionSearch, Score


@dataclass(frozen=True, slots=True)
class Context:
    """The variable over whose values the objective counts: a fidelity, a task or an environment.

    Attributes:
        index: Its index among the variables.
        values: (W,) the values that count, in its own unit.
        weights: (W,) their weights, which sum to 1.
    """

    index: int
    values: Float[np.ndarray, " W"]
    weights: Float[np.ndarray, " W"]


@dataclass(slots=True)
class Occasion:
    """What an acquisition is given beside the surrogate, for one proposal.

    Attributes:
        search: How the box is searched, and what may be proposed.
        near: (n, d) told rows, best first.
        cover: (c, d) points that cover the allowed part of the box.
        out: (p, d) proposals that have not come back.
        seed: Of what is random in it.
        context: The variable over which the objective counts, where there is one.
    """

    search: AcquisitionSearch
    near: Float[np.ndarray, "n d"]
    cover: Float[np.ndarray, "c d"]
    out: Float[np.ndarray, "p d"]
    seed: int
    context: Context | None


@dataclass(frozen=True)
class Acquisition:
    """One rule. A rule gives a score, or overrides `candidates` where it has a search of its own.

    Attributes:
        context: The setting that names its variable: "fidelity", "task", "environment", or None.
        anywhere: Whether its answer may be a point that was not evaluated.
        gradients: Whether it learns from gradients.
        covered: Whether it draws a covering set first.
    """

    context: ClassVar[str | None] = None
    anywhere: ClassVar[bool] = False
    gradients: ClassVar[bool] = False
    covered: ClassVar[bool] = True

    def score(self, b: Surrogate, at: Occasion) -> Score:
        """The function of features (b, k) -> (b,) that is maximised."""
        raise TypeError(f"{type(self).__name__} does not define score")

    def candidates(self, b: Surrogate, at: Occasion) -> Float[np.ndarray, "n d"]:
        """Allowed points to evaluate next, best first."""
        return at.search.maximise(self.score(b, at), at.near)


def average(scores: Sequence[Score]) -> Score:
    """log of the mean of exp(score): an acquisition averaged over draws of the hyperparameters."""
    if len(scores) == 1:
        return scores[0]
    return lambda z: torch.logsumexp(torch.stack([s(z) for s in scores]), 0) - math.log(len(scores))


def feasibility_only(b: Surrogate) -> Score:
    """log probability that all limits hold: the rule while no row is feasible."""
    return average([partial(b.feasibility, s=s) for s in range(b.draws)])


# -- closed forms ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogEI(Acquisition):
    """log EI, EI = E[(f - f*)^+] = D Phi(D / s) + s phi(D / s) with D = mu_n - f* (section 4).

    Attributes:
        incumbent: What f* is: "observed" (the best value), "mean" (the best posterior mean at a
            feasible row), or "auto": observed where the function is exact.
    """

    incumbent: Literal["auto", "observed", "mean"] = "auto"

    def value(self, mean: Tensor, sd: Tensor, best: float) -> Tensor:
        """The logarithm of the rule from a posterior (b,) and the value to improve on."""
        return log_f((mean - best) / sd) + torch.log(sd)

    def of_draw(self, b: Surrogate, s: int) -> Score:
        """The weighted score under draw s of the hyperparameters."""
        automatic = "observed" if b.told.noise == 0 else "mean"
        best = b.best(automatic if self.incumbent == "auto" else self.incumbent, s)

        def score(z: Tensor) -> Tensor:
            mean, sd = b.predict(z, s)
            return self.value(mean[:, 0], sd[:, 0], best) + b.log_feasible(mean, sd)

        return score

    def score(self, b: Surrogate, at: Occasion | None = None) -> Score:
        """The score averaged over the draws."""
        return average([self.of_draw(b, s) for s in range(b.draws)])


@dataclass(frozen=True)
class EI(LogEI):
    """EI itself, for comparison: it underflows where log EI does not."""

    def score(self, b: Surrogate, at: Occasion | None = None) -> Score:
        """The mean over the draws, not of logarithms."""
        scores = [self.of_draw(b, s) for s in range(b.draws)]
        return lambda z: torch.stack([torch.exp(s(z)) for s in scores]).mean(0)


@dataclass(frozen=True)
class PI(LogEI):
    """log P(f > f*)."""

    def value(self, mean: Tensor, sd: Tensor, best: float) -> Tensor:
        """log Phi((mu_n - f*) / s)."""
        return torch.special.log_ndtr((mean - best) / sd)


@dataclass(frozen=True)
class UCB(LogEI):
    """The upper confidence bound mu_n + sqrt(beta) s, made positive so that it can be weighted.

    Attributes:
        beta: The weight of the variance.
    """

    beta: float = 4.0

    def value(self, mean: Tensor, sd: Tensor, best: float) -> Tensor:
        """log softplus(mu_n + sqrt(beta) s - f*)."""
        bound = (mean + math.sqrt(self.beta) * sd - best).clamp_min(-600)
        return torch.log(torch.nn.functional.softplus(bound))


@dataclass(frozen=True)
class GradientEI(LogEI):
    """d-EI: EI under a model that knows gradients (section 5)."""

    gradients: ClassVar[bool] = True


@dataclass(frozen=True)
class GradientKG(LogEI):
    """d-KG: the gain of observing a value and its gradient (section 5); log EI while fewer than
    two gradients are known.

    Attributes:
        samples: Quasi-random draws of the observation.
    """

    gradients: ClassVar[bool] = True
    anywhere: ClassVar[bool] = True
    samples: int = 64

    def score(self, b: Surrogate, at: Occasion | None = None) -> Score:
        """log d-KG over the feasible rows and the covering set."""
        if b.gradients is None or at is None:
            return super().score(b, at)
        gain = d_kg(b.gradients, b.points(at.cover), samples=self.samples, seed=at.seed)
        return lambda z: gain(z.unsqueeze(1)) + b.feasibility(z)


# -- the expected best of lines --------------------------------------------------------------------


@dataclass(frozen=True)
class DiscreteKG(Acquisition):
    """The knowledge gradient E[max mu_{n+1} - max mu_n] (section 4), exact over the evaluated
    points, a covering set and the point itself.
    """

    anywhere: ClassVar[bool] = True

    def points(self, b: Surrogate, at: Occasion) -> Tensor:
        """Features of the points at which the maximum is looked for."""
        return b.points(at.cover)

    def price(self, b: Surrogate, at: Occasion) -> Callable[[Tensor], Tensor] | None:
        """What an evaluation costs, by which the gain is divided; None for nothing."""
        return None

    def score(self, b: Surrogate, at: Occasion) -> Score:
        """The log gain, for the mean over the context where there is one (section 5)."""
        options: dict[str, Any] = {}
        points = self.points(b, at)
        if at.context is not None:
            j, values = at.context.index, at.context.values
            probe = np.tile(b.domain.space.low, (len(values), 1))
            probe[:, j] = values
            columns = b.domain.columns[j]
            options = {
                "columns": columns,
                "contexts": torch.as_tensor(b.domain.z(probe)[:, columns]),
                "weights": torch.as_tensor(at.context.weights),
                "cost": self.price(b, at),
            }
            flat = points.clone()
            flat[:, columns] = options["contexts"][0]
            points = torch.unique(flat, dim=0)
        scores = []
        for s in range(b.draws):
            lines = LineGain(b.lines(s), points, **options)
            scores.append(lambda z, s=s, lines=lines: lines(z.unsqueeze(1)) + b.feasibility(z, s))
        return average(scores)


@dataclass(frozen=True)
class NoisyEI(DiscreteKG):
    """The tutorial's expected improvement with noise (section 5): the knowledge gradient of
    someone who must report an evaluated point, exactly.
    """

    anywhere: ClassVar[bool] = False

    def points(self, b: Surrogate, at: Occasion) -> Tensor:
        """Features of the evaluated points."""
        return b.points(None)


@dataclass(frozen=True)
class TaskKG(DiscreteKG):
    """The knowledge gradient for one of several tasks (section 5)."""

    context: ClassVar[str | None] = "task"


@dataclass(frozen=True)
class EnvironmentKG(DiscreteKG):
    """The knowledge gradient for sum_w p(w) f(x, w), x and w chosen together (section 5)."""

    context: ClassVar[str | None] = "environment"


@dataclass(frozen=True)
class FidelityKG(DiscreteKG):
    """The knowledge gradient at the target fidelity for each unit of cost (section 5).

    Attributes:
        cost: (fixed, by unit of fidelity), in the unit of the resource `cost`.
    """

    context: ClassVar[str | None] = "fidelity"
    cost: tuple[float, float] = (0.1, 0.9)

    def price(self, b: Surrogate, at: Occasion) -> Callable[[Tensor], Tensor] | None:
        """Fixed and proportional cost of features."""
        assert at.context is not None
        j, (fixed, rate) = at.context.index, self.cost
        column = b.domain.columns[j][0]
        low, high = float(b.domain.space.low[j]), float(b.domain.space.high[j])
        return lambda z: fixed + rate * (low + z[:, column] * (high - low))


__all__ = [
    "EI",
    "PI",
    "UCB",
    "Acquisition",
    "Context",
    "DiscreteKG",
    "EnvironmentKG",
    "FidelityKG",
    "GradientEI",
    "GradientKG",
    "LogEI",
    "NoisyEI",
    "Occasion",
    "TaskKG",
    "average",
    "feasibility_only",
]
