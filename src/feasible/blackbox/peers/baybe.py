"""BayBE, asked and told through its `Campaign`, with its default recommender: a random point, then
BoTorch's log expected improvement over a Gaussian process.

Variables keep their kind: reals, whole numbers and steps as discrete values, categories, those with
descriptors as such, the rows of a table as a discrete space; log scales go by their logarithm, and
variables that cannot vary are left out. Linear constraints on reals are BayBE's own; a point that
other known constraints forbid is replaced by a random allowed one. An earlier study is a second
task. BayBE has no limits on what is measured, so problems with limits are refused, and no notion
of a failed evaluation: it is not told of those.

References:
    M. Fitzner et al., BayBE: a Bayesian back end for experimental planning in the low-to-no-data
    regime, Digital Discovery 4 (2025) 1991-2000.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.errors import WrongProblem
from ..asktell import AskTell, Proposals
from ..sampling import FAILURES, chosen_or_random, draw, first_start, lost
from .frame import require

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...core.ledger import Observations
    from ..problem import BlackBox
    from ..space import Variable

LARGEST = 1e100
"""Values beyond this are told as this: their squares must be doubles."""
COMBINATIONS = 50_000
"""Discrete combinations, at most, of which BayBE makes a table; whole numbers of most values are
reals, and rounded, where there would be more.
"""
LEVELS = 11
"""Values, at most, that a real has on a grid."""
TASK, NOW, BEFORE = "study", "this", "earlier"


@dataclass(slots=True)
class Planning:
    """What BayBE knows of a run.

    Attributes:
        rng: Stream of the seeds of BayBE's proposals, and of the points that replace one.
        campaign: BayBE's own `Campaign`; None where no variable can vary.
        x: (n, d) points that were told.
        open: Points that were proposed and not told, by tag.
        asked: Number of proposals.
    """

    rng: np.random.Generator
    campaign: Any
    x: Float[np.ndarray, "n d"]
    open: dict[int, Float[np.ndarray, " d"]] = field(default_factory=dict)
    asked: int = 0


@dataclass(frozen=True)
class BayBE(AskTell):
    """Minimise f(x) by BayBE's default recommender.

    Attributes:
        grid: Reals become at most 11 equidistant values each, as most of BayBE's own examples
            have them. Beside categories or whole numbers BayBE maximises over the reals once for
            every combination of these, which takes seconds.

    References:
        M. Fitzner et al., BayBE: a Bayesian back end for experimental planning in the low-to-no-
        data regime, Digital Discovery 4 (2025) 1991-2000.
    """

    avoids: ClassVar[bool] = False
    uses_beforehand: ClassVar[bool] = True
    name: ClassVar[str] = "baybe"
    requires: ClassVar[tuple[str, ...]] = ("baybe",)
    grid: bool = False

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Planning:
        """Set a campaign up; nothing is evaluated.

        Args:
            problem: The problem, with finite bounds and without limits.
            rng: Source of all seeds and of random points.

        Returns:
            The state of a run that has no row yet.

        Raises:
            BoundsError: A bound is infinite.
            MissingExtra: BayBE is not installed.
            WrongProblem: The problem has limits.
        """
        problem.space.needs_bounds(self.name)
        if problem.limits.limits:
            raise WrongProblem(
                f"{self.name}: BayBE has no limits on what is measured, but '{problem.name}' has "
                f"{', '.join(problem.limits.names)}"
            )
        baybe = _baybe()
        levels = _levels(problem, self.grid)
        state = Planning(rng, None, np.empty((0, problem.space.d)))
        parameters = [_parameter(problem, j, int(levels[j])) for j in _free(problem)]
        if not parameters:
            return state
        if problem.history is not None:
            parameters.append(
                baybe.parameters.TaskParameter(TASK, (NOW, BEFORE), active_values=(NOW,))
            )
        make = baybe.searchspace.SearchSpace
        if problem.space.menu is None:
            space = make.from_product(parameters, _constraints(problem, levels) or None)
        else:
            space = make.from_dataframe(_frame(problem, problem.space.menu.x), parameters)
        target = baybe.targets.NumericalTarget("f", minimize=True)
        state.campaign = baybe.Campaign(space, target.to_objective())
        if (old := problem.history) is not None:
            _measured(problem, state, *old.beside(np.empty(0)), BEFORE)
        return state

    def ask(self, problem: BlackBox, state: Planning, n: int | None = None) -> Proposals:
        """Propose points by BayBE's recommendations, one after the other.

        Args:
            problem: The problem.
            state: Changed in place: the points become open.
            n: Number of points; None for one.

        Returns:
            The points (n, d), tagged by number.
        """
        tags = list(range(state.asked, state.asked + (1 if n is None else n)))
        for tag in tags:
            state.open[tag] = self._point(problem, state)
            state.asked += 1
        x = np.array([state.open[t] for t in tags]).reshape(-1, problem.space.d)
        return Proposals(x, np.array(tags, dtype=int))

    def _point(self, problem: BlackBox, state: Planning) -> Float[np.ndarray, " d"]:
        """Return the next point: the user's x0 first; a random one where BayBE has none."""
        if state.asked == 0 and (start := first_start(problem)) is not None:
            return start
        if state.campaign is None:
            return draw(problem, state.rng)[0]
        out = np.array([*state.open.values()]).reshape(-1, problem.space.d)
        pending = _frame(problem, out) if len(out) else None
        with _quietly():
            x = chosen_or_random(
                problem,
                self.name,
                state.asked,
                state.rng,
                np.vstack([state.x, out]),
                lambda: _back(problem, state.campaign.recommend(1, pending)),
                _failures(),
            )
        return x if problem.allowed(x[None])[0] else draw(problem, state.rng)[0]

    def tell(self, problem: BlackBox, state: Planning, seen: Observations) -> None:
        """Add measurements; failed evaluations are left out.

        Args:
            problem: The problem.
            state: Changed in place: the points told are no longer open.
            seen: Outcomes of n points; tag -1 for points that somebody else chose.
        """
        for tag in seen.tag.tolist():
            state.open.pop(tag, None)
        state.x = np.vstack([state.x, seen.x])
        good = ~lost(seen) & np.isfinite(seen.objective)
        if state.campaign is not None and good.any():
            values = np.clip(seen.objective[good], -LARGEST, LARGEST)
            _measured(problem, state, seen.x[good], values, NOW)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep BayBE's warnings to itself; ours, of a run that goes on otherwise, come through."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(baybe|botorch|gpytorch|linear_operator)\b")
        yield


