"""Ways to a front, and the judge."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    NotFinite,
    ShapeError,
    UnsupportedConstraint,
)
from feasible.core.front import Front
from feasible.physics import (
    NotConverged,
    PDEControl,
    Tracking,
    distributed,
    pareto_front,
    two_halves,
    unit_square,
    write_vtu,
)
from feasible.physics.nonsmooth_pde_pareto.instances import hill, left, right, wave
from feasible.physics.nonsmooth_pde_pareto.oracle import StateOracle
from feasible.physics.nonsmooth_pde_pareto.peers import ScipyWeightedSums, pymoo_problem
from feasible.physics.nonsmooth_pde_pareto.scalarise import individual_minima
from feasible.physics.nonsmooth_pde_pareto.walk import critical_norm

PROBLEM = two_halves(mesh=7)
GOALS = (Tracking(hill), Tracking(wave))
WAYS = {"reference-point": 0.2, "weighted-sum": 0.3, "continuation": 0.3}
"""Way -> most of the gaps' deviation over their mean."""


@pytest.fixture(scope="module", params=WAYS)
def walked(request):
    return request.param, pareto_front(PROBLEM, request.param, n_points=15)


def spread(front):
    gaps = np.linalg.norm(np.diff(front.scaled, axis=0), axis=1)
    return gaps.std() / gaps.mean()


def test_a_walk_goes_from_one_individual_minimum_to_the_other_in_even_steps(walked):
    way, front = walked
    assert np.allclose(front.scaled[[0, -1]], [[0, 1], [1, 0]], atol=1e-12)
    assert (np.diff(front.objectives[:, 0]) > 0).all()
    assert (np.diff(front.objectives[:, 1]) < 0).all()
    assert spread(front) <= WAYS[way]
    assert front.state_solves <= 8 * len(front)


def test_every_point_of_a_walk_is_critical(walked):
    front = walked[1]
    oracle, span = StateOracle(PROBLEM.level), front.nadir - front.ideal
    assert max(critical_norm(oracle, front.ideal, span, u) for u in front.points) <= 1e-2


def test_raw_weights_cluster_where_reference_points_do_not():
    raw = feasible.solve(
        PROBLEM, "pareto-weighted-sum[n_points=15,factor=20]", {"state_solves": 500}, seed=100
    ).answer
    f = PROBLEM.scaled(raw.objectives[np.argsort(raw.objectives[:, 0])])
    gaps = np.linalg.norm(np.diff(f, axis=0), axis=1)
    even = pareto_front(PROBLEM, n_points=15)
    assert spread(even) <= 0.25 * gaps.std() / gaps.mean()


def test_without_the_kink_the_front_is_that_of_two_quadratics():
    problem = two_halves(mesh=7, kappa=0.0)
    level = problem.level
    S = np.column_stack([level.state(e).y for e in np.eye(2)])  # linear: y = S u
    D = level.equation.mass[:, None]
    H = S.T @ (D * S) + 1e-3 * np.eye(2)
    pulls = S.T @ (level.equation.mass * level.targets).T
    front = pareto_front(problem, "weighted-sum", n_points=9)
    for u in front.points:
        t = np.linalg.lstsq((pulls[:, 0] - pulls[:, 1])[:, None], H @ u - pulls[:, 1])[0].item()
        assert np.allclose(
            np.linalg.solve(H, t * pulls[:, 0] + (1 - t) * pulls[:, 1]), u, atol=1e-4
        )
        assert -1e-6 <= t <= 1 + 1e-6


def test_along_the_front_the_set_where_the_state_is_positive_changes():
    front = pareto_front(two_halves(mesh=15), n_points=8)
    share = [(two_halves(mesh=15).state(u).y > 0).mean() for u in front.points]
    assert share[0] == 1.0
    assert share[-1] < 0.6


def test_a_subdivision_covers_the_front_that_a_walk_finds():
    front = pareto_front(PROBLEM, n_points=12)
    run = feasible.solve(
        PROBLEM,
        "pareto-subdivision[levels=6,samples=6,rom_tol=0.001]",
        {"state_solves": 400},
        seed=100,
    )
    near = [np.linalg.norm(run.answer.points - u, axis=1).min() for u in front.points]
    assert np.mean(np.array(near) < 0.25) > 0.8


