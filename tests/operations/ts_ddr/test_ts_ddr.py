"""TS-DDR: what its training reaches, its forms, and its faults."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from dispatch import tank

import feasible
from feasible.core import errors
from feasible.operations import TSDDR, MultistageLP, SolvesFailed, hydrothermal_ht3
from feasible.operations.ts_ddr.network import Pointer
from feasible.operations.ts_ddr.settings import TSDDRSettings

LAKE = {"inflow": ((2.0,),) * 4, "demand": (5.0, 5.0, 8.0, 9.0)}
QUICK = {"hidden": (8,), "lr": 0.03, "iterations": 200, "batch": 1, "period": 4.0}


def lake(**more) -> MultistageLP:
    """Four stages without noise: water is worth most in the last ones."""
    return tank(**{**LAKE, "n_test": 1, **more})


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"mode": "stagewise"},
        {"mode": "shooting", "window": 2},
        {"strict": True},
        {"net": "linear", "lr": 0.01},
        {"net": "lstm"},
        {"solver": "clarabel"},
        {"norm": "both"},
    ],
    ids=lambda form: ", ".join(f"{k}={v}" for k, v in form.items()) or "default",
)
def test_without_noise_every_form_reaches_the_minimum_of_the_program(form):
    problem = lake()
    exact = problem.perfect_foresight()[0]
    fit = TSDDR(**(QUICK | form)).fit(problem, seed=100)
    verdict = problem.judge(fit.policy)
    assert verdict.objective == pytest.approx(exact, rel=0.02)
    assert verdict.objective >= exact - 1e-6
    assert fit.failed == 0


def test_the_score_function_alone_lowers_the_cost():
    problem = lake()
    constant = {"multipliers": (1.0,), "shares": (1.0,), "penalty": 100.0}
    method = TSDDR(**(QUICK | constant | {"alpha": 0.0, "sigma": 0.1, "samples": 8}))
    fit = method.fit(problem, seed=100)
    assert fit.losses[-5:].mean() < 0.7 * fit.losses[:5].mean()


def test_the_weight_of_the_duals_follows_the_warm_up_and_the_ramp():
    method = TSDDRSettings(alpha=0.5, warmup=10, ramp=20)
    weights = [method.dual_weight(k) for k in (0, 10, 20, 30, 99)]
    assert weights == pytest.approx([1.0, 1.0, 0.75, 0.5, 0.5])


def test_penalty_and_rate_follow_their_schedules():
    method = TSDDRSettings(
        iterations=24, shares=(2 / 24, 2 / 24, 4 / 24, 16 / 24), penalty=2.0, norm="both"
    )
    costs = [method.cost(k, 500.0).linear for k in range(24)]
    assert costs == pytest.approx([0.2] * 2 + [2.0] * 2 + [20.0] * 4 + [60.0] * 16)
    assert method.cost(0, 500.0).square == pytest.approx(0.2)
    assert [method.rate(k) for k in (17, 18)] == pytest.approx([1e-2, 1e-3])
    assert TSDDRSettings().cost(399, 500.0).linear == pytest.approx(15_000.0)
    assert TSDDRSettings().acting(500.0) == pytest.approx(600.0)


def test_no_duals_no_gradient():
    problem = lake(demand=(0.0,) * 4)  # nothing is demanded: no state costs anything
    method = TSDDR(**(QUICK | {"iterations": 1, "penalty": 1e-9}))
    state = method.init(problem, np.random.default_rng(0))
    method.step(problem, state)
    assert all((p.grad.abs() < 1e-9).all() for p in state.net.parameters())


@pytest.mark.parametrize(
    ("net", "strict"),
    [("mlp", False), ("linear", False), ("lstm", False), ("mlp", True), ("lstm", True)],
)
def test_the_policy_as_plain_data_points_where_the_network_does(net, strict):
    problem = hydrothermal_ht3(T=5, N=4, n_test=2)
    method = TSDDR(net=net, strict=strict, hidden=(6, 6), iterations=3)
    fit = method.fit(problem, seed=3)
    state = method.init(problem, np.random.default_rng(3))
    for _ in range(3):
        state = method.step(problem, state)
    path = problem.held_out[0]
    actor = fit.policy.on(problem)
    with torch.no_grad():
        encoded = state.net.encode(path[None])
        for t in range(5):
            before = problem.initial_state * 0.9
            said = state.net.point(t, encoded, torch.from_numpy(before[None]))[0].numpy()
            if strict:
                said = actor.reach.point(t, path[t], before, said)
            assert np.allclose(actor.point(t, path[t], before), said, atol=1e-10)
            again = fit.act(t, path[: t + 1], before)
            assert np.allclose(again, said, atol=1e-10)


def test_the_noise_before_is_remembered_whatever_state_is_given_now():
    """From 10 in the lake the flood of the first stage has no solution, but it is past."""
    problem = lake(inflow=((12.0,), (2.0,), (2.0,), (2.0,)), demand=(20.0,) * 4, v0=0.0)
    for stage in problem.stages:
        stage.upper[stage.column("spilled lake")] = 1.0
    fit = TSDDR(**(QUICK | {"net": "lstm", "strict": True, "iterations": 2})).fit(problem)
    said = fit.act(1, [[12.0], [2.0]], [10.0])
    assert problem.stages[1].lower[0] <= said[0] <= 10.0


def test_training_is_the_same_for_the_same_seed_and_touches_no_global_stream():
    problem = hydrothermal_ht3(T=4, N=3, n_test=2)
    before = torch.get_rng_state()
    method = TSDDR(iterations=5)
    first, again = (method.fit(problem, seed=7) for _ in range(2))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(first.policy.weights, again.policy.weights, strict=True)
    )
    assert torch.equal(before, torch.get_rng_state())


def test_a_path_without_a_solution_gives_no_gradient_and_is_counted():
    """Of two paths, one floods a lake that must not overflow; the other trains."""
    problem = lake(inflow=((2.0,), (2.0, 50.0), (2.0,), (2.0,)))
    for stage in problem.stages:
        column = stage.column("spilled lake")
        stage.upper[column] = 1.0
    method = TSDDR(**(QUICK | {"iterations": 6, "batch": 6}))
    with pytest.warns(SolvesFailed, match="diagnose"):
        fit = method.fit(problem, seed=0)
    assert 0 < fit.failed < 36
    assert np.isfinite(fit.losses).all()


def test_a_sampler_is_used_and_checked():
    problem = lake()
    drawn = []

    def sampler(n, rng):
        drawn.append(n)
        return np.full((n, 4, 1), 2.0)

    TSDDR(**(QUICK | {"iterations": 3})).fit(problem, sampler, batch=5)
    assert drawn == [5, 5, 5]
    with pytest.raises(errors.ShapeError, match="sampler"):
        TSDDR(**QUICK).fit(problem, lambda n, rng: np.ones((n, 3, 1)))
    with pytest.raises(errors.NotFinite, match="sampler"):
        TSDDR(**QUICK).fit(problem, lambda n, rng: np.full((n, 4, 1), np.nan))


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"mode": "dee"}, "mode"),
        ({"penalty": -1.0}, "penalty"),
        ({"penalty": "larg"}, "penalty"),
        ({"hidden": ()}, "hidden"),
        ({"multipliers": (1.0, 2.0)}, "shares"),
        ({"shares": (0.5, 0.5, 0.5, 0.5)}, "shares"),
        ({"strict": True, "net": "linear"}, "strict"),
        ({"norm": "l2", "mode": "stagewise"}, "norm"),
        ({"solver": "clarabel", "mode": "stagewise"}, "solver"),
        ({"alpha": 1.5}, "alpha"),
    ],
)
def test_wrong_settings_are_refused_by_name(given, word):
    with pytest.raises(errors.FeasibleError, match=word):
        TSDDR(**given)


def test_a_run_is_charged_for_every_stage_and_stops_at_its_budget():
    problem = hydrothermal_ht3(T=4, N=3, n_test=2)
    result = feasible.solve(problem, "ts-ddr[batch=2]", {"stage_problems": 100})
    assert result.spent["stage_problems"] == 96
    assert "budget" in result.stopped


def test_the_linear_rule_begins_in_the_middle_of_the_range():
    problem = hydrothermal_ht3(T=3, N=3)
    net = Pointer(problem, TSDDRSettings(net="linear"))
    said = net.point(0, net.encode(problem.mean_noise[None]), torch.zeros(1, 3).double())
    assert np.allclose(said.detach().numpy(), [[75.0, 30.0, 50.0]])


def test_clarabel_is_refused_where_coefficients_depend_on_the_state():
    problem = hydrothermal_ht3(T=3, N=3, head=0.3, n_test=2)
    method = TSDDR(solver="clarabel", iterations=1)
    for call in (method.fit, lambda p: feasible.solve(p, method, {"stage_problems": 100})):
        with pytest.raises(errors.WrongProblem, match="solver='clarabel'"):
            call(problem)


def test_where_coefficients_depend_on_the_state_training_lowers_the_cost():
    problem = hydrothermal_ht3(T=12, N=5, head=0.3, n_test=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = TSDDR(iterations=40, batch=1, lr=0.03).fit(problem, seed=100)
    untrained = TSDDR(iterations=1, batch=1, lr=1e-9).fit(problem, seed=100)
    costs = [problem.judge(f.policy).objective for f in (fit, untrained)]
    assert costs[0] < 0.9 * costs[1]
