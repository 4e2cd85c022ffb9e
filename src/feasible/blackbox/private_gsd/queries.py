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

from ...core.checks import whole
from ...core.errors import ArgumentError
from .domain import Domain
from .layout import Arrays, One, lay_out

if TYPE_CHECKING:
    from jaxtyping import Float, Int


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


class Workload:
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

    def __add__(self, other: Workload) -> Workload:
        return Sum((*self.parts, *other.parts))

    def compile(self, domain: Domain) -> Queries:
        """The workloads as arrays.

        Args:
            domain: The columns.

        Raises:
            ArgumentError: There are none.
        """
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
        sized = [(j, size or self.bins) for j, size in enumerate(domain.sizes) if size or self.bins]
        return [One(axes) for axes in combinations(sized, self.k)]


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
        pairs: list[tuple[int, ...]] = [
            p for p in combinations(range(domain.d), 2) if not all(sizes[j] for j in p)
        ]
        if domain.d == 1 and not sizes[0]:
            pairs = [(0,)]
        return [
            One(tuple((j, sizes[j] or 2**level) for j in p))
            for p in pairs
            for level in range(1, self.depth + 1)
        ]


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
        cats, nums = domain.categorical, domain.numeric
        if (self.k_num and not nums) or len(cats) < self.k_cat:
            raise ArgumentError(
                f"prefixes of {self.k_cat} categorical and {self.k_num} numeric columns: the "
                f"domain has {len(cats)} and {len(nums)}"
            )
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
        nums = domain.numeric
        if not nums:
            raise ArgumentError("halfspaces: the domain has no numeric column")
        cats = [j for j in domain.categorical if domain.sizes[j] == 2] if self.binary else []
        cats = cats or list(domain.categorical)
        rng = np.random.default_rng([self.seed, 2])
        found = []
        for _ in range(self.count):
            axes = [(j, domain.sizes[j]) for j in rng.choice(cats, 1).tolist()] if cats else []
            slope = rng.standard_normal(len(nums)) / math.sqrt(len(nums))
            found.append(
                One(tuple(axes), (), (tuple(slope.tolist()), float(rng.standard_normal())))
            )
        return found
