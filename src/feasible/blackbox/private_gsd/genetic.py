"""The genetic optimisers of Private-GSD: find a table whose answers are near given ones, by
mutations and crossovers of single cells.

    minimise  L(S) = sum_q weight_q (count_q(S) - target_q)^2,  target_q = rows * noisy answer of q

"elite" is the optimiser of the paper: 50 mutations and 50 crossovers of the best table a
generation, the crossovers taking values from an archive of the best tables. The archive starts with
a single random table: others would leave it in the first generation. "bandit" is the one of the
authors' current release: operators chosen by what they earned.

References:
    T. Liu, J. Tang, G. Vietri, Z. S. Wu (ICML 2023, arXiv 2306.03257), section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError
from .domain import Domain
from .evolution import (
    CONTINUOUS,
    CROSS1,
    CROSS2,
    MUTATE,
    SWAP,
    Archive,
    Bets,
    Candidates,
    Operators,
    Variation,
    evolve_bandit,
    evolve_elite,
)
from .kernels import Goal
from .queries import Queries

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt64

EXPLORE = 0.05
"""Share of the generations whose operator is drawn uniformly (bandit)."""
RATE = 0.1
"""Learning rate of the operators' weights (bandit)."""
INTERVALS = 31
"""Inter-quantile intervals that a numeric value is drawn from, beside the two edges (bandit)."""


@dataclass(frozen=True)
class Optimiser:
    """Settings of a fit; the numbers are the published ones, but for numeric_noise.

    Attributes:
        kind: "bandit" or "elite".
        population: Candidates of a generation (bandit).
        mutations: Of a generation (elite).
        crossovers: Of a generation (elite).
        elite: Tables in the archive (elite).
        numeric_noise: Standard deviation added to a numeric value that is crossed over, on [0, 1];
            the authors' code has 1.
        tolerance: A fit ends when L fell by less than this share over max(100, rows) generations.
    """

    kind: str = "bandit"
    population: int = 50
    mutations: int = 50
    crossovers: int = 50
    elite: int = 5
    numeric_noise: float = 0.05
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        one_of("optimiser", self.kind, ("bandit", "elite"))
        for name in ("population", "elite"):
            whole(name, getattr(self, name), least=1)
        if min(self.mutations, self.crossovers) < 0 or self.mutations + self.crossovers < 1:
            raise ArgumentError(
                f"mutations={self.mutations}, crossovers={self.crossovers}: expected integers >= "
                "0, not both 0"
            )
        real("numeric_noise", self.numeric_noise, least=0)
        real("tolerance", self.tolerance, least=0)


@dataclass(slots=True)
class Fit:
    """Where a fit stands.

    Attributes:
        table: (rows, d).
        counts: (Q,) of it.
        target: (Q,) what they should be.
        weight: (Q,) which matter; 0: never measured.
        bits: (1,) state of the random stream.
        power: (K,) log weights of the operators (bandit).
        kept, above, length, rows, cols, values: As in `Archive` (elite).
        loss: L.
        last: L a check ago.
        generation: Of this fit.
        trace: (generation of the whole run, L / rows^2) after each block.
        total: Generations of the whole run.
    """

    table: Float[np.ndarray, "rows d"]
    counts: Int[np.ndarray, " Q"]
    target: Float[np.ndarray, " Q"]
    weight: Float[np.ndarray, " Q"]
    bits: UInt64[np.ndarray, " 1"]
    power: Float[np.ndarray, " K"]
    kept: Int[np.ndarray, " 1"]
    above: Float[np.ndarray, " E"]
    length: Int[np.ndarray, " E"]
    rows: Int[np.ndarray, "E M"]
    cols: Int[np.ndarray, "E M"]
    values: Float[np.ndarray, "E M"]
    loss: float = math.inf
    last: float = math.inf
    generation: int = 0
    trace: list[tuple[int, float]] = field(default_factory=list)
    total: int = 0

    @property
    def goal(self) -> Goal:
        """What the table should count, for the kernels."""
        return Goal(self.counts, self.target, self.weight)

    @property
    def archive(self) -> Archive:
        """The archive of the published optimiser, for the kernels."""
        return Archive(self.kept, self.above, self.length, self.rows, self.cols, self.values)


def random_table(
    domain: Domain, rows: int, rng: np.random.Generator
) -> Float[np.ndarray, "rows d"]:
    """Independent uniform values."""
    return np.stack(
        [
            rng.integers(size, size=rows).astype(float) if size else rng.random(rows)
            for size in domain.sizes
        ],
        axis=1,
    )


def start(
    domain: Domain, queries: Queries, rows: int, settings: Optimiser, rng: np.random.Generator
) -> Fit:
    """A random table with nothing to fit yet."""
    table = random_table(domain, rows, rng)
    e, m = settings.elite, 2 * settings.elite + 2
    return Fit(
        table,
        queries.count(table),
        np.zeros(queries.q),
        np.zeros(queries.q),
        rng.integers(2**63, size=1).astype(np.uint64),
        np.zeros(len(operators(domain))),
        np.ones(1, np.int64),
        np.zeros(e),
        np.zeros(e, np.int64),
        np.zeros((e, m), np.int64),
        np.zeros((e, m), np.int64),
        np.zeros((e, m)),
    )


