"""Bayesian optimisation: every acquisition obeys its problem and repeats itself."""

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, NonlinearConstraint

from feasible.blackbox.bo_tutorial import instances as instances_bayes
from feasible.blackbox.bo_tutorial.bo import BO
from feasible.blackbox.bo_tutorial.native import BayesOpt
from feasible.blackbox.bo_tutorial.search import AcquisitionSearch, Domain
from feasible.blackbox.bo_tutorial.settings import ACQUISITIONS
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real, Space
from feasible.core.budget import Budget, Meter
from feasible.core.errors import ArgumentError, BoundsError, NotFinite, ShapeError
from feasible.core.evaluating import RunOptions
from feasible.core.run import Run, run

QUICK = {
    "raw": 24,
    "restarts": 2,
    "samples": 16,
    "fantasies": 4,
    "cover": 16,
    "sga_restarts": 2,
    "sga_steps": 3,
    "n_init": 4,
}


PLAIN = [a for a in ACQUISITIONS if a not in ("mfkg", "multi-task", "env-kg")]


def method(acq, **more):
    return BO(acq=acq, **{**QUICK, **more})


def solve(problem, how, evaluations=7, seed=107, **options):
    budget = Budget(evaluations=evaluations)
    return run(Run(problem, how, budget, seed, Meter(budget), options=RunOptions(**options)))


def bowl(known=None, limits=True, **options):
    """A bowl with gradients, its optimum cut off by a limit."""

    def fun(x):
        found = {
            "objective": ((x - 0.3) ** 2).sum(1),
            "d_x1": 2 * (x[:, 0] - 0.3),
            "d_x2": 2 * (x[:, 1] - 0.3),
        }
        return found | ({"sum": x.sum(1)} if limits else {})

    return BlackBox(
        fun,
        [(-1, 1), (0, 2)],
        objective="objective",
        limits={"sum": ">= 0.8"} if limits else None,
        vectorized=True,
        known=known,
        **options,
    )


# -- every acquisition -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ACQUISITIONS.values(), ids=ACQUISITIONS)
def test_the_settings_of_an_acquisition_are_settings_of_bo_with_the_same_defaults(kind):
    for field in fields(kind):
        assert getattr(BO(), field.name) == field.default


@pytest.mark.parametrize("acq", PLAIN)
def test_budget_box_and_known_constraints_are_kept_and_a_seed_gives_one_ledger(acq):
    def one():
        return solve(bowl(known=lambda x: x[:, 1] <= 1.2 - x[:, 0]), method(acq), 5)

    first, second = one(), one()
    rows = first.ledger.all()
    assert first.spent["evaluations"] == 5 == len(rows)
    assert np.array_equal(rows.x, second.ledger.all().x)
    assert (rows.x[:, 1] <= 1.2 - rows.x[:, 0]).all()
    assert (rows.x >= [-1, 0]).all()
    assert (rows.x <= [1, 2]).all()
    assert len(np.unique(rows.x, axis=0)) == 5


@pytest.mark.parametrize("acq", ["logei", "qnei", "kg-discrete"])
def test_a_batch_has_different_points_and_asking_again_before_telling_works(acq):
    problem, how = bowl(), method(acq)
    state = how.init(problem, np.random.default_rng(0))
    how.step(problem, state)
    asked = [how.ask(problem, state, 2), how.ask(problem, state, 1)]
    x = np.concatenate([p.x for p in asked])
    assert np.linalg.norm(x[:, None] - x[None], axis=2)[np.triu_indices(3, 1)].min() > 1e-4
    assert len(set(np.concatenate([p.tag for p in asked]).tolist())) == 3
    for p in reversed(asked):
        how.tell(problem, state, problem.evaluate(p.x, p.tag))
    assert len(state.out) == 0
    assert len(state.f) == 7
    assert how.ask(problem, state, 0).x.shape == (0, 2)


def test_the_global_random_streams_are_left_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.rand(2), np.random.random(2)
    torch.manual_seed(5)
    np.random.seed(5)
    solve(bowl(), method("qei"), 5)
    solve(bowl(limits=False), method("mes"), 5)
    assert torch.equal(torch.rand(2), before[0])
    assert np.array_equal(np.random.random(2), before[1])


@pytest.mark.parametrize("acq", ["logei", "noisy-ei"])
def test_the_optimum_on_a_limit_is_found(acq):
    result = solve(bowl(), method(acq, n_init=6), 12)
    assert result.verdict.feasible
    assert result.verdict.objective < 0.02 + 5e-3  # (0.4, 0.4)


@pytest.mark.parametrize("how", ["map", "mle", "bayes"])
def test_hyperparameters_of_each_kind_work(how):
    assert solve(bowl(), method("logei", hyperparameters=how, draws=2), 6).verdict.feasible


