"""Sequential programming on Gaussian-process interpolants, in a trust region with global steps: the
model of the room's default for smooth functions.

Use it where an evaluation is worth more than a proposal's 50 to 150 ms, values repeat, inputs are
continuous and 20 to 300 evaluations may be spent.

    repeat  centre   = the point of least merit f + sum_j nu_j max(g_j, 0)
            model    = interpolants of f - f_c and of g_j; of their asinh, which keeps signs and
                       order, where that predicts left-out points better
            local    : minimise the model of f subject to the models of g <= -margin in the box of
                       radius D about the centre, on the points nearest to it; where no point of
                       that box satisfies the models, to their least total violation first
            global   : the same over the whole box on all points, from several starts; taken after
                       a local step that failed
            D doubles after a local step that the model foresaw, halves after repeated failures;
            nu_j follows the multipliers; margin_j = half of the last error of the model of g_j
    g_j is the problem's constraint and a tenth of its tolerance, so that the answer lies inside
    a point that is not 6 times nearer to a row with values than to a failed one is replaced by
        the best by the models of random points that are
    where none of 3 (d + 2) rows keeps to the limits, merit and step are those of the largest
        violation, max_j g_j, until one does
    when D falls below `resolution` the local search has converged, and another starts where the
    models know least.

The parts are published; their combination is this library's.

References:
    The subproblem on the surrogates' means: SEGO (M. Sasena, P. Papalambros, P. Goovaerts,
    Engineering Optimization 34, 2002) and COBRA with its margins (R. Regis, Engineering
    Optimization 46, 2014). The trust region between global steps: TREGO (Y. Diouane, V. Picheny,
    R. Le Riche, A. Scotto Di Perrotolo, J. Global Optimization, 2022). The composite step to least
    violation: R. Byrd, E. Omojokun (1989).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import whole
from ...core.errors import ArgumentError
from ...core.ledger import DONE
from ..asktell import AskTell, Proposals, say
from ..sampling import draw, first_start
from ..space import Space, sample_allowed
from .interpolant import Interpolants
from .merit import merit, torn_sizes
from .state import Pending, SQPState
from .step import least, least_worst
from .view import Evidence, OutputScale, View, spread, typical

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ...core.ledger import Observations
    from ..problem import BlackBox

DESIGN, LOCAL, GLOBAL, GEOMETRY = range(4)
"""Kinds of proposals; the last one is for the models' sake."""
INSIDE = 0.1
"""Share of the tolerance, on the size of each limit, that the search keeps away from the limits:
its answers then lie inside them, and cost about 1e-7 of the objective more.
"""
WARY = 6.0
"""How many times nearer a proposal is to a row that gave values than to one that failed: steps
towards a region of failures are shortened to a seventh of the way.
"""
TRUST = 1e-7
"""Error of the models at a step, in units of the outputs' spread, up to which they are believed
when they see nothing better.
"""