def aim(fit: Fit, answers: Float[np.ndarray, " k"], cells: Int[np.ndarray, " k"]) -> None:
    """Take measured answers as targets, and begin a fit.

    Args:
        fit: Changed in place.
        answers: (k,) shares of rows.
        cells: (k,) the counts that they are of.
    """
    fit.target[cells] = len(fit.table) * answers
    fit.weight[cells] = 1.0
    fit.loss = loss(fit)
    fit.last, fit.generation = fit.loss, 0
    fit.kept[0], fit.above[0], fit.length[0] = 1, 0.0, 0


def loss(fit: Fit) -> float:
    """L, computed afresh."""
    return float(np.sum(fit.weight * (fit.counts - fit.target) ** 2))


def refresh(fit: Fit, queries: Queries) -> None:
    """After the table was replaced: its counts, L, and an archive that starts with it."""
    fit.counts[:] = queries.count(fit.table)
    fit.loss = loss(fit)
    fit.last = fit.loss
    fit.kept[0], fit.above[0], fit.length[0] = 1, 0.0, 0


def operators(domain: Domain) -> list[int]:
    """The operators of the bandit that have something to change in this domain."""
    found = [MUTATE] if domain.categorical else []
    found += [CONTINUOUS] if domain.numeric else []
    found += [SWAP]
    found += [CROSS1] if domain.categorical else []
    return found + ([CROSS2] if len(domain.categorical) > 1 else [])


def block(rows: int) -> int:
    """Generations after which the bandit learns and convergence is checked."""
    return max(100, rows)


def advance(
    fit: Fit, domain: Domain, queries: Queries, settings: Optimiser, generations: int
) -> bool:
    """Go on for at most one block of generations.

    Args:
        fit: Changed in place.
        domain: The columns.
        queries: What is counted.
        settings: The optimiser.
        generations: At most.

    Returns:
        False where the fit is over: L has converged, or is 0.
    """
    n = min(block(len(fit.table)), generations)
    sizes = np.array(domain.sizes, dtype=np.int64)
    if settings.kind == "elite":
        _elite(fit, queries, settings, sizes, n)
    else:
        _bandit(fit, domain, queries, settings, sizes, n)
    fit.loss = loss(fit)
    fit.generation += n
    fit.total += n
    fit.trace.append((fit.total, fit.loss / len(fit.table) ** 2))
    going = fit.loss > 0 and not (
        n == block(len(fit.table)) and fit.last - fit.loss < settings.tolerance * fit.last
    )
    fit.last = fit.loss
    return going


def _elite(
    fit: Fit, queries: Queries, settings: Optimiser, sizes: Int[np.ndarray, " d"], n: int
) -> None:
    """Go on for n generations with the published optimiser."""
    tried = settings.mutations + settings.crossovers
    archive = fit.archive
    evolve_elite(
        queries.arrays,
        fit.table,
        fit.goal,
        Variation(settings.mutations, settings.crossovers, float(settings.numeric_noise), sizes),
        fit.bits,
        n,
        archive,
        Candidates(
            change=np.empty(tried),
            row=np.empty(tried, np.int64),
            col=np.empty(tried, np.int64),
            value=np.empty(tried),
            taken=np.empty(tried, np.bool_),
        ),
        Archive(*(np.empty_like(a) for a in archive)),
        np.empty(settings.elite, np.bool_),
        np.empty(fit.table.shape[1]),
    )


def _bandit(
    fit: Fit, domain: Domain, queries: Queries, settings: Optimiser, sizes: np.ndarray, n: int
) -> None:
    """Go on for n generations with the bandit, then let it learn."""
    ops = operators(domain)
    share = np.exp(fit.power - fit.power.max())
    p = (1 - EXPLORE) * share / share.sum() + EXPLORE / len(ops)
    cats = np.array(domain.categorical, dtype=np.int64)
    # every column as often as the logarithm of its cardinality asks for
    times = (
        np.maximum(np.round(10 * np.log2(np.maximum(sizes[cats], 2))), 1).astype(int)
        if len(cats)
        else np.zeros(0, int)
    )
    inner = np.quantile(
        fit.table[:, list(domain.numeric)], np.linspace(0, 1, INTERVALS + 1), axis=0
    ).T
    edges = np.concatenate([np.zeros((len(inner), 1)), inner, np.ones((len(inner), 1))], axis=1)
    bets = Bets(np.empty(n, dtype=np.int64), np.empty(n, dtype=np.bool_))
    evolve_bandit(
        queries.arrays,
        fit.table,
        fit.goal,
        Operators(
            ops=np.array(ops, dtype=np.int64),
            p=p,
            population=settings.population,
            sizes=sizes,
            categorical=cats,
            mutated=np.repeat(cats, times),
            quantiles=np.ascontiguousarray(edges),
        ),
        fit.bits,
        bets,
        np.empty((7, domain.d)),
        np.empty(4, np.int64),
    )
    used, won = bets
    fit.power += RATE * np.bincount(used[won], minlength=len(ops)) / p
    fit.power -= fit.power.max()
    np.maximum(fit.power, -100.0, out=fit.power)
