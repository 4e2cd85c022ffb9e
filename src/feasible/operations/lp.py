"""Linear programs that HiGHS keeps between solves, so that only what changed is solved again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import FeasibleError, Infeasible
from ..core.extras import named

if TYPE_CHECKING:
    import highspy
    from jaxtyping import Float, Int
    from scipy import sparse

FEASIBLE = 1e-6
"""Largest violation of a row or a bound, relative to its size, in what counts as solved."""


class SolverFailed(FeasibleError):
    """A solver ended without a solution that holds; the message says with which status."""


class Unbounded(FeasibleError, ValueError):
    """A linear program whose objective falls without end; a column lacks a limit or a cost."""


class NoSolution(Infeasible):
    """A linear program that no point satisfies."""


@dataclass(slots=True)
class Solved:
    """The solution of a linear program.

    Attributes:
        value: The minimum.
        x: (n,) where it is.
        dual: (m,) its derivative with respect to each row's right-hand side.
    """

    value: float
    x: Float[np.ndarray, " n"]
    dual: Float[np.ndarray, " m"]


@cache
def _quiet_class() -> type[highspy.Highs]:
    """Return HiGHS without its callbacks, which print a banner and cost time in each solve."""
    import highspy

    class Quiet(highspy.Highs):
        def __init__(self) -> None:
            super(highspy.Highs, self).__init__()

    return Quiet


def quiet_solver() -> highspy.Highs:
    """Return a solver that prints nothing and stays in this thread."""
    solver = _quiet_class()()
    for option, value in (("output_flag", False), ("presolve", "off"), ("threads", 1)):
        solver.setOptionValue(option, value)
    return solver


class LinearModel:
    """minimise cost' x + square' x^2 where row_lower <= A x <= row_upper, lower <= x <= upper.

    HiGHS keeps the basis between solves. After `forget` the next solve begins at the basis of
    `anchor` (or at none), so that what it returns does not depend on what was solved before.

    Args:
        cost: (n,) of each column.
        lower: (n,) bounds.
        upper: (n,) bounds.
        A: (m, n) coefficients.
        row_lower: (m,) least activity.
        row_upper: (m,) largest activity.
        columns: Names, for files.
        rows: Names, for files.
        square: (n,) cost of each column's square; None: none.
    """

    def __init__(
        self,
        cost: Float[np.ndarray, " n"],
        lower: Float[np.ndarray, " n"],
        upper: Float[np.ndarray, " n"],
        A: sparse.csc_array,
        row_lower: Float[np.ndarray, " m"],
        row_upper: Float[np.ndarray, " m"],
        columns: Sequence[str] = (),
        rows: Sequence[str] = (),
        square: Float[np.ndarray, " n"] | None = None,
    ):
        with named("this problem", "operations"):
            import highspy
        self.A = A
        self.lower, self.upper = lower, upper
        self.low, self.high = row_lower.copy(), row_upper.copy()
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = A.shape[1], A.shape[0]
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, lower, upper
        lp.row_lower_, lp.row_upper_ = row_lower, row_upper
        lp.col_names_, lp.row_names_ = list(columns), list(rows)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_ = A.indptr, A.indices
        lp.a_matrix_.value_ = A.data
        self.solver = quiet_solver()
        self.solver.passModel(lp)
        self.square: np.ndarray | None = None
        if square is not None:
            self.set_square(square)
        self._changed: dict[tuple[int, int], float] = {}
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._grown = False
        self._anchor: highspy.HighsBasis | None = None
        self._numbers = np.arange(max(A.shape), dtype=np.int32)

    # -- what changes between solves ---------------------------------------------------------------

    def set_rows(self, low: Float[np.ndarray, " r"], high: Float[np.ndarray, " r"]) -> None:
        """Give the first rows new limits."""
        n = len(low)
        self.low[:n], self.high[:n] = low, high
        self.solver.changeRowsBounds(n, self._numbers[:n], low, high)  # type: ignore[attr-defined]

    def set_costs(self, columns: Int[np.ndarray, " r"], cost: Float[np.ndarray, " r"]) -> None:
        """Give columns new costs."""
        self.solver.changeColsCost(len(columns), columns.astype(np.int32), cost)

    def set_bounds(
        self, columns: Int[np.ndarray, " r"], lower: np.ndarray, upper: np.ndarray
    ) -> None:
        """Give columns new bounds."""
        self.lower[columns], self.upper[columns] = lower, upper
        self.solver.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)

    def set_square(self, square: Float[np.ndarray, " n"]) -> None:
        """Give the columns' squares new costs."""
        import highspy

        self.square = square
        hessian = highspy.HighsHessian()
        hessian.dim_ = len(square)
        hessian.format_ = highspy.HessianFormat.kTriangular
        hessian.start_ = np.arange(len(square) + 1, dtype=np.int32)
        hessian.index_ = np.arange(len(square), dtype=np.int32)
        hessian.value_ = 2.0 * square  # HiGHS minimises c'x + x'Qx / 2
        self.solver.passHessian(hessian)

    def set_coefficient(self, row: int, column: int, value: float) -> None:
        """Give an entry of A a new value."""
        self._changed[row, column] = value
        self.solver.changeCoeff(row, column, value)

    @property
    def columns(self) -> int:
        """The number of columns."""
        return int(self.solver.getNumCol())

    def add_column(self, cost: float, lower: float, upper: float) -> None:
        """Add a column that is in no row yet."""
        self.solver.addCol(cost, lower, upper, 0, self._numbers[:0], np.zeros(0))

    def add_row(
        self, low: float, high: float, columns: Int[np.ndarray, " r"], values: np.ndarray
    ) -> None:
        """Add a row."""
        self._grown = True
        self.solver.addRow(low, high, len(columns), columns.astype(np.int32), values)

    # -- solving -----------------------------------------------------------------------------------

    def anchor(self) -> None:
        """Make the basis of the last solve the one that `forget` returns to."""
        self._anchor = self.solver.getBasis()

    def forget(self) -> None:
        """Begin the next solve at the anchor, whatever was solved before."""
        if self._grown:  # its scaling is that of the rows which it had at the first solve
            self.solver.passModel(self.solver.getLp())
            self._grown = False
        self.solver.clearSolver()
        if self._anchor is not None:
            self.solver.setBasis(self._anchor)

    def solve(self) -> Solved:
        """Solve it.

        Raises:
            NoSolution: No point satisfies it, also when it is solved from scratch and without
                presolve.
            Unbounded: Its objective falls without end.
            SolverFailed: HiGHS ended otherwise, or its solution breaks a row or a bound.
        """
        self.solver.run()
        if self.solver.getModelStatus() != self._optimal:
            self._again()
        solution = self.solver.getSolution()
        x, dual = np.array(solution.col_value), np.array(solution.row_dual)
        _, broken = self.solver.getInfoValue("max_primal_infeasibility")
        if not broken <= FEASIBLE * (1.0 + np.abs(x).max(initial=0.0)):
            raise SolverFailed(
                f"HiGHS says optimal, but a row or a bound is broken by {broken:.2g}"
            )
        return Solved(self.solver.getObjectiveValue(), x, dual)

    def _again(self) -> None:
        """Solve from scratch, without and with presolve, before a bad status is believed."""
        for presolve in ("off", "on"):
            self.solver.clearSolver()
            self.solver.setOptionValue("presolve", presolve)
            self.solver.run()
            self.solver.setOptionValue("presolve", "off")
            if self.solver.getModelStatus() == self._optimal:
                return
        import highspy

        status = self.solver.getModelStatus()
        words = self.solver.modelStatusToString(status)
        kinds = highspy.HighsModelStatus
        if status == kinds.kInfeasible:
            raise NoSolution("no point satisfies this linear program")
        if status in (kinds.kUnbounded, kinds.kUnboundedOrInfeasible):
            raise Unbounded("the objective of this linear program falls without end")
        raise SolverFailed(f"HiGHS ended with the status '{words}'")

    def write(self, path: str) -> None:
        """Write it as .lp or .mps, by the name's ending, for other solvers."""
        import highspy

        if self.solver.writeModel(path) == highspy.HighsStatus.kError:
            raise SolverFailed(f"HiGHS cannot write '{path}'")

    def reduced_costs(self) -> Float[np.ndarray, " n"]:
        """Return the derivative of the last minimum in the bound at which each column is."""
        return np.array(self.solver.getSolution().col_dual)

    def basis(self) -> tuple[Int[np.ndarray, " b"], Int[np.ndarray, " b"], np.ndarray]:
        """Return of the last solve the numbers of the basic columns, and of the rows at a limit, as
        many of one as of the other, and the (b, b) coefficients where they meet.
        """
        import highspy

        basic = highspy.HighsBasisStatus.kBasic
        basis = self.solver.getBasis()
        columns = np.array(
            [j for j, status in enumerate(basis.col_status) if status == basic], dtype=int
        )
        rows = np.array(
            [i for i, status in enumerate(basis.row_status) if status != basic], dtype=int
        )
        A = self.A[rows][:, columns].toarray()
        at, along = (
            {int(r): i for i, r in enumerate(rows)},
            {int(c): j for j, c in enumerate(columns)},
        )
        for (row, column), value in self._changed.items():
            if row in at and column in along:
                A[at[row], along[column]] = value
        return columns, rows, A
