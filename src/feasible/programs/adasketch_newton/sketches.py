"""How a Newton system K z = b is solved: by sketches, by MINRES, by a factorisation.

A sketch S takes z to the nearest point at which S' K z = S' b:

    z <- z - K' S (S' K K' S)^+ S' (K z - b),

so the distance to the solution never grows. References:

    R. M. Gower, P. Richtárik, Randomized iterative methods for linear systems, SIAM J. Matrix
    Analysis and Applications 36 (2015); T. Strohmer, R. Vershynin, A randomized Kaczmarz algorithm
    with exponential convergence, J. Fourier Analysis and Applications 15 (2009); C. C. Paige,
    M. A. Saunders, Solution of sparse indefinite systems of linear equations, SIAM J. Numerical
    Analysis 12 (1975).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, sparse as sp
from scipy.sparse.linalg import LinearOperator, minres as scipy_minres, splu

from ...core.budget import Resource, active_meter, spend
from .compiled import gaussian, kaczmarz
from .iterate import Matrix
from .settings import AdaSketchSettings
from .system import System

if TYPE_CHECKING:
    from jaxtyping import Float

Resource("inner_steps", "steps of the iterative solver of linear systems")

CHUNK = {"rk": 1000, "gv": 128, "block": 8}
"""Steps after which r = K z - b is computed anew."""
TRIAL = 0.1
"""Share of `max_inner` after which the rate so far is asked whether the rest will do."""
TIGHTER = 6
"""Times that MINRES is called anew with a smaller tolerance of its own."""


@dataclass(slots=True)
class Solution:
    """Where the solution of a system stands.

    Attributes:
        z: (N,) the step.
        r: (N,) K z - b.
        steps: Steps of the iterative solver so far.
        why: Why it was solved exactly, where something else was asked for.
    """

    z: Float[np.ndarray, " N"]
    r: Float[np.ndarray, " N"]
    steps: int = 0
    why: str = ""

    @property
    def size(self) -> float:
        """|K z - b|."""
        return float(np.linalg.norm(self.r))


def begin(system: System) -> Solution:
    """z = 0."""
    return Solution(np.zeros_like(system.b), -system.b)


def paid(steps: int, work: Callable[[int], int]) -> int:
    """Make steps of a linear solver and charge those that were made.

    Args:
        steps: Most steps.
        work: From the steps that the budget leaves to those that were made.

    Raises:
        BudgetExhausted: None is left.
    """
    meter = active_meter.get()
    if meter is None:
        return work(steps)
    if meter.left("inner_steps") < 1:
        spend(inner_steps=1)
    granted = int(meter.grant("inner_steps", steps))
    made = 0
    try:
        made = work(granted)
    finally:
        meter.refund("inner_steps", granted - made)
    return made


def exact(system: System, found: Solution) -> None:
    """Solve by LDL' of the dense matrix, or LU of the sparse one, and refine once. Where the matrix
    is singular in floating point, z is the least-squares solution.
    """
    K, b = system.K, system.b
    solve = _sparse_factor(K) if sp.issparse(K) else _dense_factor(K)
    z = solve(b)
    z = z - solve(K @ z - b)
    if not np.isfinite(z).all():
        z = np.linalg.lstsq(full(K), b, rcond=None)[0]
    found.z, found.r = z, K @ z - b


def _dense_factor(K: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what solves with K by its LDL' factors; infinite where a pivot is 0."""
    factors, pivots, info = linalg.lapack.dsytrf(K)
    if info:
        return lambda b: np.full_like(b, np.inf)
    return lambda b: linalg.lapack.dsytrs(factors, pivots, b)[0]


def _sparse_factor(K: sp.csr_array) -> Callable[[np.ndarray], np.ndarray]:
    """Return what solves with K by its LU factors; infinite where a pivot is 0."""
    try:
        return splu(sp.csc_array(K)).solve
    except RuntimeError:
        return lambda b: np.full_like(b, np.inf)


