"""Which stage has no solution, from which state, and which rows would have to give, in their units.

A stage that has a solution from every state and under every noise can never end a run. The check
solves each stage at the ends of the states' ranges and of the noise; where one has no solution, an
elastic program finds the least that its rows would have to give:

    minimise sum_i (u_i + v_i) / (1 + |right_i|)   where   low <= A x + u - v <= high,   u, v >= 0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ..core.errors import ArgumentError
from .lp import LinearModel, NoSolution
from .window import Window

if TYPE_CHECKING:
    from jaxtyping import Float

    from .horizon import Horizon

CORNERS = 64
"""Most states, and most noises, at which a stage is solved."""
SEEN = 1e-9
"""What a row gives counts from here on, relative to its size."""


@dataclass(frozen=True)
class Stuck:
    """A stage without a solution.

    Attributes:
        t: Its number.
        state: State's name -> value before the stage.
        noise: (d,) what had come true.
        gives: Row's name -> what it would have to give, in its unit; above 0 more, below 0 less.
        units: Row's name -> its unit.
        files: Where the stage's program was written.
    """

    t: int
    state: Mapping[str, float]
    noise: Float[np.ndarray, " d"]
    gives: Mapping[str, float]
    units: Mapping[str, str]
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        state = ", ".join(f"{n} {v:.6g}{self._unit(n)}" for n, v in self.state.items())
        rows = "; ".join(f"'{n}' by {v:+.6g}{self._unit(n)}" for n, v in self.gives.items())
        noise = np.array2string(np.asarray(self.noise), precision=6)
        written = f"; written to {' and '.join(self.files)}" if self.files else ""
        return (
            f"stage {self.t} has no solution from {state} under the noise {noise}: it would have "
            f"one if these rows gave: {rows}{written}"
        )

    def _unit(self, name: str) -> str:
        """Return a space and a unit, or nothing."""
        return f" {self.units[name]}" if self.units.get(name) else ""


@dataclass(frozen=True)
class Diagnosis:
    """What `MultistageLP.diagnose` found.

    Attributes:
        stuck: The first state and noise of each stage at which it has no solution.
        ranges: "coefficients", "costs", "right-hand sides" and "limits" -> least and largest size,
            zeros left out.
        solved: Programs that were solved.
    """

    stuck: list[Stuck] = field(default_factory=list)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    solved: int = 0

    @property
    def sound(self) -> bool:
        """True if every stage had a solution wherever it was tried."""
        return not self.stuck

    def __str__(self) -> str:
        lines = [f"{n} from {a:.3g} to {b:.3g}" for n, (a, b) in self.ranges.items()]
        lines += [str(s) for s in self.stuck]
        if self.sound:
            lines.append(f"every stage has a solution at the {self.solved} extremes tried")
        return "\n".join(lines)


def diagnose(problem: Horizon, folder: str | Path | None = None) -> Diagnosis:
    """Solve each stage at the ends of the states and the noise.

    Args:
        problem: Whose stages.
        folder: Where programs without a solution are written, as .lp and .mps; None: nowhere.
    """
    if folder is not None and (not isinstance(folder, str | Path) or not Path(folder).is_dir()):
        raise ArgumentError(f"folder='{folder}': there is no such folder")
    stuck, solved = [], 0
    for t in range(problem.T):
        window = Window(problem.stages[t : t + 1])
        for state, w in product(_states(problem, t), _noises(problem, t)):
            solved += 1
            try:
                window.solve(state, w[None])
            except NoSolution:
                stuck.append(why(problem, t, state, w, folder))
                break
    return Diagnosis(stuck, ranges(problem), solved)


def why(
    problem: Horizon,
    t: int,
    state: Float[np.ndarray, " k"],
    w: Float[np.ndarray, " d"],
    folder: str | Path | None = None,
) -> Stuck:
    """Return which rows of a stage would have to give for it to have a solution.

    Args:
        problem: Whose stage.
        t: Its number.
        state: The state before it.
        w: The noise.
        folder: Where its program is written; None: nowhere.
    """
    stage = problem.stages[t]
    window = Window([stage])
    window.place(state, w[None])
    model = window.model
    files = []
    for ending in (".lp", ".mps") if folder is not None else ():
        path = str(Path(folder or ".") / f"{problem.name}-stage-{t}{ending}")
        model.write(path)
        files.append(path)
    m, n = model.A.shape
    right = stage.right(state, w)
    weight = np.tile(1.0 / (1.0 + np.abs(right)), 2)
    A = model.A.tolil()
    for row, column, i, factor in stage.head_numbers:
        A[row, column] += factor * state[i]
    elastic = LinearModel(
        np.concatenate([np.zeros(n), weight]),
        np.concatenate([model.lower, np.zeros(2 * m)]),
        np.concatenate([model.upper, np.full(2 * m, np.inf)]),
        sparse.csc_array(sparse.hstack([A, sparse.eye_array(m), -sparse.eye_array(m)])),
        model.low,
        model.high,
    )
    found = elastic.solve().x[n:]
    gives = found[:m] - found[m:]
    seen = np.flatnonzero(np.abs(gives) > SEEN * (1.0 + np.abs(right)))
    rows = {stage.rows[int(i)]: float(gives[i]) for i in seen}
    before = dict(zip(stage.state, map(float, state), strict=True))
    return Stuck(t, before, w, rows, dict(stage.units), tuple(files))


def _states(problem: Horizon, t: int) -> list[Float[np.ndarray, " k"]]:
    """Return states before a stage: the first one's is known, else the ends of the ranges."""
    if t == 0:
        return [problem.initial_state]
    stage = problem.stages[t - 1]
    low, high = stage.lower[stage.states], stage.upper[stage.states]
    low = np.where(np.isfinite(low), low, np.minimum(problem.initial_state, 0.0))
    high = np.where(np.isfinite(high), high, np.maximum(problem.initial_state, low))
    if 2**problem.k <= CORNERS:
        return [np.where(ends, high, low) for ends in product((False, True), repeat=problem.k)]
    turned = [np.where(np.arange(problem.k) == i, high, low) for i in range(CORNERS - 2)]
    return [low, high, *turned[: problem.k]]


def _noises(problem: Horizon, t: int) -> Float[np.ndarray, "n d"]:
    """Return rows of a stage's pool: all, or those with the least and largest components."""
    pool = problem.stages[t].noise
    if len(pool) <= CORNERS:
        return pool
    ends = np.concatenate([pool.argmin(axis=0), pool.argmax(axis=0), pool.sum(axis=1).argsort()])
    return pool[list(dict.fromkeys(ends.tolist()))[:CORNERS]]


def ranges(problem: Horizon) -> dict[str, tuple[float, float]]:
    """Return the least and largest size of coefficients, costs, right-hand sides and limits."""
    parts: dict[str, list[np.ndarray]] = {}
    for stage in problem.stages:
        parts.setdefault("coefficients", []).extend([stage.A.data, stage.B.data, stage.C.data])
        parts.setdefault("costs", []).append(stage.cost)
        parts.setdefault("right-hand sides", []).append(np.nan_to_num(stage.rhs))
        ends = np.concatenate([stage.lower, stage.upper])
        parts.setdefault("limits", []).append(ends[np.isfinite(ends)])
    found = {}
    for name, values in parts.items():
        sizes = np.abs(np.concatenate(values))
        sizes = sizes[sizes > 0]
        if len(sizes):
            found[name] = float(sizes.min()), float(sizes.max())
    return found
