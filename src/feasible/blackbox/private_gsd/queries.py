"""Statistical queries on tables: marginals, ranges, prefixes and halfspaces, all counts of rows of
which a predicate is true.

A *workload* is a set of disjoint predicates (the cells of one marginal, one halfspace by the values
of one column), so that replacing a row moves its counts by at most sqrt(2) in L2, by at most 1
where it has a single cell. Workloads add up: ``Marginals(2) + Halfspaces(2000)``.

References:
    arXiv 2306.03257.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ...core.annotations import Checked
from ...core.checks import whole
from ...core.errors import ArgumentError
from .domain import Domain
from .layout import Arrays, One, lay_out

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MOST_CELLS = 2**26
"""Counts of a workload; half a gigabyte for each of the arrays that hold one number a count."""
MOST_WORKLOADS = 2_000_000
"""Some 500 bytes each while they are laid out."""


@dataclass(frozen=True)
class Queries:
    """A workload compiled for a domain.

    Attributes:
        arrays: As the kernels read it.
        part: (w,) which summand of the workload each belongs to.
        titles: Of the summands.
        sensitivity2: (w,) squared L2 sensitivity, in counts.
    """

    arrays: Arrays
    part: Int[np.ndarray, " w"]
    titles: tuple[str, ...]
    sensitivity2: Int[np.ndarray, " w"]

    @property
    def w(self) -> int:
        """Number of workloads."""
        return len(self.part)

    @property
    def q(self) -> int:
        """Number of counts."""
        return int(self.arrays.base[-1])

    def cells(self, which: Iterable[int]) -> Int[np.ndarray, " k"]:
        """Indices of the counts of these workloads."""
        base = self.arrays.base
        return np.concatenate(
            [np.arange(base[w], base[w + 1]) for w in which] or [np.zeros(0, int)]
        )

    def count(self, table: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " q"]:
        """How many rows each predicate is true of."""
        from .kernels import count

        out = np.zeros(self.q, dtype=np.int64)
        count(self.arrays, np.ascontiguousarray(table, dtype=float), out)
        return out


class Workload(Checked):
    """A sum of query classes; `compile` lays it out for a domain."""

    @property
    def parts(self) -> tuple[Workload, ...]:
        """The summands."""
        return (self,)

    @property
    def title(self) -> str:
        """What a person calls it."""
        return type(self).__name__.lower()

    def ones(self, domain: Domain) -> list[One]:
        """The workloads of one summand."""
        raise TypeError(f"{type(self).__name__} does not define ones(domain)")

    def size(self, domain: Domain) -> tuple[int, int]:
        """How many workloads and cells one summand has, without laying them out where that can be
        said in advance."""
        found = self.ones(domain)
        return len(found), sum(one.cells for one in found)

    def __add__(self, other: Workload) -> Workload:
        return Sum((*self.parts, *other.parts))

    def compile(self, domain: Domain) -> Queries:
        """The workloads as arrays.

        Args:
            domain: The columns.

        Raises:
            ArgumentError: There are none, or more than fit in memory.
        """
        counted = [part.size(domain) for part in self.parts]
        for what, count, most in zip(
            ("workloads", "cells"),
            map(sum, zip(*counted, strict=True)),
            (MOST_WORKLOADS, MOST_CELLS),
            strict=False,
        ):
            if count > most:
                raise ArgumentError(
                    f"workload {' + '.join(p.title for p in self.parts)}: has {count:,} {what}, "
                    f"expected at most {most:,}: take fewer columns, ways, bins or levels"
                )
        found = [(i, one) for i, part in enumerate(self.parts) for one in part.ones(domain)]
        if not found:
            raise ArgumentError(
                f"workload {' + '.join(p.title for p in self.parts) or '()'} asks nothing of the "
                f"columns {', '.join(domain.names)}: "
                "expected at least one query"
            )
        titles = [p.title for p in self.parts]
        named = tuple(
            t if titles.count(t) == 1 else f"{t} {titles[:i].count(t) + 1}"
            for i, t in enumerate(titles)
        )
        ones = [one for _, one in found]
        return Queries(
            lay_out(ones, domain),
            np.array([i for i, _ in found]),
            named,
            np.array([1 if o.cells == 1 else 2 for o in ones]),
        )


@dataclass(frozen=True)
class Sum(Workload):
    """Several query classes at once."""

    summands: tuple[Workload, ...] = ()

    @property
    def parts(self) -> tuple[Workload, ...]:
        """The summands."""
        return self.summands


@dataclass(frozen=True)
class Marginals(Workload):
    """All k-way marginals: one cell for each combination of values.

    Attributes:
        k: Columns of a marginal.
        bins: Equal bins of a numeric column; 0 leaves numeric columns out.
    """

    k: int = 2
    bins: int = 16

    def __post_init__(self) -> None:
        whole("k", self.k, least=1)
        whole("bins", self.bins, least=0)

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.k}-way marginals"

    def ones(self, domain: Domain) -> list[One]:
        """One workload for each set of k columns."""
        return [One(axes) for axes in combinations(self._axes(domain), self.k)]

    def size(self, domain: Domain) -> tuple[int, int]:
        """Workloads and cells: the latter is the k-th elementary symmetric polynomial of the
        columns' bins."""
        sizes = [size for _, size in self._axes(domain)]
        if self.k > len(sizes):
            return 0, 0
        cells = [1] + [0] * self.k
        for size in sizes:
            cells = [1, *(cells[i] + size * cells[i - 1] for i in range(1, self.k + 1))]
        return math.comb(len(sizes), self.k), cells[self.k]

    def _axes(self, domain: Domain) -> list[tuple[int, int]]:
        """Return the columns that are taken, with their bins."""
        return [(j, size or self.bins) for j, size in enumerate(domain.sizes) if size or self.bins]