def _baybe() -> Any:
    """Return the package, with the modules that are used."""
    with _quietly():
        for part in ("constraints", "parameters", "searchspace", "targets"):
            require(f"baybe.{part}", BayBE.name)
        return require("baybe", BayBE.name)


def _failures() -> tuple[type[Exception], ...]:
    """Return what a recommendation fails with: no point is left, or a model cannot be fitted."""
    theirs = require("baybe.exceptions", BayBE.name)
    models = require("botorch.exceptions", BayBE.name)
    return (
        *FAILURES,
        theirs.NotEnoughPointsLeftError,
        theirs.InfeasibilityError,
        models.BotorchError,
        models.ModelFittingError,
    )


def _free(problem: BlackBox) -> list[int]:
    """Return the numbers of the variables that can vary."""
    space, menu = problem.space, problem.space.menu
    moves = space.high > space.low if menu is None else np.ptp(menu.x, axis=0) > 0
    return np.flatnonzero(moves).tolist()


def _levels(problem: BlackBox, grid: bool) -> np.ndarray:
    """Return how many values each input has to BayBE: 0 for reals."""
    space = problem.space
    if space.menu is not None:
        return np.array([len(np.unique(column)) for column in space.menu.x.T])
    step = np.where(space.step > 0, space.step, 1.0)
    own = np.where(space.step > 0, np.round((space.high - space.low) / step) + 1, 0).astype(int)
    numbers = np.array([not v.choices for v in space.variables])
    for j in np.argsort(-own, kind="stable").tolist():
        if numbers[j] and math.prod(k for k in own.tolist() if k) > COMBINATIONS:
            own[j] = 0
    real = (own == 0) & (space.high > space.low)
    if grid and real.any():
        room = COMBINATIONS / math.prod(k for k in own.tolist() if k)
        own[real] = int(np.clip(room ** (1 / real.sum()), 2, LEVELS))
    return own


