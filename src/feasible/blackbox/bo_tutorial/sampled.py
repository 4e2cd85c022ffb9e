"""The tutorial's acquisitions that are sampled, and those with a search of their own: parallel and
noisy expected improvement, entropy searches, and two ways to the knowledge gradient.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), sections 4 and 5.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from botorch.acquisition import (
    qKnowledgeGradient,
    qLogExpectedImprovement,
    qLogNoisyExpectedImprovement,
    qLowerBoundMaxValueEntropy,
)
from botorch.acquisition.objective import GenericMCObjective
from botorch.models import ModelList
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler

from .acquisition import Acquisition, DiscreteKG, Occasion, average
from .ascent import kg_sga
from .entropy import PredictiveEntropy, entropy_search
from .gp import own_randomness

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from .belief import Surrogate
    from .search import Score


# -- sampled by BoTorch ----------------------------------------------------------------------------


@dataclass(frozen=True)
class ParallelEI(Acquisition):
    """Parallel expected improvement by quasi-Monte Carlo, by BoTorch (section 5).

    Attributes:
        samples: Draws.
    """

    samples: int = 64

    def build(self, b: Surrogate, s: int, model: Any, common: dict[str, Any]) -> Any:
        """BoTorch's acquisition under draw s."""
        best = b.best("observed" if b.told.noise == 0 else "mean", s)
        return qLogExpectedImprovement(model, best, **common)

    def of_draw(self, b: Surrogate, at: Occasion, s: int) -> Score:
        """The score under draw s of the hyperparameters; the limits are BoTorch's constraints."""
        parts = [p.models[s] for p in b.parts]
        edge = b.limits.apply(b.told.edge[None])[0] if b.m else []
        common: dict[str, Any] = {
            "sampler": SobolQMCNormalSampler(torch.Size([self.samples]), seed=at.seed),
            "objective": GenericMCObjective(lambda v, X=None: v[..., 0]),
            "X_pending": torch.as_tensor(b.domain.z(at.out)) if len(at.out) else None,
            "constraints": [partial(_over, j, float(e)) for j, e in enumerate(edge)] or None,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            acquisition = self.build(
                b, s, parts[0] if len(parts) == 1 else ModelList(*parts), common
            )
        return lambda z: acquisition(z.unsqueeze(1))

    def score(self, b: Surrogate, at: Occasion) -> Score:
        """The score averaged over the draws."""
        return average([self.of_draw(b, at, s) for s in range(b.draws)])


@dataclass(frozen=True)
class ParallelNoisyEI(ParallelEI):
    """Noisy expected improvement of Letham et al., which integrates f at the evaluated points."""

    def build(self, b: Surrogate, s: int, model: Any, common: dict[str, Any]) -> Any:
        """BoTorch's acquisition under draw s."""
        told = torch.as_tensor(b.domain.z(b.told.x))
        return qLogNoisyExpectedImprovement(model, told, prune_baseline=True, **common)


@dataclass(frozen=True)
class MaxValueEntropy(Acquisition):
    """Max-value entropy search: the information about the best value, by BoTorch (section 4)."""

    anywhere: ClassVar[bool] = True

    def of_draw(self, b: Surrogate, at: Occasion, s: int) -> Score:
        """The score under draw s of the hyperparameters, weighted by feasibility."""
        grid = torch.as_tensor(b.domain.z(at.cover))
        acquisition = qLowerBoundMaxValueEntropy(
            b.objective(s), torch.cat([grid, b.points()]), num_mv_samples=16
        )
        return lambda z: (
            torch.log(acquisition(z.unsqueeze(1)).clamp_min(1e-12)) + b.feasibility(z, s)
        )

    def score(self, b: Surrogate, at: Occasion) -> Score:
        """The score averaged over the draws."""
        return average([self.of_draw(b, at, s) for s in range(b.draws)])


@dataclass(frozen=True)
class PredictiveEntropySearch(MaxValueEntropy):
    """Predictive entropy search: H(P(y | x)) - E_{x*}[H(P(y | x, x*))] (section 4)."""

    def of_draw(self, b: Surrogate, at: Occasion, s: int) -> Score:
        """The score under draw s of the hyperparameters, weighted by feasibility."""
        grid = torch.as_tensor(b.domain.z(at.cover))
        entropy = PredictiveEntropy(
            b.lines(s),
            torch.cat([grid, b.points()]),
            generator=torch.Generator().manual_seed(at.seed),
        )
        return lambda z: entropy(z.unsqueeze(1)) + b.feasibility(z, s)


# -- with a search of their own --------------------------------------------------------------------


@dataclass(frozen=True)
class EntropySearch(Acquisition):
    """Entropy search, H(P(x*)) - E_y[H(P(x* | x, y))], on a discretisation (section 4)."""

    anywhere: ClassVar[bool] = True
    covered: ClassVar[bool] = False

    def candidates(self, b: Surrogate, at: Occasion) -> Float[np.ndarray, "n d"]:
        """The discretisation, best first."""
        search = at.search
        x = search.candidates(at.near)
        x = x[np.sort(search.rng.permutation(len(x))[:160])]
        z = torch.as_tensor(b.domain.z(x))
        generator = torch.Generator().manual_seed(at.seed)
        value = sum(
            entropy_search(b.lines(s), z, generator=generator).clamp_min(0)
            * torch.exp(b.feasibility(z, s)).detach()
            for s in range(b.draws)
        )
        return search.unseen_first(x[np.argsort(-np.asarray(value), kind="stable")])


@dataclass(frozen=True)
class AscentKG(Acquisition):
    """The knowledge gradient by multistart stochastic gradient ascent (section 4).

    Attributes:
        sga_restarts: Starts R.
        sga_steps: Steps T of each.
        sga_a: a of the step sizes a / (a + t).
    """

    anywhere: ClassVar[bool] = True
    sga_restarts: int = 10
    sga_steps: int = 100
    sga_a: float = 4.0

    def candidates(self, b: Surrogate, at: Occasion) -> Float[np.ndarray, "n d"]:
        """The ends of the ascents, best first, then where they might have started."""
        search = at.search
        pool = search.candidates(at.near)
        chosen = pool[search.rng.permutation(len(pool))[: self.sga_restarts]]
        starts = torch.as_tensor(b.domain.z(chosen))
        free = b.domain.known is None and not search.held and search.filter is None

        def allowed(z: Tensor) -> Tensor:
            return torch.as_tensor(search.fits(search.hold(b.domain.x(z.numpy()))))

        def score(z: Tensor, kg: Tensor) -> Tensor:
            return kg.clamp_min(0) * torch.exp(b.feasibility(z)) + 1e-12 * kg

        ends, _ = kg_sga(
            b.lines(0),
            _unit_box(b),
            b.points(at.cover),
            restarts=len(starts),
            steps=self.sga_steps,
            a=self.sga_a,
            starts=starts,
            allowed=None if free else allowed,
            score=score,
            generator=torch.Generator().manual_seed(at.seed),
        )
        x = search.hold(b.domain.x(ends.numpy()))
        return search.unseen_first(np.concatenate([x[search.fits(x)], pool]))


@dataclass(frozen=True)
class OneShotKG(Acquisition):
    """The knowledge gradient by BoTorch's one-shot optimisation, over the box (section 4).

    Attributes:
        fantasies: Fantasised observations.
    """

    anywhere: ClassVar[bool] = True
    fantasies: int = 16

    def candidates(self, b: Surrogate, at: Occasion) -> Float[np.ndarray, "n d"]:
        """The allowed optima, best first; where there is none, those of the discrete rule."""
        search, seed = at.search, at.seed
        with own_randomness(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            current = b.lines(0).mean(b.points()).max().detach()
            acquisition = _Weighted(
                b.objective(0),
                num_fantasies=self.fantasies,
                current_value=current,
                sampler=SobolQMCNormalSampler(torch.Size([self.fantasies]), seed=seed),
            )
            if b.m:
                acquisition.weight = b.feasibility
            z, value = optimize_acqf(
                acquisition,
                _unit_box(b),
                q=1,
                num_restarts=search.starts,
                raw_samples=64,
                options={"maxiter": 60, "seed": seed},
                return_best_only=False,
            )
        order = np.argsort(-value.detach().numpy(), kind="stable")
        x = search.hold(b.domain.x(z.squeeze(1).detach().numpy()[order]))
        x = x[search.fits(x) & ~search.met(x)]
        return x if len(x) else DiscreteKG().candidates(b, at)


class _Weighted(qKnowledgeGradient):  # type: ignore[misc]
    """One-shot KG times the probability of feasibility of the points that would be evaluated."""

    weight: Callable[[Tensor], Tensor] | None = None

    def forward(self, X: Tensor) -> Tensor:
        value = super().forward(X)
        if self.weight is None:
            return value
        actual = self.extract_candidates(X).squeeze(-2)
        weight = torch.exp(self.weight(actual.reshape(-1, actual.shape[-1])))
        return value * weight.reshape(value.shape)


def _over(j: int, edge: float, v: Tensor) -> Tensor:
    """Return by how much outputs (..., 1 + m) pass the edge of limit j."""
    return v[..., 1 + j] - edge


def _unit_box(b: Surrogate) -> Tensor:
    """The box of the features, (2, k)."""
    return torch.as_tensor(b.domain.box())


__all__ = [
    "AscentKG",
    "EntropySearch",
    "MaxValueEntropy",
    "OneShotKG",
    "ParallelEI",
    "ParallelNoisyEI",
    "PredictiveEntropySearch",
]
