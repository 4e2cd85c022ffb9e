"""PrivateTable: a private table, what of it should survive, and oracles that answer with noise and
charge for it.

    minimise  mean_q |q(D) - q(S)|   over tables S,   D seen only through mechanisms that together
    are rho-zCDP

A method sees D through `measure` and `select` alone. Both charge the run's budget of `rho` before
any noise is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.budget import spend
from ...core.errors import ArgumentError, ArgumentTypeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..space import Categorical, Real, Variable
from .accounting import Noise, cdp_rho, gaussian_variance, gumbel_scale
from .domain import Domain
from .queries import Queries, Workload

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int


@dataclass(slots=True)
class Synthetic:
    """An answer.

    Attributes:
        rows: (n, d) rows of a synthetic table, encoded as its domain says; none before anything
            was measured.
    """

    rows: Float[np.ndarray, "n d"]


@dataclass(frozen=True, slots=True)
class Errors(Verdict):
    """The true errors of a synthetic table.

    It never beats another one: choosing among tables by their true errors would publish what no
    noise covers. So a run returns the method's last table, not the best of its trail.
    """

    def beats(self, other: Verdict | None) -> bool:
        """True beside nothing only."""
        return other is None


@dataclass(frozen=True, slots=True)
class Measured:
    """Noisy answers of some workloads.

    Attributes:
        cells: (k,) which counts.
        answers: (k,) shares of rows with noise, not clipped.
        sigma: (w,) by workload, the noise of a share.
        rho: Spent on each workload.
    """

    cells: Int[np.ndarray, " k"]
    answers: Float[np.ndarray, " k"]
    sigma: Float[np.ndarray, " w"]
    rho: float


@dataclass(frozen=True, slots=True)
class _Columns:
    """A table's columns as variables of a space, for listings and to recognise a stored run's
    problem.
    """

    variables: tuple[Variable, ...]

    @property
    def d(self) -> int:
        """Number of columns."""
        return len(self.variables)


@dataclass(frozen=True, slots=True)
class _NoLimits:
    """What says that there are no constraints."""

    limits: tuple[Any, ...] = ()
    m: int = 0


@dataclass
class PrivateTable(Problem):
    """A private table and the queries whose answers a synthetic table should keep.

    It asks to minimise mean_q |q(D) - q(S)| (or the largest) over tables S. Neighbouring tables
    differ in one row; the number of rows is public. The verdict is measured on the private rows: it
    is for those who may see them, and is not private.

    Attributes:
        data: The private rows, with the columns of `domain`.
        domain: What they may hold.
        workload: The queries.
        name: Of the problem.
        objective: "average" or "max" absolute error over all queries, of shares of rows.
        best_known: Least error known.

    Raises:
        ArgumentError: The workload is empty, or values are missing or outside the domain.
    """

    data: pd.DataFrame
    domain: Domain
    workload: Workload
    name: str = "private-table"
    objective: str = "average"
    best_known: float | None = None
    limits: Any = field(default_factory=_NoLimits, repr=False)

    endings = (".json", ".csv", ".npz")
    example_budget: ClassVar[str] = "rho=0.05"

    def __post_init__(self) -> None:
        if not isinstance(self.domain, Domain):
            raise ArgumentTypeError(f"domain: got {type(self.domain).__name__}, expected a Domain")
        if not isinstance(self.workload, Workload):
            raise ArgumentTypeError(
                f"workload: got {type(self.workload).__name__}, expected query classes such as "
                "Marginals(2) + Prefixes(2000)"
            )
        if self.objective not in ("average", "max"):
            raise ArgumentError(f"objective={self.objective!r}: expected 'average' or 'max'")
        self._rows = self.domain.encode(self.data)
        self.queries: Queries = self.workload.compile(self.domain)
        self.domain = self.domain.typed_as(self.data)

    @property
    def n(self) -> int:
        """Number of private rows, which is public."""
        return len(self._rows)

    @property
    def space(self) -> _Columns:
        """The columns."""
        return _Columns(
            tuple(
                Categorical(name, values) if values else Real(name, *bounds)
                for name, values, bounds in zip(
                    self.domain.names, self.domain.values, self.domain.bounds, strict=True
                )
            )
        )

    @property
    def metric_titles(self) -> dict[str, str]:
        """Heading of the objective."""
        return {f"{self.objective}_error": f"{self.objective} error"}

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """Name of the objective."""
        return tuple(self.metric_titles)

    @cached_property
    def _counts(self) -> Int[np.ndarray, " q"]:
        """What the private rows count."""
        return self.queries.count(self._rows)

    # -- oracles -----------------------------------------------------------------------------------

    def measure(self, which: Sequence[int], rho: float, noise: Noise) -> Measured:
        """Noisy answers of some workloads, by the discrete Gaussian mechanism on their counts.

        Args:
            which: Numbers of the workloads.
            rho: Of each, in zero-concentrated differential privacy; inf: the exact answers.
                len(which) * rho is charged before anything is drawn.
            noise: Where the noise comes from.
        """
        spend(rho=len(which) * rho)
        cells = self.queries.cells(which)
        counts = self._counts[cells].astype(float)
        sigma = np.zeros(len(which))
        if rho != np.inf:
            taken = np.asarray(which, dtype=np.int64)
            widths = np.diff(self.queries.arrays.base)[taken]
            for s in np.unique(self.queries.sensitivity2[taken]).tolist():
                variance = gaussian_variance(s, rho)
                mine = self.queries.sensitivity2[taken] == s
                cell = np.repeat(mine, widths)
                counts[cell] += noise.discrete_gaussian(variance, int(cell.sum()))
                sigma[mine] = float(variance) ** 0.5
        return Measured(cells, counts / self.n, sigma / self.n, rho)

    def select(
        self,
        answers: Float[np.ndarray, " q"],
        open_: Bool[np.ndarray, " w"],
        draws: int,
        rho: float,
        noise: Noise,
    ) -> list[int]:
        """The workloads that are answered worst, by the exponential mechanism. The score of a
        workload is its largest error, which one row moves by at most 1 / n.

        Args:
            answers: (q,) what a table answers, as shares of rows.
            open_: (w,) workloads to choose from.
            draws: How many are chosen.
            rho: Of the whole selection, charged before anything is drawn; inf: the worst ones.
            noise: Where the noise comes from.

        Returns:
            Numbers of workloads.
        """
        draws = min(draws, int(open_.sum()))
        if draws == 0:
            return []
        spend(rho=rho)
        error = np.abs(self._counts - self.n * answers)
        score = np.maximum.reduceat(error, self.queries.arrays.base[:-1])
        if rho != np.inf:
            score = score + noise.gumbel(gumbel_scale(draws, rho), len(score))
        score[~open_] = -np.inf
        return np.argsort(-score, kind="stable")[:draws].tolist()

    # -- answers -----------------------------------------------------------------------------------

    def rho_of(self, epsilon: float, delta: float | None = None) -> float:
        """What (epsilon, delta)-DP allows; delta is 1/n^2 unless given."""
        return cdp_rho(epsilon, 1 / self.n**2 if delta is None else delta)

    def errors(self, answer: Synthetic | pd.DataFrame) -> Float[np.ndarray, " q"]:
        """Absolute error of every query, of shares of rows, against the private table."""
        rows = (
            self.domain.snapped(answer.rows)
            if isinstance(answer, Synthetic)
            else self.domain.encode(answer)
        )
        return np.abs(self._counts / self.n - self.queries.count(rows) / len(rows))

    def judge(self, answer: Any) -> Verdict:
        """Average and largest error of a synthetic table. Not private."""
        if answer is None or (isinstance(answer, Synthetic) and not len(answer.rows)):
            return Errors(float("nan"), float("inf"))
        error = self.errors(answer)
        metrics = {"average_error": float(error.mean()), "max_error": float(error.max())}
        if len(self.queries.titles) > 1:
            cell_part = np.repeat(self.queries.part, np.diff(self.queries.arrays.base))
            for i, title in enumerate(self.queries.titles):
                if (mine := error[cell_part == i]).size:
                    metrics |= {
                        f"average_error, {title}": float(mine.mean()),
                        f"max_error, {title}": float(mine.max()),
                    }
        rows = len(answer.rows) if isinstance(answer, Synthetic) else len(answer)
        return Errors(metrics[f"{self.objective}_error"], metrics={**metrics, "rows": float(rows)})

    def present(self, answer: Any) -> Any:
        """The synthetic table as a DataFrame; None where nothing was measured."""
        if not isinstance(answer, Synthetic):
            return answer
        return self.domain.decode(answer.rows) if len(answer.rows) else None

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The errors as rows of text."""
        if answer is None and not verdict.metrics:
            return [("metric", "value", ""), ("synthetic table", "none", "")]
        return [
            ("metric", "value", ""),
            *(
                (k.replace("_", " "), f"{v:.0f}" if k == "rows" else f"{v:.5f}", "")
                for k, v in verdict.metrics.items()
            ),
        ]
