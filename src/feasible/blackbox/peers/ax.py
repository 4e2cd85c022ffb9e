"""Ax, asked and told through its `Client`, with Ax's own choice of models ("fast": the centre, a
Sobol sequence, then BoTorch).

Limits are outcome constraints g_j <= 0. Variables keep their kind: floats, whole numbers, log
scales, unordered categories; those that cannot vary are left out. A trial that the known
constraints forbid is abandoned and Ax is asked again, at most `tries` times, then a random allowed
point is attached; so it is where Ax has nothing to propose. A failed evaluation is abandoned, which
Ax does not propose again (marked failed, which it may, where the function is noisy). Where only
constraints are known, only these are told.

References:
    E. Bakshy et al., AE: a domain-agnostic platform for adaptive experimentation (NeurIPS workshop
    2018); M. Olson et al., Ax: a platform for adaptive experimentation (AutoML 2025).
"""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ...core.checks import one_of
from ...core.warning import warn
from ..asktell import AskTell, Proposals
from ..sampling import draw, first_start, lost, seed_from
from .frame import require

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...core.ledger import Observations
    from ..problem import BlackBox

LARGEST = 1e100
"""Values beyond this are told as this: their squares must be doubles."""


@dataclass(slots=True)
class Trying:
    """What Ax knows of a run, and what is still to be told to it.

    Attributes:
        rng: Stream of the random points that replace a missing proposal.
        seed: Seed of Ax's client and of the global streams while it works.
        client: Ax's own `Client`.
        m: Number of outcome constraints.
        open: Numbers of the trials that were proposed and not told.
        started: True after the first proposal, which is the user's x0 where there is one.
    """

    rng: np.random.Generator
    seed: int
    client: Any
    m: int
    open: set[int] = field(default_factory=set)
    started: bool = False


