"""MultistageLP: its end, its paths, its judge, and the duals of its windows."""

from __future__ import annotations

import numpy as np
import pytest
from dispatch import CAP, COST, DEFICIT, rigid, stock, tank
from hypothesis import given, settings, strategies as st
from scipy.optimize import linprog

import feasible
from feasible.core import errors
from feasible.operations import (
    LookAhead,
    MultistageLP,
    Myopic,
    NoSolution,
    SolverFailed,
    StageInfeasible,
    Unbounded,
    hydrothermal_ht3,
)
from feasible.operations.window import Penalty, Window

# -- the end ---------------------------------------------------------------------------------------


def test_the_terminal_rule_is_required_and_checked():
    with pytest.raises(TypeError, match="terminal"):
        MultistageLP([stock()], [0.0])  # type: ignore[call-arg]
    for wrong in ("fre", None, {"at_leest": 1.0}, {"at_least": [1.0, 2.0]}, {"value": np.nan}):
        with pytest.raises(errors.ArgumentError, match="terminal"):
            tank(terminal=wrong)


def test_a_store_is_not_emptied_where_the_end_forbids_it():
    cost = {}
    for name, terminal in {
        "free": "free",
        "cyclic": "cyclic",
        "at_least": {"at_least": 3.0},
        "value": {"value": 2 * DEFICIT},
    }.items():
        problem = tank(terminal=terminal)
        found = problem.simulate(LookAhead())
        cost[name] = float(found.cost.mean())
        last = found.states[:, -1, 0]
        least = {"free": 0.0, "value": 9.0}.get(name, 3.0)
        assert np.allclose(last, least), name
    # 3 more of thermal energy, where there is room for it, and load that is shed
    assert cost["free"] < cost["cyclic"] == pytest.approx(cost["at_least"])


def test_what_the_end_misses_is_a_violation_by_name():
    problem = tank(terminal={"at_least": 10.0}, inflow=((0.0,),), demand=(0.0,))
    verdict = problem.judge(Myopic())
    assert verdict.worst == "terminal"
    assert verdict.violations["terminal"] == pytest.approx(0.7)  # 3 of 10 are there
    assert verdict.metrics["terminal, mean of a path"] == pytest.approx(7.0)


def test_what_the_end_misses_is_paid_for_where_nothing_else_costs_anything():
    stage = stock(cost=[0.0, 0.0, 0.0])
    found = MultistageLP([stage], [0.0], {"at_least": 3.0}, n_test=1).simulate(Myopic())
    assert found.states[0, -1, 0] == pytest.approx(3.0)


# -- judging ---------------------------------------------------------------------------------------


def test_unmet_demand_is_a_violation_and_not_only_a_cost():
    verdict = tank(demand=(20.0, 5.0, 5.0)).judge(Myopic())
    served = 5.0 + CAP
    assert verdict.violations["unmet demand"] == pytest.approx((20 - served) / 30)
    assert not verdict.feasible
    assert verdict.metrics["unmet demand, mean of a path"] == pytest.approx(20 - served)


def test_a_policy_of_a_users_own_is_judged_by_what_it_does():
    problem = tank()

    class Gas:
        def act(self, t, w, state):
            return {"volume lake": state[0] + w[0], "thermal gas": CAP, "unmet grid": 4.0}

    found = problem.simulate(Gas())
    assert found.cost[0] == pytest.approx(3 * (CAP * COST + 4 * DEFICIT))
    assert np.allclose(found["volume lake"][0], [5, 7, 9])
    assert len(found.to_frame()) == 18
    with pytest.raises(errors.UnknownName, match="volume lake"):
        found["volume lak"]


def test_a_decision_that_breaks_a_row_or_a_bound_is_named_and_infeasible():
    problem = tank()

    class Cheat:
        def act(self, t, w, state):
            return {"volume lake": 11.0, "turbined lake": 5.0, "thermal gas": 4.0}

    verdict = problem.judge(Cheat())
    assert not verdict.feasible
    assert {"balance lake", "volume lake"} <= set(verdict.violations)


@pytest.mark.parametrize("said", [[1.0, 2.0], [np.nan] * 5, {"volum lake": 1.0}])
def test_a_decision_of_a_wrong_form_is_refused(said):
    class Wrong:
        def act(self, t, w, state):
            return said

    with pytest.raises(errors.ArgumentError):
        tank().simulate(Wrong())


def test_judging_is_pure():
    problem = hydrothermal_ht3(T=6, n_test=5)
    first = problem.simulate(Myopic())
    problem.perfect_foresight()
    again = problem.simulate(Myopic())
    fresh = hydrothermal_ht3(T=6, n_test=5).simulate(Myopic())
    for other in (again, fresh):
        assert first.states.tobytes() == other.states.tobytes()


