"""Every peer keeps to the budget, the box and the known constraints, and is the same for the same
seed.
"""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint

from feasible.blackbox import peers
from feasible.blackbox.asktell import AskTell
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real
from feasible.core import errors
from feasible.core.budget import Budget, Meter
from feasible.core.evaluating import RunOptions
from feasible.core.run import Run, run

ALL = {
    "random-search": peers.RandomSearch(),
    "sobol-search": peers.SobolSearch(),
    "differential-evolution": peers.DifferentialEvolution(),
    "cobyqa": peers.COBYQA(),
    "slsqp": peers.SLSQP(),
    "cobyla": peers.COBYLA(),
    "trust-constr": peers.TrustConstr(),
    "cma-es": peers.CMAES(),
    "cbx": peers.CBX(n_particles=20),
    "optuna-tpe": peers.OptunaTPE(),
    "optuna-gp": peers.OptunaGP(n_startup_trials=5),
    "nevergrad-ngopt": peers.NGOpt(),
    "nevergrad-pso": peers.PSO(),
    "nevergrad-two-points-de": peers.TwoPointsDE(),
}
NAMES = list(ALL)
SLOW = {"optuna-gp": 7, "optuna-tpe": 30}
SAMPLERS = [n for n, m in ALL.items() if isinstance(m, AskTell)]


def evaluations(name, n):
    """A budget of n, or less for the slow ones."""
    return min(n, SLOW.get(name, n))


def go(name, problem, n, seed=0, **options):
    budget = Budget(evaluations=n)
    return run(Run(problem, ALL[name], budget, seed, Meter(budget), options=RunOptions(**options)))


def rows(result):
    return result.ledger.all()


def disc(calls=None, **options):
    """min (x-2)^2 + (y-1)^2 in a box, inside the disc x^2 + y^2 <= 2, right of nothing: the optimum
    is (1.265, 0.632), f = 0.67544.
    """

    def fun(x):
        if calls is not None:
            calls.append(np.array(x))
        return (x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2]

    return BlackBox(fun, [(-3, 3), (-2, 4)], limits=["<= 2"], **options)


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_the_one_of_the_catalogue(name):
    assert ALL[name].name == name
    assert ALL[name].solves is BlackBox


@pytest.mark.parametrize("n", [1, 2, 7, 19])
@pytest.mark.parametrize("name", NAMES)
def test_the_budget_is_used_and_never_passed_and_every_point_lies_in_the_box(name, n):
    n = min(n, 8) if name == "optuna-gp" else n
    calls = []
    result = go(name, disc(calls), n)
    assert result.spent["evaluations"] == n
    assert len(rows(result)) == len(calls) == n
    x = np.array(calls)
    assert (x >= [-3, -2]).all()
    assert (x <= [3, 4]).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_ledger_and_another_seed_another(name):
    n = evaluations(name, 60)
    one, two, other = (rows(go(name, disc(), n, seed)) for seed in (3, 3, 4))
    assert np.array_equal(one.x, two.x)
    assert np.array_equal(one.objective, two.objective)
    if (
        name != "nevergrad-ngopt"
    ):  # which may choose a deterministic solver that starts in the middle
        assert not np.array_equal(one.x, other.x)


@pytest.mark.parametrize("name", NAMES)
def test_the_global_random_stream_is_left_alone(name):
    np.random.seed(5)
    before = np.random.random(3)
    np.random.seed(5)
    go(name, disc(), evaluations(name, 12))
    assert np.array_equal(np.random.random(3), before)


