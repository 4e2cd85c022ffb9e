"""OperatorLearning: from initial values to the solutions of an equation, without seeing any.

    minimise  median over the test inputs of |u - u*| / |u*|

where u* comes from a solver on a finer grid that no method sees. Training sees the equation alone.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from ...core.annotations import Checked
from ...core.budget import spend
from ...core.cached import Cached
from ...core.checks import numbers, real, whole
from ...core.errors import ArgumentTypeError, NotFinite, ShapeError, UnknownName, nearest
from ...core.plain import digest
from ...core.problem import Problem
from ...core.run import active_run
from ...core.verdict import Verdict
from ..errors import NotConverged
from .experts import HardConstraint, MixtureOfExperts, Output, border_jumps
from .fno import FNO
from .operator import ConstrainedOperator, PenalisedOperator
from .pde import PDE
from .solvers import bdf, implicit_euler, reference

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

SOLVERS = {"implicit-euler": implicit_euler, "bdf": bdf}
"""Plain solvers, which are answers too."""
BLOCK = 16
"""Inputs that are judged at once."""


@dataclass
class Surrogate:
    """What maps initial values to solutions, as plain data.

    Attributes:
        kind: "constrained", "penalised", or a plain solver of `SOLVERS`.
        network: Arguments of `FNO`.
        layer: Of a constrained one: `experts`, `router`, `overlap`, `seed` and LayerSettings.
        weights: The network's.
    """

    kind: str
    network: dict[str, Any] = field(default_factory=dict)
    layer: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)

    def module(self, pde: PDE, seed: int = 0) -> nn.Module:
        """The network with its layer, with these weights where there are some.

        Args:
            pde: The equation.
            seed: Of the weights where there are none.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = FNO(**self.network)
        made: nn.Module
        if self.kind == "penalised":
            made = PenalisedOperator(net, pde)
        else:
            settings = dict(self.layer)
            experts = tuple(settings.pop("experts"))
            where = {k: settings.pop(k) for k in ("router", "overlap", "seed")}
            if experts == (1,) * len(experts):
                made = ConstrainedOperator(net, HardConstraint(pde, **settings))
            else:
                made = ConstrainedOperator(net, MixtureOfExperts(pde, experts, **where, **settings))
        if self.weights:
            made.load_state_dict(self.weights)
        return made

    def solve(self, pde: PDE, initial: Float[Tensor, "B ..."]) -> tuple[Tensor, Output | None]:
        """Solutions for initial values, and what the layer says of them.

        Args:
            pde: The equation.
            initial: Initial values.

        Raises:
            UnknownName: No such kind.
        """
        if self.kind in SOLVERS:
            return SOLVERS[self.kind](pde, initial), None
        if self.kind not in ("constrained", "penalised"):
            known = ("constrained", "penalised", *SOLVERS)
            raise UnknownName(f"kind={self.kind!r}: {nearest(self.kind, known)}")
        model = self.module(pde).eval()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the share is in the verdict's metrics
            found = [model(rows) for rows in initial.split(BLOCK)]
        if self.kind == "penalised":
            return torch.cat(found), None
        return torch.cat([f.solution for f in found]), Output(
            *(torch.cat([getattr(f, name) for f in found]) for name in Output.__annotations__)
        )