def test_perfect_foresight_is_below_every_policy_path_by_path():
    problem = hydrothermal_ht3(T=8, n_test=10)
    bound = problem.perfect_foresight()
    for policy in (Myopic(), LookAhead(), LookAhead(3)):
        found = problem.simulate(policy)
        assert (bound <= found.cost * (1 + 1e-9) + 1e-6).all()
    verdict = problem.judge(LookAhead())
    assert verdict.residual == pytest.approx(verdict.objective / bound.mean() - 1)


def test_a_program_equals_scipys_linprog():
    problem = hydrothermal_ht3(T=6, n_test=3)
    window = problem.window(0, 6)
    for path in problem.held_out:
        value = window.solve(problem.initial_state, path).value
        model = window.model
        same = model.low == model.high
        up, down = np.isfinite(model.high) & ~same, np.isfinite(model.low) & ~same
        A = model.A.toarray()
        peer = linprog(
            window.cost,
            A_ub=np.vstack([A[up], -A[down]]),
            b_ub=np.concatenate([model.high[up], -model.low[down]]),
            A_eq=A[same],
            b_eq=model.low[same],
            bounds=np.column_stack([model.lower, model.upper]),
        )
        assert value == pytest.approx(peer.fun, rel=1e-9)


# -- duals -----------------------------------------------------------------------------------------


def central(f, x, h=1e-5):
    """The central difference of a function of several numbers."""
    steps = np.eye(x.size).reshape(-1, *x.shape) * h
    return np.array([(f(x + e) - f(x - e)) / (2 * h) for e in steps]).reshape(x.shape)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_duals_are_the_derivatives_of_the_minimum_in_targets_start_and_noise(seed):
    rng = np.random.default_rng(seed)
    problem = hydrothermal_ht3(T=3, N=3)
    window = problem.window(0, 3, Penalty(rng.choice([5.0, 60.0, 700.0])))
    start = rng.uniform(0.1, 0.9, 3) * [150, 60, 100]
    noise = problem.draw(1, rng)[0]
    goal = rng.uniform(-0.1, 1.1, (3, 3)) * [150, 60, 100]
    found = window.solve(start, noise, goal)
    by_target = central(lambda x: window.solve(start, noise, x).value, goal)
    by_start = central(lambda x: window.solve(x, noise, goal).value, start)
    by_noise = central(lambda x: window.solve(start, x, goal).value, noise)
    scale = 1 + np.abs(by_target).max()
    assert np.allclose(found.by_target, by_target, atol=1e-5 * scale)
    assert np.allclose(found.by_start, by_start, atol=1e-5 * scale)
    assert np.allclose(found.by_noise, by_noise, atol=1e-5 * scale)
    assert (np.abs(found.by_target) <= window.penalty.linear * (1 + 1e-9)).all()


def test_a_dual_at_a_kink_is_between_the_one_sided_derivatives():
    problem = tank(inflow=((2.0,),), demand=(5.0,))
    window = Window(problem.stages, True, Penalty(50.0))
    at = np.array([0.0])  # an empty lake serves all the demand: on one side water is worth nothing
    values = [window.solve(at + 3, np.array([[2.0]]), np.array([[h]])) for h in (-1e-6, 0.0, 1e-6)]
    left = (values[1].value - values[0].value) / 1e-6
    right = (values[2].value - values[1].value) / 1e-6
    assert left - 1e-3 <= values[1].by_target[0, 0] <= right + 1e-3
    assert (left, right) == (pytest.approx(-50.0), pytest.approx(COST))


def test_a_row_turned_round_has_the_same_minimum_and_the_dual_of_the_other_sign():
    noise = [[4.0]]
    plain = stock(A=[[1.0, -1.0, 0.0], [-1.0, 0.0, 1.0]], C=[[0.0], [1.0]], noise=noise)
    twin = stock(  # unserved >= 4 + stock, with the signs of the row turned
        A=[[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]], C=[[0.0], [-1.0]], sense="<=", noise=noise
    )
    one, other = (Window([s]) for s in (plain, twin))
    a, b = (w.solve(np.array([1.0]), np.array([[4.0]])) for w in (one, other))
    assert a.value == pytest.approx(b.value) == 200.0
    assert a.rows[0][1] == pytest.approx(50.0)
    assert b.rows[0][1] == pytest.approx(-50.0)
    assert a.by_noise[0, 0] == pytest.approx(b.by_noise[0, 0]) == 50.0


def test_the_price_of_demand_is_that_of_the_last_plant_that_serves_it():
    found = tank(demand=(5.0, 5.0, 30.0), terminal={"value": 1.0}).simulate(Myopic())
    prices = found.price("demand grid")
    assert np.allclose(prices[0], [0.0, COST, DEFICIT])
    with pytest.raises(errors.UnknownName, match="demand grid"):
        found.price("demand gird")


