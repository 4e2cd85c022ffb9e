"""The ledger: every evaluation that a run has paid for, in the order in which the points were
proposed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .errors import CheckpointError
from .failure import Failure
from .sizes import Sizes
from .verdict import best_index

if TYPE_CHECKING:
    from jaxtyping import Float, Int

DONE, INFEASIBLE, FAILED, PENDING, CHECKED, ABANDONED = range(6)
STATUS = ("done", "infeasible", "failed", "pending", "checked", "abandoned")
"""What became of a proposal. infeasible: no objective, the constraints say why. checked: first
stage told, objective open.
"""


@dataclass(slots=True)
class Observations:
    """Outcomes of n proposals, one row each.

    Attributes:
        x: (n, d) the points as evaluated (codes for categorical variables).
        objective: (n,) to be minimised; NaN where there is none.
        constraints: (n, m) signed and scaled, <= 0 is feasible; NaN where unknown. As a method sees
            them they never change; sizes that only measured rows tell are in `sizes`.
        values: (n, k) raw metrics in the user's sense and units, named by `columns`.
        columns: k names of metrics.
        status: (n,) codes of STATUS.
        id: (n,) row number in the ledger.
        tag: (n,) the method's own label of the proposal.
        reason: Why row i failed.
        seconds: (n,) what the evaluation took.
        failures: More of why row i failed, while the run has not looked at it; never stored.
        sizes: What the constraints are divided by before they are violations; shared by all rows of
            a ledger, None for 1.
        charged: What row i charged beside what every evaluation is charged, by resource: by the
            user's own function, and by earlier tries that failed.
    """

    x: Float[np.ndarray, "n d"]
    objective: Float[np.ndarray, " n"]
    constraints: Float[np.ndarray, "n m"]
    values: Float[np.ndarray, "n k"]
    columns: tuple[str, ...]
    status: Int[np.ndarray, " n"]
    id: Int[np.ndarray, " n"]
    tag: Int[np.ndarray, " n"]
    reason: dict[int, str] = field(default_factory=dict)
    seconds: Float[np.ndarray, " n"] | None = None
    failures: dict[int, Failure] = field(default_factory=dict)
    sizes: Sizes | None = None
    charged: dict[int, dict[str, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.objective)

    @property
    def sized(self) -> Float[np.ndarray, "n m"]:
        """(n, m) the constraints in the sizes of their limits."""
        if self.sizes is None:
            return self.constraints
        return self.constraints / self.sizes.of(self.constraints.shape[1])

    @property
    def violation(self) -> Float[np.ndarray, " n"]:
        """(n,) largest violation, >= 0; infinite for a failed row or an unknown constraint, see
        `violations`.
        """
        return violations(self.sized, self.status)

    def rows(self, index: Any) -> Observations:
        """The rows that `index` (a slice, mask or array of indices) selects."""
        noted = self.reason or self.failures or self.charged
        rows = np.arange(len(self))[index].tolist() if noted else ()
        places = {old: new for new, old in enumerate(rows)}
        return Observations(
            self.x[index],
            self.objective[index],
            self.constraints[index],
            self.values[index],
            self.columns,
            self.status[index],
            self.id[index],
            self.tag[index],
            {places[i]: why for i, why in self.reason.items() if i in places},
            None if self.seconds is None else self.seconds[index],
            {places[i]: more for i, more in self.failures.items() if i in places},
            self.sizes,
            {places[i]: units for i, units in self.charged.items() if i in places},
        )

    def __iter__(self) -> Iterator[Observation]:
        return (self.observation(i) for i in range(len(self)))

    def observation(self, i: int, names: Sequence[str] = ()) -> Observation:
        """Row i on its own.

        Args:
            i: Number of the row in this batch.
            names: Names of the variables, by which the row can then be indexed.
        """
        metrics = {
            c: v for c, v in zip(self.columns, self.values[i].tolist(), strict=True) if v == v
        }
        one = slice(i, i + 1)
        sizes = None if self.sizes is None else self.sizes.of(self.constraints.shape[1]).copy()
        return Observation(
            int(self.id[i]),
            self.x[i].copy(),
            float(self.objective[i]),
            self.constraints[i].copy(),
            float(violations(self.sized[one], self.status[one])[0]),
            STATUS[self.status[i]],
            metrics,
            tuple(names),
            self.reason.get(i),
            sizes=sizes,
        )


def violations(
    g: Float[np.ndarray, "n m"], status: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The largest violation of each row, in the unit of the constraints, >= 0.

    Where an evaluation ended early (infeasible, checked), the constraints that it did measure
    count.

    Args:
        g: (n, m) signed constraints, <= 0 is feasible; NaN where unknown.
        status: (n,) codes of STATUS.

    Returns:
        (n,) infinite for a row that failed or is open, or an unknown constraint.
    """
    lost = (status == FAILED) | (status == PENDING) | (status == ABANDONED)
    if g.shape[1] == 0:
        return np.where(lost, np.inf, 0.0)
    worst = np.maximum(g.max(axis=1), 0.0)
    unknown = np.isnan(worst)
    if unknown.any():
        ended = unknown & ((status == INFEASIBLE) | (status == CHECKED)) & ~np.isnan(g).all(axis=1)
        worst[ended] = np.maximum(np.nanmax(g[ended], axis=1), 0.0)
        unknown &= ~ended
    return np.where(unknown | lost, np.inf, worst)