@pytest.mark.parametrize("name", NAMES)
def test_known_constraints_hold_at_every_evaluated_point(name):
    calls = []
    go(name, disc(calls, known=lambda x: x[:, 0] + x[:, 1] <= 1.5), evaluations(name, 40))
    x = np.array(calls)
    assert len(x) == evaluations(name, 40)
    assert (x.sum(axis=1) <= 1.5).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_region_of_the_optimum_is_found_and_the_answer_is_feasible(name):
    n = {"optuna-gp": 14, "optuna-tpe": 60, "cobyqa": 60, "nevergrad-ngopt": 150}.get(name, 300)
    result = go(name, disc(), n, seed=1)
    seen = rows(result)
    feasible = seen.violation <= 1e-6
    assert feasible.any()
    assert result.verdict.feasible
    assert result.verdict.objective == pytest.approx(seen.objective[feasible].min(), abs=1e-5)
    early = seen.objective[:10][feasible[:10]]
    assert result.verdict.objective < (early.min() if len(early) else np.inf)
    assert result.verdict.objective < (
        1.2 if name in ("optuna-tpe", "cbx", "nevergrad-pso") or name.endswith("search") else 0.8
    )


@pytest.mark.parametrize("bad", ["nan", "raise", "always"])
@pytest.mark.parametrize("name", NAMES)
def test_failures_do_not_end_the_run(name, bad):
    def fun(x):
        if bad == "always" or x[0] > 0.5:
            if bad == "nan":
                return np.nan, [np.nan]
            raise RuntimeError("the mesh folded")
        return (x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2]

    n = evaluations(name, 40)
    result = go(name, BlackBox(fun, [(-3, 3), (-2, 4)], limits=["<= 2"]), n, on_failure="skip")
    assert result.spent["evaluations"] == n
    assert bad == "always" or result.verdict.feasible


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_that_may_not_be_skipped_reaches_the_user(name):
    def fun(x):
        raise RuntimeError("the mesh folded")

    with pytest.raises(errors.EvaluationFailed, match="the mesh folded"):
        go(name, BlackBox(fun, [(-3, 3)] * 2), 10)


@pytest.mark.parametrize("name", NAMES)
def test_infeasible_without_an_objective_is_no_failure(name):
    def fun(x):
        g = x[0] + x[1]
        return {"g": g} if g > 1 + 1e-6 else {"cost": x[0] ** 2 + (x[1] - 2) ** 2, "g": g}

    problem = BlackBox(fun, {"a": (-2, 2), "b": (-2, 2)}, objective="cost", limits={"g": "<= 1"})
    problem.pass_as = "vector"
    result = go(name, problem, evaluations(name, 30))
    assert result.spent["evaluations"] == evaluations(name, 30)
    assert result.verdict.feasible


@pytest.mark.parametrize("name", NAMES)
def test_whole_numbers_and_categories_arrive_as_such(name):
    calls = []

    def fun(point):
        calls.append(dict(point))
        return {
            "cost": (point["r"] - 0.3) ** 2 + (point["n"] - 3) ** 2 + (point["kind"] != "b"),
            "mass": point["r"] + point["n"],
        }

    problem = BlackBox(
        fun,
        variables=[
            Real("r", 0.1, 10, log=True),
            Integer("n", -2, 6),
            Categorical("kind", ["a", "b", "c"]),
            Real("still", 1, 1),
        ],
        limits={"mass": "<= 5"},
        objective="cost",
    )
    n = evaluations(name, 60)
    result = go(name, problem, n)
    assert len(calls) == result.spent["evaluations"]
    assert all(
        type(c["n"]) is int and -2 <= c["n"] <= 6 and c["kind"] in "abc" and 0.1 <= c["r"] <= 10
        for c in calls
    )
    assert all(c["still"] == 1 for c in calls)
    assert result.verdict.feasible


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_number_of_constraints_is_learned(name):
    problem = BlackBox(
        lambda x: x[0] + x[1],
        [(0, 2)] * 2,
        constraints=[
            NonlinearConstraint(lambda x: [x[0] * x[1], x[0] - x[1]], [0.5, -0.5], np.inf)
        ],
    )
    n = evaluations(name, 40)
    result = go(name, problem, n)
    assert result.spent["evaluations"] == n
    assert result.verdict.feasible


