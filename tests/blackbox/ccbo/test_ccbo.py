"""CCBO as a method of runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny import go, rows, same_rows

from feasible.blackbox.ccbo.ccbo import CompositeBO
from feasible.blackbox.ccbo.native import CCBO
from feasible.blackbox.instances.electrospray import electrospray
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real
from feasible.core.errors import ArgumentError, ArgumentTypeError, BoundsError

SMALL = {"mc_samples": 32, "num_restarts": 2, "raw_samples": 16, "maxiter": 8}


FAST = CompositeBO(**SMALL)


STRATEGIES = ("ccbo", "constrained", "qEI", "random")


def told(method, problem, x, seed=0):
    """A state that was told these points."""
    state = method.init(problem, np.random.default_rng(seed))
    method.tell(
        problem,
        state,
        problem.measure(np.array(x, dtype=float), np.full(len(x), -1), np.full(len(x), -1)),
    )
    return state


def line(f=lambda x: x[:, 0], target=0.3, **options):
    return BlackBox(f, [(0, 1)], objective="h", target=target, vectorized=True, **options)


def opt(**options):
    return CCBO(
        [
            Real("conc", 0.05, 5),
            Real("flow", 0.01, 60, log=True),
            Real("kV", 10, 18),
            Categorical("solvent", ["DMAc", "CHCl3"]),
        ],
        target=18.0,
        **options,
    )


# -- the method ------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_gives_the_same_ledger_inside_the_budget_and_leaves_the_global_streams_alone(
    strategy,
):
    method = CompositeBO(strategy=strategy, **SMALL)
    assert (
        method.name
        == {
            "ccbo": "ccbo",
            "constrained": "ccbo-constrained",
            "qEI": "ccbo-qei",
            "random": "ccbo-random",
        }[strategy]
    )
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.rand(1), np.random.random()
    torch.manual_seed(3)
    np.random.seed(3)
    one, two, other = (go(electrospray(), 8, method, seed) for seed in (1, 1, 2))
    assert (torch.rand(1), np.random.random()) == before
    assert same_rows(rows(one), rows(two))
    assert not np.array_equal(rows(one).x, rows(other).x)
    assert one.spent["evaluations"] == len(rows(one)) == 8  # the last batch of two is cut


def test_a_target_is_hit_in_few_experiments():
    result = go(electrospray(), 15, CompositeBO(tol=0.3), seed=101)
    assert result.verdict.feasible
    assert result.verdict.objective < 0.3
    assert "tol" in result.stopped


def test_box_known_constraints_and_whole_numbers_are_obeyed_by_every_proposal():
    problem = BlackBox(
        lambda x: {"h": 1 + x["n"] * x["r"], "fine": x["kind"] != "c"},
        objective="h",
        limits={"fine": "is true"},
        target=20.0,
        variables=[
            Integer("n", 1, 9),
            Real("r", 1e-2, 10, log=True),
            Categorical("kind", ["a", "b", "c"]),
            Real("fixed", 2, 2),
        ],
        known=lambda x: x[:, 0] >= 2 * x[:, 1],
    )
    for strategy in STRATEGIES:
        seen = rows(go(problem, 8, CompositeBO(strategy=strategy, **SMALL), on_failure="skip"))
        assert problem.allowed(seen.x).all()
        assert not seen.reason
        np.testing.assert_array_equal(problem.space.snap(seen.x), seen.x)
        assert len(np.unique(seen.x, axis=0)) == len(seen)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "case", ["all infeasible", "all fail", "constant", "huge", "one choice only", "x0"]
)
def test_bad_input_is_survived(case, strategy):
    method = CompositeBO(strategy=strategy, log_output=case != "constant", **SMALL)
    if case == "all infeasible":
        problem = line(
            lambda x: {"h": 1 + x[:, 0], "c": np.ones(len(x))}, 1.5, limits={"c": "<= 0"}
        )
    elif case == "all fail":
        problem = line(lambda x: np.full(len(x), np.nan), 1.5)
    elif case == "constant":
        problem = line(lambda x: np.zeros(len(x)), 0.5)
    elif case == "huge":
        problem = line(lambda x: 10.0 ** (600 * x[:, 0] - 300), 1e10)
    elif case == "one choice only":
        problem = BlackBox(
            lambda x: 1.0 + len(x["a"]),
            variables=[Categorical("a", ["u", "vv"]), Categorical("b", ["w", "z"])],
            objective="h",
            target=3.5,
        )
    else:
        problem = line(lambda x: 1 + x[:, 0], 1.25, x0=[0.75])
    result = go(problem, 8, method, on_failure="skip")
    assert len(rows(result)) == (4 if case == "one choice only" else 8)
    if case == "one choice only":
        assert "points were evaluated" in result.stopped
        assert result.verdict.objective == 0.5
    if case == "x0":
        assert rows(result).x[0, 0] == 0.75


@pytest.mark.parametrize("log_output", [True, False])
def test_repeats_with_other_values_and_values_of_any_size_do_not_break_the_models(log_output):
    opt = CCBO([(0, 1), (0, 1)], target=2.0, method=CompositeBO(log_output=log_output, **SMALL))
    opt.tell([[0.2, 0.5]] * 3, [1.0, 3.0, 2.0], [True, True, False])
    opt.tell([[0.4, 0.5], [0.6, 0.1]], [1e-300, 1e300], [True, True])
    assert all(0 <= v <= 1 for p in opt.ask(2) for v in p.values())


def test_fewer_than_two_values_are_enough_to_go_on():
    for y, feasible in (([1.0], [True]), ([1.0], [False]), ([math.nan], [False])):
        method = CompositeBO(n_initial=1, **SMALL)
        opt = CCBO([(0, 1)], target=2.0, method=method)
        opt.tell([[0.5]], y, feasible)
        assert len({p["x1"] for p in opt.ask(3)} - {0.5}) == 3


def test_a_fit_that_fails_is_said_and_the_defaults_are_used(monkeypatch):
    from feasible.blackbox.ccbo import models as ccbo_models

    monkeypatch.setattr(
        ccbo_models,
        "exact_loss",
        lambda *_: torch.tensor(math.nan, requires_grad=True) * _[1].sum(),
    )
    with pytest.warns(RuntimeWarning, match="Gaussian process failed"):
        assert rows(go(electrospray(), 7, FAST)).x.shape == (7, 4)


def test_values_that_are_not_positive_are_left_out_and_said():
    with pytest.warns(RuntimeWarning, match="not positive"):
        go(line(lambda x: x[:, 0] - 0.5, 0.3), 7, FAST)


def test_the_budget_may_end_inside_a_large_batch_and_many_may_be_out():
    problem = electrospray()
    assert len(rows(go(problem, 7, CompositeBO(batch_size=6, **SMALL)))) == 7
    state = FAST.init(problem, np.random.default_rng(0))
    seen = [FAST.ask(problem, state, 3).x for _ in range(3)]  # nothing told: the design goes on
    x = np.concatenate(seen)
    assert len(np.unique(x, axis=0)) == 9
    assert len(state.waiting) == 9
    FAST.tell(problem, state, problem.measure(x[:4], np.arange(4), np.arange(4)))
    assert len(state.waiting) == 5
    more = FAST.ask(problem, state, 2)
    assert not {r.tobytes() for r in more.x} & {r.tobytes() for r in x}


def test_a_correction_takes_the_place_of_the_row_and_an_abandoned_experiment_teaches_nothing():
    problem = electrospray()
    state = FAST.init(problem, np.random.default_rng(0))
    p = FAST.ask(problem, state, 2)
    FAST.tell(problem, state, problem.measure(p.x, np.arange(2), p.tag))
    corrected = problem.from_metrics(p.x[0], {"diameter": 7.5, "stable": 1.0}, None, 0)
    corrected.tag[:] = p.tag[0]
    FAST.tell(problem, state, corrected)
    assert sorted(state.tag.tolist()) == [0, 1]
    assert state.y[state.tag == 0] == 7.5
    q = FAST.ask(problem, state, 1)
    dropped = problem.from_metrics(q.x[0], {}, "abandoned", 2)
    dropped.tag[:] = q.tag[0]
    FAST.tell(problem, state, dropped)
    assert (len(state.x), len(state.waiting)) == (2, 0)


def test_a_numeric_limit_counts_as_no_where_it_is_violated_and_a_value_beside_it_counts():
    problem = line(
        lambda x: {"h": 1 + x[:, 0], "heat": 100 * x[:, 0]}, 1.5, limits={"heat": "<= 60 degC"}
    )
    state = told(FAST, problem, [[0.2], [0.9]])
    assert state.label.tolist() == [True, False]
    assert state.y.tolist() == pytest.approx([1.2, 1.9])


@pytest.mark.parametrize(
    "bad",
    [
        {"strategy": "ei"},
        {"batch_size": 0},
        {"n_initial": 1.5},
        {"mc_samples": True},
        {"eta": 0.0},
        {"tol": -1.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=next(iter(bad))):
        CompositeBO(**bad)


def test_problems_without_a_target_or_with_one_that_has_no_logarithm_are_refused():
    with pytest.raises(ArgumentError, match="target: problem 'free' has none"):
        go(BlackBox(lambda x: x[0], [(0, 1)], name="free"), 5, FAST)
    with pytest.raises(ArgumentError, match="log_output=False"):
        go(line(target=-1.0), 5, FAST)
    with pytest.raises(BoundsError, match="ccbo"):
        go(BlackBox(lambda x: x[0], [(0, math.inf)], target=1.0), 5, FAST)