def concatenate(parts: Sequence[Observations]) -> Observations:
    """Join batches.

    Args:
        parts: At least one batch.

    Returns:
        One batch; every column that holds a value is kept, what is missing becomes NaN.
    """
    if len(parts) == 1:
        return parts[0]
    columns = max((p.columns for p in parts), key=len)
    columns += tuple(
        dict.fromkeys(
            c
            for p in parts
            if p.columns != columns
            for j, c in enumerate(p.columns)
            if c not in columns and not np.isnan(p.values[:, j]).all()
        )
    )
    m = max(p.constraints.shape[1] for p in parts)
    reason, failures = dict[int, str](), dict[int, Failure]()
    charged, offset = dict[int, dict[str, float]](), 0
    for p in parts:
        reason |= {offset + i: r for i, r in p.reason.items()}
        failures |= {offset + i: f for i, f in p.failures.items()}
        charged |= {offset + i: c for i, c in p.charged.items()}
        offset += len(p)
    return Observations(
        np.concatenate([p.x for p in parts]),
        np.concatenate([p.objective for p in parts]),
        np.concatenate([_wide(p.constraints, m) for p in parts]),
        np.concatenate([p.values if p.columns == columns else _aligned(p, columns) for p in parts]),
        columns,
        np.concatenate([p.status for p in parts]),
        np.concatenate([p.id for p in parts]),
        np.concatenate([p.tag for p in parts]),
        reason,
        np.concatenate(
            [np.full(len(p), np.nan) if p.seconds is None else p.seconds for p in parts]
        ),
        failures,
        next((p.sizes for p in parts if p.sizes is not None), None),
        charged,
    )


def _wide(a: np.ndarray, m: int) -> np.ndarray:
    return (
        a if a.shape[1] == m else np.pad(a, ((0, 0), (0, m - a.shape[1])), constant_values=np.nan)
    )


def _aligned(p: Observations, columns: tuple[str, ...]) -> np.ndarray:
    out = np.full((len(p), len(columns)), np.nan)
    for j, name in enumerate(p.columns):
        if name in columns:
            out[:, columns.index(name)] = p.values[:, j]
    return out


@dataclass(frozen=True, slots=True)
class Observation:
    """One evaluated point. Works as a vector (`obs[0]`, `numpy.asarray(obs)`), and by variable name
    (`obs["h"]`).

    Attributes:
        id: Row number in the ledger.
        x: (d,) the point as evaluated.
        objective: To be minimised; NaN where there is none.
        constraints: (m,) signed and scaled, <= 0 is feasible.
        violation: The largest violation, >= 0.
        status: One of STATUS.
        metrics: Raw metrics by name, in the user's sense and units.
        names: Names of the variables.
        reason: Why it failed.
        choices: Of each variable, what its codes mean; empty where there are no categories.
        sizes: (m,) what the constraints were divided by for the violation; None for 1.
    """

    id: int
    x: Float[np.ndarray, " d"]
    objective: float
    constraints: Float[np.ndarray, " m"]
    violation: float
    status: str
    metrics: Mapping[str, float]
    names: tuple[str, ...] = ()
    reason: str | None = None
    choices: tuple[tuple[Any, ...], ...] = ()
    sizes: Float[np.ndarray, " m"] | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.x, dtype=dtype) if copy or dtype is not None else self.x

    def __getitem__(self, key: int | str | slice) -> Any:
        if not isinstance(key, str):
            return self.x[key]
        j = self.names.index(key)
        return self.choices[j][round(self.x[j])] if self.choices and self.choices[j] else self.x[j]

    def __len__(self) -> int:
        return len(self.x)

    def __iter__(self) -> Iterator[float]:
        return iter(self.x.tolist())


