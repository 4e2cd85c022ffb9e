"""The methods of runs: networks with a constraint layer, the soft form, and plain solvers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from .operator import PenalisedOperator
from .pde import weighted
from .problem import SOLVERS, OperatorLearning, Surrogate
from .settings import LayerSettings


@dataclass(slots=True)
class OperatorState:
    """Where training stands.

    Attributes:
        model: The network with its layer.
        optimizer: Adam.
        generator: Draws batches and points.
        steps: Steps made.
        loss: Of the last batch.
        parts: The raw terms of that loss, by name.
        skipped: Gradients that were not finite and were taken for 0.
        missed: Layer solves that did not meet their tolerance.
        solves: Layer solves in all.
    """

    model: nn.Module
    optimizer: torch.optim.Adam
    generator: torch.Generator
    steps: int = 0
    loss: float = math.nan
    parts: dict[str, float] = field(default_factory=dict)
    skipped: int = 0
    missed: int = 0
    solves: int = 0


@dataclass(frozen=True)
class TrainedOperator(Method):
    """What the hard and the soft forms share: Adam on the length of what is left of the equation
    and of its conditions, over the whole grid.

    Attributes:
        lr: Adam's first step.
        halvings: The step is halved so often, at equal parts of the run, down to `least_lr`.
        least_lr: Smallest step.
        clip: Most length of a gradient.
        modes: Fourier modes along each axis, at most half of its points.
        width: Channels of the network.
        layers: Its spectral layers.
    """

    solves: ClassVar[type[Problem]] = OperatorLearning
    lr: float = 2e-3
    halvings: int = 3
    least_lr: float = 1e-4
    clip: float = 1.0
    modes: int = 6
    width: int = 16
    layers: int = 3

    def __post_init__(self) -> None:
        real("lr", self.lr, above=0)
        real("least_lr", self.least_lr, least=0)
        real("clip", self.clip, above=0)
        for name, least in (("halvings", 0), ("modes", 1), ("width", 1), ("layers", 1)):
            whole(name, getattr(self, name), least=least)

    def surrogate(self, problem: OperatorLearning) -> Surrogate:
        """What it trains, without weights."""
        raise TypeError(f"{type(self).__name__} does not define surrogate(problem)")

    def network(self, problem: OperatorLearning, outputs: int) -> dict[str, Any]:
        """The arguments of its network."""
        shape = problem.pde.grid.shape
        return {
            "n_modes": [min(self.modes, n // 2) for n in shape],
            "in_channels": len(shape) + 1,
            "out_channels": outputs,
            "hidden_channels": self.width,
            "n_layers": self.layers,
        }

    def weights(self) -> dict[str, float]:
        """Of the loss's terms, by name; 1 where a term is not named."""
        return {}

    def init(self, problem: OperatorLearning, rng: np.random.Generator) -> OperatorState:
        """A new network."""
        first, second = (int(s) for s in rng.integers(2**62, size=2))
        model = self.surrogate(problem).module(problem.pde, first)
        optimizer = torch.optim.Adam(model.parameters(), lr=self.lr)
        return OperatorState(model, optimizer, torch.Generator().manual_seed(second))

    def step(self, problem: OperatorLearning, state: OperatorState) -> OperatorState:
        """One gradient, clipped; what of it is not finite counts as 0."""
        initial = problem.batch(state.generator)
        part = state.steps * (self.halvings + 1) // max(problem.horizon(), 1)
        rate = max(self.lr / 2 ** min(part, self.halvings), min(self.least_lr, self.lr))
        state.optimizer.param_groups[0]["lr"] = rate
        out = state.model(initial, state.generator)
        u = out if isinstance(state.model, PenalisedOperator) else out.solution
        if u is not out:
            state.solves += out.converged.numel()
            state.missed += int((~out.converged).sum())
        parts = problem.pde.parts(u, initial)
        state.optimizer.zero_grad()
        loss = weighted(parts, self.weights())
        loss.backward()
        bad = False
        for p in state.model.parameters():
            if p.grad is not None and not bool(torch.isfinite(p.grad).all()):
                p.grad.nan_to_num_(0.0, 0.0, 0.0)
                bad = True
        state.skipped += bad
        nn.utils.clip_grad_norm_(state.model.parameters(), self.clip)
        state.optimizer.step()
        state.steps += 1
        state.loss = float(loss.detach())
        state.parts = {name: float(value.detach().mean()) for name, value in parts.items()}
        return state

    def answer(self, problem: OperatorLearning, state: OperatorState) -> Surrogate:
        """The network's weights as they are."""
        found = self.surrogate(problem)
        found.weights = {k: v.detach().clone() for k, v in state.model.state_dict().items()}
        return found

    def done(self, problem: OperatorLearning, state: OperatorState) -> str | None:
        """After the steps that were planned for."""
        if state.steps >= problem.horizon():
            return f"the {state.steps} steps that were planned are over"
        return None

    def remarks(self, problem: OperatorLearning, state: OperatorState) -> list[str]:
        """The loss's terms, and what did not converge."""
        if not state.steps:
            return []
        terms = ", ".join(f"{name} {value:.3g}" for name, value in state.parts.items())
        found = [f"terms of the last loss, unweighted: {terms}"]
        if state.missed:
            found.append(
                f"{state.missed} of {state.solves} solves of the layer did not meet their tolerance"
            )
        if state.skipped:
            found.append(f"{state.skipped} gradients were not finite; those entries counted as 0")
        return found


