"""CBO, hopping and the gradient baselines as methods of runs."""

import math

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint

from feasible.blackbox.cbo.cbo import CBO
from feasible.blackbox.cbo.descent import GradientDescent, Langevin
from feasible.blackbox.cbo.hopping import Hopping
from feasible.blackbox.problem import BlackBox
from feasible.blackbox.space import Integer, Real
from feasible.core.budget import Budget, Meter
from feasible.core.errors import ArgumentError
from feasible.core.evaluating import RunOptions
from feasible.core.ledger import concatenate
from feasible.core.run import Run, run

METHODS = [
    CBO(),
    CBO(memory=True),
    CBO(memory=True, beta=10.0),
    CBO(gamma=1.0, n_particles=6),
    CBO(batch=6, n_particles=20),
    CBO(batch=5, partial=True, n_particles=20, cooling=True, reduce=True),
    CBO(memory=True, batch=6, n_particles=20),
    CBO(noise="isotropic"),
    CBO(walls="reflect"),
    CBO(walls="beyond", dt=0.1),
    CBO.paper(n_particles=20),
    Hopping(n_particles=20),
    Hopping(n_particles=20, scale=True, s=0.2, cooling=0.9, cool_every=2),
    GradientDescent(),
    Langevin(),
]


def bowl(x):
    return np.sum((x - 0.3) ** 2, axis=-1)


def solve(problem, method, evaluations=600, seed=7, **options):
    budget = Budget(evaluations=evaluations)
    return run(Run(problem, method, budget, seed, Meter(budget), options=RunOptions(**options)))


def box(d=3, **options):
    return BlackBox(bowl, bounds=[(-2, 2)] * d, vectorized=True, **options)


# -- as methods ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_method_improves_a_bowl_inside_its_budget(method):
    result = solve(box(), method, 600)
    assert result.spent["evaluations"] <= 600
    assert result.verdict.objective < 0.27 or isinstance(method, (GradientDescent, Langevin))
    assert (np.abs(np.concatenate([b.x for b in result.ledger.batches])) <= 2).all()


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("order", ["forward", "shuffled"])
def test_outcomes_may_come_back_partly_and_in_any_order(method, order):
    problem = box()
    rng = np.random.default_rng(0)
    together, apart = (method.init(problem, np.random.default_rng(4)) for _ in range(2))
    for _ in range(4):
        method.step(problem, together)
        left, parts = len(apart.generation.x), []
        while left:
            p = method.ask(problem, apart, min(4, left))
            left -= len(p.x)
            parts += [
                problem.measure(p.x[i : i + 1], np.array([-1]), p.tag[i : i + 1])
                for i in range(len(p.x))
            ]
        for i in rng.permutation(len(parts)) if order == "shuffled" else range(len(parts)):
            method.tell(problem, apart, parts[i])
    np.testing.assert_array_equal(method.ask(problem, together).x, method.ask(problem, apart).x)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_asking_on_gives_spare_proposals_and_freezes_nothing(method):
    problem = BlackBox(
        bowl, bounds=[(-2, 2)] * 3, vectorized=True, known=lambda x: x.sum(axis=1) <= 3
    )
    state = method.init(problem, np.random.default_rng(4))
    tags: set[int] = set()
    for _ in range(3):
        first = method.ask(problem, state)
        spare = [method.ask(problem, state, 3), method.ask(problem, state)]
        for p in (first, *spare):
            assert problem.allowed(p.x).all()
            assert (np.abs(p.x) <= 2).all()
            assert not tags & set(p.tag.tolist())
            tags |= set(p.tag.tolist())
        rows = [problem.measure(p.x, np.full(len(p.x), -1), p.tag) for p in (*spare, first)]
        method.tell(problem, state, concatenate(rows))