@pytest.mark.parametrize("name", NAMES)
def test_a_problem_without_limits_and_one_variable_is_solved(name):
    result = go(name, BlackBox(lambda x: (x[0] - 0.7) ** 2, [(-4, 5)]), evaluations(name, 30))
    assert result.verdict.feasible
    assert result.verdict.objective < 1.0


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in ("cma-es", "cbx")]
)  # there x0 is the middle of a cloud, or unused
def test_a_users_design_is_tried_first(name):
    result = go(name, disc(x0=[0.5, 0.25]), 1)
    assert np.allclose(rows(result).x[0], [0.5, 0.25], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_bounds_that_are_infinite_are_taken_or_refused_with_a_typed_error(name):
    problem = BlackBox(
        lambda x: (x[0] - 1) ** 2 + (x[1] + 1) ** 2, [(-np.inf, np.inf), (-3, np.inf)], x0=[2, 2]
    )
    n = evaluations(name, 30)
    if name in (
        "random-search",
        "sobol-search",
        "differential-evolution",
        "optuna-tpe",
        "optuna-gp",
    ):
        with pytest.raises(errors.BoundsError, match=f"{name} needs finite bounds, but 'x1'"):
            go(name, problem, n)
    else:
        result = go(name, problem, n)
        assert result.spent["evaluations"] == n
        assert result.verdict.objective <= 10


@pytest.mark.parametrize("name", SAMPLERS)
def test_asking_again_before_telling_works_or_says_that_results_are_pending(name):
    problem, method = disc(), ALL[name]
    state = method.init(problem, np.random.default_rng(0))
    asked = [method.ask(problem, state, 3)]
    if name in ("cbx", "nevergrad-ngopt"):
        asked += [method.ask(problem, state, 20)] if name == "cbx" else []
        with pytest.raises(errors.Pending, match=name):
            method.ask(problem, state, 3)
    else:
        asked += [
            method.ask(problem, state, 5),
            method.ask(problem, state),
            method.ask(problem, state, 20),
        ]
        assert [len(p.x) for p in asked][::3] == [3, 20]
    x = np.concatenate([p.x for p in asked])
    assert len(np.unique(x, axis=0)) == len(x)
    for p in reversed(asked):  # out of order, and in parts
        seen = problem.evaluate(p.x, p.tag)
        for i in reversed(range(len(seen))):
            method.tell(problem, state, seen.rows(slice(i, i + 1)))
    assert len(method.ask(problem, state, 1).x) == 1
    assert method.ask(problem, state, 0).x.shape == (0, 2)


@pytest.mark.parametrize("name", SAMPLERS)
def test_points_that_somebody_else_chose_are_taken(name):
    problem, method = disc(), ALL[name]
    state = method.init(problem, np.random.default_rng(0))
    method.tell(problem, state, problem.evaluate(np.array([[0.1, 0.2], [2.5, 3.5]])))
    proposed = method.ask(problem, state)
    method.tell(problem, state, problem.evaluate(proposed.x, proposed.tag))
    assert len(method.ask(problem, state).x) >= 1


@pytest.mark.parametrize("name", ["random-search", "sobol-search"])
def test_the_baselines_propose_the_same_points_however_many_are_asked_for(name):
    problem, method = disc(known=lambda x: x[:, 0] > -1), ALL[name]
    one, many = (method.init(problem, np.random.default_rng(0)) for _ in range(2))
    single = np.concatenate([method.ask(problem, one).x for _ in range(150)])
    assert np.array_equal(single, method.ask(problem, many, 150).x)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("cma-es", "cma"),
        ("cbx", "cbx"),
        ("optuna-tpe", "optuna"),
        ("optuna-gp", "optuna"),
        ("nevergrad-ngopt", "nevergrad"),
        ("nevergrad-pso", "nevergrad"),
    ],
)
def test_a_missing_package_names_the_extra(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(errors.MissingExtra, match=r"feasible\[peers\]"):
        go(name, disc(), 2)


@pytest.mark.parametrize(
    "name", ["differential-evolution", "cobyqa", "cobyla", "slsqp", "trust-constr"]
)
def test_a_solver_that_converges_is_restarted(name):
    problem = BlackBox(lambda x: 1 + (x[0] - 0.3) ** 2 + (x[1] + 0.2) ** 4, [(-3, 3)] * 2)
    n = {"differential-evolution": 3000, "cobyqa": 60}.get(name, 200)
    result = go(name, problem, n)
    assert result.steps >= 1
    assert result.spent["evaluations"] == n


@pytest.mark.parametrize("name", ["cobyqa", "cobyla", "slsqp", "trust-constr"])
def test_equalities_and_two_sided_limits_are_met(name):
    problem = BlackBox(
        lambda x: ((x - 1) ** 2).sum(),
        [(-3, 3)] * 3,
        constraints={"sum": {"type": "eq", "fun": lambda x: x.sum() - 1}},
    )
    result = go(name, problem, 40 if name == "cobyqa" else 200)
    assert result.verdict.feasible
    assert result.verdict.objective == pytest.approx(4 / 3, abs=1e-3)


def test_cma_restarts_with_other_populations():
    problem = BlackBox(lambda x: float(np.sum(np.abs(x) ** 2)), [(-3, 4)] * 2)
    sizes = []
    state = peers.CMAES(popsize=5).init(problem, np.random.default_rng(0))
    for _ in range(250):
        sizes.append(state.es.popsize)
        state = peers.CMAES(popsize=5).step(problem, state)
    assert state.runs >= 2
    assert max(sizes) >= 2 * sizes[0]


def test_cbx_spends_nothing_on_a_shape_check_and_moves_like_its_equation():
    problem, method = disc(), peers.CBX(n_particles=5, dt=0.01, sigma=0.0, alpha=1e9)
    state = method.init(problem, np.random.default_rng(0))
    before = state.dynamic.x[0].copy()
    assert state.dynamic.num_f_eval.sum() == 0
    proposed = method.ask(problem, state)
    seen = problem.evaluate(proposed.x, proposed.tag)
    method.tell(problem, state, seen)
    best = before[np.argmin(np.where(seen.violation > 0, 100 + seen.violation, seen.objective))]
    assert np.allclose(state.dynamic.x[0], before - 0.01 * (before - best))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_leaves_nothing_in_the_users_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    go(name, disc(), evaluations(name, 20))
    assert list(tmp_path.iterdir()) == []


def test_runs_of_cma_at_the_same_time_leave_nothing_in_the_users_folder(tmp_path, monkeypatch):
    """The second run makes its augmented Lagrangian when the first one has just left pycma."""
    import cma

    monkeypatch.chdir(tmp_path)
    method, inside, left = peers.CMAES(), threading.Event(), threading.Event()
    own = cma.ConstrainedFitnessAL

    def late(*args, **options):
        inside.set()
        assert left.wait(60)
        return own(*args, **options)

    monkeypatch.setattr(cma, "ConstrainedFitnessAL", late)

    def limited(known=None):
        return BlackBox(
            lambda x: (x @ x, [x[0]]), [(-1, 1)] * 2, limits=["<= 0"], known=known, x0=[0, 0]
        )

    def second():
        problem = limited()
        method.step(problem, method.init(problem, np.random.default_rng(1)))

    thread = threading.Thread(target=second)

    def first_known(x):
        if state is not None and not thread.ident:
            thread.start()
            assert inside.wait(60)
        return np.ones(len(x), dtype=bool)

    state = None
    problem = limited(first_known)
    state = method.init(problem, np.random.default_rng(0))
    method.ask(problem, state)
    left.set()
    thread.join()
    assert inside.is_set()
    assert list(tmp_path.iterdir()) == []
