"""Program: a smooth function of several variables, and named constraints.

minimise    f(x)
subject to  low <= c(x) <= high,  xl <= x <= xu
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse as sp

from ..core.budget import Meter, Resource, active_meter, spend
from ..core.checks import one_of, real
from ..core.errors import ArgumentError, ArgumentTypeError, ShapeError, nearest
from ..core.failure import users_own
from ..core.problem import Problem
from ..core.run import active_run
from ..core.verdict import Verdict
from .constraints import HOW, Rows, read_bounds, read_constraints, read_start
from .derivatives import RULES, differences, vector
from .functions import Functions
from .kkt import DEPENDENT, DIFFERENCED, Certificate, certificate
from .point import Point

if TYPE_CHECKING:
    from jaxtyping import Float

Resource("hessians", "Hessians of the Lagrangian")
KEEP = 4
"""Points whose values are remembered: those of the current step of the current run."""
ROWS = 10
"""Rows that `describe` and the listing of a report show of one constraint."""


@dataclass(slots=True)
class Note:
    """What is known of one point, and whether it was charged."""

    x: Float[np.ndarray, " n"]
    evaluated: bool = False
    differentiated: bool = False
    curved: bool = False
    f: float | None = None
    c: Float[np.ndarray, " m"] | None = None
    g: Float[np.ndarray, " n"] | None = None
    j: sp.csr_array | None = None


@dataclass
class Program(Problem):
    """Minimise a smooth function under named constraints.

        minimise    f(x)
        subject to  low <= c(x) <= high,  xl <= x <= xu

    Functions, derivatives, bounds and constraints are stated as for `scipy.optimize.minimize`. An
    answer is a `Point`. Its verdict has f(x), the violation of each constraint by name, divided by
    the length of its gradient at x0 where that is above 1, and as the residual the largest entry of
    the Karush-Kuhn-Tucker conditions, by multipliers that the judge finds itself.

    Charged are one evaluation for f and c at one x, one gradient for their first derivatives, one
    Hessian for that of the Lagrangian, one Hessian product for its product with a vector; what is
    differenced costs the evaluations of its differences instead. A value that is NaN, and a
    function that raises EvaluationFailed or an ArithmeticError, says that x is outside its domain:
    solvers shorten their step. Any other exception travels on.

    Attributes:
        fun: f, from (n,) to a number; with jac=True to (number, gradient).
        x0: (n,) where to begin; moved into the bounds.
        jac: Gradient of f: a function from (n,) to (n,), "torch" where fun takes tensors, "2-point"
            or "3-point" for differences, True; None for "2-point".
        hess: Hessian of f: a function to (n, n), dense or sparse, or "torch" (which jac="torch"
            implies). None: methods that want one get differences of gradients, the others
            approximate it in their own way.
        hessp: Product of that Hessian with a vector, from (x, p).
        bounds: A `scipy.optimize.Bounds` or n pairs (low, high).
        constraints: A NonlinearConstraint or LinearConstraint of SciPy, a dictionary of SciPy, a
            sequence of these, or a mapping of names to them. jac may be "torch" here too.
        multipliers: Where multipliers begin: (m,) or by name; None: 0. f + multipliers . c is the
            Lagrangian.
        args: Further arguments of fun, jac, hess and hessp; what is no tuple is one argument.
        tolerance: Scaled violation up to which a point counts as feasible.

    Raises:
        ArgumentError: An argument with a wrong value, which it names.
        ArgumentTypeError: One of a wrong type, complex values among them.
        BoundsError: Limits that cross.
        ShapeError: What does not fit together.
        NotFinite: A NaN or an infinity in x0.

    Example:
        >>> import feasible
        >>> from scipy.optimize import NonlinearConstraint
        >>> from feasible.programs import Program
        >>> circle = NonlinearConstraint(lambda x: x[0] ** 2 + x[1] ** 2, 2, 2)
        >>> problem = Program(lambda x: x[0] + x[1], [1.0, 0.0], constraints={"circle": circle})
        >>> result = feasible.solve(problem, budget=feasible.Budget(evaluations=200))
        >>> result.answer.x.round(4).tolist(), result.verdict.feasible
        ([-1.0, -1.0], True)
    """

    fun: Callable[..., Any]
    x0: Any
    jac: Any = None
    hess: Any = None
    hessp: Callable[..., Any] | None = None
    bounds: Any = None
    constraints: Any = None
    multipliers: Any = None
    args: Any = ()
    name: str = "program"
    tolerance: float = 1e-6
    best_known: float | None = None

    answers: ClassVar[tuple[type, ...]] = (Point,)
    endings = (".json", ".csv", ".npz")
    example_budget: ClassVar[str] = "evaluations=1000"
    last: ClassVar[bool] = True
    """A solver's last point is its answer where it is feasible: one on the way may be lower by what
    it still violates.
    """
    trail_growth: float = 1.3
    rows: list[Rows] = field(init=False, repr=False)
    functions: Functions = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.tolerance = real("tolerance", self.tolerance, least=0)
        if not callable(self.fun):
            raise ArgumentTypeError(f"fun is a {type(self.fun).__name__}, expected a function")
        self.x0 = read_start(self.x0)
        self.low, self.high = read_bounds(self.bounds, self.n, self.x0)
        self.x0 = np.clip(self.x0, self.low, self.high)
        self.rows = read_constraints(self.constraints, self.x0)
        self.functions = self._functions()
        self.row_low = np.concatenate([np.zeros(0), *(r.low for r in self.rows)])
        self.row_high = np.concatenate([np.zeros(0), *(r.high for r in self.rows)])
        self.multipliers = self._warm(self.multipliers)
        self._notes: dict[bytes, Note] = {}
        self._when: tuple[Meter | None, int] = (None, -1)
        self._certified: tuple[bytes, Certificate | None] = (b"", None)

    def _functions(self) -> Functions:
        """Read jac, hess and hessp."""
        args = self.args if isinstance(self.args, tuple) else (self.args,)
        given, jac = self.fun, self.jac
        for name, one in (("jac", jac), ("hess", self.hess), ("hessp", self.hessp)):
            if not (one is None or callable(one) or isinstance(one, (str, bool))):
                raise ArgumentTypeError(f"{name} is a {type(one).__name__}, expected a function")
        if isinstance(jac, str):
            one_of("jac", jac, HOW, note=", a function, True or None")
        if not (self.hess is None or callable(self.hess)):
            one_of("hess", self.hess, ("torch",), note=", a function or None")
        parts: list[Any] = [
            "2-point" if jac in (None, False) else jac,
            "torch" if jac == "torch" and self.hess is None else self.hess,
            self.hessp,
        ]
        if args:
            parts = [
                (lambda *at, one=one: one(*at, *args)) if callable(one) else one for one in parts
            ]
        f = users_own((lambda x: given(x, *args)) if args else given)
        parts = [users_own(one) if callable(one) else one for one in parts]
        both, bounds = jac is True, (self.low, self.high)
        return Functions(f, parts[0], parts[1], parts[2], both, self.rows, self.x0, *bounds)

    def _warm(self, given: Any) -> Float[np.ndarray, " m"] | None:
        """Return the multipliers to begin from, (m,)."""
        if given is None:
            return None
        if isinstance(given, Mapping):
            found, slices = np.zeros(self.m), self.functions.slices
            for name, values in given.items():
                part = slices.get(name)
                if part is None:
                    raise ArgumentError(f"multipliers: {name!r}: {nearest(name, slices)}")
                values = np.asarray(values, dtype=float)
                if values.size not in (1, part.stop - part.start):
                    raise ShapeError(
                        f"multipliers of '{name}' are {values.size}, expected "
                        f"{part.stop - part.start}"
                    )
                found[part] = values.reshape(-1)
            return found
        return vector(given, "multipliers", self.m)

    # -- what it is made of ------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """Variables."""
        return len(self.x0)

    @property
    def m(self) -> int:
        """Rows of the constraints, without the bounds."""
        return len(self.row_low)

    @property
    def equalities(self) -> np.ndarray:
        """(m,) which rows are equalities."""
        return self.row_low == self.row_high

    # -- oracles -----------------------------------------------------------------------------------

    def _note(self, x: Any) -> Note:
        """Return what is known of a point within this step of this run."""
        x = np.ascontiguousarray(x, dtype=np.float64)
        if x.shape != (self.n,):
            raise ShapeError(f"x has shape {x.shape}, expected ({self.n},)")
        run = active_run.get()
        now = active_meter.get(), -1 if run is None else run.step
        if now[0] is not self._when[0] or now[1] != self._when[1]:
            self._notes.clear()
            self._when = now
        key = x.tobytes()
        note = self._notes.get(key)
        if note is None:
            if len(self._notes) >= KEEP:
                del self._notes[next(iter(self._notes))]
            note = self._notes[key] = Note(x.copy())
        return note

    def _evaluated(self, x: Any) -> Note:
        """Charge the evaluation at a point, once."""
        note = self._note(x)
        if not note.evaluated:
            spend(evaluations=1)
            note.evaluated = True
        return note

    def _differentiated(self, x: Any) -> Note:
        """Charge the first derivatives at a point, once."""
        note = self._note(x)
        if not note.differentiated:
            if self.functions.exact:
                spend(gradients=1)
            else:
                self._evaluated(x)
                spend(evaluations=self.functions.differenced)
            note.differentiated = True
        return note

    def objective(self, x: Float[np.ndarray, " n"]) -> float:
        """f(x); NaN outside its domain. An evaluation, with `constraint` at the same x."""
        note = self._evaluated(x)
        if note.f is None:
            note.f = self.functions.value(note.x)
        return note.f

    def constraint(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
        """c(x), all rows; NaN outside their domain. An evaluation, with `objective` at one x."""
        note = self._evaluated(x)
        if note.c is None:
            note.c = self.functions.constraints(note.x)
        return note.c.copy()

    def gradient(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The gradient of f. A gradient, with `jacobian` at the same x."""
        note = self._differentiated(x)
        if note.g is None:
            if self.functions.g in RULES and note.f is None:
                note.f = self.functions.value(note.x)
            note.g = self.functions.gradient(note.x, note.f)
        return note.g.copy()

    def jacobian(self, x: Float[np.ndarray, " n"]) -> sp.csr_array:
        """The (m, n) Jacobian of c. A gradient, with `gradient` at the same x."""
        note = self._differentiated(x)
        if note.j is None:
            if note.c is None and any(r.jac in RULES for r in self.rows):
                note.c = self.functions.constraints(note.x)
            note.j = self.functions.jacobian(note.x, note.c)
        return note.j.copy()

    @property
    def _second_step(self) -> float:
        """Return the relative step of differences of gradients, which may be differences too."""
        return float(np.finfo(float).eps ** (1 / 2 if self.functions.exact else 1 / 4))

    def hess_lag(
        self, x: Float[np.ndarray, " n"], sigma: float, y: Float[np.ndarray, " m"]
    ) -> sp.csr_array:
        """The (n, n) Hessian of sigma f + y . c. A Hessian for all of them at one x; where none was
        given, n gradients, of which it is the differences.
        """
        note = self._note(x)
        x = note.x
        y = np.asarray(y, dtype=float).reshape(-1)
        if self.functions.second_order:
            if not note.curved:
                spend(hessians=1)
                note.curved = True
            return self.functions.hessian(x, sigma, y)

        def slope(z: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
            return sigma * self.gradient(z) + self.jacobian(z).T @ y

        found = differences(slope, x, (self.low, self.high), step=self._second_step)
        return sp.csr_array((found + found.T) / 2)

    def hess_vec(
        self,
        x: Float[np.ndarray, " n"],
        v: Float[np.ndarray, " n"],
        sigma: float = 1.0,
        y: Float[np.ndarray, " m"] | None = None,
    ) -> Float[np.ndarray, " n"]:
        """The Hessian of sigma f + y . c times v. A Hessian product; where no second derivative was
        given, a gradient at x and one near it.
        """
        x = self._note(x).x
        y = np.zeros(self.m) if y is None else np.asarray(y, dtype=float).reshape(-1)
        products = self.functions.hp is not None and not y.any()
        if not (products or self.functions.second_order):
            size = float(np.linalg.norm(v))
            step = self._second_step * max(1.0, float(np.linalg.norm(x)))

            def slope(z: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
                return sigma * self.gradient(z) + self.jacobian(z).T @ y

            away = slope(x + step / (size or 1.0) * v)
            return (away - slope(x)) * (size / step)
        spend(hessian_products=1)
        return self.functions.product(x, v, sigma, y)

    def known(self, x: Float[np.ndarray, " n"]) -> tuple[float, Float[np.ndarray, " m"]]:
        """f(x) and c(x) for who only watches: what is remembered of x, else computed; uncharged."""
        note = self._notes.get(np.ascontiguousarray(x, dtype=np.float64).tobytes())
        f = None if note is None else note.f
        c = None if note is None else note.c
        return (
            self.functions.value(x) if f is None else f,
            self.functions.constraints(x) if c is None else c,
        )

    # -- the judge ---------------------------------------------------------------------------------

    @cached_property
    def scales(self) -> Float[np.ndarray, " m"]:
        """(m,) what a row's violation is divided by: max(1, |its gradient at x0|)."""
        with np.errstate(all="ignore"):
            jacobian = self.functions.jacobian(self.x0, None)
        length = np.sqrt(np.asarray((jacobian.multiply(jacobian)).sum(axis=1)).reshape(-1))
        return np.where(np.isfinite(length), np.maximum(1.0, length), 1.0)

    def missed(
        self, x: Float[np.ndarray, " n"], c: Float[np.ndarray, " m"]
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"]]:
        """By how much each row, scaled, and each bound is missed at x, where the rows have the
        values c.
        """
        over = np.maximum(np.maximum(self.row_low - c, c - self.row_high), 0.0) / self.scales
        outside = np.maximum(np.maximum(self.low - x, x - self.high), 0.0)
        return np.where(np.isnan(c), np.inf, over), np.where(np.isnan(x), np.inf, outside)

    def judge(self, answer: Any) -> Verdict:
        """f, the violations by name, and the KKT residual by multipliers of the judge's own.

        Nothing is charged, and nothing that a solver said is used. What was to be differenced is
        differenced centrally here.

        Args:
            answer: A `Point`, or x alone; None: nothing was found.

        Raises:
            ShapeError: x is not (n,).
        """
        if answer is None:
            return Verdict(float("nan"), float("inf"), self.tolerance)
        x = vector(answer.x if isinstance(answer, Point) else answer, "answer", self.n)
        with np.errstate(all="ignore"):
            f, c = self.functions.value(x), self.functions.constraints(x)
            rows, outside = self.missed(x, c)
            slices = self.functions.slices
            violations = {n: float(rows[part].max(initial=0.0)) for n, part in slices.items()}
            if np.isfinite(self.low).any() or np.isfinite(self.high).any():
                violations["bounds"] = float(outside.max(initial=0.0))
            found = None
            if np.isfinite(f) and np.isfinite(c).all():
                found = self.certificate(x, f, c)
        violation = max(violations.values(), default=0.0)
        residual = None if found is None else found.residual
        metrics = (
            {}
            if found is None
            else {"stationarity": found.stationarity, "slackness": found.slackness}
        )
        return Verdict(f, violation, self.tolerance, residual, violations, metrics)

    def certificate(
        self, x: Float[np.ndarray, " n"], f: float, c: Float[np.ndarray, " m"]
    ) -> Certificate | None:
        """The multipliers at x, where f and c have these values, and what they leave unexplained
        (`kkt.Certificate`); None where a derivative is not finite. Nothing is charged, and the last
        one is remembered: its differences are calls of the user's functions.
        """
        key = x.tobytes()
        if self._certified[0] != key:
            self._certified = key, self._certificate(x, f, c)
        return self._certified[1]

    def _certificate(
        self, x: Float[np.ndarray, " n"], f: float, c: Float[np.ndarray, " m"]
    ) -> Certificate | None:
        """The same, computed."""
        g = self.functions.gradient(x, f, "3-point")
        jacobian = self.functions.jacobian(x, c, "3-point")
        if not (np.isfinite(g).all() and np.isfinite(jacobian.data).all()):
            return None
        limits = (self.row_low, self.row_high)
        return certificate(g, jacobian, c, limits, x, (self.low, self.high), self.dependent)

    @property
    def dependent(self) -> float:
        """Share below which the part of a constraint's gradient across the others' is rounding."""
        differenced = any(row.jac in RULES for row in self.functions.rows)
        return DIFFERENCED if differenced else DEPENDENT

    # -- how it is shown ---------------------------------------------------------------------------

    def fingerprint(self) -> dict[str, Any]:
        """Its start, bounds and limits."""
        return {
            "x0": self.x0.tolist(),
            "bounds": [self.low.tolist(), self.high.tolist()],
            "limits": {r.name: [r.low.tolist(), r.high.tolist()] for r in self.rows},
        }

    def sources(self) -> dict[str, Any]:
        """Its functions."""
        return {"objective": self.fun} | {r.name: r.fun for r in self.rows}

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The variables, then the rows of each constraint, the most violated first."""
        x = answer.x if isinstance(answer, Point) else vector(answer, "answer", self.n)
        c = self.functions.constraints(x)
        over, _ = self.missed(x, c)
        shown = [f"{v:.6g}" for v in x[:ROWS]] + ["..."] * (self.n > ROWS)
        lines: list[tuple[str, ...]] = [("x", ", ".join(shown), "", "")]
        lines.append(("constraint", "value", "limits", "violation"))
        for rows in self.rows:
            part = self.functions.slices[rows.name]
            worst = np.argsort(-over[part], kind="stable")[:ROWS]
            for i in worst:
                k = part.start + int(i)
                label = rows.name if rows.size == 1 else f"{rows.name}[{i}]"
                limits = f"[{self.row_low[k]:g}, {self.row_high[k]:g}]"
                said = f"{over[k]:.3g}" if over[k] > self.tolerance else ""
                lines.append((label, f"{c[k]:.6g}", limits, said))
            if rows.size > ROWS:
                lines.append((f"{rows.name}: {rows.size - ROWS} more", "", "", ""))
        if "bounds" in verdict.violations:
            outside = verdict.violations["bounds"]
            said = f"{outside:.3g}" if outside > self.tolerance else ""
            lines.append(("bounds", "", "", said))
        return lines

    def reached(self, verdict: Verdict) -> str:
        """The objective and the KKT residual."""
        said = f"objective {verdict.objective:.8g}"
        return said if verdict.residual is None else f"{said}, KKT residual {verdict.residual:.2g}"

    def outline(self) -> list[str]:
        """Its size, its constraints, and where its derivatives come from."""
        equal = int(self.equalities.sum())
        bounded = int((np.isfinite(self.low) | np.isfinite(self.high)).sum())
        lines = [f"variables: {self.n}, {bounded} with bounds"]
        lines.append(f"rows: {self.m}, {equal} of them equalities")
        for rows in self.rows[:ROWS]:
            kind = "equalities" if (rows.low == rows.high).all() else "limits"
            lines.append(f"  {rows.name}: {rows.size} {kind}, derivatives {_how(rows.jac)}")
        lines += [f"  {len(self.rows) - ROWS} more"] * (len(self.rows) > ROWS)
        lines.append(f"derivatives of the objective: {_how(self.functions.g)}")
        second = "given" if self.functions.second_order else "approximated by the method"
        return [*lines, f"Hessian of the Lagrangian: {second}"]

    def facts(self) -> dict[str, Any]:
        """Its variables with their bounds, and the rows of each constraint."""
        bounds = zip(self.low.tolist(), self.high.tolist(), strict=True)
        return {
            "variables": [
                {"name": f"x[{i}]", "low": low, "high": high}
                for i, (low, high) in enumerate(bounds)
            ],
            "limits": {r.name: r.size for r in self.rows},
            "constraints": self.m,
            "equalities": int(self.equalities.sum()),
        }


def _how(jac: Any) -> str:
    """Say where derivatives come from."""
    return f"by {jac} differences" if jac in RULES else "by torch" if jac == "torch" else "given"
