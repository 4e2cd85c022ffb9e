"""The settings of Bayesian optimisation, said once, and read against a problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError, nearest
from ..parts import part_of
from ..space import Known, Space
from .acquisition import (
    EI,
    PI,
    UCB,
    Acquisition,
    Context,
    DiscreteKG,
    EnvironmentKG,
    FidelityKG,
    GradientEI,
    GradientKG,
    LogEI,
    NoisyEI,
    TaskKG,
)
from .belief import ModelSettings
from .sampled import (
    AscentKG,
    EntropySearch,
    MaxValueEntropy,
    OneShotKG,
    ParallelEI,
    ParallelNoisyEI,
    PredictiveEntropySearch,
)
from .search import AcquisitionSearch, Domain

if TYPE_CHECKING:
    from ..history import History

ACQUISITIONS: dict[str, type[Acquisition]] = {
    "logei": LogEI,
    "ei": EI,
    "noisy-ei": NoisyEI,
    "kg": OneShotKG,
    "kg-discrete": DiscreteKG,
    "kg-sga": AscentKG,
    "ucb": UCB,
    "pi": PI,
    "es": EntropySearch,
    "mes": MaxValueEntropy,
    "pes": PredictiveEntropySearch,
    "qei": ParallelEI,
    "qnei": ParallelNoisyEI,
    "cei": LogEI,
    "mfkg": FidelityKG,
    "multi-task": TaskKG,
    "env-kg": EnvironmentKG,
    "d-ei": GradientEI,
    "d-kg": GradientKG,
}
"""The text of the setting `acq` -> the rule."""


@dataclass(frozen=True)
class BOSettings(ModelSettings):
    """Settings of Bayesian optimisation; those of the models are `ModelSettings`.

    Attributes:
        acq: A key of `ACQUISITIONS`: "logei" (log EI; with limits the constrained EI, also "cei"),
            "ei", "pi", "ucb", "noisy-ei" (the tutorial's, exact: for noise), "qei", "qnei"
            (BoTorch's, the latter Letham's noisy EI), "kg" (one-shot), "kg-discrete" (exact on a
            covering set), "kg-sga" (multistart stochastic gradient ascent), "es" (entropy search
            on a discretisation), "pes", "mes", "mfkg" (fidelity=), "multi-task" (task=), "env-kg"
            (environment=), "d-ei", "d-kg" (gradients in the metrics d_<variable>, taken from the
            function).
        n_init: First points; None: 2 (d + 1), at least 5.
        noise: None as the problem says, "learn", or a standard deviation.
        incumbent: What EI improves on, see `LogEI`.
        beta: Of "ucb", see `UCB`.
        restarts: Points from which an acquisition is improved.
        raw: Candidates among which these are chosen.
        samples: Quasi-Monte Carlo draws of "qei", "qnei" and "d-kg".
        fantasies: Of "kg".
        cover: Points of the covering set.
        sga_restarts: Starts of "kg-sga".
        sga_steps: Steps of each.
        sga_a: a of the step sizes a / (a + t).
        fidelity: The variable that is the fidelity. A limit of the same name is left to it (such
            as "fidelity >= 1": only rows at the target can be answers).
        environment: The variable that is the environment.
        task: The variable that is the task, a whole number or category.
        target: Fidelity or task that counts; None: the highest fidelity, the first task.
        cost: (fixed, by unit of fidelity) of "mfkg", in the unit of the resource `cost`, if the
            function spends it.
        environments: Values, or how many midpoints of a real variable.
        weights: Of the environments; None: equal.
    """

    acq: str = "logei"
    n_init: int | None = None
    noise: float | str | None = None
    incumbent: Literal["auto", "observed", "mean"] = LogEI.incumbent
    beta: float = UCB.beta
    restarts: int = AcquisitionSearch.STARTS
    raw: int = AcquisitionSearch.RAW
    samples: int = ParallelEI.samples
    fantasies: int = OneShotKG.fantasies
    cover: int = 64
    sga_restarts: int = AscentKG.sga_restarts
    sga_steps: int = AscentKG.sga_steps
    sga_a: float = AscentKG.sga_a
    fidelity: str | None = None
    environment: str | None = None
    task: str | None = None
    target: float | None = None
    cost: tuple[float, float] = FidelityKG.cost
    environments: Any = 4
    weights: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.acq not in ACQUISITIONS:
            raise ArgumentError(f"acq={self.acq!r}: {nearest(str(self.acq), ACQUISITIONS)}")
        counts = ("restarts", "raw", "samples", "fantasies", "cover", "sga_restarts", "sga_steps")
        for name in counts:
            whole(name, getattr(self, name), least=1)
        real("beta", self.beta, least=0)
        real("sga_a", self.sga_a, above=0)
        if self.target is not None:
            real("target", self.target, note=", or None")
        if self.n_init is not None and self.n_init < 1:
            raise ArgumentError(f"n_init={self.n_init!r}: expected a whole number >= 1, or None")
        if self.noise not in (None, "learn") and not (
            isinstance(self.noise, (int, float)) and 0 <= self.noise < math.inf
        ):
            raise ArgumentError(
                f"noise={self.noise!r}: expected None, 'learn' or a standard deviation >= 0"
            )
        one_of("incumbent", self.incumbent, ("auto", "observed", "mean"))

    @property
    def kind(self) -> type[Acquisition]:
        """The class of the acquisition."""
        return ACQUISITIONS[self.acq]

    @property
    def acquisition(self) -> Acquisition:
        """The acquisition with those of these settings that are its own."""
        return part_of(self.kind, self)

    def first_points(self, d: int, history: History | None = None) -> int:
        """Number of first points in d variables: half as many where an earlier study is learned
        from, unless `n_init` is given.
        """
        if self.n_init is not None:
            return self.n_init
        usual = max(2 * (d + 1), 5)
        return usual if history is None or not self.learns_history else (usual + 1) // 2

    def price(self, fidelity: float) -> float:
        """Cost of an evaluation at a fidelity."""
        return self.cost[0] + self.cost[1] * fidelity

    # -- read against a problem --------------------------------------------------------------------

    def context_name(self) -> str | None:
        """Name of the fidelity, environment or task variable."""
        return None if self.kind.context is None else getattr(self, self.kind.context)

    def context(self, domain: Domain) -> Context | None:
        """That variable, the values of it in which the objective counts, and their weights."""
        name = self.context_name()
        if name is None:
            return None
        j = domain.space.names.index(name)
        v, low, high = domain.space.variables[j], domain.space.low[j], domain.space.high[j]
        if self.kind.context != "environment":
            default = low if self.kind.context == "task" else high
            target = default if self.target is None else self.target
            return Context(j, np.array([target], float), np.ones(1))
        if isinstance(self.environments, (Sequence, np.ndarray)):
            values = np.asarray(self.environments, float)
        elif v.integer:
            values = np.arange(low, high + 1)
        else:
            count = int(self.environments)
            values = low + (np.arange(count) + 0.5) / count * (high - low)
        weights = np.ones(len(values)) if self.weights is None else np.asarray(self.weights, float)
        if weights.shape != values.shape or (weights < 0).any() or not weights.sum() > 0:
            raise ArgumentError(
                f"weights={self.weights!r}: expected {len(values)} numbers >= 0, one for each "
                "environment"
            )
        return Context(j, values, weights / weights.sum())

    @property
    def learns_history(self) -> bool:
        """Whether an earlier study is a second task of the objective: not where there are tasks,
        fidelities or environments already, gradients, or hyperparameters that are not fitted.
        """
        fitted = self.hyperparameters in ("map", "mle")
        return self.kind.context is None and not self.kind.gradients and fitted

    def domain(self, space: Space, known: Known | None, history: History | None = None) -> Domain:
        """The box as the models see it; an earlier study where it is learned from.

        Raises:
            ArgumentError: The acquisition needs a variable that is not there, or gradients of a
                variable that has none.
            BoundsError: The box is not bounded.
        """
        space.needs_bounds(f"bo-{self.acq}")
        name, kind = self.context_name(), self.kind
        if kind.context is not None and name not in space.names:
            raise ArgumentError(
                f"{kind.context}={name!r}: acq='{self.acq}' needs the name of a variable, "
                f"{nearest(str(name), space.names)}"
            )
        if kind.gradients and space.integer.any():
            raise ArgumentError(
                f"acq='{self.acq}': '{space.names[int(space.integer.argmax())]}' is a whole number "
                "or category and has no gradient"
            )
        task = space.names.index(str(name)) if kind.context == "task" else None
        if task is not None and not space.integer[task]:
            raise ArgumentError(f"task='{name}': expected a whole number or a category")
        return Domain(space, known, task, history if self.learns_history else None)
