"""Fronts of a black box with several objectives: the observations that no feasible one dominates,
their verdict, and how people see them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.front import Front, front_verdict, hypervolume, nondominated
from ..core.ledger import Observation, Observations
from ..core.pareto import Cloud
from ..core.verdict import Verdict
from .objective import Objectives
from .reading import Reader
from .space import Space, Variable

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float

SHOWN = 30
"""Points of a front that a table for people has at most."""
PRINTED = 8
"""Points of a front that a printed result has at most."""


@dataclass(frozen=True, slots=True, repr=False)
class ObservedFront(Front):
    """The observations of a run that are feasible and that no other feasible one dominates.

    It is a sequence of observations, ordered by the first objective.

    Attributes:
        points: (n, d) the designs.
        objectives: (n, m) what is minimised.
        violations: (n,) the largest constraint violation of each.
        rows: The observations as rows.
        variables: Of the designs.
        goals: The objectives, in the user's sense and units.

    Examples:
        >>> import feasible
        >>> problem = feasible.blackbox.BlackBox(
        ...     lambda x: (x[0], (1 - x[0]) ** 2 + x[1]),
        ...     bounds=[(0, 1), (0, 1)],
        ...     objectives={"cost": "min", "risk": "min"},
        ...     reference={"cost": 1, "risk": 2},
        ... )
        >>> result = feasible.solve(problem, "random-search", budget=20, seed=0)
        >>> front = result.answer
        >>> bool((np.diff(front["cost"]) > 0).all() and (np.diff(front["risk"]) < 0).all())
        True
        >>> bool(front[0]["x1"] == front["x1"][0] == front["cost"][0])
        True
    """

    rows: Observations
    variables: tuple[Variable, ...]
    goals: Objectives

    def __iter__(self) -> Iterator[Observation]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        """Observation number `key`; or, of a variable or a metric by name, all its values."""
        if not isinstance(key, str):
            return self._observation(range(len(self))[key])
        if key in (names := self._names):
            j = names.index(key)
            choices, column = self.variables[j].choices, self.points[:, j]
            return np.array([choices[round(c)] for c in column]) if choices else column
        return self.rows.values[:, self.rows.columns.index(key)]

    @property
    def _names(self) -> tuple[str, ...]:
        """Return the names of the variables."""
        return tuple(v.name for v in self.variables)

    def _observation(self, i: int) -> Observation:
        """Return row i on its own."""
        seen = self.rows.observation(i, self._names)
        choices = tuple(v.choices for v in self.variables)
        return replace(seen, choices=choices) if any(choices) else seen

    def to_frame(self) -> pd.DataFrame:
        """One row for each point: id, variables, metrics."""
        import pandas as pd

        named = {v.title: self[v.name] for v in self.variables}
        metrics = dict(zip(self.rows.columns, self.rows.values.T, strict=True))
        return pd.DataFrame({"id": self.rows.id, **named, **metrics})

    def __repr__(self) -> str:
        names = ", ".join(self.goals.names)
        return f"ObservedFront({len(self)} points, {names})"


def minimised(reader: Reader, rows: Observations) -> Float[np.ndarray, "n m"]:
    """(n, m) the objectives of rows as they are minimised; NaN in rows without a value."""
    assert reader.several is not None
    found = reader.several.minimised(rows.values[:, : len(reader.objectives)])
    found[np.isnan(rows.objective)] = np.nan
    return found


def feasible_rows(rows: Observations, tolerance: float) -> Bool[np.ndarray, " n"]:
    """(n,) True for rows that were measured and keep to the limits."""
    return (rows.violation <= tolerance) & ~np.isnan(rows.objective)


def observed_front(
    space: Space, reader: Reader, tolerance: float, rows: Observations
) -> ObservedFront | None:
    """The front of the rows of a ledger; None where no row is feasible."""
    assert reader.several is not None
    good = np.flatnonzero(feasible_rows(rows, tolerance))
    objectives = minimised(reader, rows)[good]
    kept = nondominated(objectives)
    if not kept.any():
        return None
    order = np.lexsort(rows.values[good[kept]][:, : len(reader.objectives)].T[::-1])
    chosen = rows.rows(good[kept][order])
    return ObservedFront(
        chosen.x,
        objectives[kept][order],
        chosen.violation,
        chosen,
        space.variables,
        reader.several,
    )


def judged(reader: Reader, tolerance: float, rows: Observations) -> Verdict:
    """The verdict on rows as a front, from their raw metrics."""
    assert reader.several is not None
    names = [rows.columns.index(c) for c in reader.limits.names]
    signed = reader.limits.signed(rows.values[:, names])
    if rows.sizes is not None:
        signed = signed / rows.sizes.of(signed.shape[1])
    over = np.maximum(signed.max(axis=1, initial=0.0), 0.0)
    over[np.isnan(rows.objective)] = np.inf
    front = Front(rows.x, minimised(reader, rows), over)
    return front_verdict(front, reader.several.corner, tolerance)


def best_so_far(
    reader: Reader, tolerance: float, rows: Observations
) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """(n,) the hypervolume after each row, NaN before the first feasible one, and (n,) which rows
    are the front at the end.
    """
    assert reader.several is not None
    good, f = feasible_rows(rows, tolerance), minimised(reader, rows)
    volume, corner = np.full(len(rows), np.nan), reader.several.corner
    front, reached = np.empty((0, f.shape[1])), np.nan
    for i in range(len(rows)):
        if good[i] and not (front <= f[i]).all(axis=1).any():
            front = np.vstack([front[~(front >= f[i]).all(axis=1)], f[i]])
            reached = hypervolume(front, corner)
        volume[i] = reached
    last = np.zeros(len(rows), dtype=bool)
    last[np.flatnonzero(good)[nondominated(f[good])]] = True
    return volume, last


def cloud(reader: Reader, tolerance: float, rows: Observations, titles: dict[str, str]) -> Cloud:
    """The rows by their objectives, in the user's sense and units."""
    assert reader.several is not None
    rows = rows.rows(~np.isnan(rows.objective))
    good = feasible_rows(rows, tolerance)
    front = np.zeros(len(rows), dtype=bool)
    front[np.flatnonzero(good)[nondominated(minimised(reader, rows)[good])]] = True
    return Cloud(
        tuple(titles[c] for c in reader.objectives),
        tuple(o.sign for o in reader.several.parts),
        rows.values[:, : len(reader.objectives)],
        good,
        front,
    )


