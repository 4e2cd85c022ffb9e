"""Bilevel: optimisation through another optimisation.

minimise F(x, y)  over x in X,  where y minimises f(x, .) over y in Y with h(x, y) <= 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..core.budget import Resource, spend
from ..core.checks import flag, floats, naming, one_of, real, whole
from ..core.errors import (
    ArgumentError,
    ArgumentTypeError,
    NotFinite,
    ShapeError,
    UnsupportedConstraint,
    WrongProblem,
)
from ..core.problem import Problem
from ..core.verdict import Verdict
from .judge import judge
from .layout import Layout, tensor
from .levels import Constraint, Follower, Rows, constraints, products, scalar, value_and_gradients
from .point import UpperPoint
from .sets import ConvexSet, Product, as_set

if TYPE_CHECKING:
    from jaxtyping import Float

Resource("upper_gradients", "gradients of the upper level's objective")
Resource("lower_gradients", "gradients of the lower level's objective")
Resource("lower_solves", "solutions of a lower level by a solver")
Resource("gradient_equivalents", "gradients, a Hessian product counted as two")
OPTIMISTIC, PESSIMISTIC = "optimistic", "pessimistic"
CALLABLES = {"upper": False, "respond": True, "project": True, "measures": True}
"""Attributes that are functions, and whether they may be None."""
MANY = 10**8
"""Most samples of a level."""
SHOWN = 10
"""Entries of x that a description shows."""


@dataclass
class Bilevel(Problem):
    """Minimise an objective at the answer of another optimisation.

        minimise    F(x, y)      over x in X,  G(x, y) <= 0,
        where       y in S(x) = argmin { f(x, y) : y in Y, h(x, y) <= 0 }

    An answer is x (an `UpperPoint`). The judge solves the lower level at x itself, and F and G are
    measured at that response. Where S(x) has several points, `sense` says which counts, and the
    verdict has both values. A follower without a finite optimum makes x infeasible, and the verdict
    says which of "infeasible", "unbounded" and "not solved" it is; there is no objective then.

    Charged are gradients of F and f, together as `gradients` and apart as `upper_gradients` and
    `lower_gradients`, and products with second derivatives of f as `hessian_products`;
    `gradient_equivalents` are gradients plus twice the products.

    Attributes:
        upper: F, from tensors x and y to one number; with upper_rows from x, y and the numbers of
            samples.
        lower: f, likewise. Of several followers a mapping of their names to functions of x and the
            follower's own y; None where `respond` is all that is known.
        x0: Where methods begin: a tensor or an array of any shape, or a mapping of names to such.
        y0: Where the lower level begins, likewise; of several followers a mapping of their names.
        x_set: X: None, a set of this room, SciPy's Bounds, pairs (low, high), a projection from
            (n,) to (n,), or a mapping of names of x0 to these.
        y_set: Y, likewise; of several followers a mapping of their names.
        lower_constraints: h by name: functions of (x, y), <= 0, or `Equal` of one, = 0. Of several
            followers a mapping of their names to such mappings.
        upper_constraints: G by name, likewise.
        respond: From x (n,) or by name to the response y, where there is a better way than to
            minimise f: the judge asks it. It returns the response that counts where there are
            several.
        sense: "optimistic", the follower chooses in the leader's favour, or "pessimistic".
        maximise_upper: The upper level maximises F.
        maximise_lower: The lower level maximises f.
        upper_rows: Samples that F is a mean over, or None. F is then called with the numbers of
            some of them, and returns its mean over these.
        lower_rows: As `upper_rows`, of f.
        y_integer: Names or places of variables of the lower level that are whole numbers: refused.
        convex: The lower level is known to be convex: the judge then minimises from one start.
        measures: From x and the true response to figures by name, which become metrics.
        project: Projection of the vector (x, y) on {(x, y) : x in X, y in Y, h(x, y) <= 0}, from
            and to (n + m,); for methods that project on both levels' constraints at once.
        name: What it is called.
        tolerance: Violation up to which an answer counts as feasible, and residual of the lower
            level's conditions up to which it counts as solved.
        best_known: F at the best known answer.

    Raises:
        ArgumentError: An argument with a wrong value, a projection that is not idempotent.
        ArgumentTypeError: One of a wrong type.
        ShapeError: What does not fit together.
        NotFinite: A NaN or an infinity in x0 or y0, or of F or f there.
        UnsupportedConstraint: A whole-numbered variable of the lower level.

    Example:
        >>> from feasible.bilevel import Bilevel
        >>> price = Bilevel(
        ...     upper=lambda x, y: -(x * y).sum(),
        ...     lower=lambda x, y: ((y - 4 + x) ** 2).sum(),
        ...     x0=[1.0], y0=[0.0], x_set=[(0, 4)], name="price",
        ... )
        >>> verdict = price.judge([2.0])
        >>> verdict.objective, verdict.feasible
        (-4.0, True)
    """

    upper: Callable[..., Any]
    lower: Any
    x0: Any
    y0: Any
    x_set: Any = None
    y_set: Any = None
    lower_constraints: Any = None
    upper_constraints: Any = None
    respond: Callable[..., Any] | None = None
    sense: str = OPTIMISTIC
    maximise_upper: bool = False
    maximise_lower: bool = False
    upper_rows: int | None = None
    lower_rows: int | None = None
    y_integer: Sequence[Any] = ()
    convex: bool = False
    measures: Callable[..., Mapping[str, float]] | None = None
    project: Callable[[Tensor], Tensor] | None = None
    name: str = "bilevel"
    tolerance: float = 1e-6
    best_known: float | None = None
    kept: dict[str, Any] = field(init=False, repr=False, default_factory=dict)

    answers: ClassVar[tuple[type, ...]] = (UpperPoint,)
    endings = (".json", ".csv", ".npz")
    example_budget: ClassVar[str] = "gradients=2000"
    trail_growth: float = 1.3

    def __post_init__(self) -> None:
        self.tolerance = real("tolerance", self.tolerance, above=0)
        one_of("sense", self.sense, (OPTIMISTIC, PESSIMISTIC))
        self.sign = -1.0 if flag("maximise_upper", self.maximise_upper) else 1.0
        self.lower_sign = -1.0 if flag("maximise_lower", self.maximise_lower) else 1.0
        for name in ("upper_rows", "lower_rows"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least=1, most=MANY, note=", or None")
        flag("convex", self.convex)
        for name, optional in CALLABLES.items():
            one = getattr(self, name)
            if not (callable(one) or (optional and one is None)):
                raise ArgumentTypeError(f"{name} is a {type(one).__name__}: expected a function")
        self.x_layout, self.x_start = Layout.of("x0", self.x0)
        self.X = as_set("x_set", self.x_set, self.x_layout)
        self.x_start = self.X.project(self.x_start)
        self.names = self.x_layout.names("x")
        self.followers = self._read_followers()
        self._refuse_integers()
        self._all_upper = None if self.upper_rows is None else torch.arange(self.upper_rows)
        self._all_lower = None if self.lower_rows is None else torch.arange(self.lower_rows)
        fun = scalar("upper", self.upper)
        self._upper = self._sampled(fun, self.upper_rows)
        self.G: tuple[Constraint, ...] = constraints(
            "upper_constraints", self.upper_constraints, self._of_both, (self.x_start, self.y_start)
        )
        self._check_start()

    # -- reading it --------------------------------------------------------------------------------

    def _read_followers(self) -> tuple[Follower, ...]:
        """Read `lower` and what belongs to it."""
        if isinstance(self.lower, Mapping):
            if not isinstance(self.y0, Mapping) or set(self.y0) != set(self.lower) or not self.y0:
                raise ArgumentError(
                    f"y0: expected a mapping of the followers {sorted(map(str, self.lower))} to "
                    "where they begin"
                )
            own = {}
            for name in ("y_set", "lower_constraints"):
                given = getattr(self, name) or {}
                if not isinstance(given, Mapping):
                    raise ArgumentTypeError(f"{name}: expected a mapping of followers' names")
                if unknown := set(given) - set(self.lower):
                    raise ArgumentError(f"{name} names {sorted(unknown)}: no such follower")
                own[name] = given
            parts = [
                (k, self.lower[k], self.y0[k], own["y_set"].get(k), own["lower_constraints"].get(k))
                for k in self.lower
            ]
        else:
            if self.lower is None and self.respond is None:
                raise ArgumentTypeError("lower=None: expected a function, or respond")
            parts = [("", self.lower, self.y0, self.y_set, self.lower_constraints)]
        found, starts, at = [], [], 0
        for name, function, y0, y_set, h in parts:
            said = f"[{name!r}]" if name else ""
            layout, start = Layout.of(f"y0{said}", y0)
            kind = as_set(f"y_set{said}", y_set, layout)
            start = kind.project(start)

            def both(fun: Callable[..., Any], layout: Layout = layout) -> Callable[..., Any]:
                return lambda x, y: fun(self.x_layout.split(x), layout.split(y))

            h = constraints(f"lower_constraints{said}", h, both, (self.x_start, start))
            if h and not kind.linear:
                raise UnsupportedConstraint(
                    f"lower_constraints{said}: the judge takes them with a y_set of rows and "
                    "bounds, not with one that is known by its projection only"
                )
            own_f = None
            if function is not None:
                if not callable(function):
                    raise ArgumentTypeError(
                        f"lower{said} is a {type(function).__name__}: expected a function"
                    )
                own_f = self._lower_of(scalar(f"lower{said}", function), layout)
            part = slice(at, at + layout.size)
            found.append(Follower(name, own_f, layout, kind, part, h))
            starts.append(start)
            at = part.stop
        self.y_start = torch.cat(starts)
        return tuple(found)

    def _lower_of(
        self, function: Callable[..., Tensor], layout: Layout
    ) -> Callable[[Tensor, Tensor, Rows], Tensor]:
        """Return a follower's objective of vectors, to be minimised."""
        sign = self.lower_sign

        def value(x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
            given = (self.x_layout.split(x), layout.split(y))
            if self.lower_rows is not None:
                return sign * function(*given, self._all_lower if rows is None else rows)
            return sign * function(*given)

        return value

    def _sampled(
        self, function: Callable[..., Tensor], size: int | None
    ) -> Callable[[Tensor, Tensor, Rows], Tensor]:
        """Return the upper objective of vectors, to be minimised."""

        def value(x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
            given = (self.x_layout.split(x), self.split_y(y))
            if size is not None:
                return self.sign * function(*given, self._all_upper if rows is None else rows)
            return self.sign * function(*given)

        return value

    def _of_both(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of two vectors from one of both levels' tensors."""
        return lambda x, y: function(self.x_layout.split(x), self.split_y(y))

    def split_y(self, y: Tensor) -> Any:
        """Return the vector y as the lower level's tensors; by follower where there are several."""
        if isinstance(self.lower, Mapping):
            return {f.name: f.layout.split(y[f.part]) for f in self.followers}
        return self.followers[0].layout.split(y)

    def join_y(self, y: Any) -> Tensor:
        """Return a response as one vector."""
        if isinstance(self.lower, Mapping) and isinstance(y, Mapping):
            return torch.cat(
                [f.layout.join(f"y[{f.name!r}]", y.get(f.name)) for f in self.followers]
            )
        if isinstance(self.lower, Mapping):
            return Layout(None, ((self.m,),)).join("y", y)
        return self.followers[0].layout.join("y", y)

    def y_names(self) -> tuple[str, ...]:
        """Names of the lower level's variables."""
        return tuple(
            f"{f.name}.{n}" if f.name else n for f in self.followers for n in f.layout.names("y")
        )

    def _refuse_integers(self) -> None:
        """Refuse whole-numbered variables of the lower level, by name."""
        if isinstance(self.y_integer, str) or not isinstance(self.y_integer, Sequence):
            raise ArgumentTypeError(f"y_integer={self.y_integer!r:.60}: expected names or places")
        if len(self.y_integer):
            known = self.y_names()
            named = [
                known[i] if isinstance(i, int) and 0 <= i < len(known) else str(i)
                for i in self.y_integer
            ]
            raise UnsupportedConstraint(
                f"y_integer: {', '.join(named)} of the lower level would be whole numbers, whose "
                "response is no solution of conditions that methods here use; expected reals"
            )

    def _check_start(self) -> None:
        """Raise NotFinite where F or f is not finite at the start."""
        values = {}
        with torch.no_grad():
            with naming("upper at x0 and y0"):
                values["upper"] = self._upper(self.x_start, self.y_start, None)
            for f in self.followers:
                if f.function is not None:
                    said = f"lower[{f.name!r}]" if f.name else "lower"
                    with naming(f"{said} at x0 and y0"):
                        values[said] = f.value(self.x_start, self.y_start[f.part])
        for said, value in values.items():
            if not torch.isfinite(value):
                raise NotFinite(f"{said} is {float(value)} at x0 and y0: expected a finite number")

    # -- what it is made of ------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """Variables of the upper level."""
        return self.x_layout.size

    @property
    def m(self) -> int:
        """Variables of the lower level."""
        return len(self.y_start)

    @property
    def lower_set(self) -> ConvexSet:
        """The set of the lower level's vectors."""
        if len(self.followers) == 1:
            return self.followers[0].set
        sizes = tuple(f.layout.size for f in self.followers)
        return Product(tuple(f.set for f in self.followers), sizes)

    @cached_property
    def equal(self) -> Tensor:
        """(p,) which rows of h are equalities."""
        return torch.cat([f.equal for f in self.followers])

    # -- functions of vectors, uncharged, to be minimised ------------------------------------------

    def upper_value(self, x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
        """The upper objective; uncharged."""
        return self._upper(x, y, rows)

    def lower_value(self, x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
        """The lower objective, summed over followers; uncharged."""
        self.needs_lower("lower_value")
        return torch.stack([f.value(x, y[f.part], rows) for f in self.followers]).sum()

    def constraint_values(self, x: Tensor, y: Tensor) -> Float[Tensor, " p"]:
        """The lower constraints of all followers; uncharged."""
        return torch.cat([f.h(x, y[f.part]) for f in self.followers])

    def needs_lower(self, method: str) -> None:
        """Raise WrongProblem where `respond` is all that is known of the lower level."""
        if self.followers[0].function is None:
            raise WrongProblem(
                f"method {method} needs the lower level's objective, '{self.name}' has lower=None"
            )

    # -- oracles -----------------------------------------------------------------------------------

    def upper_gradients(
        self, x: Tensor, y: Tensor, rows: Rows = None
    ) -> tuple[float, Float[Tensor, " n"], Float[Tensor, " m"]]:
        """F and its gradients by x and by y. One gradient.

        Args:
            x: (n,).
            y: (m,).
            rows: Numbers of samples; None: all.
        """
        spend(gradients=1, upper_gradients=1, gradient_equivalents=1)
        value, (by_x, by_y) = value_and_gradients(
            lambda x, y: self.upper_value(x, y, rows), (x, y), (0, 1)
        )
        return value, by_x, by_y

    def lower_gradients(
        self, x: Tensor, y: Tensor, rows: Rows = None, by_x: bool = True
    ) -> tuple[float, Float[Tensor, " n"], Float[Tensor, " m"]]:
        """f and its gradients by x (zeros unless `by_x`) and by y. One gradient."""
        spend(gradients=1, lower_gradients=1, gradient_equivalents=1)
        wrt = (0, 1) if by_x else (1,)
        value, found = value_and_gradients(lambda x, y: self.lower_value(x, y, rows), (x, y), wrt)
        return value, found[0] if by_x else torch.zeros_like(x), found[-1]

    def lagrangian_gradients(
        self, x: Tensor, y: Tensor, lam: Float[Tensor, " p"], by: str = "y", rows: Rows = None
    ) -> tuple[float, Float[Tensor, " p"], Tensor]:
        """f, h, and the gradient of f + lam . h by "x" or "y". One gradient."""
        spend(gradients=1, lower_gradients=1, gradient_equivalents=1)
        kept: list[Tensor] = []

        def value(x: Tensor, y: Tensor) -> Tensor:
            f, h = self.lower_value(x, y, rows), self.constraint_values(x, y)
            kept[:] = [f.detach(), h.detach()]
            return f + lam @ h if len(h) else f

        _, (slope,) = value_and_gradients(value, (x, y), ("xy".index(by),))
        return float(kept[0]), kept[1], slope

    def hessian_products(
        self, x: Tensor, y: Tensor, v: Tensor, rows: Rows = None
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " m"]]:
        """(d2f/dxdy) v and (d2f/dydy) v. One Hessian product."""
        spend(hessian_products=1, gradient_equivalents=2)
        return products(lambda x, y: self.lower_value(x, y, rows), x, y, v)

    # -- the judge ---------------------------------------------------------------------------------

    def judge(self, answer: Any) -> Verdict:
        """Solve the lower level at the answer, and measure F and G at that response.

        Nothing is charged, and of the answer's own y nothing is used but as one more start, and for
        the metrics: `lower_gap` is f there minus the optimum (also the verdict's residual),
        `lower_missed` by how much it misses the lower constraints, and `upper_own` F there.

        Args:
            answer: An `UpperPoint`, or x alone; None: nothing was found.

        Raises:
            ShapeError: x or y does not fit.
        """
        if answer is None:
            return Verdict(float("nan"), float("inf"), self.tolerance)
        own = answer.y if isinstance(answer, UpperPoint) else None
        given = answer.x if isinstance(answer, UpperPoint) else answer
        array = given if isinstance(given, Mapping) else floats("answer", given)
        if not isinstance(array, Mapping) and not np.isfinite(array).all():
            return Verdict(float("nan"), float("inf"), self.tolerance)
        x = self.x_layout.join("answer", array)
        y = None
        if own is not None and np.isfinite(own).all():
            y = tensor("y", own).reshape(-1)
            if len(y) != self.m:
                raise ShapeError(f"y has {len(y)} entries, expected {self.m}")
        return judge(self, x, y)

    def answer(self, x: Tensor, y: Tensor | None = None) -> UpperPoint:
        """Return an answer that shares no memory with these vectors."""
        return UpperPoint(
            x.detach().numpy().copy(), None if y is None else y.detach().numpy().copy()
        )

    # -- how it is shown ---------------------------------------------------------------------------

    def fingerprint(self) -> dict[str, Any]:
        """Its start."""
        return {"x0": self.x_start.tolist(), "y0": self.y_start.tolist(), "sense": self.sense}

    def sources(self) -> dict[str, Any]:
        """Its functions."""
        found = {"upper": self.upper, "respond": self.respond}
        lower = self.lower if isinstance(self.lower, Mapping) else {"": self.lower}
        found |= {f"lower {k}".strip(): f for k, f in lower.items()}
        return {k: f for k, f in found.items() if f is not None}

    def design(self, answer: Any) -> dict[str, Any] | None:
        """x by name."""
        x = answer.x if isinstance(answer, UpperPoint) else np.asarray(answer).reshape(-1)
        return dict(zip(self.names, map(float, x), strict=True))

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """x, the figures of both levels, and each constraint."""
        x = answer.x if isinstance(answer, UpperPoint) else np.asarray(answer).reshape(-1)
        shown = [f"{v:.6g}" for v in x[:SHOWN]] + ["..."] * (len(x) > SHOWN)
        lines: list[tuple[str, ...]] = [("x", ", ".join(shown))]
        lines += [(k.replace("_", " "), f"{v:.6g}") for k, v in verdict.metrics.items()]
        return lines + [(k, f"{v:.3g}") for k, v in verdict.violations.items()]

    def outline(self) -> list[str]:
        """Its size and its constraints."""
        lines = [f"upper level: {self.n} variables, {len(self.G)} constraints"]
        for f in self.followers:
            said = f"follower '{f.name}'" if f.name else "lower level"
            rows = ", ".join(f"{c.name} ({c.size})" for c in f.constraints) or "no constraints"
            lines.append(f"{said}: {f.layout.size} variables, {rows}")
        return [*lines, f"where the lower level has several answers: the {self.sense} one"]

    def facts(self) -> dict[str, Any]:
        """The upper level's variables with their bounds, and the constraints of both levels."""
        low = high = np.full(self.n, np.inf)
        low = -low
        if self.X.linear:
            limits = self.X.rows(self.n)
            low, high = limits.lower, limits.upper
        bounds = zip(self.names, low.tolist(), high.tolist(), strict=True)
        own = {c.name: c.size for f in self.followers for c in f.constraints}
        upper = {c.name: c.size for c in self.G}
        return {
            "variables": [{"name": n, "low": a, "high": b} for n, a, b in bounds],
            "lower_variables": self.m,
            "followers": [f.name for f in self.followers],
            "limits": upper,
            "lower_limits": own,
            "constraints": sum(upper.values()),
            "sense": self.sense,
        }
