"""Ax, BoTorch and pymoo as methods: budget, box, known constraints, reproducibility, failures,
checkpoints.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint
from scipy.stats import qmc

from feasible.blackbox import peers
from feasible.blackbox.peers import botorch as peers_botorch
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real
from feasible.core import errors
from feasible.core.budget import Budget, Meter
from feasible.core.evaluating import RunOptions
from feasible.core.registry import load_method
from feasible.core.run import Run, run

TINY = {"n_init": 4, "num_restarts": 1, "raw_samples": 8, "mc_samples": 16, "maxiter": 4}
ALL = {
    "ax": peers.Ax(),
    "botorch-qlognei": peers.BoTorchTutorial(acquisition="qlognei", **TINY),
    "botorch-logcei": peers.BoTorchTutorial(acquisition="logcei", **TINY),
    "botorch-scbo": peers.BoTorchSCBO(n_init=4, n_candidates=64),
    **{f"pymoo-{a}": peers.Pymoo(a, 6) for a in ("ga", "de", "pso", "isres")},
}
NAMES = list(ALL)
MODELS = [n for n in NAMES if n.startswith("botorch")]
PYMOO = [n for n in NAMES if n.startswith("pymoo")]
BUDGET = {"ax": 6} | dict.fromkeys(MODELS, 5) | dict.fromkeys(PYMOO, 60)
"""Enough for a proposal by the model, or for several generations."""


def go(method, problem, n, seed=103, **options):
    budget = Budget(evaluations=n)
    return run(
        Run(
            problem,
            ALL.get(method, method) if isinstance(method, str) else method,
            budget,
            seed,
            Meter(budget),
            options=RunOptions(**options),
        )
    )


def disc(calls=None, fail=None, **options):
    """min (x-2)^2 + (y-1)^2 inside the disc x^2 + y^2 <= 2: the optimum is (1.265, 0.632), f =
    0.67544.
    """

    def fun(x):
        if calls is not None:
            calls.append(np.array(x))
        if fail is not None and fail(x):
            raise RuntimeError("the mesh folded")
        return (x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2]

    return BlackBox(fun, [(-3, 3), (-2, 4)], limits=["<= 2"], **options)


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_the_one_of_the_catalogue(name):
    assert ALL[name].name == load_method(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_budget_box_and_known_constraints_hold_at_every_evaluated_point(name):
    calls = []
    n = BUDGET[name]
    result = go(name, disc(calls, known=lambda x: x[:, 0] + x[:, 1] <= 1.0), n)
    x = np.array(calls)
    assert result.spent["evaluations"] == len(x) == n
    assert (x >= [-3, -2]).all()
    assert (x <= [3, 4]).all()
    assert (x.sum(axis=1) <= 1.0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", ["some", "all"])
def test_failures_do_not_end_the_run(name, bad):
    n = 4 if name == "ax" else BUDGET[name]
    result = go(name, disc(fail=lambda x: bad == "all" or x[0] > 1), n, on_failure="skip")
    assert result.spent["evaluations"] == n


@pytest.mark.parametrize("name", [n for n in NAMES if n != "ax"])
def test_whole_numbers_categories_and_fixed_variables_arrive_as_such(name):
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
    assert go(name, problem, BUDGET[name]).spent["evaluations"] == len(calls)
    assert all(
        type(c["n"]) is int
        and -2 <= c["n"] <= 6
        and c["kind"] in "abc"
        and 0.1 <= c["r"] <= 10
        and c["still"] == 1
        for c in calls
    )


def test_ax_gets_kinds_and_an_unknown_number_of_constraints():
    problem = BlackBox(
        lambda x: float(x.sum()),
        pass_as="vector",
        variables=[
            Real("r", 0.1, 10, log=True),
            Integer("n", 1, 6),
            Categorical("kind", ["a", "b"]),
            Real("still", 1, 1),
        ],
        constraints=[NonlinearConstraint(lambda x: [x[0], x[1]], [0.5, 2], np.inf)],
    )
    rows = go("ax", problem, 6).ledger.all()
    assert rows.constraints.shape == (6, 2)
    assert (rows.x[:, 1:3] == np.round(rows.x[:, 1:3])).all()
    assert (rows.x[:, 3] == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_outcomes_may_come_back_in_any_order_and_from_others(name):
    problem, method = disc(), ALL[name]
    state = method.init(problem, np.random.default_rng(100))
    method.tell(problem, state, problem.evaluate(np.array([[0.1, 0.2], [2.5, 3.5]])))
    asked = [method.ask(problem, state, 2), method.ask(problem, state, 3)]
    x = np.concatenate([p.x for p in asked])
    assert len(np.unique(x, axis=0)) == 5
    if name in PYMOO:
        method.ask(problem, state)
        with pytest.raises(errors.Pending, match=name):
            method.ask(problem, state, 1)
    for p in reversed(asked):
        seen = problem.evaluate(p.x, p.tag)
        for i in reversed(range(len(seen))):
            method.tell(problem, state, seen.rows(slice(i, i + 1)))
    assert method.ask(problem, state, 0).x.shape == (0, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_users_design_is_tried_first(name):
    assert np.allclose(go(name, disc(x0=[0.5, 0.25]), 1).ledger.all().x[0], [0.5, 0.25], atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_infinite_bounds_are_refused(name):
    with pytest.raises(errors.BoundsError, match=f"{name} needs finite bounds, but 'x1'"):
        go(name, BlackBox(lambda x: x[0], [(-np.inf, 1), (0, 1)]), 3)


@pytest.mark.parametrize(
    ("name", "package"),
    [("ax", "ax.api.client"), ("botorch-scbo", "botorch"), ("pymoo-ga", "pymoo")],
)
def test_a_missing_package_names_the_extra(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(errors.MissingExtra, match=r"feasible\[peers\]"):
        go(name, disc(), 2)


@pytest.mark.parametrize("name", PYMOO)
def test_the_population_finds_the_optimum_of_the_disc(name):
    result = go(peers.Pymoo(name.removeprefix("pymoo-"), 20), disc(), 1500)
    assert 0.67543 < result.verdict.objective < 0.72


@pytest.mark.parametrize("name", ["botorch-logcei", "botorch-scbo"])
def test_the_model_makes_good_use_of_few_evaluations(name):
    method = (
        peers.BoTorchSCBO(n_candidates=256)
        if name == "botorch-scbo"
        else peers.BoTorchTutorial(acquisition="logcei", num_restarts=1, raw_samples=32, maxiter=20)
    )
    seen = go(method, disc(), 14 if name == "botorch-scbo" else 10).ledger.all()
    best = np.minimum.accumulate(np.where(seen.violation <= 1e-6, seen.objective, np.inf))
    assert best[-1] < best[5]  # better than the initial design
    assert 0.67543 < best[-1] < 1.1


@pytest.mark.parametrize("name", MODELS)
def test_wild_constant_and_repeated_values_are_survived(name):
    wild = BlackBox(
        lambda x: (1e300 * x[0] if x[1] > 0 else 1e-300, [np.exp(300 * x[0]), 0.5]),
        [(-1, 1)] * 2,
        limits=["<= 1", "<= 1"],
    )
    noisy = BlackBox(
        lambda x: (1.0, [3.0]), [(0, 1)] * 2, limits=["<= 1"], noise=True
    )  # constant, and never feasible
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert go(name, wild, 5).spent["evaluations"] == 5
        assert go(name, noisy, 5).spent["evaluations"] == 5
    problem, method = disc(noise=True), ALL[name]
    state = method.init(problem, np.random.default_rng(100))
    seen = problem.measure(np.array([[0.5, 0.5]] * 6), np.full(6, -1), np.full(6, -1))
    seen.objective[:] = np.arange(6.0)
    method.tell(problem, state, seen)
    for _ in range(5):
        x = method.ask(problem, state).x
    assert problem.allowed(x).all()


def test_a_model_that_fails_is_replaced_by_a_random_point_and_says_so(monkeypatch):
    def broken(*_):
        raise RuntimeError("no Cholesky factor")

    monkeypatch.setattr(peers_botorch, "_models", broken)
    with pytest.warns(RuntimeWarning, match="no Cholesky factor"):
        assert go("botorch-scbo", disc(), 6).spent["evaluations"] == 6


def test_the_trust_region_doubles_halves_and_starts_anew():
    problem, method = disc(), peers.BoTorchSCBO(n_init=4, success_tolerance=3)
    state = method.init(problem, np.random.default_rng(100))

    def tell(f):
        row = problem.measure(np.array([[0.1, 0.1]]), np.array([-1]), np.array([-1]))
        row.objective[:] = f
        method.tell(problem, state, row)

    for f in (5.0, 4.0, 3.0, 2.5):  # the initial design does not count
        tell(f)
    assert state.length == 0.8
    for f in (2.0, 1.5, 1.2):
        tell(f)
    assert state.length == 1.6
    for k in range(1, 8):
        for _ in range(4):
            tell(9.0)
        assert state.length == 1.6 / 2**k
    for _ in range(4):
        tell(9.0)
    assert (state.length, state.restarts, state.since, state.planned) == (0.8, 1, len(state.f), 4)


def test_the_initial_design_is_a_sobol_sequence():
    problem, method = (
        BlackBox(lambda x: float(x.sum()), [(0, 1)] * 3),
        peers.BoTorchTutorial(n_init=64),
    )
    x = method.ask(problem, method.init(problem, np.random.default_rng(100)), 64).x
    assert all(sorted(np.floor(64 * x[:, j]).astype(int)) == list(range(64)) for j in range(3))
    assert qmc.discrepancy(x) < 0.01


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (peers.Pymoo, {"algorithm": "nsga3"}),
        (peers.Pymoo, {"pop_size": 3}),
        (peers.Ax, {"method": "best"}),
        (peers.BoTorchTutorial, {"acquisition": "ei"}),
        (peers.BoTorchTutorial, {"raw_samples": 0}),
        (peers.BoTorchSCBO, {"n_init": 1}),
    ],
)
def test_settings_that_make_no_sense_are_refused(kind, bad):
    with pytest.raises(errors.ArgumentError, match=next(iter(bad))):
        kind(**bad)