@dataclass(frozen=True)
class GPSQP(AskTell):
    """Sequential programming on Gaussian-process interpolants.

    It minimises f(x) over a box, subject to g_j(x) <= 0, all known by evaluations only.

    Attributes:
        design: Points of the initial Sobol design; None: 2 d + 1, or d + 2 in more than 10 inputs.
        radius: First half-width D of the trust region, in units of the box.
        resolution: D below which a local search has converged.
        neighbours: Points of a local model for each input (at least 10 in all).
        most: Points of any model at most.
        margin: Share of the constraints' last model errors that the next step stays away from the
            limits.
        tame: Ratio of an output's largest to its median size beyond which a model of its asinh is
            tried too.
        refit: Growth of the rows after which lengthscales are fitted again (its cube: of the unit
            of a local model); 1: for every proposal.

    Raises:
        ArgumentError: A setting makes no sense.

    References:
        The parts are published, see the module; their combination is this library's.
    """

    name: ClassVar[str] = "gp-sqp"
    design: int | None = None
    radius: float = 0.25
    resolution: float = 2e-7
    neighbours: float = 4.0
    most: int = 150
    margin: float = 0.5
    tame: float = 100.0
    refit: float = 1.1

    def __post_init__(self) -> None:
        for what in ("radius", "resolution", "neighbours", "tame", "refit"):
            value = getattr(self, what)
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ArgumentError(f"{what}={value!r}: expected a number > 0")
        whole("most", self.most, least=2)
        if self.design is not None and self.design < 2:
            raise ArgumentError(f"design={self.design!r}: expected at least 2 points, or None")
        if not 0 <= self.margin <= 1:
            raise ArgumentError(f"margin={self.margin!r}: expected a number in [0, 1]")

    def least(self, problem: BlackBox) -> int:
        """Evaluations below which there is only the initial design."""
        return self._design(problem) + 1

    def _design(self, problem: BlackBox) -> int:
        """Return the number of points of the initial design."""
        d = problem.space.d
        return self.design or (d + 2 if d > 10 else 2 * d + 1)

    def init(self, problem: BlackBox, rng: np.random.Generator) -> SQPState:
        """The initial design: x0 where there is one, then scrambled Sobol points that the known
        constraints allow.
        """
        from scipy.stats import qmc

        space = problem.space
        space.needs_bounds(self.name)
        sobol = qmc.Sobol(space.d, rng=rng)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # balance only matters for powers of two
            x = sample_allowed(space, problem.known, self._design(problem), sobol.random)
        start = first_start(problem)
        u = space.unit(x if start is None else np.vstack([start, x[:-1]]))
        return SQPState(
            rng,
            np.empty((0, space.d)),
            np.empty(0),
            np.empty((0, 0)),
            u,
            self.radius,
            np.empty(0),
            np.empty(0),
        )

    # -- asking ------------------------------------------------------------------------------------

    def ask(self, problem: BlackBox, state: SQPState, n: int | None = None) -> Proposals:
        """The rest of the initial design, then one point, or n points of which each believes what
        the models foresee for the others.
        """
        space = problem.space
        points: list[np.ndarray] = []
        tags: list[int] = []
        wanted = (len(state.design) or 1) if n is None else n
        while len(points) < wanted:
            if len(state.design):
                u, state.design = state.design[0], state.design[1:]
                one = Pending(u, DESIGN, -1, math.nan, np.empty(0))
            elif np.count_nonzero(np.isfinite(state.f)) < 2:
                one = Pending(
                    space.unit(draw(problem, state.rng))[0], DESIGN, -1, math.nan, np.empty(0)
                )
            else:
                one = self._propose(problem, state)
            x = _points(space, one.u[None])
            state.pending[state.asked] = one
            points.append(x[0])
            tags.append(state.asked)
            state.asked += 1
        return Proposals(np.array(points).reshape(-1, space.d), np.array(tags, dtype=int))

    def _propose(self, problem: BlackBox, state: SQPState) -> Pending:
        """Return a local or a global step on the models of everything that is known or believed."""
        known = self._known(problem, state)
        m = known.g.shape[1]
        if len(state.penalty) != m:
            ratio = [math.log(spread(known.f)) - math.log(spread(c)) for c in known.g.T]
            state.penalty, state.error = np.exp(np.clip(ratio, -690, 690)).reshape(m), np.zeros(m)
        mine = np.flatnonzero(known.rows >= state.since)
        mine = mine if len(mine) else np.arange(len(known.f))
        merits = merit(state.penalty, known.f[mine], known.g[mine], torn_sizes(problem, state))
        centre = int(mine[np.argmin(np.nan_to_num(merits, nan=np.inf))])
        wide = state.radius < self.resolution or (state.local_last and state.fails > 0)
        state.local_last = not wide
        return self._step(problem, state, known, centre, GLOBAL if wide else LOCAL)

    @staticmethod
    def _limited(problem: BlackBox, state: SQPState) -> Float[np.ndarray, "n m"]:
        """Return the constraints as the method takes them: a little inside the problem's, where it
        declares them.
        """
        if problem.limits.m != state.g.shape[1]:
            return state.g
        first = state.g[np.isfinite(state.f)][: max(state.u.shape[1] + 1, 5)]
        return state.g + problem.limits.inside(INSIDE * min(problem.tolerance, 1e-6), first)

    def _known(self, problem: BlackBox, state: SQPState) -> Evidence:
        """Return the measured rows, and the proposals that are out as the models foresaw them."""
        seen = np.isfinite(state.f)
        believed = [
            p
            for p in map(Pending._make, state.pending.values())
            if p.kind != DESIGN and math.isfinite(p.objective)
        ]
        f = np.concatenate([state.f[seen], [p.objective for p in believed]])
        limited = self._limited(problem, state)
        g = np.vstack([limited[seen], *[p.constraints[None] for p in believed]])
        return Evidence(
            u=np.vstack([state.u[seen], *[p.u[None] for p in believed]]),
            f=f,
            g=g.reshape(len(f), state.g.shape[1]),
            rows=np.concatenate([np.flatnonzero(seen), np.full(len(believed), -1)]),
        )

    def _step(
        self, problem: BlackBox, state: SQPState, known: Evidence, i: int, kind: int
    ) -> Pending:
        """Return a step from row i of what is known: model, minimise the model, and look where it
        knows least if it sees nothing better.
        """
        local = kind == LOCAL
        view = self._view(state, known, i, local)
        restart = not local and state.radius < self.resolution
        best = view.promising(1 if local else 3)
        starts = [np.zeros(len(view.centre)), *best]
        found = None if restart else least(view.model, starts, view.low, view.high, view.margin)
        target = best[0] if found is None else found.z
        sizes = None if restart else torn_sizes(problem, state)
        if sizes is not None and found is not None and found.violation > 0:
            worst = least_worst(
                partial(view.violations, sizes), [target, *starts], view.low, view.high
            )
            target = target if worst is None else worst
        point = view.point(target)
        if local and found is not None:
            self._follow(state, view, found.multipliers)
        explore = restart or (not local and np.abs(point - view.centre).max() < state.radius)
        if (
            explore
        ):  # local steps look after this place: the global one goes where most may be hoped
            point = view.point(view.hopeful())
        if restart:
            state.since, state.radius = len(state.f), self.radius
            state.searches, state.fails, state.lengths = state.searches + 1, 0, None
        elif not explore and (
            not view.gains(target, sizes) or np.abs(known.u - point).max(axis=1).min() < 1e-10
        ):
            # the models see nothing better: look closer, at the place they know least
            if local:
                state.radius = (
                    0.5 * self.resolution if state.trusted else max(0.1 * state.radius, 1e-9)
                )
            kind, point = GEOMETRY, view.point(view.unknown(near=local))
        if problem.space.tied or not self._welcome(problem, state, point[None])[0]:
            point = self._allowed(problem, state, view, point)
        objective, *constraints = view.foreseen(point)
        row = int(known.rows[i])
        return Pending(point, kind, row, float(known.f[i]) + objective, np.array(constraints))

    def _view(self, state: SQPState, known: Evidence, i: int, local: bool) -> View:
        """Return the models about row i: of the points nearest to it, or of all."""
        u, d = known.u, known.u.shape[1]
        centre, reach = u[i], state.radius if local else 1.0
        gap = np.abs(u - centre).max(axis=1)
        near = np.argsort(gap, kind="stable")
        if local:
            inside = int(np.count_nonzero(gap <= 2 * reach))
            near = near[: max(int(self.neighbours * d), 10, inside)]
        near = near[: self.most]
        unit = max(float(gap[near[-1]]), 1e-9) if local else 1.0
        z, first = np.unique((u[near] - centre) / unit, axis=0, return_index=True)
        keep = near[first]
        y = np.column_stack([known.f[keep] - known.f[i], known.g[keep]])
        lengths = state.lengths if local else state.wide_lengths
        rows, old_unit = state.fitted[int(local)]
        fresh = (
            lengths is not None
            and len(known.f) < rows * self.refit
            and 1 / self.refit**3 < unit / old_unit < self.refit**3
        )
        if not fresh:
            state.fitted[int(local)] = np.array([len(known.f), unit])
        model, scales = self._model(state, z, y, local, lengths, 0 if fresh else 12)
        if local:
            state.lengths = model.log_lengths
        else:
            state.wide_lengths = model.log_lengths
        low, high = np.maximum(-reach, -centre) / unit, np.minimum(reach, 1 - centre) / unit
        sizes = np.array([s.unit for s in scales[1:]])
        margin = np.minimum(state.error / sizes * self.margin, 0.05 * reach)
        cloud = low + (high - low) * state.rng.random((300, d))
        means = model.means(cloud)
        return View(centre, unit, reach, model, scales, low, high, margin, cloud, means)

    @staticmethod
    def _follow(state: SQPState, view: View, multipliers: Float[np.ndarray, " m"]) -> None:
        """Let the weights nu of the constraints follow the multipliers of a local step."""
        m = len(view.scales) - 1
        if not m or len(multipliers) != m or not np.isfinite(multipliers).all():
            return
        sizes = np.log(np.array([s.unit for s in view.scales[1:]]))
        ratio = np.exp(np.clip(math.log(view.scales[0].unit) - sizes, -600, 600))
        wanted = np.minimum(1.5 * multipliers * ratio, 1e3 * ratio)
        state.penalty = np.clip(np.maximum(wanted, 0.8 * state.penalty), 1e-300, 1e300)

    def _model(
        self,
        state: SQPState,
        z: np.ndarray,
        y: np.ndarray,
        local: bool,
        lengths: np.ndarray | None,
        iterations: int,
    ) -> tuple[Interpolants, list[OutputScale]]:
        """Interpolants of y (n, k) at z (n, d), each output plain or curved: whichever predicts the
        points near the centre better.
        """
        d, k = z.shape[1], y.shape[1]
        units = [typical(column) for column in y.T]
        wild = [j for j in range(k) if np.abs(y[:, j]).max() > self.tame * units[j]]
        scales = [OutputScale(unit, False) for unit in units] + [
            OutputScale(min(3 * units[j], 1e300), True) for j in wild
        ]
        source = [*range(k), *wild]
        values = np.column_stack([s.into(y[:, j]) for s, j in zip(scales, source, strict=True)])
        start = None if lengths is None or lengths.shape != (k, d) else lengths[source]
        # a local model is nearly a polynomial, so its lengthscales are held near twice the width of
        # its points
        prior = (math.log(2 * math.sqrt(d)), 0.7) if local else (math.log(math.sqrt(d)), 1.0)
        model = Interpolants(
            z, values, *prior, start=start, iterations=40 if start is None else iterations
        )
        if model.fallbacks and state.notes < 3:
            state.notes += 1
            say(
                f"{self.name}: the lengthscales of {len(model.fallbacks)} of {model.k} models "
                "could not be fitted; the prior's were used"
            )
        if not wild:
            return model, scales
        near = np.argsort(np.abs(z).max(axis=1), kind="stable")[: 2 * d + 1]
        guesses = model.left_out()
        error = [
            np.median([abs(s.back(guesses[r, c]) - y[r, j]) for r in near])
            for c, (s, j) in enumerate(zip(scales, source, strict=True))
        ]
        chosen = [
            k + wild.index(j) if j in wild and error[k + wild.index(j)] < error[j] else j
            for j in range(k)
        ]
        return model.only(chosen), [scales[c] for c in chosen]

    @staticmethod
    def _welcome(
        problem: BlackBox, state: SQPState, u: Float[np.ndarray, "n d"]
    ) -> Bool[np.ndarray, " n"]:
        """Return where points of the unit cube are allowed, and much nearer to a row that gave
        values than to any that did not: no model foresees a failure.
        """
        good = np.ones(len(u), dtype=bool)
        lost = ~np.isfinite(state.f)
        if lost.any() and not lost.all():
            gap = ((u[:, None] - state.u[None]) ** 2).sum(axis=2)
            good = gap[:, lost].min(axis=1) > WARY**2 * gap[:, ~lost].min(axis=1)
        return good if problem.known is None else good & problem.known(_points(problem.space, u))

    def _allowed(
        self, problem: BlackBox, state: SQPState, view: View, target: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, " d"]:
        """Return the best by the models of welcome points about centre and target, far and near."""
        centre, menu = view.centre, problem.space.menu
        scales = np.repeat(view.reach * 0.5 ** np.arange(30), 100)[:, None]
        step = scales * state.rng.standard_normal((len(scales), len(target)))
        between = centre + (target - centre) * state.rng.random((300, 1))
        cloud = np.clip(np.vstack([centre + step, target + step, between]), 0, 1)
        cloud = cloud[np.abs(cloud - centre).max(axis=1) <= view.reach]
        if menu is None:
            cloud = cloud[self._welcome(problem, state, cloud)]
        else:
            x = menu.shown(state.rng, problem.space.from_unit(np.vstack([target, centre])))
            cloud = problem.space.unit(x)
            cloud = cloud[np.abs(cloud[:, None] - state.u).max(axis=2).min(axis=1) > 1e-9]
        if not len(cloud):
            drawn = problem.space.unit(draw(problem, state.rng, 64))
            return np.asarray(drawn[int(np.argmax(self._welcome(problem, state, drawn)))])
        if menu is None:
            cloud = problem.space.unit(_points(problem.space, cloud))
        means = view.model.means((cloud - centre) / view.unit)
        merit = means[:, 0] + 10 * np.maximum(means[:, 1:], 0).sum(axis=1)
        return np.asarray(cloud[int(np.argmin(merit))])

    # -- telling -----------------------------------------------------------------------------------

    def tell(self, problem: BlackBox, state: SQPState, seen: Observations) -> None:
        """Add the rows; a local step adapts the trust region. Failed rows count as failed steps and
        are not modelled.
        """
        m = seen.constraints.shape[1]
        if state.g.shape[1] != m:
            state.g = np.full((len(state.f), m), np.nan)
        units = problem.space.unit(seen.x)
        for i, tag in enumerate(seen.tag.tolist()):
            whole = (
                seen.status[i] == DONE
                and np.isfinite(seen.objective[i])
                and np.isfinite(seen.constraints[i]).all()
            )
            state.u = np.vstack([state.u, units[i]])
            state.f = np.append(state.f, seen.objective[i] if whole else math.nan)
            state.g = np.vstack([state.g, seen.constraints[i] if whole else np.full(m, math.nan)])
            one = Pending._make(state.pending.pop(tag, (None, DESIGN, -1, math.nan, None)))
            if one.kind != DESIGN and one.centre >= 0:
                torn = torn_sizes(problem, state)
                self._learn(state, self._limited(problem, state), one, bool(whole), torn)

    def _learn(
        self,
        state: SQPState,
        g: Float[np.ndarray, "n m"],
        one: Pending,
        whole: bool,
        torn: Float[np.ndarray, " m"] | None,
    ) -> None:
        """Compare what the models foresaw with what came: trust region and margins."""
        new = len(state.f) - 1
        step = float(np.abs(state.u[new] - state.u[one.centre]).max())
        worked, foresaw = False, 0.0
        if whole:
            finite = np.isfinite(state.f)
            sizes = np.array([spread(c) for c in (state.f[finite], *g[finite].T)])
            with np.errstate(over="ignore"):
                miss = np.abs(
                    np.append(one.objective, one.constraints) - np.append(state.f[new], g[new])
                )
            state.trusted = bool((miss <= TRUST * sizes).all())
            state.error = np.nan_to_num(np.abs(one.constraints - g[new]), nan=0.0, posinf=1e300)
            f = np.array([state.f[one.centre], state.f[new], one.objective])
            three = np.vstack([g[one.centre], g[new], one.constraints])
            before, after, foreseen = merit(state.penalty, f, three, torn).tolist()
            gain, hoped = before - after, before - foreseen
            foresaw = gain / hoped if hoped > 0 else math.copysign(1.0, gain) if gain else 0.0
            worked = bool(gain > 0 and foresaw > 0.05)
        if one.kind != LOCAL:
            return
        if worked:
            state.fails = 0
            if foresaw > 0.7 and step > 0.6 * state.radius:
                state.radius = min(2 * state.radius, 1.0)
        else:
            state.fails += 1
            if state.fails > 1:
                state.radius = max(0.5 * min(state.radius, max(step, 0.2 * state.radius)), 1e-8)


def _points(space: Space, u: np.ndarray) -> np.ndarray:
    """(n, d) points of the box at (n, d) points of the unit cube; whole numbers are scaled like
    reals, so that a model sees them evenly spaced.
    """
    if not space.step.any():
        return space.from_unit(u)
    x = space.low + u * (space.high - space.low)
    for j, v in enumerate(space.variables):
        if v.log:
            x[:, j] = space.low[j] * np.exp(u[:, j] * math.log(space.high[j] / space.low[j]))
    return space.snap(x)


__all__ = ["GPSQP", "SQPState"]