@dataclass(frozen=True)
class Ranges(Workload):
    """Binary-tree marginals: pairs of columns of which one at least is numeric.

    Attributes:
        depth: Levels; numeric columns are cut in 2, 4, ..., 2^depth equal bins.
    """

    depth: int = 5

    def __post_init__(self) -> None:
        whole("depth", self.depth, least=1)

    def ones(self, domain: Domain) -> list[One]:
        """One workload for each pair and level; a table of one numeric column has its levels
        alone."""
        sizes = domain.sizes
        return [
            One(tuple((j, sizes[j] or 2**level) for j in p))
            for p in self._pairs(domain)
            for level in range(1, self.depth + 1)
        ]

    def size(self, domain: Domain) -> tuple[int, int]:
        """Workloads and cells; of a pair with c categories beside a number these are
        c (2 + ... + 2^depth), of two numbers 4 + ... + 4^depth."""
        sizes, pairs = domain.sizes, self._pairs(domain)
        if self.depth > 64:  # one workload alone would have more cells than can be counted
            return self.depth * len(pairs), len(pairs) << 64
        levels = range(1, self.depth + 1)
        return self.depth * len(pairs), sum(
            math.prod(sizes[j] or 2**level for j in p) for p in pairs for level in levels
        )

    def _pairs(self, domain: Domain) -> list[tuple[int, ...]]:
        """Return the pairs of columns, or the one column that there is."""
        sizes = domain.sizes
        if domain.d == 1 and not sizes[0]:
            return [(0,)]
        return [p for p in combinations(range(domain.d), 2) if not all(sizes[j] for j in p)]


@dataclass(frozen=True)
class Prefixes(Workload):
    """`count` random predicates: k_cat columns have given values and k_num numeric columns (drawn
    with replacement) lie below thresholds.
    """

    count: int = 2000
    k_cat: int = 1
    k_num: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (
            ("count", self.count),
            ("k_cat", self.k_cat),
            ("k_num", self.k_num),
            ("seed", self.seed),
        ):
            whole(name, value, least=0)

    def ones(self, domain: Domain) -> list[One]:
        """Each predicate is a workload with a single cell."""
        self._check(domain)
        cats, nums = domain.categorical, domain.numeric
        rng = np.random.default_rng([self.seed, 1])
        found = []
        for _ in range(self.count):
            equal = (
                [
                    (j, v - 0.5, v + 0.5)
                    for j in sorted(rng.choice(cats, self.k_cat, replace=False).tolist())
                    if self.k_cat
                    for v in [float(rng.integers(domain.sizes[j]))]
                ]
                if self.k_cat
                else []
            )
            lowest: dict[
                int, float
            ] = {}  # of two thresholds of one column the lower one says it all
            for j in rng.choice(nums, self.k_num).tolist() if self.k_num else []:
                lowest[j] = min(float(rng.random()), lowest.get(j, math.inf))
            found.append(One((), (*equal, *((j, -math.inf, t) for j, t in sorted(lowest.items())))))
        return found

    def size(self, domain: Domain) -> tuple[int, int]:
        """Workloads and cells: `count` of both."""
        self._check(domain)
        return self.count, self.count

    def _check(self, domain: Domain) -> None:
        """Refuse a domain that has not the columns."""
        cats, nums = domain.categorical, domain.numeric
        if (self.k_num and not nums) or len(cats) < self.k_cat:
            raise ArgumentError(
                f"prefixes of {self.k_cat} categorical and {self.k_num} numeric columns: the "
                f"domain has {len(cats)} and {len(nums)}"
            )


@dataclass(frozen=True)
class Halfspaces(Workload):
    """`count` random halfspaces a . x > b of the numeric columns in [0, 1], each by the values of
    one random categorical column.

    a ~ N(0, I) / sqrt(number of numeric columns), b ~ N(0, 1).

    Attributes:
        count: Halfspaces.
        seed: Of the draws.
        binary: Take columns of two values only, where there are any, as the paper does.
    """

    count: int = 2000
    seed: int = 0
    binary: bool = True

    def __post_init__(self) -> None:
        whole("count", self.count, least=0)
        whole("seed", self.seed, least=0)

    def ones(self, domain: Domain) -> list[One]:
        """One workload for each halfspace; its cells are the values of the column."""
        nums, cats = domain.numeric, self._by(domain)
        rng = np.random.default_rng([self.seed, 2])
        found = []
        for _ in range(self.count):
            axes = [(j, domain.sizes[j]) for j in rng.choice(cats, 1).tolist()] if cats else []
            slope = rng.standard_normal(len(nums)) / math.sqrt(len(nums))
            found.append(
                One(tuple(axes), (), (tuple(slope.tolist()), float(rng.standard_normal())))
            )
        return found

    def size(self, domain: Domain) -> tuple[int, int]:
        """Workloads, and the most cells that they can have."""
        cats = self._by(domain)
        return self.count, self.count * max((domain.sizes[j] for j in cats), default=1)

    def _by(self, domain: Domain) -> list[int]:
        """Return the categorical columns that may be drawn."""
        if not domain.numeric:
            raise ArgumentError("halfspaces: the domain has no numeric column")
        cats = [j for j in domain.categorical if domain.sizes[j] == 2] if self.binary else []
        return cats or list(domain.categorical)
