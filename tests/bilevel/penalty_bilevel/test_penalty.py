"""The penalty methods from their mathematics: trackers, estimates, convergence, memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import feasible
from feasible.bilevel import (
    Bilevel,
    Box,
    ImplicitCG,
    PenaltyBilevel,
    PenaltyMethod,
    PenaltySettings,
    Unrolled,
    UpperGrid,
)
from feasible.bilevel.instances.cleaning import hyper_cleaning
from feasible.bilevel.instances.toys import analytic_line, llc_toy, rank_deficient
from feasible.bilevel.live_memory import LiveMemory
from feasible.bilevel.penalty_bilevel.penalty import Batch, _slopes, advance, begin, finished, track
from feasible.core.errors import ArgumentError, NotFinite, ShapeError, UnsupportedConstraint


def go(problem, settings, steps, seed=100):
    state = begin(problem.x_start, problem.y_start, np.random.default_rng(seed))
    for _ in range(steps):
        advance(problem, settings, state)
        if finished(settings, state):
            break
    return state


def target(problem):
    """a1 + a2 of the analytic line of seed 100."""
    return np.random.default_rng(100).standard_normal(2).sum()


@pytest.mark.parametrize(
    ("settings", "steps", "off"),
    [
        (PenaltySettings(), 150, 1e-6),
        (PenaltySettings(sigma0=0.01, sigma_min=0.01), 80, 1e-2),
        (PenaltySettings(mode="double"), 200, 1e-2),
        (PenaltySettings(mode="double", sigma0=0.01, sigma_min=0.01, x_step=50.0), 120, 1e-2),
        (PenaltySettings(mode="single", sigma0=0.3, sigma_min=0.01, x_step=0.05), 500, 1e-2),
        (PenaltySettings(mode="momentum", sigma0=0.3, sigma_min=0.01, x_step=0.05), 800, 2e-2),
    ],
    ids=["accelerated", "fixed", "double", "double-fixed", "single", "momentum"],
)
def test_every_mode_converges_on_a_lower_level_with_a_line_of_solutions(settings, steps, off):
    problem = analytic_line(100)
    state = go(problem, settings, steps)
    assert abs(float(state.x) - target(problem)) / 2 <= off  # the gradient of psi is u / 2
    assert not state.over


def test_no_setting_is_needed_where_the_hessian_is_singular_and_conjugate_gradients_are_lost():
    problem = rank_deficient(100)
    state = go(problem, PenaltySettings(), 120)
    assert problem.judge(state.x.numpy()).objective - problem.best_known < 1e-4
    for step in ("auto", "adam"):
        method = ImplicitCG(inner=20, x_step=step)
        lost = method.init(problem, np.random.default_rng(100))
        for _ in range(120):
            lost = method.step(problem, lost)
        assert problem.judge(lost.x.numpy()).objective > problem.judge([0.0] * 3).objective


def test_without_a_proximal_term_the_trackers_are_gradient_descent():
    problem = rank_deficient(101)
    settings = PenaltySettings(inner=5, gamma=0.3)
    state = begin(problem.x_start, problem.y_start, np.random.default_rng(0))
    state.x = torch.ones(3, dtype=torch.float64)
    for sigma in (0.0, 0.2):
        y = problem.y_start.clone()
        for _ in range(5):
            slope = problem.lower_gradients(state.x, y)[2]
            y = y - 0.3 * (slope + sigma * problem.upper_gradients(state.x, y)[2])
        found = track(problem, settings, state, problem.y_start, sigma, Batch())
        torch.testing.assert_close(found, y, rtol=0, atol=1e-12)


def test_without_noise_the_recursive_estimates_are_the_gradients():
    problem = rank_deficient(102)
    settings = PenaltySettings(mode="momentum", sigma0=0.2, x_step=0.01, k0=2)
    state = begin(problem.x_start, problem.y_start, np.random.default_rng(0))
    for _ in range(6):
        x, w_y, w_z = state.x, state.w_y, state.w_z
        advance(problem, settings, state)
        torch.testing.assert_close(state.inner, _slopes(problem, x, w_y, w_z, Batch(), "y"))
        torch.testing.assert_close(state.outer, _slopes(problem, x, state.y, state.z, Batch(), "x"))


def test_the_first_step_with_momentum_is_that_of_the_plain_single_loop():
    problem = rank_deficient(103)
    one, two = (
        go(problem, PenaltySettings(mode=mode, x_step=0.02, gamma=0.1), 1)
        for mode in ("single", "momentum")
    )
    for name in ("x", "y", "z", "q"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def test_both_gradients_of_the_lower_level_take_the_same_samples():
    asked = []

    def lower(x, y, rows):
        asked.append(rows.tolist())
        return ((y - x[rows].mean()) ** 2).sum()

    problem = Bilevel(
        lambda x, y: (y**2).sum(), lower, np.ones(50), [0.0], lower_rows=50, convex=True
    )
    settings = PenaltySettings(batch=4, inner=1, gamma=0.1)
    state = begin(problem.x_start, problem.y_start, np.random.default_rng(0))
    asked.clear()
    advance(problem, settings, state)
    assert len({tuple(rows) for rows in asked}) == 1
    assert len(asked[0]) == 4


@pytest.mark.parametrize("wrong", ["x", "first order"])
def test_the_response_turns_the_sign_of_the_direct_gradient(wrong):
    """f falls in x at fixed y, but y follows x: the direct gradient points away from the optimum
    at (2 + 0.1) / 2 ... x = 1.95.
    """
    problem = Bilevel(
        lambda x, y: 0.1 * x.sum() + ((y - 2) ** 2).sum(),
        lambda x, y: ((y - x) ** 2).sum(),
        [0.0],
        [0.0],
    )
    if wrong == "first order":  # y is solved, and its dependence on x forgotten
        x = torch.zeros(1, dtype=torch.float64)
        for _ in range(50):
            x = x - 0.1 * problem.upper_gradients(x, x)[1]
        assert float(x) < 0
        return
    for method in (PenaltyMethod(), ImplicitCG(), Unrolled(inner=30)):
        result = feasible.solve(problem, method, {"gradients": 3000}, 100)
        assert result.answer.x[0] == pytest.approx(1.95, abs=1e-2)


# -- what users of unrolling lost: memory ----------------------------------------------------------


@pytest.mark.slow
def test_no_tensor_between_steps_has_a_graph_and_memory_does_not_grow_with_steps():
    problem = rank_deficient(104)
    for method in (PenaltyMethod(inner=2, tol=0.0), ImplicitCG(inner=2, tol=0.0)):
        state = method.init(problem, np.random.default_rng(0))
        peaks = []
        with LiveMemory() as memory:
            for steps in (100, 400):
                memory.peak = 0
                for _ in range(steps if isinstance(method, PenaltyMethod) else 30):
                    state = method.step(problem, state)
                peaks.append(memory.peak)
        assert peaks[1] <= 1.05 * peaks[0]
        fields = [getattr(state, name) for name in state.__dataclass_fields__]
        assert all(t.grad_fn is None for t in fields if isinstance(t, Tensor))


def test_a_step_needs_less_than_half_of_unrollings_memory():
    problem = hyper_cleaning(100)
    peak = {}
    for method in (PenaltyMethod(inner=10), Unrolled(inner=10)):
        state = method.init(problem, np.random.default_rng(0))
        state = method.step(problem, state)
        with LiveMemory() as memory:
            method.step(problem, state)
        peak[method.name] = memory.peak
    assert peak["penalty-bilevel"] <= 0.5 * peak["unrolled"]


# -- a step beside a loop of one's own -------------------------------------------------------------


def small_network(*layers):
    torch.manual_seed(0)
    net = nn.Sequential(*layers).double()
    z = torch.randn(40, 2, dtype=torch.float64)
    noise = 0.1 * torch.randn(40, 1, dtype=torch.float64)
    return net, z, z[:, :1] - 2 * z[:, 1:] + noise


@pytest.mark.parametrize("trained", ["here", "outside"])
def test_a_step_moves_the_hyperparameter_beside_the_training_of_a_network(trained):
    layers = (
        [nn.Linear(2, 1)] if trained == "here" else [nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)]
    )
    net, z, t = small_network(*layers)
    log_ridge = torch.tensor(-1.0, dtype=torch.float64)

    def loss(y, rows):
        return ((torch.func.functional_call(net, y, z[rows]) - t[rows]) ** 2).mean()

    def lower(x, y, rows):
        return loss(y, rows) + torch.exp(x) * sum((w**2).sum() for w in y.values())

    hyper = PenaltyBilevel(lambda x, y, rows: loss(y, rows), lower, inner=5, trained=trained)
    train, chosen = slice(0, 25), slice(25, 40)
    own = torch.optim.SGD(net.parameters(), lr=0.05)
    for _ in range(60):
        if trained == "outside":
            own.zero_grad()
            lower(log_ridge, dict(net.named_parameters()), train).backward()
            own.step()
            own.zero_grad()
        info = hyper.step(log_ridge, net, chosen, train)
    assert float(log_ridge) < -1.2  # the ridge was too strong
    assert set(info) == {"sigma", "length", "residual"}
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_the_training_loop_and_the_optimiser_may_be_the_users_own():
    x = torch.tensor([4.0], dtype=torch.float64, requires_grad=True)
    y = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    own = torch.optim.SGD([y], lr=0.2)
    adam = torch.optim.Adam([x], lr=0.1)

    def lower(x, y):
        return ((y - x) ** 2).sum()

    hyper = PenaltyBilevel(
        lambda x, y: ((y - 1) ** 2).sum(), lower, x_optimizer=adam, trained="outside"
    )
    for _ in range(150):
        for _ in range(5):
            own.zero_grad()
            lower(x.detach(), y).backward()
            own.step()
        at = y.detach().clone()
        hyper.step(x, y)
        assert torch.equal(y.detach(), at)  # only read
    assert float(x.detach()) == pytest.approx(1.0, abs=0.05)


def test_a_step_that_diverges_leaves_everything_as_it_was():
    x = torch.tensor([1.0], dtype=torch.float64)
    y = torch.tensor([1.0], dtype=torch.float64)
    hyper = PenaltyBilevel(
        lambda x, y: (y**2).sum(), lambda x, y: (torch.exp(50 * y) - x * y).sum(), gamma=1e3
    )
    with pytest.raises(NotFinite, match="diverged"):
        hyper.step(x, y)
    assert x.tolist() == y.tolist() == [1.0]


def test_what_a_step_cannot_take_is_refused_by_name():
    def upper(x, y):
        return (y[0] ** 2).sum()

    for given, name in (
        ({"upper": 3}, "upper"),
        ({"lower": None}, "lower"),
        ({"trained": "elsewhere"}, "trained"),
        ({"sigma0": 0.0}, "sigma0"),
        ({"gamma": -1.0}, "gamma"),
        ({"batch": 3}, "batch"),
        ({"learning_rate": 1.0}, "learning_rate"),
        ({"x_optimizer": 3}, "x_optimizer"),
        ({"x_set": 3}, "x_set"),
    ):
        with pytest.raises((ArgumentError, feasible.errors.ArgumentTypeError), match=name):
            PenaltyBilevel(**({"upper": upper, "lower": upper} | given))
    hyper = PenaltyBilevel(upper, lambda x, y: ((y[0] - x[0]) ** 2).sum())
    two = torch.zeros(2, dtype=torch.float64)
    hyper.step([two], [two.clone()])
    with pytest.raises(ShapeError, match="x has 1"):
        hyper.step([two[:1]], [two])
    with pytest.raises(feasible.errors.ArgumentTypeError, match="y"):
        hyper.step([two], [])


# -- in runs ---------------------------------------------------------------------------------------


def test_constraints_that_it_does_not_take_are_refused_by_name():
    for method in (PenaltyMethod(), ImplicitCG(), Unrolled(), UpperGrid()):
        with pytest.raises(UnsupportedConstraint):
            feasible.solve(llc_toy(3), method, {"gradients": 10})
    with pytest.raises(ArgumentError, match="batch"):
        feasible.solve(analytic_line(), PenaltyMethod(batch=3), {"gradients": 10})


def test_a_lower_level_without_a_minimum_ends_in_a_sentence():
    problem = Bilevel(
        lambda x, y: (y**2).sum(), lambda x, y: -(y**4).sum() + (x * y).sum(), [1.0], [0.1]
    )
    result = feasible.solve(problem, PenaltyMethod(gamma=0.01, inner=5), {"gradients": 3000})
    assert "diverged" in result.stopped
    assert math.isnan(result.verdict.objective)
    assert "follower" in result.verdict.worst


def test_a_box_of_the_upper_level_is_kept():
    problem = Bilevel(
        lambda x, y: ((y - 3) ** 2).sum(),
        lambda x, y: ((y - x) ** 2).sum(),
        [0.0],
        [0.0],
        x_set=Box(0, 2),
    )
    result = feasible.solve(problem, None, {"gradients": 2000})
    assert result.answer.x[0] == pytest.approx(2.0)
    assert result.verdict.objective == pytest.approx(1.0)
    assert "penalty-bilevel" in result.method
    assert (
        result.spent["upper_gradients"] + result.spent["lower_gradients"]
        == (result.spent["gradients"])
    )


def test_one_gradient_of_f_serves_all_inner_steps_where_sigma_is_small():
    def spent(steps, **settings):
        found = feasible.solve(
            analytic_line(), PenaltyMethod(inner=10, tol=0.0, **settings), {"steps": steps}
        )
        return found.spent["gradients"]

    def of_a_step(**settings):
        return spent(4, **settings) - spent(3, **settings)

    assert of_a_step(sigma0=1e-3) == 10 + 10 + 1 + 3
    assert of_a_step(sigma0=1.0) > 30
    assert of_a_step(sigma0=1e-3, sigma_min=1e-3, mode="double") == 10 + 20 + 3


def test_a_kept_gradient_of_f_leads_to_the_same_tracker():
    problem = rank_deficient(100)
    a, b = (begin(problem.x_start, problem.y_start, np.random.default_rng(0)) for _ in range(2))
    settings = PenaltySettings(inner=20, sigma0=0.02, sigma_min=0.02, x_step=1e-12, tol=0.0)
    for _ in range(400):
        advance(problem, settings, a)
    measured = 1.0 / (2 * a.curved.largest)
    own = PenaltySettings(
        inner=20, sigma0=0.02, sigma_min=0.02, x_step=1e-12, gamma=measured, tol=0.0
    )
    for _ in range(400):
        advance(problem, own, b)
    torch.testing.assert_close(a.q, b.q, rtol=1e-5, atol=1e-6)