def _leaders(
    batches: Sequence[Observations], tolerance: float
) -> Iterator[tuple[Observations, int]]:
    """The best row of each run of batches with the same number of constraints, found with array
    steps over the whole run.
    """
    for _, group in groupby((b for b in batches if len(b)), key=lambda b: b.constraints.shape[1]):
        these = list(group)
        if len(these) == 1:
            yield these[0], best_index(these[0].objective, these[0].violation, tolerance)
            continue
        objective = np.concatenate([b.objective for b in these])
        violation = violations(
            np.concatenate([b.sized for b in these]),
            np.concatenate([b.status for b in these]),
        )
        i = best_index(objective, violation, tolerance)
        ends = np.cumsum([len(b) for b in these])
        at = int(np.searchsorted(ends, i, side="right"))
        yield these[at], i - int(ends[at]) + len(these[at])


PASSING = 8
"""Batches that are compared with the best at once, where a ledger does not keep them."""


class Taker(Protocol):
    """What is told of every batch of a ledger."""

    def take(self, rows: Observations) -> None:
        """Take a batch."""


class Ledger:
    """Rows in memory, with an optional sink that makes each batch durable before the method sees
    it.

    A resumed run fills `replay` with the stored rows by id: evaluations that were paid for are then
    answered from there.

    Args:
        sink: Called with every fresh batch before it is kept.

    Attributes:
        batches: The rows that are kept, batch by batch.
        count: All rows, also those that are not kept.
        replay: Stored rows by id.
        times: Seconds of the run at which a stored row was recorded.
        again: What earlier tries of a row cost that is tried again, by id and resource.
        rounded: Stored rows whose point equals the proposed one within rounding only.
        fresh: Rows that were really evaluated in this process (not replayed).
        keep: Most rows kept in memory (None: all); rows beyond are only counted and compared with
            the best. Not used beside a sink.
        tolerance: Largest violation that counts as feasible.
        names: Names of the variables.
        sizes: What violations are measured in, where the first rows tell it.
        tried: What is told of every batch, where somebody asked for it.
    """

    def __init__(self, sink: Callable[[Observations], None] | None = None):
        self.batches: list[Observations] = []
        self.count = 0
        self.sink = sink
        self.replay: dict[int, Observations] = {}
        self.times: dict[int, float] = {}
        self.again: dict[int, dict[str, float]] = {}
        self.rounded = 0
        self.fresh = 0
        self.keep: int | None = None
        self.tolerance = 0.0
        self.names: tuple[str, ...] = ()
        self.sizes: Sizes | None = None
        self.tried: Taker | None = None
        self._known: dict[bytes, tuple[int, int]] = {}
        self._best: Observation | None = None
        self._kept: int | None = None
        self._judged = 0

    def replayed_to(self, rows: int) -> None:
        """Take the stored rows up to this number. Raises CheckpointError where one is missing."""
        history = self.all()
        have = 0 if history is None else len(history)
        if not all(row in self.replay for row in range(have, rows)):
            raise CheckpointError(
                f"checkpoint: it stands at row {rows}, and not all rows up to there are stored"
            )
        for row in range(have, rows):
            stored = self.replay.pop(row)
            self.append(stored, stored=True)
            self.remember([(stored.x[0] + 0.0).tobytes()])

    def earlier(self, n: int, resource: str) -> list[float]:
        """What earlier tries of each of the next n rows cost of a resource; empty: nothing."""
        if not self.again and not self.replay:
            return []
        rows = range(self.count, self.count + n)
        own = {i: self.replay[i].charged.get(0, {}) for i in rows if i in self.replay} | self.again
        return [own.get(i, {}).get(resource, 0.0) for i in rows]

    def notes(self) -> list[str]:
        """What is worth knowing of the rows: how many gave no value and why, how many are kept."""
        kinds = Counter(
            why.split(":")[0].split("\n")[0][:60]
            for batch in self.batches
            for i, why in batch.reason.items()
            if batch.status[i] in (FAILED, PENDING)
        )
        found = []
        if kinds:
            summary = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
            found.append(f"{kinds.total()} evaluations without a value ({summary})")
        if self.rounded:
            found.append(
                f"resumed: {self.rounded} stored points are equal within rounding (1e-9 of the "
                "box) to those proposed now, not bit for bit"
            )
        kept = sum(len(batch) for batch in self.batches)
        if kept < self.count:
            found.append(f"{kept:,} of {self.count:,} rows were kept in memory")
        return found

    def append(self, batch: Observations, *, stored: bool = False) -> None:
        """Take a batch; it must not be changed afterwards.

        Args:
            batch: The rows.
            stored: They are durable already.
        """
        if self.sizes is not None:
            batch.sizes = self.sizes
            if not self.sizes.frozen and self.sizes.see(batch.x, batch.constraints):
                self._resize()
        if not stored:
            self.fresh += len(batch)
            if self.sink is not None:
                self.sink(batch)
        self.batches.append(batch)
        self.count += len(batch)
        if self.tried is not None:
            self.tried.take(batch)
        if self.keep is not None and self.count > self.keep and self.sink is None:
            if self._kept is None:
                self._kept = len(self.batches) - 1
            if len(self.batches) >= self._kept + PASSING:
                self.best(self.tolerance, self.names)
                del self.batches[self._kept :]
                self._judged = len(self.batches)

    def _resize(self) -> None:
        """Compare all rows that are kept again, since their violations have changed."""
        old, self._judged = self._best, 0
        if old is None or self.sizes is None:
            return
        g = old.constraints / self.sizes.of(len(old.constraints))
        status = np.array([STATUS.index(old.status)])
        sizes = self.sizes.of(len(old.constraints)).copy()
        self._best = replace(old, violation=float(violations(g[None], status)[0]), sizes=sizes)

    def remember(self, keys: Sequence[bytes]) -> None:
        """Make the rows of the last batch findable by the bytes of their point."""
        at = len(self.batches) - 1
        self._known.update((key, (at, i)) for i, key in enumerate(keys))

    def unseen(self, keys: Sequence[bytes]) -> bool:
        """True if none of these points was evaluated before."""
        return self._known.keys().isdisjoint(keys)

    def find(self, key: bytes) -> tuple[int, int] | None:
        """Where a point with these bytes was evaluated before, as (batch, row)."""
        return self._known.get(key)

    def all(self) -> Observations | None:
        """All rows as one batch."""
        if not self.batches:
            return None
        if len(self.batches) > 1:
            joined = concatenate(self.batches)
            places = np.cumsum([0] + [len(b) for b in self.batches]).tolist()
            self._known = {k: (0, places[b] + i) for k, (b, i) in self._known.items()}
            self.batches = [joined]
            self._judged = 0
            self._kept = None
        return self.batches[0]

    def row(self, number: int, names: Sequence[str] = ()) -> Observation | None:
        """The row with this number; None where it is not in memory."""
        for batch in self.batches:
            found = np.flatnonzero(batch.id == number)
            if len(found):
                return batch.observation(int(found[0]), names)
        return None

    def best(self, tolerance: float, names: Sequence[str] = ()) -> Observation | None:
        """The row that no other row beats; looks only at what came since the last call.

        Args:
            tolerance: Largest violation that counts as feasible.
            names: Names of the variables, by which the row can then be indexed.

        Returns:
            None where there is no row.
        """
        fresh = self.batches[self._judged :]
        self._judged = len(self.batches)
        old = self._best
        if (
            old is not None
            and fresh
            and old.violation <= tolerance
            and not math.isnan(old.objective)
            and not (np.concatenate([b.objective for b in fresh]) < old.objective).any()
        ):
            return old  # a feasible row is beaten by a smaller objective only
        for batch, i in _leaders(fresh, tolerance):
            challenger = batch.observation(i, names)
            old = self._best
            if (
                old is None
                or best_index(
                    np.array([old.objective, challenger.objective]),
                    np.array([old.violation, challenger.violation]),
                    tolerance,
                )
                == 1
            ):
                self._best = challenger
        return self._best
