"""A sampler for Optuna's studies that proposes by any ask/tell method of this room.

study = optuna.create_study(sampler=feasible.blackbox.OptunaSampler("cbo-memory", seed=0))

Everything that the sampler knows is in the study's storage: each proposal is noted on its trial,
together with the trials whose outcomes the method had been told before. From these notes the method
is rebuilt by replay, so that a study goes on as if it had not been interrupted, whoever opens it,
and copies of a sampler, threads and processes share one sequence of proposals. The interface is
Optuna's `BaseSampler`: T. Akiba et al., Optuna: a next-generation hyperparameter optimization
framework (KDD 2019).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import checked
from ...core.budget import Budget
from ...core.errors import ArgumentError, ArgumentTypeError, MissingExtra, Pending
from ...core.ledger import Observations
from ...core.problem import Method
from ...core.registry import default_method, load_method
from ...core.run import check_seed
from ..asktell import AskTell
from ..outcome import Outcome
from ..problem import BlackBox
from ..space import Space, Variable

try:
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
        distribution_to_json,
    )
    from optuna.samplers import BaseSampler
    from optuna.samplers._base import _process_constraints_after_trial
    from optuna.search_space import intersection_search_space
    from optuna.study import StudyDirection
    from optuna.trial import TrialState
except ImportError as error:
    raise MissingExtra(
        "OptunaSampler needs the package 'optuna', version 5 or later, which cannot be imported "
        f"({error}): "
        "install it with  pip install 'feasible[peers]'"
    ) from None

if TYPE_CHECKING:
    from jaxtyping import Float
    from optuna.study import Study
    from optuna.trial import FrozenTrial

NOTE = "feasible:ask"
"""Trial attribute {"epoch": str, "order": int, "told": trial numbers}: the trial is proposal number
`order` of its epoch, made after `told`.
"""
SEED = "feasible:seed"
"""Study attribute: the seed, where the sampler was given none."""
TYPICAL = 200
"""Trials that the choice of a default method reckons with; a study does not say how many it will
have.
"""
LARGEST = 1e100
"""Constraint values beyond this, also infinite ones, are told as this."""


@dataclass(slots=True)
class Live:
    """A method at work on one search space.

    Attributes:
        epoch: Digest of the seed, the settings and the search space, for which the notes are kept.
        study: Name of the study.
        seed: Seed of the method's randomness.
        problem: What the method believes to solve.
        method: The method that proposes.
        state: Its state.
        names: The constraints known so far, sorted.
        asked: Proposal (tag, x (d,)) by trial number, in order; None where there was none.
        told: Numbers of the trials that the method was told of.
        notes: Numbers of the trials told before each proposal, in its order.
        worst: Largest signed value told (sign +1 where the study minimises).
    """

    epoch: str
    study: str
    seed: int
    problem: BlackBox
    method: AskTell
    state: Any
    names: tuple[str, ...] = ()
    asked: dict[int, tuple[int, Float[np.ndarray, " d"]] | None] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    notes: list[list[int]] = field(default_factory=list)
    worst: float = -np.inf


class OptunaSampler(BaseSampler):  # type: ignore[misc]
    """Propose trials by an ask/tell method of `feasible.blackbox`, under constraints.

    It minimises or maximises the study's one objective under c_j <= 0. The same seed, and the same
    outcomes told in the same order, give the same proposals.

    Floats, whole numbers, logarithmic and stepped ranges and categories keep their kind. Failed
    trials are told as failed; a pruned trial counts as its last reported value, or as the worst
    value so far if that is larger. If the search space or the set of constraints changes, the
    method starts anew and is told the old trials as points that somebody else chose. Rebuilding
    costs the method's own time for every trial so far; nothing is evaluated.

    Args:
        method: A registered name ("cbo-memory", also with settings, "cbo[n_particles=30]"), an
            `AskTell` object, or None for this room's default where several trials are out at once.
        seed: Whole number >= 0; None draws one and keeps it in the study.
        constraints_func: Trial -> sequence of numbers, <= 0 where met, as Optuna's own samplers
            have it; `trial.set_constraint` works too.
        search_space: Distributions by parameter name, to let the method choose from the first trial
            on. None for Optuna's usual inference, the parameters that all completed trials share;
            trials before that, and parameters that only some trials have, are drawn at random.
        noise: True where repeating a trial gives another value (Optuna's usual case), else 0, or
            the standard deviation, in units of the objective.

    Raises:
        ArgumentError: The seed is negative, or (when it is used) the study has several objectives.
        ArgumentTypeError: The method drives its own loop, `constraints_func` is no function, or a
            distribution is not one of Optuna's three.
        UnknownName: No method has that name.
    """

    @checked
    def __init__(
        self,
        method: str | AskTell | None = None,
        *,
        seed: int | None = None,
        constraints_func: Callable[[FrozenTrial], Sequence[float]] | None = None,
        search_space: Mapping[str, BaseDistribution] | None = None,
        noise: float | bool = True,
    ):
        self._method = None if method is None else _asktell(load_method(method))
        self._seed = None if seed is None else check_seed(seed)
        if constraints_func is not None and not callable(constraints_func):
            raise ArgumentTypeError(
                f"constraints_func: got {type(constraints_func).__name__}, expected a function of "
                "a trial"
            )
        self._constraints_func = constraints_func
        self._noise = noise
        self._space = None if search_space is None else _multiple(search_space)
        self._live: Live | None = None
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what cannot be rebuilt, so that a sampler can be pickled and copied."""
        return {**self.__dict__, "_live": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickled sampler."""
        self.__dict__.update(state, _lock=threading.RLock())

    def reseed_rng(self) -> None:
        """Do nothing: no stream is kept here, since every draw derives from (seed, trial)."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that the method chooses together, by name.

        They are those given, or those that all completed trials have in common, without those that
        can take one value only. Raises ArgumentError for a study with several objectives.
        """
        _single(study)
        if self._space is not None:
            return dict(self._space)
        return _multiple(intersection_search_space(study.get_trials(deepcopy=False)))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the method's next proposal, and note it in the study's storage.

        Args:
            study: The study, with one objective.
            trial: The trial that the proposal is for.
            search_space: Distributions of the parameters that are chosen together.

        Returns:
            Values by parameter; {} where the method waits for outcomes or has converged, and then
            Optuna draws the parameters by `sample_independent`.

        Raises:
            ArgumentError: The study has several objectives.
        """
        _single(study)
        if not search_space:
            return {}
        with self._lock:
            trials = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
            live = self._current(study, trials, search_space)
            news = [t.number for t in trials if t.state.is_finished() and t.number not in live.told]
            x = _advance(live, trial.number, news, {t.number: t for t in trials}, search_space)
            note = {"epoch": live.epoch, "order": len(live.notes) - 1, "told": news}
            study._storage.set_trial_system_attr(trial._trial_id, NOTE, note)
        return (
            {}
            if x is None
            else {
                name: _value(d, c)
                for (name, d), c in zip(search_space.items(), x.tolist(), strict=True)
            }
        )

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a random value, which depends on (seed, trial number, name) only.

        Raises ArgumentError for a study with several objectives.
        """
        _single(study)
        rng = np.random.default_rng([self._seed_of(study), trial.number, *param_name.encode()])
        point = Space([_variable(param_name, param_distribution)]).from_unit(rng.random((1, 1)))
        return _value(param_distribution, float(point[0, 0]))

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Store the values of `constraints_func` for a trial that ends."""
        if self._constraints_func is not None:
            _process_constraints_after_trial(self._constraints_func, study, trial, state)

    # -- the method behind it ----------------------------------------------------------------------

    def _seed_of(self, study: Study) -> int:
        """Return the sampler's seed, or else the study's, which is drawn where it has none."""
        if self._seed is not None:
            return self._seed
        with self._lock:
            attrs = study._storage.get_study_system_attrs(study._study_id)
            if SEED not in attrs:
                study._storage.set_study_system_attr(
                    study._study_id, SEED, int(np.random.SeedSequence().generate_state(1)[0])
                )
                attrs = study._storage.get_study_system_attrs(study._study_id)
            return int(attrs[SEED])

    def _current(
        self, study: Study, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution]
    ) -> Live:
        """Return the method as the notes in the storage say it stands.

        It goes on from the one in memory where the notes begin alike, else it is replayed.
        """
        maximize = study.direction == StudyDirection.MAXIMIZE
        seed = self._seed_of(study)
        text = repr(
            [
                seed,
                self._method,
                self._noise,
                maximize,
                [(n, distribution_to_json(d)) for n, d in search_space.items()],
            ]
        )
        epoch = hashlib.sha256(text.encode()).hexdigest()[:16]
        noted = sorted(
            (t for t in trials if t.system_attrs.get(NOTE, {}).get("epoch") == epoch),
            key=lambda t: (t.system_attrs[NOTE]["order"], t.number),
        )
        live = self._live
        done = 0 if live is None else len(live.asked)
        if (
            live is None
            or live.epoch != epoch
            or live.study != study.study_name
            or list(live.asked) != [t.number for t in noted[:done]]
            or live.notes != [t.system_attrs[NOTE]["told"] for t in noted[:done]]
        ):
            problem = BlackBox(
                None,
                variables=[_variable(n, d) for n, d in search_space.items()],
                name=study.study_name,
                objective="objective",
                maximize=maximize,
                noise=self._noise,
            )
            method = self._method or _asktell(
                default_method(problem, Budget(evaluations=TYPICAL), batches=True)[0]
            )
            state = method.init(problem, np.random.default_rng([seed, int(epoch, 16)]))
            self._live = live = Live(epoch, study.study_name, seed, problem, method, state)
        by_number = {t.number: t for t in trials}
        for t in noted[len(live.asked) :]:
            _advance(live, t.number, t.system_attrs[NOTE]["told"], by_number, search_space)
        return live


def _advance(
    live: Live,
    number: int,
    news: Sequence[int],
    trials: Mapping[int, FrozenTrial],
    search_space: Mapping[str, BaseDistribution],
) -> Float[np.ndarray, " d"] | None:
    """Tell the method of the trials `news`, and return its point for trial `number`, if any."""
    fresh = [k for k in news if k in trials and k not in live.told]
    names = {name for k in fresh for name in trials[k].constraints}
    if not names <= set(live.names):
        fresh = _learn_constraints(live, names, fresh)
    for seen in _rows(live, [trials[k] for k in fresh if k in trials], search_space):
        live.method.tell(live.problem, live.state, seen)
    live.told.update(news)
    live.notes.append(list(news))
    live.asked[number] = None
    if live.method.done(live.problem, live.state) is not None:
        return None
    try:
        proposed = live.method.ask(live.problem, live.state, 1)
    except Pending:
        return None
    if len(proposed.x) == 0:
        return None
    x = np.array(proposed.x[0], dtype=float)
    live.asked[number] = int(proposed.tag[0]), x
    return x


def _learn_constraints(live: Live, names: set[str], fresh: list[int]) -> list[int]:
    """Limit these names too, and return the trials to tell the method of.

    Where it was told of trials before, it starts anew.
    """
    old = live.problem
    live.names = tuple(sorted({*live.names, *names}))
    live.problem = BlackBox(
        None,
        variables=list(old.space.variables),
        name=old.name,
        objective="objective",
        maximize=old.maximize,
        noise=old.noise,
        limits={f"constraint {n}": "<= 0" for n in live.names},
    )
    if not live.told:
        return fresh
    live.state = live.method.init(
        live.problem, np.random.default_rng([live.seed, int(live.epoch, 16), len(live.names)])
    )
    live.asked, live.worst = dict.fromkeys(live.asked), -np.inf
    return [*sorted(live.told), *fresh]


def _rows(
    live: Live, trials: Sequence[FrozenTrial], search_space: Mapping[str, BaseDistribution]
) -> list[Observations]:
    """Return the outcomes of finished trials, as at most one batch.

    A proposal that the trial did not follow is told as failed, beside the trial's own point.
    """
    x: list[np.ndarray] = []
    outcomes: list[Outcome] = []
    tags: list[int] = []
    numbers: list[int] = []
    for t in trials:
        tag, proposed = live.asked.get(t.number) or (-1, None)
        point = _point(t, search_space)
        if proposed is not None and (point is None or not np.array_equal(point, proposed)):
            x.append(proposed)
            outcomes.append(Outcome({}, "the trial did not follow the proposal"))
            tags.append(tag)
            numbers.append(t.number)
            tag = -1
        if point is not None:
            x.append(point)
            outcomes.append(_outcome(live, t))
            tags.append(tag)
            numbers.append(t.number)
    return (
        [live.problem.batch(np.array(x), outcomes, np.array(numbers), np.array(tags))] if x else []
    )


def _outcome(live: Live, t: FrozenTrial) -> Outcome:
    """Return what a finished trial says: its value and its constraints, or that it failed."""
    value = None if t.state == TrialState.FAIL else t.value
    if value is None or not np.isfinite(value):
        return Outcome({}, f"trial {t.number}: {t.state.name.lower()} without a finite value")
    sign = live.problem.sign
    if t.state == TrialState.PRUNED:
        value = sign * max(sign * value, live.worst)
    live.worst = max(live.worst, sign * value)
    known = t.constraints
    metrics = {"objective": float(value)}
    for name in live.names:
        metrics[f"constraint {name}"] = (
            float(np.clip(known[name], -LARGEST, LARGEST)) if name in known else 0.0
        )  # Optuna takes an absent one as met
    return Outcome(metrics)


def _point(
    t: FrozenTrial, search_space: Mapping[str, BaseDistribution]
) -> Float[np.ndarray, " d"] | None:
    """Return the trial's point here, or None where it lacks a parameter or lies outside."""
    codes = []
    for name, d in search_space.items():
        if name not in t.params:
            return None
        try:
            inside = d._contains(d.to_internal_repr(t.params[name]))
        except ValueError:
            return None
        if not inside:
            return None
        codes.append(_code(d, t.params[name]))
    return np.array(codes, dtype=float)


# -- distributions ---------------------------------------------------------------------------------


def _variable(name: str, d: BaseDistribution) -> Variable:
    """Return the variable of a distribution; categories and steps are whole numbers 0, 1, ..."""
    if isinstance(d, CategoricalDistribution):
        return Variable(
            name, 0.0, len(d.choices) - 1.0, integer=True, choices=tuple(range(len(d.choices)))
        )
    if not isinstance(d, (FloatDistribution, IntDistribution)):
        raise ArgumentTypeError(
            f"search_space['{name}']: got a {type(d).__name__}, expected FloatDistribution, "
            "IntDistribution or "
            "CategoricalDistribution"
        )
    if _stepped(d):
        return Variable(name, 0.0, float(round((d.high - d.low) / d.step)), integer=True)
    return Variable(
        name, float(d.low), float(d.high), integer=isinstance(d, IntDistribution), log=d.log
    )


def _stepped(d: BaseDistribution) -> bool:
    """Say whether the distribution has steps other than those of whole numbers."""
    return d.step is not None and not (isinstance(d, IntDistribution) and d.step == 1)


def _value(d: BaseDistribution, code: float) -> Any:
    """Return the parameter's value of a code, in Python's own types."""
    if isinstance(d, CategoricalDistribution):
        return d.choices[round(code)]
    if isinstance(d, IntDistribution):
        return d.low + round(code) * d.step if _stepped(d) else round(code)
    return min(d.low + round(code) * d.step, d.high) if _stepped(d) else float(code)


def _code(d: BaseDistribution, value: Any) -> float:
    """Return the code of a parameter's value, the inverse of `_value`."""
    if isinstance(d, CategoricalDistribution):
        return float(d.to_internal_repr(value))
    return float(round((value - d.low) / d.step)) if _stepped(d) else float(value)


def _multiple(space: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    """Return the parameters that can take more than one value, sorted by name."""
    for name, d in space.items():
        _variable(name, d)
    return {name: d for name, d in sorted(space.items()) if not d.single()}


def _single(study: Study) -> None:
    """Refuse a study with several objectives."""
    if study._is_multi_objective():
        raise ArgumentError(
            f"study '{study.study_name}' has {len(study.directions)} objectives: OptunaSampler "
            "takes one; state the others as "
            "constraints (trial.set_constraint)"
        )


def _asktell(method: Method) -> AskTell:
    """Return the method where it is asked and told, and refuse any other."""
    if not isinstance(method, AskTell):
        raise ArgumentTypeError(
            f"method '{method.name}' drives its own loop, expected one that is asked and told (an "
            "AskTell), for example "
            "'cbo-memory'"
        )
    return method


__all__ = ["OptunaSampler"]