def _parameter(problem: BlackBox, j: int, levels: int) -> Any:
    """Return the parameter of input j, of which BayBE gets so many values."""
    made, space = _baybe().parameters, problem.space
    v, low, high = space.variables[j], float(space.low[j]), float(space.high[j])
    if space.menu is not None:
        values = np.unique(space.menu.x[:, j])
    elif space.step[j] > 0 and levels:
        values = low + space.step[j] * np.arange(levels)
    else:
        values = np.array([low, high])
    if v.choices:
        return _category(f"x{j}", v, values.astype(int).tolist())
    ends = np.log(values) if v.log else values
    if not levels:
        return made.NumericalContinuousParameter(f"x{j}", ends.tolist())
    if len(ends) < levels:
        ends = np.linspace(ends[0], ends[-1], levels)
    return made.NumericalDiscreteParameter(f"x{j}", ends.tolist())


def _category(name: str, v: Variable, codes: list[int]) -> Any:
    """Return the parameter of a category's choices: by its descriptors, where these tell all
    choices apart.
    """
    made, pandas = _baybe().parameters, require("pandas", BayBE.name)
    labels = [f"c{code}" for code in codes]
    table = pandas.DataFrame(
        {head: [values[code] for code in codes] for head, values in v.descriptors}, index=labels
    )
    table = table.loc[:, table.nunique() > 1]
    if len(table.columns) and not table.duplicated().any():
        return made.CustomDiscreteParameter(name, table)
    return made.CategoricalParameter(name, labels)


def _frame(problem: BlackBox, x: Float[np.ndarray, "n d"], task: str = NOW) -> Any:
    """Return points as a data frame of BayBE's parameters."""
    columns: dict[str, Any] = {}
    for j in _free(problem):
        v = problem.space.variables[j]
        values = np.log(x[:, j]) if v.log else x[:, j]
        columns[f"x{j}"] = [f"c{round(c)}" for c in x[:, j]] if v.choices else values
    if problem.history is not None:
        columns[TASK] = [task] * len(x)
    return require("pandas", BayBE.name).DataFrame(columns)


def _back(problem: BlackBox, frame: Any) -> Float[np.ndarray, " d"]:
    """Return the point of a recommendation."""
    space = problem.space
    x = space.low.copy() if space.menu is None else space.menu.x[0].copy()
    for j in _free(problem):
        v = space.variables[j]
        value = frame[f"x{j}"].iloc[0]
        if v.choices:
            x[j] = float(str(value)[1:])
        else:
            x[j] = np.exp(value) if v.log else float(value)
    return space.snap(x[None])[0]


def _constraints(problem: BlackBox, levels: np.ndarray) -> list[Any]:
    """Return the linear constraints on reals as BayBE's own."""
    made, space, found = _baybe().constraints, problem.space, []
    for c in space.linear:
        dense = np.atleast_2d(c.A.toarray() if hasattr(c.A, "toarray") else np.asarray(c.A, float))
        low, high = (np.broadcast_to(v, len(dense)) for v in (c.lb, c.ub))
        for row, lb, ub in zip(dense, low.tolist(), high.tolist(), strict=True):
            used = np.flatnonzero(row)
            free = [j for j in used.tolist() if space.high[j] > space.low[j]]
            if any(levels[j] or space.variables[j].log for j in free):
                continue
            rest = float(sum(row[j] * space.low[j] for j in used.tolist() if j not in free))
            names, factors = [f"x{j}" for j in free], row[free].tolist()
            sides = [("=", lb)] if lb == ub else [(">=", lb), ("<=", ub)]
            found += [
                made.ContinuousLinearConstraint(names, sign, factors, side - rest)
                for sign, side in sides
                if np.isfinite(side)
            ]
    return found


def _measured(problem: BlackBox, state: Planning, x: np.ndarray, f: np.ndarray, task: str) -> None:
    """Tell BayBE of measurements."""
    rows = _frame(problem, x, task).assign(f=f)
    with _quietly():
        state.campaign.add_measurements(rows, numerical_measurements_must_be_within_tolerance=False)
