"""The programs as functions of torch: their derivatives by finite differences."""

from __future__ import annotations

import casadi
import numpy as np
import pytest
import torch
from dispatch import tank

from feasible.operations import hydrothermal_ht3
from feasible.operations.heads import successive
from feasible.operations.reach import Reach
from feasible.operations.ts_ddr.cone import ConeWindow
from feasible.operations.ts_ddr.projection import Programs, Project, Within
from feasible.operations.window import Penalty, Window

START = np.array([75.0, 30.0, 50.0])


def programs(problem, lengths, C=60.0):
    """Windows of these lengths."""
    found = Programs(problem, lengths, Penalty(C))
    found.begin(Penalty(C))
    return found


@pytest.mark.parametrize("lengths", [[4], [1, 1, 1, 1], [2, 2], [3, 1]])
def test_the_gradient_through_all_windows_is_that_of_their_sum(lengths):
    problem = hydrothermal_ht3(T=4, N=3)
    rng = np.random.default_rng(1)
    paths = problem.draw(2, rng)
    goal = rng.uniform(0.2, 0.8, (2, 4, 3)) * [150, 60, 100]
    found = programs(problem, lengths)

    def cost(targets):
        start = torch.from_numpy(np.tile(START, (2, 1)))
        total, t = torch.zeros(2).double(), 0
        for i, n in enumerate(lengths):
            value, start = Project.apply(
                targets[:, t : t + n], start, paths[:, t : t + n], found, i
            )
            total, t = total + value, t + n
        return total.sum()

    targets = torch.tensor(goal, requires_grad=True)
    cost(targets).backward()
    gradient = targets.grad.numpy()
    for index in np.ndindex(goal.shape):
        step = np.zeros(goal.shape)
        step[index] = 1e-5
        up, down = (float(cost(torch.from_numpy(goal + s))) for s in (step, -step))
        assert gradient[index] == pytest.approx((up - down) / 2e-5, abs=2e-4), index


def test_the_dual_is_the_penalty_where_a_target_is_out_of_reach_and_zero_where_water_is_free():
    problem = tank(inflow=((2.0,),), demand=(5.0,))
    window = Window(problem.stages, True, Penalty(50.0))
    start, noise = np.array([3.0]), np.array([[2.0]])
    assert window.solve(start, noise, np.array([[50.0]])).by_target[0, 0] == pytest.approx(50.0)
    assert window.solve(start, noise, np.array([[-1.0]])).by_target[0, 0] == pytest.approx(-50.0)
    rich = np.array([8.0])  # five units serve the demand, five may stay or go for nothing
    assert window.solve(rich, noise, np.array([[3.0]])).by_target[0, 0] == pytest.approx(0.0)


def test_the_minimum_is_piecewise_linear_in_the_target_with_known_kinks():
    """5 in the lake, 5 demanded: keep h, serve 5 - h; gas replaces it up to 4, then nothing."""
    problem = tank(inflow=((2.0,),), demand=(5.0,))
    window = Window(problem.stages, True, Penalty(500.0))
    for h in np.linspace(0, 5, 11):
        value = window.solve(np.array([3.0]), np.array([[2.0]]), np.array([[h]])).value
        assert value == pytest.approx(10.0 * min(h, 4.0) + 100.0 * max(h - 4.0, 0.0))


def test_a_target_within_reach_is_met_exactly_by_a_large_penalty():
    problem = hydrothermal_ht3(T=3, N=3)
    window = problem.window(0, 3, Penalty(1e4))
    noise = problem.mean_noise
    goal = np.array([[70.0, 30.0, 45.0], [65.0, 30.0, 40.0], [60.0, 30.0, 35.0]])
    assert np.allclose(window.solve(START, noise, goal).missed, 0.0, atol=1e-7)


@pytest.mark.parametrize(
    "penalty", [Penalty(60.0), Penalty(0.0, 3.0), Penalty(20.0, 3.0)], ids=["l1", "l2", "both"]
)
def test_highs_and_clarabel_agree_in_value_and_duals(penalty):
    problem = hydrothermal_ht3(T=3, N=3)
    rng = np.random.default_rng(2)
    path = problem.draw(1, rng)[0]
    goal = rng.uniform(0.1, 0.9, (3, 3)) * [150, 60, 100]
    one = Window(problem.stages, True, penalty).solve(START, path, goal)
    other = ConeWindow(Window(problem.stages, True, penalty)).solve(START, path, goal)
    assert other.value == pytest.approx(one.value, rel=1e-6)
    assert np.allclose(other.by_target, one.by_target, atol=1e-3)
    assert np.allclose(other.by_start, one.by_start, atol=1e-3)


