"""The sampler for Optuna's studies: Optuna's own test cases, and that nothing is hidden outside the
study's storage.
"""

from __future__ import annotations

import copy
import pickle
import threading
import warnings

import numpy as np
import optuna
import pytest
from hypothesis import given, settings, strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from feasible.blackbox import OptunaSampler, peers
from feasible.blackbox.peers.optuna_sampler import NOTE, _code, _value, _variable
from feasible.core import errors
from feasible.core.ledger import FAILED

SPACE = {"x": FloatDistribution(-3, 3), "y": FloatDistribution(-2, 4)}


@pytest.fixture(autouse=True)
def _quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
    optuna.logging.set_verbosity(before)


class TestOptunasOwnCases(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture(params=["cbo-memory", "sobol-search"])
    def sampler(self, request):
        return lambda: OptunaSampler(request.param, seed=0)


def disc(trial):
    x, y = trial.suggest_float("x", -3, 3), trial.suggest_float("y", -2, 4)
    trial.set_constraint("disc", x**2 + y**2 - 2)
    return (x - 2) ** 2 + (y - 1) ** 2


def points(study):
    return [(t.params["x"], t.params["y"]) for t in study.trials]


def study_with(method="cbo-memory", n=0, objective=disc, storage=None, seed=3, **options):
    study = optuna.create_study(
        sampler=OptunaSampler(method, seed=seed, **options),
        storage=storage,
        study_name="s",
        load_if_exists=True,
    )
    study.optimize(objective, n_trials=n, catch=(RuntimeError,))
    return study


def best_feasible(study):
    return min(
        t.value
        for t in study.trials
        if t.value is not None and all(c <= 0 for c in t.constraints.values())
    )


@pytest.mark.parametrize(("method", "trials"), [(None, 30), ("cbo-memory", 300), ("cma-es", 300)])
def test_the_constrained_optimum_of_the_disc_is_approached(method, trials):
    study = study_with(method, trials)
    assert 0.67543 < best_feasible(study) < 0.75  # the optimum is (1.265, 0.632), f = 0.67544


@pytest.mark.parametrize(
    "method", ["cbo-memory", "sobol-search", "cbo[n_particles=5]", peers.RandomSearch()]
)
def test_the_same_seed_gives_the_same_study_and_another_seed_another(method):
    assert points(study_with(method, 40)) == points(study_with(method, 40))
    assert points(study_with(method, 40)) != points(study_with(method, 40, seed=4))


@pytest.mark.parametrize("method", ["cbo-memory", "random-search", "cma-es"])
@pytest.mark.parametrize("seed", [3, None])
def test_a_study_reopened_by_new_samplers_goes_on_as_if_never_interrupted(method, seed):
    if seed is None:  # the seed is drawn once, and kept in the study
        first = study_with(method, 60, seed=None)
        kept = first._storage.get_study_system_attrs(first._study_id)["feasible:seed"]
        whole, storage = first, optuna.storages.InMemoryStorage()
        study = optuna.create_study(storage=storage, study_name="s")
        study._storage.set_study_system_attr(study._study_id, "feasible:seed", kept)
    else:
        whole, storage = study_with(method, 60), optuna.storages.InMemoryStorage()
    for n in (1, 16, 3, 40):
        again = study_with(method, n, storage=storage, seed=seed)
    assert points(again) == points(whole)


def test_a_study_in_sqlite_is_resumed(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    for n in (12, 13):
        again = study_with(n=n, storage=url)
    assert points(again) == points(study_with(n=25))


def test_two_samplers_that_take_turns_share_one_sequence():
    storage = optuna.storages.InMemoryStorage()
    pair = [study_with(storage=storage) for _ in range(2)]
    for i in range(40):
        pair[i % 2].optimize(disc, n_trials=1)
    assert points(pair[0]) == points(study_with(n=40))


def test_no_more_proposals_are_made_than_trials_and_none_is_rebuilt_without_need(monkeypatch):
    asked = []
    real = peers.RandomSearch.ask
    monkeypatch.setattr(peers.RandomSearch, "ask", lambda *a, **k: asked.append(1) or real(*a, **k))
    study_with(peers.RandomSearch(), 50, search_space=SPACE)
    assert len(asked) == 50


def test_samplers_are_pickled_and_copied_in_the_middle():
    study = study_with(n=20)
    for twin in (pickle.loads(pickle.dumps(study.sampler)), copy.deepcopy(study.sampler)):
        study.sampler = twin
        study.optimize(disc, n_trials=10)
    assert points(study) == points(study_with(n=40))


def test_many_trials_may_run_at_once_and_finish_in_any_order():
    study = study_with(search_space=SPACE)
    rng = np.random.default_rng(0)
    running = []
    for _ in range(150):
        running.append(study.ask(SPACE))
        while len(running) > 7:
            trial = running.pop(int(rng.integers(len(running))))
            study.tell(trial, disc(trial))
    assert len(set(points(study))) == 150
    assert best_feasible(study) < 1.0


def test_threads_get_different_proposals():
    study = study_with("random-search", search_space=SPACE)
    together = threading.Barrier(4)

    def objective(trial):
        together.wait(timeout=30)
        return disc(trial)

    study.optimize(objective, n_trials=40, n_jobs=4)
    assert len(set(points(study))) == 40
    assert [
        t.system_attrs[NOTE]["order"]
        for t in sorted(study.trials, key=lambda t: t.system_attrs[NOTE]["order"])
    ] == list(range(40))
    assert sorted(points(study)) == sorted(
        points(study_with("random-search", 40, search_space=SPACE))
    )


def test_with_a_given_space_the_method_chooses_from_the_first_trial():
    method = peers.SobolSearch()
    first = points(study_with(method, 16, search_space=SPACE))
    unit = (np.array(first) - [-3, -2]) / 6
    for j in range(
        2
    ):  # the first 16 points of a Sobol sequence fall into 16 different sixteenths of each axis
        assert sorted(np.floor(unit[:, j] * 16).astype(int)) == list(range(16))


def test_maximising_is_minimising_the_negative():
    def negative(trial):
        return -disc(trial)

    low = study_with(n=60)
    high = optuna.create_study(direction="maximize", sampler=OptunaSampler("cbo-memory", seed=3))
    high.optimize(negative, n_trials=200)
    assert best_feasible(low) < 1.5
    assert -max(t.value for t in high.trials if t.constraints["disc"] <= 0) < 0.85


def test_constraints_by_function_or_on_the_trial_are_the_same():
    def plain(trial):
        x, y = trial.suggest_float("x", -3, 3), trial.suggest_float("y", -2, 4)
        return (x - 2) ** 2 + (y - 1) ** 2

    by_function = study_with(
        n=60,
        objective=plain,
        constraints_func=lambda t: [t.params["x"] ** 2 + t.params["y"] ** 2 - 2],
    )

    def on_trial(trial):
        value = plain(trial)
        trial.set_constraint("0", trial.params["x"] ** 2 + trial.params["y"] ** 2 - 2)
        return value

    assert points(by_function) == points(study_with(n=60, objective=on_trial))


class Recorder(peers.RandomSearch):
    """Random search that keeps what it was told."""

    told: list = []

    def tell(self, problem, state, seen):
        self.told.append(seen)


@pytest.fixture
def recorder():
    Recorder.told = []
    return Recorder()


def last_rows(recorder, study):
    study.ask(SPACE)
    return recorder.told[-1]


def test_failed_trials_are_told_as_failed_by_their_tag_or_as_foreign(recorder):
    study = study_with(recorder, search_space=SPACE)
    trial = study.ask(SPACE)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    seen = last_rows(recorder, study)
    assert seen.status.tolist() == [FAILED]
    assert np.isnan(seen.objective).all()
    assert np.isinf(seen.violation).all()
    assert np.array_equal(seen.x[0], [trial.params["x"], trial.params["y"]])


def test_a_pruned_trial_is_no_better_than_the_worst_so_far_in_either_direction(recorder):
    for direction, sign in (("minimize", 1.0), ("maximize", -1.0)):
        for reported, expected in ((0.1, 5.0), (7.0, 7.0), (None, None)):
            study = optuna.create_study(
                direction=direction, sampler=OptunaSampler(recorder, seed=0, search_space=SPACE)
            )
            study.tell(study.ask(SPACE), sign * 5.0)
            trial = study.ask(SPACE)
            if reported is not None:
                trial.report(sign * reported, 1)
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            seen = last_rows(recorder, study)
            if expected is None:
                assert seen.status.tolist() == [FAILED]
            else:
                assert seen.objective.tolist() == [expected]


def test_a_trial_that_did_not_follow_its_proposal_releases_it_and_is_told_as_foreign(recorder):
    study = study_with(recorder, search_space=SPACE)
    study.enqueue_trial({"x": 0.25})
    trial = study.ask(SPACE)
    study.tell(trial, 1.0)
    seen = last_rows(recorder, study)
    assert seen.status.tolist()[0] == FAILED
    assert np.isnan(seen.objective[0])
    assert seen.x[1].tolist() == [0.25, trial.params["y"]]
    assert seen.objective[1] == 1.0
    assert seen.tag[1] == -1


def test_infinite_values_and_constraints_are_survived():
    def objective(trial):
        value = disc(trial)
        trial.set_constraint("wild", np.inf if value > 10 else -np.inf)
        if 4 < value < 6:
            raise RuntimeError("the mesh folded")
        return np.inf if value > 20 else 1e300 * value if value > 8 else value

    study = study_with(n=150, objective=objective)
    assert len(study.trials) == 150
    assert best_feasible(study) < 1.5


def test_when_the_constraints_or_the_space_change_the_old_trials_are_told_as_foreign(recorder):
    study = study_with(recorder, search_space=SPACE)
    for _ in range(5):
        study.tell(study.ask(SPACE), 1.0)
    trial = study.ask(SPACE)
    trial.set_constraint("new", 0.5)
    study.tell(trial, 2.0)
    recorder.told.clear()
    seen = last_rows(recorder, study)
    assert seen.tag.tolist() == [-1] * 6
    assert seen.violation.tolist() == [0.0] * 5 + [0.5]


def test_a_space_that_depends_on_a_choice_is_searched():
    def objective(trial):
        kind = trial.suggest_categorical("kind", ["line", "square"])
        x = trial.suggest_float("x", -1, 1)
        return abs(x) + (
            0.5 + trial.suggest_int("k", 0, 3)
            if kind == "line"
            else trial.suggest_float("z", 1e-3, 1, log=True)
        )

    study = optuna.create_study(sampler=OptunaSampler("cbo-memory", seed=3))
    study.optimize(objective, n_trials=150)
    assert study.best_value < 0.3
    assert sum(t.params["kind"] == "square" for t in study.trials[75:]) > 37


def test_hyperband_which_filters_the_study_works():
    def objective(trial):
        x = trial.suggest_float("x", -3, 3)
        for step in range(9):
            trial.report(x**2 + 1 / (step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x**2

    study = optuna.create_study(
        sampler=OptunaSampler("cbo-memory", seed=3),
        pruner=optuna.pruners.HyperbandPruner(max_resource=9),
    )
    study.optimize(objective, n_trials=60)
    assert any(t.state == optuna.trial.TrialState.PRUNED for t in study.trials)
    assert study.best_value < 0.1


def test_a_method_that_waits_for_outcomes_is_stood_in_for():
    study = study_with("nevergrad-ngopt", search_space=SPACE)
    trials = [study.ask(SPACE) for _ in range(3)]
    for trial in reversed(trials):
        study.tell(trial, disc(trial))
    study.optimize(disc, n_trials=5)
    assert len(set(points(study))) == 8


def test_a_constraint_that_appears_late_is_replayed_too():
    def late(trial):
        value = disc(trial)
        if trial.number > 20:
            trial.set_constraint("late", 0.5 - trial.params["y"])
        return value

    storage = optuna.storages.InMemoryStorage()
    for n in (25, 15):
        again = study_with(n=n, objective=late, storage=storage)
    assert points(again) == points(study_with(n=40, objective=late))


def test_several_objectives_a_foreign_loop_and_bad_arguments_are_refused():
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=OptunaSampler())
    with pytest.raises(errors.ArgumentError, match="2 objectives"):
        study.ask(SPACE)
    for error, match, options in [
        (errors.ArgumentTypeError, "asked and told", {"method": "cobyqa"}),
        (errors.UnknownName, "cbo", {"method": "cboo"}),
        (errors.ArgumentError, "seed", {"seed": -1}),
        (errors.ArgumentTypeError, "constraints_func", {"constraints_func": 3}),
        (errors.ArgumentTypeError, "'x'", {"search_space": {"x": (0, 1)}}),
    ]:
        with pytest.raises(error, match=match):
            OptunaSampler(**options)


FLOATS = st.builds(
    lambda low, span: FloatDistribution(low, low + span), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)
)
LOGS = st.builds(
    lambda low, ratio: FloatDistribution(low, low * ratio, log=True),
    st.floats(1e-9, 1e3),
    st.floats(1.5, 1e6),
)
STEPS = st.builds(
    lambda low, step, n, rest: FloatDistribution(low, low + step * (n + rest), step=step),
    st.floats(-100, 100),
    st.sampled_from([0.1, 0.25, 1.5, 1e-3]),
    st.integers(1, 50),
    st.sampled_from([0.0, 0.3]),
)
INTS = st.builds(
    lambda low, step, n: IntDistribution(low, low + step * n, step=step),
    st.integers(-100, 100),
    st.integers(1, 7),
    st.integers(1, 30),
)
WHOLE_LOGS = st.builds(
    lambda low, n: IntDistribution(low, low + n, log=True), st.integers(1, 50), st.integers(1, 100)
)
CHOICES = st.builds(
    lambda n: CategoricalDistribution([None, True, 1.5, "a", 7, "7"][:n]), st.integers(2, 6)
)


@pytest.mark.filterwarnings("ignore:The distribution is specified")
@settings(max_examples=150, deadline=None)
@given(st.one_of(FLOATS, LOGS, STEPS, INTS, WHOLE_LOGS, CHOICES), st.floats(0, 1))
def test_values_of_every_distribution_lie_in_it_and_return_to_the_same_code(d, u):
    v = _variable("p", d)
    from feasible.blackbox.space import Space

    code = float(Space([v]).from_unit(np.array([[u]]))[0, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = _value(d, code)
        assert d._contains(d.to_internal_repr(value))
    assert type(value) in (float, int, str, bool, type(None))
    assert _code(d, value) == code