@dataclass
class Sketcher:
    """Solves one system to a smaller and smaller residual.

    With a preconditioner P = C C' the system is C^-1 K C^-T y = C^-1 b, z = C^-T y, and the
    sketches are taken in it.

    Attributes:
        system: K z = b.
        settings: sketch, block, precondition and max_inner count.
        rng: Draws the sketches.
    """

    system: System
    settings: AdaSketchSettings
    rng: np.random.Generator
    seen: list[tuple[int, float]] = field(default_factory=list)

    def reduce(self, found: Solution, target: float) -> None:
        """Bring |K z - b| to the target, or solve exactly where that would take too long."""
        if found.why or found.size <= target:
            return
        if self.settings.sketch == "exact":
            exact(self.system, found)
        elif self.settings.sketch == "minres":
            self._minres(found, target)
        else:
            self._sketch(found, target)

    @cached_property
    def transform(self) -> np.ndarray | None:
        """C, the Cholesky factor of diag(D, G D^-1 G'), lower triangular; None without one."""
        if not self.settings.precondition:
            return None
        B, G = full(self.system.B), full(self.system.G)
        lengths = np.linalg.norm(B, axis=1)
        lengths = np.maximum(lengths, 1e-3 * lengths.max(initial=0.0))
        lengths = np.where(lengths > 0, lengths, 1.0)
        schur = (G / lengths) @ G.T
        return linalg.block_diag(np.diag(np.sqrt(lengths)), np.linalg.cholesky(schur))

    @cached_property
    def matrix(self) -> Matrix:
        """The matrix that is sketched: K, or C^-1 K C^-T."""
        C = self.transform
        if C is None:
            return self.system.K
        half = linalg.solve_triangular(C, full(self.system.K), lower=True)
        return linalg.solve_triangular(C, half.T, lower=True)

    @cached_property
    def square(self) -> sp.csr_array:
        """M = K K' of the matrix that is sketched."""
        return sp.csr_array(self.matrix @ self.matrix.T)

    @cached_property
    def dense_square(self) -> Matrix:
        """The same, dense where that is as small."""
        few = self.square.nnz > 0.3 * np.prod(self.square.shape)
        return self.square.toarray() if few else self.square

    def _sketch(self, found: Solution, target: float) -> None:
        """Take sketch steps until |K z - b| <= target."""
        C = self.transform
        rows, self.seen = 0, [(0, found.size)]
        per_step = self._block if self._kind == "block" else 1
        while found.size > target:
            why = self._too_long(rows, found.size, target)
            if why:
                exact(self.system, found)
                found.why = why
                return
            r = found.r if C is None else linalg.solve_triangular(C, found.r, lower=True)
            goal = target * float(np.linalg.norm(r)) / found.size * (1.0 if C is None else 0.9)
            change = np.zeros_like(r)
            steps = paid(CHUNK[self._kind], lambda n: self._chunk(n, r, change, goal))  # noqa: B023
            if C is not None:
                change = linalg.solve_triangular(C, change, lower=True, trans="T")
            found.z = found.z + change
            found.r = self.system.K @ found.z - self.system.b
            found.steps += steps
            rows += max(steps, 1) * per_step
            self.seen.append((rows, found.size))

    def _too_long(self, rows: int, size: float, target: float) -> str:
        """Return why the sketch should be given up, or nothing."""
        most = self.settings.max_inner
        if rows < TRIAL * most:
            return ""
        before = next(s for s in self.seen if s[0] >= rows / 2)
        rate = np.log(before[1] / size) / max(rows - before[0], 1) if size > 0 else np.inf
        needed = np.log(size / target) / rate if rate > 0 and target > 0 else np.inf
        if rows < most and rows + needed <= most:
            return ""
        said = f"and would need {needed:.1g} more" if np.isfinite(needed) else "and stood still"
        return (
            f"{rows:,} rows of sketches brought |K z - b| from {self.seen[0][1]:.1e} to "
            f"{size:.1e}, {said} for {target:.1e}"
        )

    @property
    def _kind(self) -> str:
        """The sketch; a block of one row is Kaczmarz's."""
        alone = self.settings.sketch == "block" and self._block == 1
        return "rk" if alone else self.settings.sketch

    @property
    def _block(self) -> int:
        """Rows of a block."""
        size = len(self.system.b)
        return min(self.settings.block or max(size // 2, 1), size)

    def _chunk(
        self, steps: int, r: Float[np.ndarray, " N"], change: Float[np.ndarray, " N"], goal: float
    ) -> int:
        """Make steps until |r| <= goal; write what they add to the solution into `change`, and
        return how many were made.
        """
        size, kind = len(r), self._kind
        if kind == "block":
            return self._blocks(steps, r, change, goal)
        total = np.zeros(size)
        if kind == "rk":
            drawn = self.rng.integers(size, size=CHUNK["rk"])[:steps]
            M = self.square
            made = kaczmarz(
                M.indptr, M.indices, M.data, self.diagonal, drawn, r.copy(), total, goal
            )
        else:
            S = self.rng.standard_normal((CHUNK["gv"], size))[:steps]
            MS = np.ascontiguousarray((self.dense_square @ S.T).T)
            made = gaussian(S, MS, r.copy(), total, goal)
        change -= self.matrix.T @ total
        return int(made)

    @cached_property
    def diagonal(self) -> Float[np.ndarray, " N"]:
        """|K_i|^2 of every row."""
        return self.square.diagonal()

    def _blocks(
        self, steps: int, r: Float[np.ndarray, " N"], change: Float[np.ndarray, " N"], goal: float
    ) -> int:
        """Make steps with a block of rows each: the nearest point with K_t z = b_t."""
        size, r = len(r), r.copy()
        for k in range(steps):
            if np.linalg.norm(r) <= goal:
                return k
            taken = self.rng.choice(size, self._block, replace=False)
            q, upper = linalg.qr(full(self.matrix[taken]).T, mode="economic")
            pivots = np.abs(np.diag(upper))
            if pivots.min() > 1e-12 * pivots.max():
                move = -q @ linalg.solve_triangular(upper, r[taken], trans="T")
            else:  # rows that depend on one another
                move = -np.linalg.lstsq(full(self.matrix[taken]), r[taken], rcond=None)[0]
            change += move
            r += self.matrix @ move
        return steps

    def _minres(self, found: Solution, target: float) -> None:
        """Call MINRES, whose own test is of another norm, until |K z - b| <= target."""
        K, b, C = self.system.K, self.system.b, self.transform
        more = {}
        if C is not None:
            inverse = lambda v: linalg.cho_solve((C, True), v)  # noqa: E731
            more["M"] = LinearOperator(K.shape, inverse, dtype=float)
        tolerance = 0.5 * target / max(float(np.linalg.norm(b)), np.finfo(float).tiny)
        for _ in range(TIGHTER):
            if found.size <= target:
                return

            def run(most: int, tolerance: float = tolerance) -> int:
                made = [0]

                def count(_: np.ndarray) -> None:
                    made[0] += 1

                found.z, _ = scipy_minres(
                    K, b, found.z, rtol=tolerance, maxiter=most, callback=count, **more
                )
                return made[0]

            found.steps += paid(self.settings.max_inner, run)
            found.r = K @ found.z - b
            tolerance /= 100
        if found.size > target:
            why = f"MINRES stopped at |K z - b| = {found.size:.1e}, short of {target:.1e}"
            exact(self.system, found)
            found.why = why


def full(matrix: Matrix) -> np.ndarray:
    """A matrix as a dense one."""
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