def test_the_squared_penalty_has_the_dual_of_its_own_slope():
    problem = hydrothermal_ht3(T=3, N=3)
    window = Window(problem.stages, True, Penalty(0.0, 3.0))
    goal = np.full((3, 3), 40.0)
    found = window.solve(START, problem.mean_noise, goal)
    # min_x f(x) + C |goal - x|^2 has the derivative 2 C (goal - x) in the goal
    assert np.allclose(found.by_target, -2 * 3.0 * found.missed, atol=1e-4)


def test_what_a_stage_can_reach_is_reached_and_its_derivatives_are_differences():
    problem = hydrothermal_ht3(T=2, N=3)
    reach = Reach(problem.stages)
    rng = np.random.default_rng(3)
    w = problem.draw(1, rng)[0, 0]
    strict = problem.window(0, 1, Penalty(strict=True))
    for share in (np.zeros(3), np.full(3, 0.999), rng.uniform(0.1, 0.9, 3)):
        target = reach.point(0, w, START, share)
        assert np.isfinite(strict.solve(START, w[None], target[None]).value)
    shares = torch.tensor(rng.uniform(0.1, 0.9, (1, 3)), requires_grad=True)
    before = torch.tensor(START[None], requires_grad=True)
    weights = torch.tensor([[1.0, 2.0, 3.0]]).double()
    (Within.apply(shares, before, w[None], reach, 0) * weights).sum().backward()
    for tensor, h in ((shares, 1e-6), (before, 1e-4)):
        for i in range(3):
            moved = []
            for sign in (1, -1):
                given = [shares.detach().numpy()[0].copy(), before.detach().numpy()[0].copy()]
                given[0 if tensor is shares else 1][i] += sign * h
                moved.append(reach.point(0, w, given[1], given[0]) @ [1.0, 2.0, 3.0])
            assert tensor.grad[0, i].item() == pytest.approx(
                (moved[0] - moved[1]) / (2 * h), abs=1e-4
            )


def test_products_of_states_and_releases_converge_to_a_plan_that_is_its_own_linearisation():
    problem = hydrothermal_ht3(T=6, N=3, head=0.3)
    window = problem.window(0, 6)
    noise = problem.mean_noise
    found = successive(window, problem.initial_state, noise)
    states = [
        problem.initial_state,
        *(x[s.states] for x, s in zip(found.x, problem.stages, strict=True)),
    ]
    for t, stage in enumerate(problem.stages):
        gap = stage.right(states[t], noise[t]) - stage.activity(found.x[t], states[t])
        assert gap[3] <= 0.5  # of a demand of about 95: what the last linearisation leaves
        assert np.allclose(gap[:3], 0.0, atol=1e-7)


def by_ipopt(problem, noise):
    """The least cost of a path as one nonlinear program, by casadi's Ipopt."""
    variables, cost, rows, low, high, least, most = [], 0, [], [], [], [], []
    before = casadi.DM(problem.initial_state)
    for t, stage in enumerate(problem.stages):
        x = casadi.MX.sym(f"x{t}", len(stage.cost))
        activity = casadi.DM(stage.A.toarray()) @ x - casadi.DM(stage.dense[0]) @ before
        for row, column, state, factor in stage.head_numbers:
            unit = np.zeros(len(stage.rhs))
            unit[row] = factor
            activity = activity + casadi.DM(unit) * before[state] * x[column]
        ends = stage.row_limits(stage.right(np.zeros(3), noise[t]))
        low.extend(ends[0])
        high.extend(ends[1])
        variables.append(x)
        rows.append(activity)
        cost = cost + casadi.DM(stage.cost).T @ x
        least.extend(stage.lower)
        most.extend(stage.upper)
        before = x[stage.states.tolist()]
    program = {"x": casadi.vertcat(*variables), "f": cost, "g": casadi.vertcat(*rows)}
    quiet = {"print_time": False, "ipopt.print_level": 0, "ipopt.sb": "yes"}
    solve = casadi.nlpsol("plan", "ipopt", program, quiet)
    found = solve(x0=10.0, lbx=least, ubx=most, lbg=low, ubg=high)
    assert solve.stats()["success"]
    return float(found["f"])


def test_successive_programs_reach_what_ipopt_reaches():
    problem = hydrothermal_ht3(T=10, N=3, head=0.3)
    window, rng = problem.window(0, 10), np.random.default_rng(4)
    for noise in problem.draw(3, rng) * 0.7:
        ours = successive(window, problem.initial_state, noise)
        its = by_ipopt(problem, noise)
        assert ours.value == pytest.approx(its, rel=0.02)