def test_a_unit_of_water_more_saves_a_unit_of_gas():
    window = tank(inflow=((2.0,),), demand=(9.0,)).window(0, 1)
    found = window.solve(np.array([3.0]), np.array([[2.0]]))
    more = window.solve(np.array([3.001]), np.array([[2.0]]))
    assert found.by_start[0] == pytest.approx(-COST)
    assert (more.value - found.value) / 1e-3 == pytest.approx(-COST)


def test_prices_do_not_depend_on_the_length_of_a_stage():
    """A stage of h hours has h times the energy and volume: the price of a unit stays."""
    for hours in (1.0, 7.0):
        problem = tank(
            inflow=((2.0 * hours,),),
            demand=(9.0 * hours,),
            v0=3.0 * hours,
            v_max=10.0 * hours,
            q_max=6.0 * hours,
        )
        stage = problem.stages[0]
        stage.upper[stage.column("thermal gas")] *= hours
        window = Window([stage])
        found = window.solve(problem.initial_state, stage.noise)
        assert found.rows[0][stage.row("demand grid")] == pytest.approx(COST)
        assert found.value == pytest.approx(4.0 * hours * COST)


# -- what has no solution --------------------------------------------------------------------------


def test_an_infeasible_stage_names_stage_path_and_state():
    with pytest.raises(StageInfeasible, match=r"stage 2 of path 0 .* stock 2 ") as raised:
        rigid().simulate(Myopic())
    assert (raised.value.t, raised.value.path) == (2, 0)
    verdict = rigid().judge(Myopic())
    assert not verdict.feasible
    assert "stage 2 has no solution" in verdict.violations


def test_an_unbounded_program_is_a_typed_error():
    stage = stock(cost=[-1.0, 0.0, 0.0])
    with pytest.raises(Unbounded):
        Window([stage]).solve(np.array([1.0]), np.zeros((1, 0)))


def test_a_program_without_a_solution_is_believed_only_after_it_was_solved_from_scratch():
    problem = rigid()
    window = problem.window(0, 1)
    with pytest.raises(NoSolution):
        window.solve(np.array([2.0]), np.zeros((1, 0)))
    assert window.solve(np.array([7.0]), np.zeros((1, 0))).value == pytest.approx(5.0)


def test_optimal_is_not_believed_where_a_row_is_broken(monkeypatch):
    window = tank().window(0, 1)

    kind = type(window.model.solver)
    monkeypatch.setattr(kind, "getInfoValue", lambda self, name: (None, 0.5))
    with pytest.raises(SolverFailed, match=r"broken by 0\.5"):
        window.model.solve()


# -- paths -----------------------------------------------------------------------------------------


def test_paths_of_a_wrong_shape_or_with_gaps_are_refused_with_their_place():
    problem = tank(inflow=((2.0, 3.0),) * 3)
    with pytest.raises(errors.ShapeError, match=r"expected \(paths, 3, 1\)"):
        problem.simulate(Myopic(), np.ones((2, 4, 1)))
    holed = np.ones((2, 3, 1))
    holed[1, 2, 0] = np.nan
    with pytest.raises(errors.NotFinite, match="path 1, stage 2, component 0"):
        problem.simulate(Myopic(), holed)
    with pytest.raises(errors.NotFinite, match="sampler"):
        tank(sampler=lambda n, rng: holed).draw(2, np.random.default_rng(0))


def test_unequal_probabilities_are_drawn_and_averaged():
    stage = stock(C=[[0.0], [1.0]], noise=[[1.0], [3.0]], probability=[0.9, 0.1])
    problem = MultistageLP([stage] * 2, [0.0], "free")
    assert problem.mean_noise[0, 0] == pytest.approx(1.2)
    drawn = problem.draw_pools(4000, np.random.default_rng(0))
    assert (drawn == 1.0).mean() == pytest.approx(0.9, abs=0.02)


def test_the_floor_of_the_costs_is_below_every_cost_or_asked_for():
    assert tank().cost_floor(0) == 0.0
    valued = tank(terminal={"value": 7.0})
    assert valued.cost_floor(0) == pytest.approx(-70.0)  # a full lake at the end
    with pytest.raises(errors.ArgumentError, match="lower_bound"):
        tank(terminal={"value": 7.0}, v_max=None).cost_floor(0)
    assert tank(terminal={"value": 7.0}, v_max=None, lower_bound=-1e3).cost_floor(1) == -1e3


def test_ht3_has_the_known_cost_of_perfect_foresight():
    problem = feasible.operations.hydrothermal_ht3()
    assert problem.perfect_foresight().mean() == pytest.approx(22_831, abs=1)


def test_the_picture_of_a_policy_has_a_median_and_a_band_for_each_state():
    problem = hydrothermal_ht3(T=4, N=3, n_test=5)
    figure = problem.picture(LookAhead())
    assert len(figure.data) == 2 * 3
    states = problem.simulate(LookAhead()).states[:, :, 0]
    assert np.allclose(figure.data[1].y, np.median(states, axis=0))
    assert rigid().picture(Myopic()) is None
