"""BlackBox: an expensive function with limits, of which nothing is known but what evaluating it
returns.

minimise f(x)  subject to  low_j <= c_j(x) <= high_j  (known only by evaluating),  known(x)  (free),
x in a box.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import checked
from ..core.checks import naming, one_of, real, whole
from ..core.errors import ArgumentError, NotFinite, NotMeasured, is_number
from ..core.ledger import Ledger, Observation, Observations
from ..core.limits import Limit as Limit, Limits as Limits, read_limits
from ..core.run import active_run
from ..core.sizes import Sizes
from ..core.verdict import Verdict
from . import fronts
from .calling import call, call_vectorized
from .candidates import Table
from .constraints import SciPyConstraint, scipy_constraints
from .evaluation import evaluate_in_run, from_menu, tried_in
from .experiments import BlackBoxExperiments
from .fronts import ObservedFront
from .history import History
from .inside import inside
from .menu import menu_of
from .objective import Checks, Objective, Objectives, check_noise, one_objective, several_objectives
from .outcome import Outcome
from .reading import Reader, check_names
from .showing import Shown
from .space import Known, Space, known_constraint, with_linear
from .tried import FINITE

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class BlackBox(Shown):
    """An expensive function under limits.

    minimise f(x)  subject to  low_j <= c_j(x) <= high_j  (known only by evaluating),
    known(x)  (free),  x in a box.

    Args:
        fun: Gets the point as a vector (d,), a mapping or keywords (`pass_as`), and returns one of
            a number (the objective; limits then come from `constraints`); (objective, values) with
            values in the order of `limits`; a mapping of metrics, of which `objective` names the
            one to optimise and `limits` the limited ones. An absent or None objective beside a
            violated limit means: infeasible, and that is all that is known. It may raise: a failed
            evaluation. None: people run the experiments (`feasible ask` and `tell`).
        bounds: SciPy's Bounds, [(low, high), ...], {name: (low, high[, unit])}, or Variables.
        constraints: SciPy's NonlinearConstraint, LinearConstraint or {"type": "ineq" or "eq",
            "fun": f} (f >= 0), alone, in a list or by name; with keep_feasible=True they count as
            `known`.
        limits: {"stress": "<= 250 MPa"}, a sequence, or `Limits`.
        scales: What violations are measured in, by limit or constraint. Without one it is the size
            of the limit's bound, or where that is 0 the spread of the metric over the first max(d +
            1, 5) rows.
        objective: Name of the metric to optimise, or an `Objective`, which also holds `maximize`,
            `target`, `unit` and `noise`.
        objectives: Several at once, {"mass": "min", "strength": "max"} or a list of `Objective`;
            fun then returns a mapping, (objectives, values), or both in one sequence. The answer is
            a front (`ObservedFront`), its objective minus the hypervolume.
        reference: With `objectives`: of each, by name, a value worse than all that is worth having,
            up to which the hypervolume counts.
        known: Constraints on the inputs alone, free: text such as "a + b + c == 1" or
            "a + 2 b <= 3", a function (n, d) -> (n,) bool, SciPy's constraint objects, or several.
            Every proposal keeps them.
        candidates: The experiments that are possible: a data frame, a mapping of columns, or the
            path of a CSV or .xlsx file, with a column for each variable. Every proposal becomes its
            nearest row that was not tried; without bounds the columns say what the variables are.
        history: The experiments of an earlier, similar study, of which models that can (robust-bo)
            learn how the objective changes, and how far that holds here: a data frame, a mapping of
            columns, or the path of a CSV or .xlsx file, with columns for the variables and the
            objective.
        evaluation_time: Seconds that an evaluation takes. The default is then a method whose
            proposals take no longer.
        check: A cheap first stage, check(x) -> mapping of limits, charged as `checks`; fun runs
            only where it passes. Or `Checks`, which also holds `known`.
        name: For people and stores; None for the function's.
        maximize: True if large values of the objective are good.
        vectorized: True if fun gets (n, d) and returns arrays of n.
        pass_as: "vector", "mapping" or "keywords"; None for a mapping where inputs are categories,
            else a vector.
        noise: Standard deviation of the objective, 0 for a deterministic function (exact repeats
            are then answered from the ledger, free), True where it is unknown.
        simulated_noise: Standard deviation of noise that is added to fun's objective here.
        repeats: "free" or "charged"; None for what `noise` says.
        tolerance: Largest violation that counts as feasible, relative to the size of its limit.
        best_known: Objective of the best known feasible point, from the literature.
        best_point: That point.
        truth: True if fun itself is the truth, so that judging a point costs nothing.
        variables: Another name for `bounds`: a list of Real, Integer, Categorical.
        unit: The objective's unit, for people.
        x0: A design to start from, inside the bounds.
        keep: Most rows that a run without a store keeps in memory (and `to_frame` shows), for
            functions of microseconds whose repeats are charged; the best row is always kept. None
            for all.
        target: The value that the objective should have; then |objective - target| is minimised.

    Raises:
        ArgumentError: An argument that cannot be, or two that exclude each other.
        BoundsError: Bounds that cross or are no numbers.
        LimitError: A limit that cannot be read.

    Examples:
        >>> problem = BlackBox(
        ...     lambda x: {"mass": x[0] * x[1], "stress": 10 / x[0]},
        ...     bounds={"width": (1, 5, "mm"), "height": (1, 5, "mm")},
        ...     objective="mass",
        ...     limits={"stress": "<= 4 MPa"},
        ... )
        >>> problem
        BlackBox('problem', d=2, limits=['stress <= 4 MPa'])
        >>> seen = problem.evaluate([2.0, 3.0])
        >>> seen.objective.tolist(), seen.violation.tolist()
        ([6.0], [0.25])
    """

    keeps_ledger = True

    @checked
    def __init__(
        self,
        fun: Callable[..., Any] | None,
        bounds: Any = None,
        *,
        constraints: Any = (),
        limits: Any = None,
        scales: Mapping[str, float] | None = None,
        objective: str | Objective | None = None,
        objectives: Any = None,
        reference: Mapping[str, float] | None = None,
        known: Any = None,
        candidates: Any = None,
        history: Any = None,
        evaluation_time: float | None = None,
        check: Callable[..., Any] | Checks | None = None,
        name: str | None = None,
        maximize: bool = False,
        vectorized: bool = False,
        pass_as: str | None = None,
        noise: float | bool = 0.0,
        simulated_noise: float = 0.0,
        repeats: str | None = None,
        tolerance: float = 1e-6,
        best_known: float | None = None,
        best_point: Any = None,
        truth: bool = False,
        variables: Any = None,
        unit: str = "",
        x0: Any = None,
        keep: int | None = None,
        target: float | None = None,
    ):
        table = None if candidates is None else Table(candidates)
        if table is not None and bounds is None and variables is None:
            variables = table.variables()
        if (bounds is None) == (variables is None):
            raise ArgumentError(
                "give the inputs once: bounds=, or variables= (a list of Real, Integer, "
                "Categorical); candidates= may say them too"
            )
        check_noise("simulated_noise", simulated_noise)
        if objectives is None and reference is None:
            noise = noise or bool(simulated_noise)
            goals = one_objective(objective, bool(maximize), target, unit, noise)
        else:
            alone = {
                "objective": objective,
                "maximize": maximize,
                "target": target is not None,
                "unit": unit,
                "simulated_noise": simulated_noise,
                "keep": keep,
                "best_point": best_point is not None,
            }
            goals = several_objectives(objectives, reference, noise, alone)
        self.several = isinstance(goals, Objectives)
        if not isinstance(check, Checks):
            check = Checks(check, known)
        elif known is not None:
            raise ArgumentError("known: given twice, in check=Checks(...) and in known=")
        self.fun, self.check, self.vectorized = fun, check.check, vectorized
        with naming("bounds" if variables is None else "variables"):
            self.space = Space.of(bounds if variables is None else variables)
        self.name = name or getattr(fun, "__name__", "problem").replace(
            "<lambda>", "problem"
        ).replace("_", "-")
        categorical = any(v.choices for v in self.space.variables)
        self.pass_as = one_of(
            "pass_as",
            pass_as
            or getattr(fun, "pass_as", None)
            or ("mapping" if categorical and not vectorized else "vector"),
            ("vector", "mapping", "keywords"),
        )
        self.tolerance = real("tolerance", tolerance, least=0, infinite=True)
        self.simulated_noise = float(simulated_noise)
        noisy = any(o.noise for o in (goals.parts if isinstance(goals, Objectives) else (goals,)))
        repeats = repeats or ("charged" if noisy else "free")
        self.free_repeats = one_of("repeats", repeats, ("free", "charged")) == "free"
        if keep is not None and self.free_repeats:
            raise ArgumentError(
                f"keep={keep!r}: expected None, or a number >= 1 beside repeats='charged'"
            )
        self.keep = None if keep is None else whole("keep", keep, least=1)
        self.best_known, self.best_point, self.truth = best_known, best_point, truth
        self.x0 = None if x0 is None else self.space.vector(x0, what="x0")
        known_parts = check.parts
        functions: list[SciPyConstraint] = []
        for f in scipy_constraints(constraints, self.space.d):
            if f.keep_feasible:
                known_parts.append(f.given)
            else:
                functions.append(f)
        rest = dict(scales or {})
        for f in functions:
            f.scales = {n: rest.pop(n) for n in list(rest) if f.owns(n)}
        declared = read_limits(limits.limits if isinstance(limits, Limits) else limits, rest)
        with naming("known"):
            self.space, known_parts = with_linear(self.space, known_parts)
        self._tests: list[Known] = [known_constraint(k, self.space.d) for k in known_parts]
        if table is not None:  # its rows stay as they are: no step or equality moves them
            self.space = Space(self.space.variables)
            points = table.points(self.space.variables)
            self.space.menu = menu_of(self.space, points, self.allowed if self._tests else None)
        self.evaluation_time = evaluation_time
        if evaluation_time is not None:
            self.evaluation_time = real("evaluation_time", evaluation_time, above=0)
        if history is not None and isinstance(goals, Objectives):
            raise ArgumentError("history: several objectives have none: give one objective")
        self.history = (
            History.read(history, self.space, goals)
            if history is not None and isinstance(goals, Objective)
            else None
        )
        self.reader = Reader(goals, functions, declared, self.check is not None)
        check_names(self.reader, self.space.names)
        if self.x0 is not None and not self.allowed(self.x0[None])[0]:
            raise ArgumentError(
                f"x0 = {self.space.mapping(self.x0)}: the known constraints forbid this design"
            )

    @property
    def deterministic(self) -> bool:
        """False where repeating an evaluation may give another value."""
        return not self.noise

    @property
    def plain(self) -> bool:  # type: ignore[override]
        """True if evaluating a batch is one call of a vectorised function and nothing else: no
        repeats, checks, noise or known constraints.
        """
        return (
            self.vectorized
            and self.space.menu is None
            and not self.free_repeats
            and not self._tests
            and self.check is None
            and not self.simulated_noise
        )

    def allowed(self, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """(n,) True where the known constraints let a point through. Free."""
        passed = np.ones(len(x), dtype=bool)
        for test in self._tests:
            passed &= test(x)
        return passed

    @property
    def known(self) -> Known | None:
        """The test of all known constraints, None where there are none."""
        return self.allowed if self._tests else None

    def minimised(self, metric: Any) -> Any:
        """What is minimised, from the objective's metric (a float or an array): itself, its
        negative, or its distance from the target.
        """
        return self.reader.objective.minimised(metric)

    # -- evaluating --------------------------------------------------------------------------------

    def evaluate(self, x: Any, tag: Int[np.ndarray, " n"] | None = None) -> Observations:
        """Evaluate points, charging the active run.

        Points are clipped to the box and rounded first. In a run: points that `known` forbids come
        back as failed and cost nothing, and exact repeats of a deterministic problem are answered
        from the ledger.

        Args:
            x: Points (n, d); (d,) is taken as one point.
            tag: The method's own label of each point (n,), which comes back with its outcome.

        Returns:
            One row for each point.

        Raises:
            NotFinite: A coordinate is not a number.
            BudgetExhausted: The budget ends inside the batch; its first rows are evaluated and
                recorded before.
            EvaluationFailed: The function failed, where failures end the run.
        """
        points = np.atleast_2d(np.asarray(x, dtype=float))
        if points is not self.space.snapped:
            points = self.space.snap(points)
        if not math.isfinite(np.vdot(points, points)) and not np.isfinite(points).all():
            row, j = np.argwhere(~np.isfinite(points))[0].tolist()
            raise NotFinite(
                f"points: {self.names[j]} is {points[row, j]} in row {row}, expected finite numbers"
            )
        if len(points) == 0:
            return self.batch(points, [], np.empty(0, dtype=int), np.empty(0, dtype=int))
        tags = np.full(len(points), -1) if tag is None else tag
        run = active_run.get()
        if self.space.menu is not None:
            return from_menu(self, self.space.menu, run, points, tags)
        if run is None:
            return self.measure(points, np.full(len(points), -1), tags)
        return evaluate_in_run(self, run, points, tags)

    def measure(
        self, x: Float[np.ndarray, "n d"], ids: Int[np.ndarray, " n"], tag: Int[np.ndarray, " n"]
    ) -> Observations:
        """Call the function on every row, in this process, without a run: nothing is charged or
        recorded.
        """
        if self.vectorized and self.check is None:
            return self.call_vectorized(x, ids, tag)
        return self.batch(x, [self.outcome(row) for row in x], ids, tag)

    def outcome(self, x: Float[np.ndarray, " d"], stage: str = "all") -> Outcome:
        """Everything that one evaluation of one point gives. Never raises what the user's function
        raises.
        """
        return call(self, x, stage)

    def staged(self, item: tuple[Float[np.ndarray, " d"], str]) -> Outcome:
        """`outcome` of (x, stage) as one argument, for engines."""
        return self.outcome(*item)

    def call_vectorized(
        self, x: Float[np.ndarray, "n d"], ids: Int[np.ndarray, " n"], tag: Int[np.ndarray, " n"]
    ) -> Observations:
        """One call for all rows. A wrong shape or an exception fails the whole batch; NaN fails a
        row.
        """
        return call_vectorized(self, x, ids, tag)

    def batch(
        self,
        x: Float[np.ndarray, "n d"],
        outcomes: Sequence[Outcome],
        ids: Int[np.ndarray, " n"],
        tag: Int[np.ndarray, " n"],
    ) -> Observations:
        """Rows from outcomes."""
        return self.reader.rows(x, outcomes, ids, tag)

    def from_metrics(
        self, x: Float[np.ndarray, " d"], metrics: Mapping[str, float], failed: str | None, row: int
    ) -> Observations:
        """One row from metrics that somebody measured; failed: why there are none."""
        return self.batch(
            x[None], [Outcome(dict(metrics), failed)], np.array([row]), np.array([-1])
        )

    def limit_violation(
        self, metrics: Mapping[str, float], sizes: Float[np.ndarray, " m"] | None = None
    ) -> float:
        """See `Reader.limit_violation`."""
        return self.reader.limit_violation(metrics, sizes)

    def infer_objective(self, names: Iterable[str]) -> None:
        """Where the objective has no name, take it from metrics that a worker or a store gives."""
        self.reader.infer(names)

    # -- judging and showing -----------------------------------------------------------------------

    def judge(self, answer: Any) -> Verdict:
        """The verdict on an observation, recomputed from its raw metrics; where the truth is known,
        on the point itself.

        A deterministic function's own observation is that truth, and is not measured again.

        Args:
            answer: An Observation of this problem; where the truth is known, a point too.

        Raises:
            NotMeasured: The answer is not an observation, and only evaluating can tell what it is
                worth.
        """
        if self.several and isinstance(answer, ObservedFront):
            return self._judge_front(answer)
        if self.truth and (self.noise or not isinstance(answer, Observation)):
            x = self.space.vector(
                answer.x if isinstance(answer, Observation) else answer, what="answer"
            )
            seen = self.measure(x[None], np.array([-1]), np.array([-1])).observation(0)
        elif isinstance(answer, Observation):
            seen = answer
        else:
            raise NotMeasured(
                f"answer: got {type(answer).__name__}, expected one of the observations that "
                f"'{self.name}' returned; only evaluating can tell what a point is worth"
            )
        return self.reader.verdict(seen, self.tolerance)

    def _judge_front(self, front: ObservedFront) -> Verdict:
        """Return the verdict on a front, recomputed from raw metrics or, where the truth is known
        and the values are not, from its points.
        """
        rows = front.rows
        if self.truth and self.noise:
            rows = self.measure(rows.x, rows.id, rows.tag)
        return fronts.judged(self.reader, self.tolerance, rows)

    def limit_sizes(self, frozen: Sequence[float] | None = None) -> Sizes | None:
        """The sizes of limits whose bound is 0 and that have no scale, where there are such."""
        if not self.limits.unsized.any():
            return None
        return Sizes(lambda: self.limits.unsized, self.space.high - self.space.low, frozen)

    def remeasured(self, rows: Observations) -> Observations:
        """Stored rows with the constraints that the limits of now make of their metrics."""
        return self.reader.remeasured(rows)

    def finish(self, reason: str) -> None:
        """Evaluate what a finite space still has while budget is left, unless the method ended
        because it met the target.
        """
        run = active_run.get()
        if run is None or self.target is not None or not self.free_repeats:
            return
        if self.space.count <= FINITE:
            rest = tried_in(self, run).untried()
            if len(rest):
                self.evaluate(rest)

    def incumbent(self, ledger: Ledger) -> Any:
        """The best row; of several objectives the front, or the least infeasible row.

        Where the best row lies outside its limits, within the tolerance, and one that keeps to them
        costs the same but for what that violation buys, it is that one.
        """
        rows = ledger.all() if self.several else None
        if rows is not None:
            front = fronts.observed_front(self.space, self.reader, self.tolerance, rows)
            if front is not None:
                return front
        best = ledger.best(self.tolerance, self.names)
        if best is None or self.several or not 0 < best.violation <= self.tolerance:
            return best
        return inside(ledger, best, self.names)

    def objectives_of(self, rows: Observations) -> Float[np.ndarray, "n m"]:
        """(n, m) the objectives of rows as they are minimised; NaN where there is no value."""
        return fronts.minimised(self.reader, rows) if self.several else rows.objective[:, None]

    @property
    def reference(self) -> Float[np.ndarray, " m"] | None:
        """(m,) the reference point of several objectives, as it is minimised."""
        return self.reader.several.corner if self.reader.several else None

    def experiments(self) -> BlackBoxExperiments:
        """How people and workers run its experiments."""
        return BlackBoxExperiments(self)

    def __repr__(self) -> str:
        return (
            f"BlackBox('{self.name}', d={self.space.d}, "
            f"limits={[q.name + ' ' + q.text for q in self.limits.limits]})"
        )


@checked
def noisy(problem: BlackBox, sd: float) -> BlackBox:
    """The same problem with Gaussian noise of standard deviation `sd` on the objective; judged on
    the truth, without noise.
    """
    if not (is_number(sd) and 0 < sd < math.inf):
        raise ArgumentError(f"sd={sd!r}: expected a standard deviation > 0")
    twin = copy.copy(problem)
    twin.reader = copy.copy(problem.reader)
    twin.reader.objective = replace(problem.reader.objective, noise=float(sd))
    twin.simulated_noise, twin.free_repeats, twin.truth = float(sd), False, True
    twin.name = f"{problem.name}-noisy"
    return twin


__all__ = ["BlackBox", "Checks", "Objective", "Outcome", "noisy"]
