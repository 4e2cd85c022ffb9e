"""Constrained Bayesian optimisation as a method of runs."""

import math
import warnings

import numpy as np
import pytest
import torch

from feasible.blackbox.pfn_cbo.native import ConstrainedBO
from feasible.blackbox.pfn_cbo.search import NetworkSearch, ProcessSearch
from feasible.blackbox.pfn_cbo.settings import ACQUISITIONS
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real
from feasible.core import errors
from feasible.core.budget import Budget, Meter
from feasible.core.evaluating import RunOptions
from feasible.core.run import Run, run

torch.set_num_threads(1)

FAST = {"n_initial": 4, "candidates": 64, "local": 16}


NETWORK = [NetworkSearch(acq, **FAST) for acq in ACQUISITIONS]


PROCESS = [ProcessSearch(acq, **FAST, restarts=1, raw=4) for acq in ACQUISITIONS]


PUBLISHED = NetworkSearch(n_initial=4, candidates=100, local=0, official=True)


def disc(calls=None, **options):
    """min (x-2)^2 + (y-1)^2 in a box, inside the disc x^2 + y^2 <= 2: the optimum is (1.265,
    0.632), f = 0.67544.
    """

    def fun(x):
        if calls is not None:
            calls.append(np.array(x))
        return (x[0] - 2) ** 2 + (x[1] - 1) ** 2, [x[0] ** 2 + x[1] ** 2]

    return BlackBox(fun, [(-3, 3), (-2, 4)], limits=["<= 2"], **options)


def go(problem, method, n, seed=100, **options):
    budget = Budget(evaluations=n)
    return run(Run(problem, method, budget, seed, Meter(budget), options=RunOptions(**options)))


# -- as methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize("acq", ACQUISITIONS)
@pytest.mark.parametrize("search", [NetworkSearch, ProcessSearch])
def test_names_are_those_of_the_catalogue(search, acq):
    from feasible.core.registry import load_method

    assert load_method(search(acq).name) == search(acq)


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[0], PUBLISHED], ids=lambda m: m.name)
@pytest.mark.parametrize("n", [1, 3, 8])
def test_the_budget_is_used_and_never_passed_and_every_point_lies_in_the_box(method, n):
    calls = []
    result = go(disc(calls), method, n if method.surrogate == "pfn" else min(n, 6))
    assert result.spent["evaluations"] == len(calls) <= n
    assert (np.array(calls) >= [-3, -2]).all()
    assert (np.array(calls) <= [3, 4]).all()


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[0]], ids=lambda m: m.name)
def test_known_constraints_hold_at_every_evaluated_point(method):
    calls = []
    go(
        disc(calls, known=lambda x: x[:, 0] + x[:, 1] <= 0.5),
        method,
        12 if method.surrogate == "pfn" else 7,
    )
    assert (np.array(calls).sum(axis=1) <= 0.5).all()


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[0]], ids=lambda m: m.name)
def test_whole_numbers_categories_logs_and_fixed_inputs_are_obeyed_without_repeats(method):
    seen = []

    def fun(p):
        seen.append(tuple(p.values()))
        return (p["n"] - 3) ** 2 + (p["solvent"] == "B") + math.log10(p["rate"]) ** 2 + p["fixed"]

    variables = [
        Integer("n", 0, 9),
        Categorical("solvent", ["A", "B"]),
        Real("rate", 1e-3, 1e3, log=True),
        Real("fixed", 2.0, 2.0),
    ]
    go(BlackBox(fun, variables=variables), method, 9 if method.surrogate == "pfn" else 6)
    assert len(set(seen)) == len(seen)
    assert all(
        isinstance(n, int) and s in "AB" and 1e-3 <= r <= 1e3 and c == 2.0 for n, s, r, c in seen
    )


def test_the_network_beats_random_points_on_a_disc():
    bests = {}
    for name, method in (
        ("network", NetworkSearch(n_initial=6, candidates=128, local=64)),
        ("random", NetworkSearch(n_initial=30)),
    ):
        bests[name] = np.mean(
            [go(disc(), method, 30, s).verdict.objective for s in (101, 102, 103)]
        )
    assert bests["network"] < bests["random"] - 0.1
    assert bests["network"] < 0.9


