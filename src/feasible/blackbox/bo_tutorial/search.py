"""Maximising an acquisition over the allowed points of a box: features of points, candidates, and a
local search that stays inside.

Candidates are drawn in the box and near the best points, kept where the known constraints allow
them, and the most promising are improved by L-BFGS over the real variables (whole numbers and
categories held), then by neighbours in the others. What leaves the allowed set is pulled back
toward the start, which is inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import qmc

from ..descriptors import directions
from ..space import Known, Space, sample_allowed

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ..history import History
    from ..menu import Menu

Score = Callable[[torch.Tensor], torch.Tensor]
"""Features (b, k) -> (b,), to be maximised; with gradients."""
ALIKE = 0.5
"""Height of the indicator columns of a category whose choices have descriptors, 1 for others: what
these do not tell is expected to matter less.
"""


class Domain:
    """The box as a model sees it: real and whole variables scaled to [0, 1], categories as
    indicator columns, a task as its code; then the directions of categories' descriptors; then,
    where an earlier study is known, 1 in its rows and 0 in others.

    Args:
        space: The box.
        known: Constraints on the inputs alone.
        task: Index of the variable that counts as a task.
        history: An earlier study, whose rows are a second task of the objective.

    Attributes:
        k: Number of features.
        columns: By variable, its own features.
        told: By category with descriptors, the features of these and their values (choices, q).
        earlier: Feature that tells rows of an earlier study; None without one.
        real: Features of the real variables.
        whole: Indices of the whole numbers and categories.
        stepped: Indices of the real variables on a grid.
    """

    def __init__(
        self,
        space: Space,
        known: Known | None = None,
        task: int | None = None,
        history: History | None = None,
    ):
        self.space, self.known, self.task, self.history = space, known, task, history
        self.columns: list[list[int]] = []
        k = 0
        for j, v in enumerate(space.variables):
            width = len(v.choices) if v.choices and j != task else 1
            self.columns.append(list(range(k, k + width)))
            k += width
        self.told: dict[int, tuple[list[int], np.ndarray]] = {}
        for j, v in enumerate(space.variables):
            if v.descriptors and j != task:
                table = directions(v.descriptors)
                self.told[j] = list(range(k, k + table.shape[1])), table
                k += table.shape[1]
        self.earlier = None if history is None else k
        self.k = k + (history is not None)
        self.real = np.array(
            [
                self.columns[j][0]
                for j, v in enumerate(space.variables)
                if not v.integer and space.high[j] > space.low[j]
            ],
            dtype=int,
        )
        self.whole = [
            j for j, v in enumerate(space.variables) if v.integer and space.high[j] > space.low[j]
        ]
        self.stepped = [j for j in np.flatnonzero(space.step > 0).tolist() if j not in self.whole]

    def z(self, x: Float[np.ndarray, "n d"], earlier: float = 0.0) -> Float[np.ndarray, "n k"]:
        """Features of points; earlier: 1 for those of the earlier study."""
        unit = self.space.unit(x)
        out = np.zeros((len(x), self.k))
        for j, columns in enumerate(self.columns):
            if j == self.task:
                out[:, columns[0]] = x[:, j] - self.space.low[j]
            elif len(columns) > 1:
                codes = np.rint(x[:, j]).astype(int)
                out[np.arange(len(x)), columns[0] + codes] = ALIKE if j in self.told else 1.0
            else:
                out[:, columns[0]] = unit[:, j]
        for j, (columns, table) in self.told.items():
            out[:, columns] = table[np.rint(x[:, j]).astype(int)]
        if self.earlier is not None:
            out[:, self.earlier] = earlier
        return out

    def box(self) -> Float[np.ndarray, "2 k"]:
        """Bounds of the features of points that may be proposed."""
        bounds = np.vstack([np.zeros(self.k), np.ones(self.k)])
        if self.earlier is not None:
            bounds[1, self.earlier] = 0.0
        return bounds

    def x(self, z: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """Points of features, inside the box, whole numbers rounded."""
        low, high = self.space.low, self.space.high
        out = np.empty((len(z), self.space.d))
        for j, columns in enumerate(self.columns):
            v, u = self.space.variables[j], z[:, columns[0]]
            if j == self.task:
                out[:, j] = low[j] + u
            elif len(columns) > 1:
                out[:, j] = z[:, columns].argmax(axis=1)
            elif v.log:
                out[:, j] = low[j] * np.exp(np.clip(u, 0, 1) * np.log(high[j] / low[j]))
            else:
                out[:, j] = low[j] + np.clip(u, 0, 1) * (high[j] - low[j])
        return self.space.snap(out)

    def allowed(self, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """(n,) True where the known constraints let a point through."""
        return np.ones(len(x), dtype=bool) if self.known is None else self.known(x)

    def covering(
        self, n: int, rng: np.random.Generator, known: bool = True
    ) -> Float[np.ndarray, "n d"]:
        """Points that cover the allowed part of the box: a scrambled Sobol sequence, thinned by
        rejection.

        Args:
            n: How many.
            rng: Of the scrambling.
            known: Whether the known constraints count.
        """
        engine = qmc.Sobol(
            self.space.d, scramble=True, rng=np.random.default_rng(int(rng.integers(2**31)))
        )

        def uniform(k: int) -> np.ndarray:
            return (
                engine.random(1 << max(k - 1, 0).bit_length())[:k]
                if self.known is None
                else engine.random(1 << max(k - 1, 0).bit_length())
            )

        return np.array(sample_allowed(self.space, self.known if known else None, n, uniform))


@dataclass(slots=True)
class AcquisitionSearch:
    """How an acquisition is searched.

    Attributes:
        domain: The box as the models see it.
        rng: Of the candidates.
        raw: Candidates.
        starts: How many of them are improved.
        steps: Iterations of L-BFGS.
        held: Index of a variable -> the value that proposals must keep.
        seen: Bytes of points that may not come again.
        filter: A further test of points (n, d) -> (n,) bool, such as what is left of a budget.
    """

    RAW: ClassVar[int] = 128
    STARTS: ClassVar[int] = 4

    domain: Domain
    rng: np.random.Generator
    raw: int = RAW
    starts: int = STARTS
    steps: int = 50
    held: dict[int, float] = field(default_factory=dict)
    seen: frozenset[bytes] = frozenset()
    filter: Callable[[np.ndarray], np.ndarray] | None = None

    def fits(self, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """True for points that may be proposed, whether or not they were seen."""
        good = self.domain.allowed(x)
        for j, value in self.held.items():
            good = good & (x[:, j] == value)
        return good if self.filter is None else good & self.filter(x)

    def hold(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points with the held variables at their values."""
        out = x.copy()
        for j, value in self.held.items():
            out[:, j] = value
        return out

    def candidates(self, near: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n d"]:
        """Allowed points, half of them around `near` (good points, best first), without repeats."""
        d = self.domain
        parts = [self.hold(d.covering(self.raw, self.rng))]
        if len(near):
            z = d.z(near[self.rng.integers(min(len(near), 3), size=self.raw)])
            width = 10.0 ** self.rng.uniform(-3, -0.7, (len(z), 1))
            some = self.rng.random((len(z), d.k)) < max(0.5, 3 / d.k)
            moved = (
                d.x(np.clip(z + some * width * self.rng.standard_normal(z.shape), 0, 1))
                if d.task is None
                else near[:0]
            )
            for j in d.whole:
                jump = self.rng.random(len(moved)) < 0.2
                lo, hi = int(d.space.low[j]), int(d.space.high[j])
                moved[jump, j] = self.rng.integers(lo, hi + 1, int(jump.sum()))
            parts.append(self.hold(d.space.snap(moved) if len(moved) else moved))
        x = np.concatenate(parts)
        x = x[self.fits(x)]
        return np.unique(x, axis=0) if len(x) else x

    def maximise(
        self,
        score: Score,
        near: Float[np.ndarray, "m d"],
        extra: Float[np.ndarray, "e d"] | None = None,
    ) -> Float[np.ndarray, "n d"]:
        """Search the allowed points for the largest score.

        Args:
            score: Features (b, k) -> (b,).
            near: (m, d) good points, best first.
            extra: (e, d) further points to be looked at.

        Returns:
            Distinct allowed points, best first; those that were seen come last.
        """
        if self.domain.space.menu is not None:
            return self.of_menu(self.domain.space.menu, score, near)
        pool = self.candidates(near)
        if extra is not None and len(extra):
            pool = np.concatenate([extra[self.fits(extra)], pool])
        if not len(pool):
            pool = self.hold(self.domain.covering(1, self.rng))
        values = self.values(score, pool)
        grid = bool(self.domain.whole or self.domain.stepped)
        for _ in range(4 if grid or self.domain.space.tied else 1):
            before = len(pool)
            start = self.pick(values)
            grown = [self.climb(score, pool[start])]
            if grid:
                grown.append(self.neighbours(pool[int(np.argmax(values))]))
            if self.domain.known is not None:
                grown.append(self.wander(pool[int(np.argmax(values))]))
            fresh = np.concatenate(grown)
            fresh = fresh[self.fits(fresh)]
            top = values.max()
            pool, values = (
                np.concatenate([pool, fresh]),
                np.concatenate([values, self.values(score, fresh)]),
            )
            if len(pool) == before or not values[before:].max() > top + 1e-9:
                break
        pool = self.unseen_first(pool[np.argsort(-values, kind="stable")])
        first = {(row + 0.0).tobytes(): i for i, row in reversed(list(enumerate(pool)))}
        return pool[sorted(first.values())]

    def of_menu(
        self, menu: Menu, score: Score, near: Float[np.ndarray, "m d"]
    ) -> Float[np.ndarray, "n d"]:
        """Rows of a menu, largest score first: of a long one those that are shown, then those about
        the best of them; those that were seen come last.
        """
        x = menu.shown(self.rng, near[:2])
        x = x[self.fits(x)]
        values = self.values(score, x)
        if len(x) < len(menu) and len(x):
            new = self.unseen_first(x[np.argsort(-values, kind="stable")])[:2]
            more = np.unique(np.concatenate([x, menu.shown(self.rng, new)]), axis=0)
            x = more[self.fits(more)]
            values = self.values(score, x)
        if not len(x):
            return self.hold(self.domain.covering(1, self.rng))
        return self.unseen_first(x[np.argsort(-values, kind="stable")])

    def met(self, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """True for points that were seen."""
        return np.array([(row + 0.0).tobytes() in self.seen for row in x], dtype=bool)

    def unseen_first(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """The points in their order, but those that were seen last."""
        return x[np.argsort(self.met(x), kind="stable")]

    def values(self, score: Score, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """The score of points; NaN counts as the least."""
        if not len(x):
            return np.empty(0)
        z = torch.as_tensor(self.domain.z(x))
        with torch.no_grad():
            v = np.concatenate([score(z[i : i + 512]).numpy() for i in range(0, len(z), 512)])
        return np.where(np.isnan(v), -1e300, np.clip(v, -1e300, 1e300))

    def pick(self, values: Float[np.ndarray, " n"]) -> np.ndarray:
        """Where to climb from: the best, and others drawn with weight exp(standardised value)."""
        if len(values) <= self.starts:
            return np.arange(len(values))
        clipped = np.maximum(values, np.quantile(values, 0.25))
        v = (clipped - clipped.max()) / max(float(clipped.std()), 1e-12)
        weight = np.exp(2 * v)
        best = int(np.argmax(values))
        weight[best] = 0.0
        some = min(self.starts - 1, int((weight > 0).sum()))
        return (
            np.append(
                best,
                self.rng.choice(len(values), size=some, replace=False, p=weight / weight.sum()),
            )
            if some
            else np.array([best])
        )

    def climb(self, score: Score, x: Float[np.ndarray, "s d"]) -> Float[np.ndarray, "s d"]:
        """L-BFGS over the real variables of all starts at once; an end that is not allowed is
        pulled back toward its start.
        """
        d = self.domain
        columns = np.array(
            [c for c in d.real if c not in {d.columns[j][0] for j in self.held}], dtype=int
        )
        if not len(columns) or not len(x):
            return x[:0]
        z0 = d.z(x)
        fixed = torch.as_tensor(z0)

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            free = torch.tensor(flat.reshape(len(x), -1), requires_grad=True)
            z = fixed.clone()
            z[:, columns] = free
            total = -score(z).sum()
            gradient = torch.autograd.grad(total, free)[0].numpy().ravel()
            return float(total.detach()), np.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)

        found = minimize(
            loss,
            z0[:, columns].ravel(),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * (len(x) * len(columns)),
            options={"maxiter": self.steps},
        )
        z1 = z0.copy()
        if np.isfinite(found.x).all():
            z1[:, columns] = found.x.reshape(len(x), -1)
        ends = self.hold(d.x(z1))
        inside = self.fits(ends)
        if inside.all():
            return ends
        low, high = np.zeros(len(x)), np.ones(len(x))
        for _ in range(20):
            middle = 0.5 * (low + high)
            ok = self.fits(self.hold(d.x(z0 + middle[:, None] * (z1 - z0))))
            low, high = np.where(ok, middle, low), np.where(ok, high, middle)
        back = self.hold(d.x(z0 + low[:, None] * (z1 - z0)))
        return np.where(inside[:, None], ends, back)

    def neighbours(self, x: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n d"]:
        """Points that differ in one number of a grid (by a step) or one category (by any)."""
        out = []
        for j in (*self.domain.whole, *self.domain.stepped):
            v, step = self.domain.space.variables[j], float(self.domain.space.step[j])
            values: Iterable[float] = (
                range(len(v.choices)) if v.choices else (x[j] - step, x[j] + step)
            )
            for value in values:
                if (
                    j not in self.held
                    and self.domain.space.low[j] <= value <= self.domain.space.high[j]
                    and value != x[j]
                ):
                    y = x.copy()
                    y[j] = value
                    out.append(y)
        return self.domain.space.snap(np.array(out[:200]).reshape(-1, len(x)))

    def wander(self, x: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n d"]:
        """Points around x at several distances: along the boundary of the allowed set, where L-BFGS
        stops.
        """
        z = self.domain.z(x[None])
        width = 10.0 ** self.rng.uniform(-4, -1, (96, 1))
        some = np.zeros(self.domain.k)
        some[self.domain.real] = 1.0
        return self.hold(
            self.domain.x(
                np.clip(z + some * width * self.rng.standard_normal((96, self.domain.k)), 0, 1)
            )
        )


def keys_of(x: Float[np.ndarray, "n d"]) -> frozenset[bytes]:
    """The bytes of each point, by which repeats are known."""
    return frozenset(row.tobytes() for row in x + 0.0)


__all__ = ["AcquisitionSearch", "Domain", "Score", "keys_of"]