def table(front: ObservedFront, titles: dict[str, str], most: int) -> list[tuple[str, ...]]:
    """The front as rows of text: id, objectives, variables, one row for each point."""
    names = front.goals.names
    head = ("point", *(titles[c] for c in names), *(v.title for v in front.variables))
    every = np.unique(np.linspace(0, len(front) - 1, min(len(front), most)).round().astype(int))
    found = [head]
    for i in every.tolist():
        values = (f"{front[c][i]:.6g}" for c in names)
        x = front.points[i].tolist()
        shown = (v.show(a) for v, a in zip(front.variables, x, strict=True))
        found.append((str(front.rows.id[i]), *values, *shown))
    if len(every) < len(front):
        note = f"{len(every)} of {len(front)} points"
        found.append((note, *("" for _ in head[1:])))
    return found


def lines(front: ObservedFront, titles: dict[str, str]) -> list[str]:
    """The front's objectives as a few aligned lines."""
    rows = [r[: 1 + len(front.goals.names)] for r in table(front, titles, PRINTED)]
    widths = [max(len(r[j]) for r in rows) for j in range(len(rows[0]))]
    padded = (zip(r, widths, strict=True) for r in rows)
    return ["  ".join(cell.rjust(w) for cell, w in r).rstrip() for r in padded]