def test_gradients_are_used_and_without_them_the_values_are():
    with_slopes = solve(
        instances_bayes.with_gradient("rosenbrock"), method("d-ei", n_init=5), 9
    ).verdict.objective
    assert with_slopes < 1.0
    assert (
        solve(BlackBox(lambda x: float(x @ x), [(-1, 1)] * 2), method("d-ei"), 5).verdict.objective
        < 1
    )


# -- fidelity, environment, task -------------------------------------------------------------------


def test_multi_fidelity_ends_with_an_answer_at_the_target_and_never_passes_the_cost():
    budget = Budget(cost=6)
    result = run(
        Run(
            instances_bayes.augmented_branin(),
            method("mfkg", fidelity="s", n_init=3),
            budget,
            103,
            Meter(budget),
        )
    )
    assert result.spent["cost"] <= 6
    assert result.verdict.feasible
    assert result.answer["s"] == 1.0
    assert result.ledger.all().x[:, 2].min() < 1


def test_one_environment_at_a_time_finds_the_best_mean():
    problem = instances_bayes.random_environment()
    weights = (0.1, 0.2, 0.3, 0.4)
    opt = BayesOpt(
        problem.space,
        settings=method("env-kg", environment="w", weights=weights),
        noise=0.0,
        seed=105,
    )
    for _ in range(10):
        x = opt.ask()
        opt.tell(x, problem.fun(x))
    x, mean, sd = opt.recommend()
    assert x[0] == pytest.approx(2.0, abs=0.2)
    assert mean == pytest.approx(
        sum(p * (x[0] - w) ** 2 for w, p in enumerate(weights)), abs=0.2 + 3 * sd
    )


def test_a_second_task_teaches_the_first():
    space = [Real("x", 0, 1), Categorical("t", ["real", "cheap"])]
    opt = BayesOpt(space, settings=method("multi-task", task="t", n_init=6), noise=0.0, seed=105)
    for _ in range(5):
        x = opt.ask()
        opt.tell(x, (x[:, 0] - 0.3) ** 2 + 0.1 * x[:, 1])
    x, _, _ = opt.recommend()
    assert x[1] == 0
    assert x[0] == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize(
    ("acq", "word"), [("mfkg", "fidelity"), ("env-kg", "environment"), ("multi-task", "task")]
)
def test_the_variable_that_must_be_named_is_asked_for(acq, word):
    with pytest.raises(ArgumentError, match=word):
        solve(bowl(), method(acq))


# -- spaces ----------------------------------------------------------------------------------------


def test_whole_numbers_and_categories_stay_so_and_points_do_not_come_again():
    problem = BlackBox(
        lambda p: (p["r"] - 0.3) ** 2 + (p["n"] - 3) ** 2 + (p["kind"] != "b"),
        variables=[
            Real("r", 0.1, 10, log=True),
            Integer("n", -2, 6),
            Categorical("kind", ["a", "b", "c"]),
            Real("still", 1, 1),
        ],
    )
    rows = solve(problem, method("logei"), 8).ledger.all()
    assert (rows.x[:, 1:3] == np.round(rows.x[:, 1:3])).all()
    assert (rows.x[:, 3] == 1).all()
    small = BlackBox(lambda x: float((x[0] - 3) ** 2), variables=[Integer("n", 0, 5)])
    result = solve(small, method("logei", n_init=2), 6)
    assert sorted(result.ledger.all().x[:, 0]) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "known",
    [
        LinearConstraint([[1, 1]], -np.inf, 0.7),
        NonlinearConstraint(lambda x: x[0] ** 2 + x[1] ** 2, 0, 0.5),
    ],
)
def test_scipy_constraints_on_the_inputs_hold_at_every_point(known):
    problem = BlackBox(lambda x: -float(x.sum()), [(-1, 1), (-1, 1)], known=known)
    result = solve(problem, method("logei"), 12)
    assert problem.allowed(result.ledger.all().x).all()
    assert result.verdict.objective < -0.6


def test_features_and_points_are_inverse():
    space = Space(
        [
            Real("a", 1, 100, log=True),
            Integer("n", 2, 7),
            Categorical("c", ["u", "v", "w"]),
            Real("b", -3, 5),
        ]
    )
    for task in (None, 2):
        domain = Domain(space, None, task)
        x = domain.covering(50, np.random.default_rng(0))
        np.testing.assert_allclose(domain.x(domain.z(x)), x, atol=1e-9)
        assert domain.k == (6 if task is None else 4)