@pytest.mark.parametrize("way", ["reference-point", "continuation"])
def test_a_reduced_basis_gives_the_same_front_with_a_third_of_the_solves(way):
    full = pareto_front(PROBLEM, way, n_points=15)
    small = pareto_front(PROBLEM, way, n_points=15, rom=1e-3)
    assert 3 * small.state_solves <= full.state_solves
    assert small.reduced_solves > small.state_solves
    true = np.array([PROBLEM.oracle().values(u) for u in small.points])
    assert np.abs((small.objectives - true) / (small.nadir - small.ideal)).max() <= 0.01


def test_the_individual_minima_do_not_depend_on_the_starts():
    found = [
        individual_minima(PROBLEM.oracle(), PROBLEM.box, np.random.default_rng(s), 2)[1]
        for s in (100, 101)
    ]
    assert np.allclose(*found, rtol=1e-6)


def test_distributed_controls_have_an_even_front():
    front = pareto_front(distributed(mesh=9), n_points=6)
    assert spread(front) < 0.2
    assert front.points.shape[1] == 81


@pytest.mark.parametrize("way", ["reference-point", "weighted-sum", "continuation"])
def test_failed_states_on_the_way_do_not_end_a_walk(way):
    problem = two_halves(mesh=5)
    whole = pareto_front(problem, way, n_points=6)
    solve, calls = problem.level.equation.solve, []

    def fails(b):
        calls.append(1)
        if len(calls) % 5 == 0:
            raise NotConverged("injected")
        return solve(b)

    problem.level.equation.solve = fails
    found = pareto_front(problem, way, n_points=6)
    assert len(calls) > found.state_solves / 2
    problem.level.equation.solve = solve
    assert problem.judge(found).objective <= 0.98 * problem.judge(whole).objective


# -- the judge -------------------------------------------------------------------------------------


def test_the_judge_solves_anew_on_a_finer_mesh_and_says_both_figures():
    front = pareto_front(PROBLEM, n_points=6)
    lied = Front(front.points, np.zeros_like(front.objectives), front.violations)
    verdict = PROBLEM.judge(lied)
    assert verdict == PROBLEM.judge(front)
    own = verdict.metrics["own_mesh_hypervolume"]
    assert 0.8 < -verdict.objective < 1.21
    assert own != -verdict.objective
    assert verdict.metrics["mesh_gap"] > 0
    assert verdict.residual < 0.2
    assert "on the finer mesh" in PROBLEM.reached(verdict)


def test_the_judges_mesh_gives_the_finer_problems_own_values():
    fine = two_halves(mesh=15)
    u = np.array([0.3, -0.4])
    known = PROBLEM.fine.objectives(u, PROBLEM.fine.state(u).y)
    assert np.allclose(known, fine.level.objectives(u, fine.state(u).y), rtol=1e-12)


def test_a_control_without_a_state_is_no_point_of_a_front():
    verdict = PROBLEM.judge(Front.of([[0.1, 0.1], [np.inf, 0.0]], np.zeros((2, 2))))
    assert verdict.feasible
    assert verdict.metrics["points"] == 1
    assert PROBLEM.judge(Front.of(np.zeros((0, 2)), np.zeros((0, 2)))).missing
    with pytest.raises(ShapeError, match=r"answer\.points"):
        PROBLEM.judge(Front.of(np.zeros((1, 3)), np.zeros((1, 2))))


def test_distributed_controls_are_judged_as_the_function_they_are():
    problem = distributed(mesh=7)
    u = np.ones(49)
    assert np.allclose(problem.fine.B @ u, 1)


def test_a_front_is_shown_saved_and_written(tmp_path):
    result = feasible.solve(PROBLEM, None, {"state_solves": 60}, seed=100)
    assert result.method == "pareto-reference-point"
    assert "hypervolume" in str(result)
    drawn = result.plot().data[0]
    assert np.allclose(np.sort(drawn.x), np.sort(PROBLEM.scaled(result.answer.objectives)[:, 0]))
    result.save(str(tmp_path / "front.json"))
    fields = PROBLEM.fields(result.answer.points[0])
    assert set(fields) == {"y", "control", "target1", "target2"}
    write_vtu(tmp_path / "state.vtu", PROBLEM.domain, fields)