@dataclass(frozen=True)
class Ax(AskTell):
    """Minimise f(x) under g_j(x) <= 0 by Ax's adaptive experimentation.

    Attributes:
        tries: Proposals for one point, before one that the known constraints forbid is replaced by
            a random allowed point.
        method: How Ax chooses its models: "fast" (Ax's default) or "quality" (fully Bayesian,
            slower).

    Raises:
        ArgumentError: Another `method`.

    References:
        E. Bakshy et al., AE: a domain-agnostic platform for adaptive experimentation (NeurIPS
        workshop 2018); M. Olson et al., Ax: a platform for adaptive experimentation (AutoML 2025).
    """

    avoids: ClassVar[bool] = False
    name: ClassVar[str] = "ax"
    requires: ClassVar[tuple[str, ...]] = ("ax",)
    tries: ClassVar[int] = 3
    method: Literal["fast", "quality"] = "fast"

    def __post_init__(self) -> None:
        one_of("method", self.method, ("fast", "quality"))

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Trying:
        """Set the experiment up in a new client; nothing is evaluated.

        Args:
            problem: The problem, with finite bounds.
            rng: Source of the seed and of random points.

        Returns:
            The state of a run that has no trial yet.

        Raises:
            BoundsError: A bound is infinite.
            MissingExtra: Ax is not installed.
        """
        problem.space.needs_bounds(self.name)
        seed, space = seed_from(rng), problem.space
        with _quiet(seed, importing=True):
            api, configs = require("ax.api.client", self.name), require("ax.api.configs", self.name)
        parameters: list[Any] = []
        for j in _free(problem):
            v, low, high = space.variables[j], float(space.low[j]), float(space.high[j])
            if v.choices:
                parameters.append(
                    configs.ChoiceParameterConfig(
                        f"x{j}",
                        values=list(range(len(v.choices))),
                        parameter_type="int",
                        is_ordered=False,
                    )
                )
            else:
                bounds = (round(low), round(high)) if v.integer else (low, high)
                parameters.append(
                    configs.RangeParameterConfig(
                        f"x{j}",
                        bounds,
                        "int" if v.integer else "float",
                        scaling="log" if v.log else "linear",
                    )
                )
        with _quiet(seed):
            client = api.Client(random_seed=seed)
            if parameters:
                client.configure_experiment(parameters=parameters)
                client.configure_optimization(
                    "-f", outcome_constraints=[f"g{j} <= 0" for j in range(problem.limits.m)]
                )
                client.configure_generation_strategy(
                    method=self.method, initialization_random_seed=seed
                )
        return Trying(rng, seed, client, problem.limits.m)

    def ask(self, problem: BlackBox, state: Trying, n: int | None = None) -> Proposals:
        """Propose points by Ax's next trials.

        Args:
            problem: The problem.
            state: Changed in place: the trials become open.
            n: Number of points; None for one.

        Returns:
            The points (n, d), tagged with Ax's trial numbers (-1 where no variable can vary).
        """
        points, tags = [], []
        for _ in range(1 if n is None else n):
            x, tag = self._trial(problem, state)
            points.append(x)
            tags.append(tag)
        return Proposals(np.array(points).reshape(-1, problem.space.d), np.array(tags, dtype=int))

    def _trial(self, problem: BlackBox, state: Trying) -> tuple[Float[np.ndarray, " d"], int]:
        """Return the next point and its trial number."""
        start = None if state.started else first_start(problem)
        state.started = True
        if not _free(problem):
            return draw(problem, state.rng)[0], -1
        failure: Exception | None = None
        with _quiet(state.seed):
            for _ in range(self.tries if start is None else 0):
                try:
                    ((tag, values),) = state.client.get_next_trials(1).items()
                except (
                    Exception
                ) as error:  # exhausted, waiting for data, or a model that cannot be fitted
                    failure = error
                    break
                x = _point(problem, values)
                if problem.allowed(x[None])[0]:
                    state.open.add(tag)
                    return x, tag
                state.client.mark_trial_abandoned(tag)
            x = draw(problem, state.rng)[0] if start is None else start
            tag = state.client.attach_trial(_values(problem, x))
        if (
            failure is not None
            and not type(failure).__module__.startswith("ax.exceptions")
            and not isinstance(failure, ValueError)
        ):
            warn(
                f"{self.name}: trial {tag} is a random point, since Ax failed: "
                f"{type(failure).__name__}: {failure}",
                RuntimeWarning,
            )
        state.open.add(tag)
        return x, tag

    def tell(self, problem: BlackBox, state: Trying, seen: Observations) -> None:
        """Complete trials; points that somebody else chose become trials of their own.

        Args:
            problem: The problem.
            state: Changed in place: the trials told are no longer open.
            seen: Outcomes of n points; tag -1 for points that somebody else chose.
        """
        if not _free(problem):
            return
        nothing, m = lost(seen), seen.constraints.shape[1]
        with _quiet(state.seed):
            if m != state.m and len(seen):
                state.m = m
                state.client.configure_optimization(
                    "-f", outcome_constraints=[f"g{j} <= 0" for j in range(m)]
                )
            for i, tag in enumerate(seen.tag.tolist()):
                if tag in state.open:
                    state.open.remove(tag)
                elif tag >= 0 or nothing[i]:
                    continue
                else:
                    tag = state.client.attach_trial(_values(problem, seen.x[i]))
                if nothing[i]:
                    (
                        state.client.mark_trial_abandoned
                        if problem.deterministic
                        else state.client.mark_trial_failed
                    )(tag)
                    continue
                data = {"f": float(seen.objective[i])} | {
                    f"g{j}": g for j, g in enumerate(seen.constraints[i].tolist())
                }
                state.client.complete_trial(
                    tag,
                    {k: float(np.clip(v, -LARGEST, LARGEST)) for k, v in data.items() if v == v},
                )


def _free(problem: BlackBox) -> list[int]:
    """Return the numbers of the variables that can vary."""
    return np.flatnonzero(problem.space.high > problem.space.low).tolist()


def _values(problem: BlackBox, x: Float[np.ndarray, " d"]) -> dict[str, float | int]:
    """Return a point as Ax's parameters."""
    return {
        f"x{j}": round(x[j]) if problem.space.integer[j] else float(x[j]) for j in _free(problem)
    }


def _point(problem: BlackBox, values: dict[str, Any]) -> Float[np.ndarray, " d"]:
    """Return the point of Ax's parameters, snapped to the box."""
    x = problem.space.low.copy()
    for j in _free(problem):
        x[j] = float(values[f"x{j}"])
    return problem.space.snap(x[None])[0]


@contextmanager
def _quiet(seed: int, *, importing: bool = False) -> Iterator[None]:
    """Silence Ax, and seed the global random streams, which are put back afterwards.

    Where `importing`, all messages are off: Ax greets before its handlers can be reached.
    """
    disabled = logging.root.manager.disable
    torch, handlers = require("torch", "ax"), list(logging.getLogger("ax").handlers)
    numpy_before, python_before, levels = (
        np.random.get_state(),
        random.getstate(),
        [h.level for h in handlers],
    )
    for handler in handlers:
        handler.setLevel(logging.ERROR)
    if importing:
        logging.disable(max(disabled, logging.WARNING))
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_before)
        random.setstate(python_before)
        logging.disable(disabled)
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)