@dataclass(frozen=True)
class PIHCMoE(LayerSettings, TrainedOperator):
    """PI-HC-MoE and PI-HC: a network's outputs are basis functions, a layer weighs them so that the
    equation holds at points of each block.

    Attributes:
        n_basis: Basis functions, N.
        experts: Blocks along each axis, time first, such as "1x4"; "1" is PI-HC. Axes that are left
            out have one.
        router: "blocks", or "random".
        overlap: Points by which blocks reach over their borders; 0 is the paper's.
        share: Of a block's points in each training step, where `n_sample` is None.
    """

    name: ClassVar[str] = "pi-hc-moe"
    n_basis: int = 8
    experts: str = "1x4"
    router: str = "blocks"
    overlap: int = 0
    share: float = 0.75

    def __post_init__(self) -> None:
        TrainedOperator.__post_init__(self)
        LayerSettings.__post_init__(self)
        whole("n_basis", self.n_basis, least=1)
        whole("overlap", self.overlap, least=0)
        if not re.fullmatch(r"[1-9][0-9]*(x[1-9][0-9]*)*", self.experts):
            raise ArgumentError(
                f"experts={self.experts!r}: expected blocks along each axis, such as '1x4'"
            )
        one_of("router", self.router, ("blocks", "random"))
        real("share", self.share, above=0, most=1)

    def surrogate(self, problem: OperatorLearning) -> Surrogate:
        """What it trains, without weights."""
        shape, experts = problem.pde.grid.shape, [int(k) for k in self.experts.split("x")]
        if len(experts) > len(shape):
            raise ArgumentError(
                f"experts={self.experts!r}: expected at most {len(shape)} numbers, one an axis"
            )
        experts += [1] * (len(shape) - len(experts))
        block = problem.pde.grid.size // math.prod(experts)
        layer = {
            "experts": experts,
            "router": self.router,
            "overlap": self.overlap,
            "seed": 0,
            "n_sample": self.n_sample or max(1, round(self.share * block)),
            **{k: getattr(self, k) for k in ("max_iter", "tol", "ridge", "start", "backward")},
        }
        return Surrogate("constrained", self.network(problem, self.n_basis), layer)


@dataclass(frozen=True)
class PISC(TrainedOperator):
    """PI-SC: the network's one output is the solution, the equation a penalty.

    Attributes:
        equation: Weight of the equation's term in the loss, beside 1 for each condition.
    """

    name: ClassVar[str] = "pi-sc"
    equation: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        real("equation", self.equation, above=0)

    def weights(self) -> dict[str, float]:
        """The equation's."""
        return {"equation": self.equation}

    def surrogate(self, problem: OperatorLearning) -> Surrogate:
        """What it trains, without weights."""
        return Surrogate("penalised", self.network(problem, 1))


@dataclass
class SolverState:
    """A plain solver has no state but whether it was there.

    Attributes:
        steps: Steps made: one.
    """

    steps: int = 0


@dataclass(frozen=True)
class PlainSolver(Method):
    """A solver of the equation on the same grid; nothing is learned.

    Attributes:
        scheme: "implicit-euler", one step from each time of the grid to the next, or "bdf", SciPy's
            backward differentiation formulas with as many as they need.
    """

    solves: ClassVar[type[Problem]] = OperatorLearning
    name: ClassVar[str] = "plain-solver"
    scheme: str = "implicit-euler"

    def __post_init__(self) -> None:
        one_of("scheme", self.scheme, tuple(SOLVERS))

    def init(self, problem: OperatorLearning, rng: np.random.Generator) -> SolverState:
        """Nothing to prepare."""
        return SolverState()

    def step(self, problem: OperatorLearning, state: SolverState) -> SolverState:
        """It is what it is."""
        state.steps += 1
        return state

    def answer(self, problem: OperatorLearning, state: SolverState) -> Surrogate:
        """The solver."""
        return Surrogate(self.scheme)

    def done(self, problem: OperatorLearning, state: SolverState) -> str | None:
        """At once."""
        return "a plain solver has nothing to learn" if state.steps else None