@pytest.mark.parametrize("method", [CBO(), CBO(memory=True)])
def test_a_better_foreign_point_takes_the_place_of_the_worst(method):
    problem = box()
    state = method.init(problem, np.random.default_rng(4))
    gift = np.full((1, 3), 0.3)
    method.tell(problem, state, problem.measure(gift, np.array([-1]), np.array([-1])))
    p = method.ask(problem, state)
    method.tell(problem, state, problem.measure(p.x, np.full(len(p.x), -1), p.tag))
    assert state.cloud.f.min() == pytest.approx(0.0, abs=1e-20)
    assert len(state.generation.guests) == 0


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_failures_are_survived_also_when_everything_fails(method):
    calls = []

    def f(x):
        calls.append(len(x))
        return np.full(len(x), np.nan) if len(calls) < 4 else np.where(x[:, 0] > 1, np.nan, bowl(x))

    result = solve(
        BlackBox(f, bounds=[(-2, 2)] * 2, vectorized=True, repeats="charged"),
        method,
        300,
        on_failure="skip",
    )
    assert np.isfinite(result.verdict.objective) or isinstance(method, GradientDescent)


@pytest.mark.parametrize("method", [CBO(), CBO(memory=True)])
@pytest.mark.parametrize("scale", [1.0, 1e5])
def test_constraints_are_met_whatever_their_scale(method, scale):
    problem = BlackBox(
        lambda x: 1e3 * float(x @ x),
        bounds=[(0, 1)] * 2,
        constraints=[NonlinearConstraint(lambda x: scale * (x[0] + x[1] - 0.5), 0, np.inf)],
    )
    result = solve(problem, method, 1000)
    assert result.verdict.feasible
    assert result.verdict.objective < 1e3 * 0.125 * 1.02


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_whole_numbers_and_known_constraints_are_obeyed(method):
    problem = BlackBox(
        lambda x: (x[0] - 2.2) ** 2 + x[1] ** 2,
        variables=[Integer("n", 0, 9), Real("r", 1e-3, 10, log=True)],
        known=lambda x: x[:, 0] >= 2 * x[:, 1],
    )
    rows = solve(problem, method, 200).ledger.all()
    assert problem.allowed(rows.x).all()
    assert (rows.x[:, 0] == np.round(rows.x[:, 0])).all()
    assert "forbidden" not in "".join(rows.reason.values())


def test_open_problems_start_about_x0():
    problem = BlackBox(bowl, bounds=[(-np.inf, np.inf)] * 2, x0=[8.0, 8.0], vectorized=True)
    state = CBO.paper(spread=0.5, n_particles=200).init(problem, np.random.default_rng(0))
    np.testing.assert_allclose(state.generation.x.mean(axis=0), 8, atol=0.2)
    np.testing.assert_allclose(state.generation.x.std(axis=0), 0.5, atol=0.1)


def test_a_contracted_swarm_without_restarts_says_so():
    result = solve(box(repeats="charged"), CBO(restart=None, sigma=0.1), 100_000)
    assert "contracted" in result.stopped


def test_gradient_descent_follows_the_exact_iteration_and_costs_2_d():
    problem = box(x0=[1.0, 1.5, -1.0], repeats="charged")
    method = GradientDescent(dt=0.1)
    state = method.init(problem, np.random.default_rng(0))
    x = problem.x0.copy()
    for _ in range(10):
        assert len(state.generation.x) == 6
        method.step(problem, state)
        x = x - 0.1 * 2 * (x - 0.3)
        np.testing.assert_allclose(state.cloud.x, x, atol=1e-9)
    assert "stationary" in solve(problem, method, 10_000).stopped


def test_langevin_noise_falls_with_the_logarithm_of_the_step():
    method = Langevin(dt=0.01, sigma=2.0)
    state = method.init(box(), np.random.default_rng(0))
    for k in (1, 1000):
        state.cloud.k = k
        draws = np.array([method.shake(state.cloud) for _ in range(4000)])
        assert draws.std() == pytest.approx(2 / math.log(k + 1) * 0.1, rel=0.05)


@pytest.mark.parametrize("bad", [{"dt": 0.0}, {"lr": math.nan}, {"h": -1.0}, {"tol": -1.0}])
def test_descent_refuses_bad_settings(bad):
    for kind in (GradientDescent, Langevin):
        with pytest.raises(ArgumentError):
            kind(**bad)