def test_pymoos_problem_is_ours():
    found = pymoo_problem(PROBLEM).evaluate(np.array([[0.1, 0.2]]))
    assert np.array_equal(found[0], PROBLEM.oracle().values(np.array([0.1, 0.2])))


def test_scipys_minimisers_are_paid_for_once_and_a_problem_without_states_is_said(monkeypatch):
    problem, method = two_halves(mesh=5), ScipyWeightedSums()
    state, solved, solve = method.init(problem, np.random.default_rng(100)), [], problem.level.state

    def noted(u):
        solved.append(u.tobytes())
        return solve(u)

    monkeypatch.setattr(problem.level, "state", noted)
    method.step(problem, state)
    assert [solved.count(u.tobytes()) for u in state.ends] == [1, 1]

    def fails(u):
        raise NotConverged("injected")

    monkeypatch.setattr(problem.level, "state", fails)
    with pytest.raises(NotConverged, match="no start has a state"):
        method.step(problem, method.init(problem, np.random.default_rng(100)))


def test_three_goals_get_common_descent_and_walks_refuse_them():
    goals = (*GOALS, Tracking(0.0, sigma=0.1))
    problem = PDEControl(5, controls=(left, right), objectives=goals, name="three")
    result = feasible.solve(problem, None, {"state_solves": 120}, seed=100)
    assert result.method == "common-descent"
    assert result.verdict.feasible
    with pytest.raises(UnsupportedConstraint, match="two objectives"):
        feasible.solve(problem, "pareto-continuation", {"state_solves": 10})
    with pytest.raises(UnsupportedConstraint, match="at most 4 controls"):
        feasible.solve(distributed(mesh=3), "pareto-subdivision", {"state_solves": 10})


# -- problems of one's own -------------------------------------------------------------------------


def test_controls_and_targets_by_value_are_those_by_function():
    mesh = unit_square(5)
    x, y = mesh.p
    given = PDEControl(
        mesh,
        controls=np.column_stack([left(x, y), right(x, y)]),
        objectives=[Tracking(hill(x, y)), Tracking(wave(x, y))],
    )
    u = np.array([0.5, -0.5])
    assert np.array_equal(given.oracle().values(u), two_halves(mesh=5).oracle().values(u))


def test_a_mesh_from_a_file_is_a_domain(tmp_path):
    write_vtu(tmp_path / "square.vtu", unit_square(5), {})
    read = PDEControl(str(tmp_path / "square.vtu"), controls=(left, right), objectives=GOALS)
    assert np.allclose(
        read.oracle().values(np.array([0.5, -0.5])),
        two_halves(mesh=5).oracle().values(np.array([0.5, -0.5])),
    )


def test_bad_problems_are_refused_by_name(tmp_path):
    good = {"mesh": 3, "controls": (left, right), "objectives": GOALS}
    for error, said, given in (
        (ArgumentError, "kappa=-1", {"kappa": -1.0}),
        (ArgumentError, "objectives: got 1", {"objectives": GOALS[:1]}),
        (ArgumentTypeError, "objectives", {"objectives": (hill, wave)}),
        (ArgumentError, "controls='all'", {"controls": "all"}),
        (ShapeError, "controls have shape", {"controls": np.ones((3, 2))}),
        (NotFinite, "controls", {"controls": np.full((25, 2), np.nan)}),
        (ArgumentError, "bounds: expected low < high", {"bounds": (1.0, -1.0)}),
        (ShapeError, "bounds have shape", {"bounds": [(0, 1)] * 3}),
        (ArgumentError, "mesh=0", {"mesh": 0}),
        (ArgumentError, "mesh: path", {"mesh": str(tmp_path / "none.msh")}),
        (ArgumentError, "nadir", {"ideal": [0, 0], "nadir": [1, 0]}),
    ):
        with pytest.raises(error, match=said):
            PDEControl(**{**good, **given})
    with pytest.raises(ArgumentError, match="sigma=-1"):
        Tracking(hill, -1.0)
    with pytest.raises(ShapeError, match="target"):
        PDEControl(3, controls=(left,), objectives=[Tracking(np.ones(4)), Tracking(0.0)])
    with pytest.raises(ArgumentError, match="method='nsga'"):
        pareto_front(PROBLEM, "nsga")