def test_the_search_climbs_to_the_top_and_stops_at_the_known_wall():
    def score(z):
        return -((z - 0.62) ** 2).sum(1)

    space = Space.of([(0, 1)] * 3)
    free = AcquisitionSearch(Domain(space), np.random.default_rng(1)).maximise(
        score, np.empty((0, 3))
    )[0]
    np.testing.assert_allclose(free, 0.62, atol=1e-4)
    wall = Domain(space, lambda x: x.sum(1) <= 1.5)
    held = AcquisitionSearch(wall, np.random.default_rng(1)).maximise(score, np.empty((0, 3)))[0]
    assert held.sum() <= 1.5
    np.testing.assert_allclose(held, 0.5, atol=0.05)


# -- bad input of the room -------------------------------------------------------------------------


@pytest.mark.parametrize("acq", ["logei", "noisy-ei", "qei"])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: 1.0,
        lambda x: math.copysign(10.0 ** (300 * abs(x[0])), x[1]),
        lambda x: 1e-300 * x[0],
    ],
)
def test_constant_and_extreme_values_are_survived(acq, f):
    result = solve(BlackBox(lambda x: float(f(x)), [(-1, 1)] * 2), method(acq), 6)
    assert result.spent["evaluations"] == 6


def test_all_infeasible_rows_are_left_by_the_probability_of_feasibility():
    problem = BlackBox(lambda x: (float(x[0]), [x[0] + x[1]]), [(0, 1)] * 2, limits=["<= 0.1"])
    result = solve(problem, method("logei", n_init=3), 9)
    rows = result.ledger.all()
    assert (rows.violation[:3] > 0).all()
    assert result.verdict.feasible


@pytest.mark.parametrize("bad", ["some", "all"])
def test_failures_and_rows_without_an_objective_are_survived(bad):
    def fun(x):
        if bad == "all" or x[0] > 0.6:
            raise RuntimeError("the mesh folded")
        return (
            {"g": x.sum()}
            if x.sum() > 1 + 1e-6
            else {"objective": float((x - 0.4) @ (x - 0.4)), "g": x.sum()}
        )

    problem = BlackBox(fun, [(0, 1)] * 2, objective="objective", limits={"g": "<= 1"})
    result = solve(problem, method("logei"), 9, on_failure="skip")
    assert result.spent["evaluations"] == 9
    assert bad == "all" or result.verdict.feasible


def test_repeats_with_different_values_are_learned_as_noise_and_refused_as_exact():
    problem = BlackBox(lambda x: float(x[0]), [(0, 1)], noise=0.1, simulated_noise=0.1)
    assert solve(problem, method("noisy-ei"), 8).spent["evaluations"] == 8
    exact = BayesOpt([(0, 1)], noise=0.0, settings=method("logei"))
    exact.tell([[0.5]], [1.0])
    with pytest.raises(ArgumentError, match="repeats agree"):
        exact.tell([[0.5]], [2.0])
    learned = BayesOpt([(0, 1)], settings=method("noisy-ei"))
    learned.tell([[0.5], [0.5], [0.1]], [1.0, 2.0, 0.0])
    assert learned.recommend()[0][0] == 0.1


def test_one_evaluation_is_enough_to_go_on_and_a_batch_may_be_larger_than_the_budget():
    assert solve(bowl(), method("logei", n_init=1), 2).spent["evaluations"] == 2
    assert solve(bowl(), method("logei", n_init=9), 5).spent["evaluations"] == 5


def test_a_fit_that_fails_is_said_and_the_search_goes_on(monkeypatch):
    from feasible.blackbox.bo_tutorial import gp

    def broken(*_, **__):
        raise RuntimeError("no convergence")

    monkeypatch.setattr(gp, "fit_gpytorch_mll", broken)
    with pytest.warns(UserWarning, match="could not be fitted"):
        result = solve(bowl(), method("logei"), 6)
    assert result.spent["evaluations"] == 6
    assert any("could not be fitted" in note for note in result.notes)


@pytest.mark.parametrize(
    "bad",
    [
        {"acq": "logie"},
        {"restarts": 0},
        {"n_init": 0},
        {"noise": -1.0},
        {"hyperparameters": "best"},
        {"hyperparameters": {"scale": 1}},
        {"kernel": "cubic"},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ArgumentError):
        BO(**bad)


def test_the_native_form_names_what_is_wrong():
    opt = BayesOpt([(0, 1)] * 2)
    with pytest.raises(ShapeError):
        opt.tell([[0.1, 0.2]], [1.0, 2.0])
    with pytest.raises(BoundsError, match="x2 = 3"):
        opt.tell([[0.1, 3.0]], [1.0])
    with pytest.raises(NotFinite):
        opt.tell([[0.1, 0.2]], [math.nan])
    with pytest.raises(ArgumentError, match="nothing was told"):
        opt.recommend()
    with pytest.warns(UserWarning, match="float32"):
        opt.tell(np.array([[0.1, 0.2]], dtype=np.float32), [1.0])