@dataclass
class OperatorLearning(Cached, Problem, Checked):
    """Learn to solve an equation for any initial value of a kind.

    Judged by the median relative error on test inputs against a finer solver. An answer is a
    `Surrogate`; the last one counts, since test inputs must not choose. One gradient is one pass
    over a batch of initial values.

    Attributes:
        pde: The equation on its grid.
        train: (n, *space) initial values to train on.
        test: (n, *space) initial values to judge by.
        batch_size: Initial values of a gradient.
        steps: Steps that schedules plan for; a budget of steps or gradients takes its place.
        bound: Relative error that counts as feasible; None for no limit.
        name: For tables.

    Raises:
        ArgumentTypeError: No PDE.
        ShapeError: Initial values on another grid.
        NotFinite: A NaN or an infinity among them.
    """

    pde: Any
    train: Any
    test: Any
    batch_size: int = 4
    steps: int = 150
    bound: float | None = None
    name: str = "operator"

    answers: ClassVar[tuple[type, ...]] = (Surrogate,)
    last: ClassVar[bool] = True
    trail_growth: float = 1.6
    example_budget: ClassVar[str] = "steps=60"
    objective_title: ClassVar[str] = "median relative error"

    def __post_init__(self) -> None:
        if not isinstance(self.pde, PDE):
            raise ArgumentTypeError(f"pde={self.pde!r:.60}: expected a PDE, such as Burgers(grid)")
        for name in ("train", "test"):
            given = torch.as_tensor(numbers(name, getattr(self, name)))
            space = self.pde.grid.shape[1:]
            if given.ndim != 1 + len(space) or tuple(given.shape[1:]) != space or not len(given):
                raise ShapeError(
                    f"{name} has shape {tuple(given.shape)}, expected (n, "
                    f"{', '.join(map(str, space))}), n >= 1"
                )
            if not bool(torch.isfinite(given).all()):
                raise NotFinite(f"{name}: expected finite initial values, got a NaN or an infinity")
            setattr(self, name, given)
        whole("batch_size", self.batch_size, least=1, most=len(self.train))
        whole("steps", self.steps, least=1)
        if self.bound is not None:
            real("bound", self.bound, above=0)

    # -- what methods call -------------------------------------------------------------------------

    def horizon(self) -> int:
        """Steps to plan for: those that the active run may make, else `steps`."""
        run = active_run.get()
        limits = {} if run is None else run.budget
        return int(
            min((limits[r] for r in ("steps", "gradients") if r in limits), default=self.steps)
        )

    def batch(self, generator: torch.Generator) -> Float[Tensor, "B ..."]:
        """Some initial values; charges one gradient.

        Args:
            generator: Draws them.
        """
        spend(gradients=1)
        return self.train[torch.randperm(len(self.train), generator=generator)[: self.batch_size]]

    # -- judging -----------------------------------------------------------------------------------

    def truth(self) -> Float[Tensor, "n ..."]:
        """The solutions of the test inputs, on a finer grid, made once."""
        found: Tensor = self.cached("truth", lambda: reference(self.pde, self.test))
        return found

    def judge(self, answer: Any) -> Verdict:
        """Errors against the reference, and what is left of the equation and each condition."""
        if answer is None:
            return Verdict(math.nan, math.inf)
        truth = self.truth()
        try:
            u, out = answer.solve(self.pde, self.test)
        except NotConverged:
            return Verdict(math.nan, math.inf)
        errors = (u - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
        residual = (self.pde.weight * self.pde.residual(self.pde.terms(u))).flatten(1)
        metrics = {
            "mean relative error": float(errors.mean()),
            "largest relative error": float(errors.max()),
            "largest residual": float(residual.abs().amax(1).median()),
        }
        for name, part in self.pde.parts(u, self.test).items():
            metrics[f"{name} left"] = float(part.median())
        floor = self.pde.parts(truth, self.test)["equation"]
        metrics["equation left by the reference"] = float(floor.median())
        if out is not None:
            metrics["solves that met the tolerance"] = float(out.converged.double().mean())
            experts = tuple(answer.layer["experts"])
            if math.prod(experts) > 1 and answer.layer["router"] == "blocks":
                metrics["jump at borders"] = border_jumps(u, experts)
        objective = float(errors.median())
        over = 0.0 if self.bound is None else max(objective / self.bound - 1, 0.0)
        limits = {} if self.bound is None else {"relative error": over}
        if not math.isfinite(objective):
            return Verdict(math.nan, math.inf, metrics=metrics)
        return Verdict(objective, over, violations=limits, metrics=metrics)

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [("kind", answer.kind), *((k, f"{v:.4g}") for k, v in verdict.metrics.items())]

    def fingerprint(self) -> dict[str, Any]:
        """The equation, its grid and the inputs."""
        kept = {k: v for k, v in vars(self.pde).items() if isinstance(v, (int, float, str, bool))}
        return {
            "pde": {"kind": type(self.pde).__name__, "grid": list(self.pde.grid.shape), **kept},
            "train": digest(self.train.numpy()),
            "test": digest(self.test.numpy()),
        }
