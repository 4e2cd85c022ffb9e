"""Log noisy expected hypervolume improvement, by BoTorch, in our own loop.

minimise f_1(x), ..., f_m(x)  subject to  c_j(x) <= 0  (known only by evaluating),  known(x)  (free)

A Gaussian process models each objective and each limit. The next point has the largest expected
growth of the hypervolume that the feasible front dominates, up to the problem's reference point,
where the front itself is uncertain (its values are noisy) and open proposals count as points whose
outcome is not known yet. Use it where an evaluation costs more than a second: a proposal takes
about one, and more from the third objective on.

References:
    S. Daulton, M. Balandat, E. Bakshy, Parallel Bayesian Optimization of Multiple Noisy Objectives
    with Expected Hypervolume Improvement (arXiv 2105.08195); S. Ament et al., Unexpected
    Improvements to Expected Improvement for Bayesian Optimization (arXiv 2310.20708).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.annotations import Checked
from ...core.checks import whole
from ..asktell import AskTell, Proposals
from ..peers.frame import Frame
from ..sampling import chosen_or_random, draw, first_start, lost, seed_from, sobol_point

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from ...core.ledger import Observations
    from ..problem import BlackBox

LEFT_BEHIND = 300.0
"""Seconds after which the lock of a compilation, which takes one minute, is one that was left."""


@dataclass(frozen=True)
class QLogNEHVISettings(Checked):
    """Settings. BoTorch's tutorial on noisy, constrained problems has 10, 512, 128 and 200; the
    defaults here take a quarter of the time and reached the same on `binh-korn`.

    Attributes:
        n_init: Sobol points at the start; None: 2 (d + 1).
        num_restarts: Starts from which the acquisition is maximised.
        raw_samples: Points of which the starts are chosen.
        mc_samples: Samples of the models for each value of the acquisition.
        maxiter: Most iterations of each maximisation.
    """

    n_init: int | None = None
    num_restarts: int = 4
    raw_samples: int = 128
    mc_samples: int = 64
    maxiter: int = 100

    def __post_init__(self) -> None:
        if self.n_init is not None:
            whole("n_init", self.n_init, least=2, note=", or None: 2 (d + 1)")
        for name in ("num_restarts", "raw_samples", "mc_samples", "maxiter"):
            whole(name, getattr(self, name), least=1)


@dataclass(slots=True)
class HypervolumeState:
    """What was told, and what is out.

    Attributes:
        seed: Of all streams.
        frame: Coordinates of the models, [0, 1]^k.
        x: (n, d) points that were told.
        f: (n, m) objectives, minimised; NaN where unknown.
        g: (n, c) signed limits; NaN where unknown.
        lost: (n,) True where the evaluation failed.
        open: Proposals whose outcome is not known, by tag.
        number: Proposals made.
    """

    seed: int
    frame: Frame
    x: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, "n m"]
    g: Float[np.ndarray, "n c"]
    lost: Bool[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, dtype=bool))
    open: dict[int, Float[np.ndarray, " d"]] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True)
class QLogNEHVI(QLogNEHVISettings, AskTell):
    """Bayesian optimisation of several objectives under limits, one point or a batch at a time.

    Where experiments fail, one more outcome, -1 where it was measured and 1 where it failed, is
    modelled as a limit. Maximisers that the known constraints forbid are left out. A deterministic
    problem is never asked for a point twice.

    References:
        S. Daulton, M. Balandat, E. Bakshy (arXiv 2105.08195); S. Ament et al. (arXiv 2310.20708).
    """

    name: ClassVar[str] = "bo-qlognehvi"
    requires: ClassVar[tuple[str, ...]] = ("botorch",)
    several: ClassVar[bool] = True

    def check_problem(self, problem: Any) -> None:
        """Raise WrongProblem where it does not solve this problem: it takes several objectives."""
        from ...core.errors import WrongProblem

        super(QLogNEHVI, self).check_problem(problem)  # noqa: UP008
        if not problem.several:
            raise WrongProblem(
                f"method {self.name} takes several objectives, got '{problem.name}', which has one;"
                " bo-logei is its like for one"
            )

    def least(self, problem: BlackBox) -> int:
        """One more than the initial design."""
        return self._initial(problem) + 1

    def _initial(self, problem: BlackBox) -> int:
        """Return the number of Sobol points at the start."""
        return 2 * (problem.space.d + 1) if self.n_init is None else self.n_init

    def init(self, problem: BlackBox, rng: np.random.Generator) -> HypervolumeState:
        """Remember nothing yet; nothing is evaluated."""
        problem.space.needs_bounds(self.name)
        return HypervolumeState(
            seed_from(rng),
            Frame.of(problem),
            np.empty((0, problem.space.d)),
            np.empty((0, len(problem.reader.objectives))),
            np.empty((0, problem.limits.m)),
        )

    def ask(self, problem: BlackBox, state: HypervolumeState, n: int | None = None) -> Proposals:
        """One point, or n one after the other, each with the open ones taken into account."""
        first = state.number
        for _ in range(1 if n is None else n):
            state.open[state.number] = self._point(problem, state)
            state.number += 1
        tags = np.arange(first, state.number)
        chosen = [state.open[t] for t in tags.tolist()]
        return Proposals(np.array(chosen).reshape(-1, problem.space.d), tags)

    def tell(self, problem: BlackBox, state: HypervolumeState, seen: Observations) -> None:
        """Remember rows; points that somebody else chose count too."""
        for tag in seen.tag.tolist():
            state.open.pop(tag, None)
        m = max(seen.constraints.shape[1], state.g.shape[1])
        state.x = np.concatenate([state.x, seen.x])
        state.f = np.concatenate([state.f, problem.objectives_of(seen)])
        state.g = np.concatenate([_wide(state.g, m), _wide(seen.constraints, m)])
        state.lost = np.concatenate([state.lost, lost(seen)])

    def _point(self, problem: BlackBox, state: HypervolumeState) -> Float[np.ndarray, " d"]:
        """Return the next point: the user's own, one of the initial design, or the model's."""
        if state.number == 0 and (start := first_start(problem)) is not None:
            return start
        measured = ~state.lost & ~np.isnan(state.f).any(axis=1)
        if (
            state.number < self._initial(problem)
            or np.count_nonzero(measured) < 2
            or state.frame.k == 0
        ):
            return sobol_point(problem, state.seed, state.number)
        rng = np.random.default_rng([state.seed, state.number])
        taken = np.concatenate([state.x, *(v[None] for v in state.open.values())])
        return chosen_or_random(
            problem,
            self.name,
            state.number,
            rng,
            taken,
            lambda: self._propose(problem, state, rng),
        )

    def _propose(
        self, problem: BlackBox, state: HypervolumeState, rng: np.random.Generator
    ) -> Float[np.ndarray, " d"]:
        """Return the maximiser of the acquisition that the known constraints allow."""
        import torch
        from botorch.optim import optimize_acqf

        frame = state.frame
        acquisition = self._acquisition(problem, state, seed_from(rng))
        found, values = optimize_acqf(
            acquisition,
            torch.stack([torch.zeros(frame.k), torch.ones(frame.k)]).double(),
            q=1,
            num_restarts=self.num_restarts,
            raw_samples=self.raw_samples,
            options={"batch_limit": 5, "maxiter": self.maxiter},
            return_best_only=False,
        )
        order = torch.argsort(values.reshape(-1), descending=True)
        x = frame.x(problem, found.reshape(-1, frame.k)[order].numpy())
        allowed = problem.allowed(x)
        if allowed.any():
            return np.asarray(x[int(np.argmax(allowed))])
        x = draw(problem, rng, self.raw_samples)
        with torch.no_grad():
            best = int(acquisition(torch.tensor(frame.z(problem, x))[:, None, :]).argmax())
        return np.asarray(x[best])

    def _acquisition(self, problem: BlackBox, state: HypervolumeState, seed: int) -> Any:
        """Return the logarithm of the noisy expected hypervolume improvement."""
        import torch
        from botorch.acquisition.multi_objective.logei import (
            qLogNoisyExpectedHypervolumeImprovement,
        )
        from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
        from botorch.acquisition.multi_objective.utils import get_default_partitioning_alpha
        from botorch.models import ModelListGP
        from botorch.sampling.normal import SobolQMCNormalSampler

        free_compiler()
        m, corner = state.f.shape[1], problem.reference
        assert corner is not None
        z = state.frame.z(problem, state.x)
        outcomes = np.column_stack([_gains(state.f, corner), _scaled(state.g)])
        if state.lost.any():
            outcomes[state.lost] = np.nan
            outcomes = np.column_stack([outcomes, np.where(state.lost, 1.0, -1.0)])
        waiting = np.array([*state.open.values()]).reshape(-1, problem.space.d)
        return qLogNoisyExpectedHypervolumeImprovement(
            ModelListGP(*(_fitted(z, y) for y in outcomes.T)),
            ref_point=torch.zeros(m, dtype=torch.double),
            X_baseline=torch.tensor(z[~state.lost]),
            sampler=SobolQMCNormalSampler(torch.Size([self.mc_samples]), seed=seed),
            objective=IdentityMCMultiOutputObjective(outcomes=list(range(m))),
            constraints=[_outcome(j) for j in range(m, outcomes.shape[1])] or None,
            X_pending=torch.tensor(state.frame.z(problem, waiting)) if len(waiting) else None,
            prune_baseline=True,
            alpha=get_default_partitioning_alpha(m),
        )


def free_compiler(name: str = "logei_fused_ext") -> None:
    """Wait while another process compiles BoTorch's kernel, but not for one that was killed.

    It leaves its lock behind, for which torch waits for ever.

    Args:
        name: Of the kernel.
    """
    from torch.utils import cpp_extension

    lock = Path(cpp_extension._get_build_directory(name, False)) / "lock"
    while lock.exists():
        try:
            if time.time() - lock.stat().st_mtime > LEFT_BEHIND:
                lock.unlink()
        except FileNotFoundError:
            return
        else:
            time.sleep(0.1)


def _wide(g: Float[np.ndarray, "n c"], m: int) -> Float[np.ndarray, "n m"]:
    """Return the limits with m columns; those that are not known are NaN."""
    return np.pad(g, ((0, 0), (0, m - g.shape[1])), constant_values=np.nan)


def _gains(
    f: Float[np.ndarray, "n m"], corner: Float[np.ndarray, " m"]
) -> Float[np.ndarray, "n m"]:
    """Return what the objectives are better than the reference point by, maximised, 1 for the best
    seen where it is better.
    """
    gain = corner - f
    best, spread = np.nanmax(gain, axis=0), np.nanstd(f, axis=0)
    return gain / np.where(best > 0, best, np.where(spread > 0, spread, 1.0))


def _scaled(g: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """Return the limits in units of their spread, so that one smoothness serves all."""
    if not g.size:
        return g
    spread = np.nanstd(np.where(np.isfinite(g), g, np.nan), axis=0)
    return np.clip(g / np.where(spread > 0, spread, 1.0), -1e6, 1e6)


def _fitted(z: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"]) -> Any:
    """Return a Gaussian process with BoTorch's defaults on the rows that are known; one that cannot
    be fitted keeps its prior's hyperparameters.
    """
    import torch
    from botorch.exceptions.errors import ModelFittingError
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    known = np.isfinite(y)
    given = torch.tensor(z[known]), torch.tensor(y[known, None])
    model = SingleTaskGP(*given)
    try:
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    except ModelFittingError:
        model = SingleTaskGP(*given)
    model.eval()
    return model


def _outcome(j: int) -> Callable[[Tensor], Tensor]:
    """Return the function that takes outcome j of samples: <= 0 is feasible."""
    return lambda samples: samples[..., j]