@pytest.mark.parametrize("method", [*NETWORK, PROCESS[0], PROCESS[2]], ids=lambda m: m.name)
@pytest.mark.parametrize(
    "kind", ["nan", "raises", "always", "constant", "infeasible", "no objective", "huge"]
)
def test_bad_values_do_not_end_the_run(method, kind):
    def fun(x):
        good, g = (x[0] - 1) ** 2, [x[0] + x[1] - 1]
        if kind == "always" or (kind == "raises" and x[0] > 0.3):
            raise RuntimeError("the mesh folded")
        if kind == "no objective":
            return {"g": g[0]} if g[0] > 0 else {"f": good, "g": g[0]}
        return {
            "nan": (math.nan if x[0] > 0.3 else good, g),
            "constant": (1.0, [-1.0]),
            "infeasible": (good, [1 + x[0] ** 2]),
            "huge": (math.copysign(10 ** (300 * x[0]), x[1]), [10 ** (-300 * x[0] ** 2)]),
        }.get(kind, (good, g))

    problem = BlackBox(
        fun,
        [(-1, 1), (-1, 1)],
        limits={"g": "<= 0"} if kind == "no objective" else ["<= 0"],
        objective="f" if kind == "no objective" else None,
    )
    n = 10 if method.surrogate == "pfn" else 6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = go(problem, method, n, on_failure="skip")
    assert result.spent["evaluations"] == n


def test_twice_the_same_point_with_different_values_is_no_obstacle():
    opt = ConstrainedBO([(0, 1)], n_initial=2, seed=100)
    for f in (1.0, 2.0, 3.0):
        opt.tell([0.5], f)
    assert opt.ask().shape == (1,)
    process = ProcessSearch(n_initial=0, restarts=1, raw=4)
    opt = ConstrainedBO([(0, 1)], surrogate="gp", seed=100, method=process)
    for f in (1.0, 2.0, 3.0):
        opt.tell([0.5], f)
    assert 0 <= opt.ask()[0] <= 1


def test_a_fit_that_fails_is_replaced_and_said(monkeypatch):
    import botorch.fit

    def broken(mll, **_):
        raise RuntimeError("Cholesky")

    monkeypatch.setattr(botorch.fit, "fit_gpytorch_mll", broken)
    with pytest.warns(UserWarning, match="could not be fitted"):
        result = go(disc(), PROCESS[2], 5)
    assert result.spent["evaluations"] == 5


def test_more_inputs_than_the_network_takes_are_refused_with_a_way_out():
    problem = BlackBox(lambda x: float(np.sum(x)), [(0, 1)] * 19)
    with pytest.raises(errors.WrongProblem, match="gp-cei"):
        go(problem, NetworkSearch(), 3)
    with pytest.raises(errors.WrongProblem, match="19 inputs"):
        ConstrainedBO([(0, 1)] * 19)


def test_of_too_many_observations_the_network_reads_the_best_and_nearest_and_says_so_once():
    opt = ConstrainedBO(
        [(0, 1)] * 2,
        n_constraints=1,
        n_initial=0,
        seed=100,
        method=NetworkSearch(n_initial=0, candidates=32, local=8),
    )
    for x in np.random.default_rng(0).random((310, 2)):
        opt.tell(x, float(x.sum()), [0.2 - x[0]])
    opt.state.asked = 310
    with pytest.warns(UserWarning, match="at most 300") as said:
        [opt.ask() for _ in range(2)]
    assert len(said) == 1


@pytest.mark.parametrize("method", [NETWORK[0], PROCESS[0]], ids=lambda m: m.name)
def test_a_batch_holds_different_points_that_may_come_back_in_any_order(method):
    problem = disc()
    state = method.init(problem, np.random.default_rng(4))
    for k in (4, 3):
        p = method.ask(problem, state, k)
        assert len(np.unique(p.x, axis=0)) == k
        for i in reversed(range(k)):
            method.tell(
                problem, state, problem.measure(p.x[i : i + 1], np.array([-1]), p.tag[i : i + 1])
            )
    assert len(state.out) == 0
    assert len(state.f) == 7


def test_a_design_to_start_from_is_the_first_proposal():
    calls = []
    go(disc(calls, x0=[0.5, 0.5]), NETWORK[0], 2)
    np.testing.assert_array_equal(calls[0], [0.5, 0.5])


@pytest.mark.parametrize(
    "wrong",
    [{"acq": "ei"}, {"n_initial": -1}, {"candidates": 0}, {"local": 1.5}, {"n_initial": True}],
)
def test_settings_are_checked(wrong):
    wrong_kind = (errors.ArgumentError, errors.ArgumentTypeError)
    with pytest.raises(wrong_kind, match=next(iter(wrong))):
        NetworkSearch(**wrong)
