"""The three algorithms from their mathematics, and what they say of operators that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.programs import AffineFiniteSum, FiniteSum, MatrixGame, VRHalpern, solve_inclusion
from feasible.programs.vr_halpern import HalpernSettings, box, policeman_burglar, residual
from feasible.programs.vr_halpern.halpern import _inner_steps, advance, begin
from feasible.programs.vr_halpern.projections import nothing

TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])


def rotation(n=4, **more):
    """F(x, y) = (y, -x), n times: monotone and not cocoercive."""
    return FiniteSum(lambda i, u: np.tile(TURN @ u, (len(i), 1)), n, L=1.0, norm=1.0, **more)


def regression(seed=0, n=60, d=5, **more):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d))
    return AffineFiniteSum(rows, rows @ rng.standard_normal(d), **more)


def steps(op, u0, settings, until):
    """States of an iteration, one after each step, while `until` is false."""
    state = begin(op, op.resolvent(), u0, np.random.default_rng(100))
    while not until(state):
        advance(op, op.resolvent(), settings, state, lambda n: None)
        yield state


def test_full_evaluations_make_the_deterministic_halpern_iteration():
    op, u0 = regression(), np.ones(5)
    eta = 0.7 / op.norm
    settings = HalpernSettings("halpern", eta=eta, tol=0.0)
    u = u0.copy()
    for state in steps(op, u0, settings, lambda s: s.k > 30):
        np.testing.assert_allclose(state.u, u, rtol=0, atol=1e-12)
        weight = 2 / (state.k + 4)
        u = weight * u0 + (1 - weight) * (u - eta * op.full(u))
    assert state.evaluations == 31 * op.n


@pytest.mark.parametrize("prob", [None, "importance"])
def test_the_mean_of_the_estimates_increments_is_that_of_the_operator(prob):
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal((2, 3))
    general = rng.standard_normal((5, 3, 3)), rng.standard_normal((5, 3))
    for op in (
        AffineFiniteSum(rng.standard_normal((5, 3)), np.ones(5), prob=prob),
        AffineFiniteSum(*general, prob=prob),
        FiniteSum(
            lambda i, u: np.stack([general[0][j] @ u - general[1][j] for j in i]),
            5,
            prob=[0.1, 0.2, 0.3, 0.2, 0.2] if prob else None,
        ),
    ):
        chances = np.full(5, 0.2) if op.prob is None else op.prob
        mean = sum(q * op.difference(np.array([i]), u, v) for i, q in enumerate(chances))
        np.testing.assert_allclose(mean, op.full(u) - op.full(v), atol=1e-12)


def test_the_mean_over_rows_and_columns_of_a_game_is_its_operator():
    rng = np.random.default_rng(2)
    game = MatrixGame(rng.standard_normal((3, 4)))
    u, v = rng.random((2, 7))
    mean = sum(
        game.of_rows[i] * game.of_columns[j] * game.difference(np.array([[i, j]]), u, v)
        for i in range(3)
        for j in range(4)
    )
    np.testing.assert_allclose(mean, game.full(u) - game.full(v), atol=1e-12)


@pytest.mark.parametrize("prob", [None, "importance"])
def test_the_constant_of_an_affine_sum_is_the_smallest_there_is(prob):
    op = regression(prob=prob)
    weights = op.weights(np.arange(op.n)) / op.n
    square = np.einsum("i,ia,ib->ab", weights * (op.A**2).sum(axis=1), op.A, op.A)
    moves = np.random.default_rng(3).standard_normal((4000, 5))
    cocoercive, lipschitz = (op.constant(m, None, None)[0] for m in ("page", "resolvent"))
    top = np.einsum("ka,ab,kb->k", moves, square, moves)
    ratios = top / np.einsum("ka,ab,kb->k", moves, op.mean, moves)
    assert 0.95 * cocoercive <= ratios.max() <= cocoercive * (1 + 1e-12)
    roots = np.sqrt(top / (moves**2).sum(axis=1))
    assert 0.95 * lipschitz <= roots.max() <= lipschitz * (1 + 1e-12)


def test_importance_makes_the_mean_of_the_rows_squares_the_constant():
    op = regression(prob="importance")
    assert op.constant("page", None, None)[0] == pytest.approx((op.A**2).sum(axis=1).mean())


def test_a_constant_that_is_not_given_is_estimated_from_below():
    op = regression()
    same = FiniteSum(lambda i, u: op.A[i] * (op.A[i] @ u - op.b[i])[:, None], op.n)
    for method in ("page", "resolvent"):
        found, took = same.constant(method, np.zeros(5), np.random.default_rng(4))
        assert took > 0
        assert 0.2 * op.constant(method, None, None)[0] < found
        assert found < 2 * op.constant(method, None, None)[0]


def test_the_inner_loop_converges_linearly_to_the_resolvent():
    n, c, eta = 50, np.array([1.0, -2.0]), 0.8
    op = FiniteSum(lambda i, u: np.tile(u - c, (len(i), 1)), n, L=1.0)
    errors = []
    for passes in (8, 16):
        inner = passes / np.log(1.252 * 2)
        settings = HalpernSettings("resolvent", eta=eta, inner=inner, tol=0.0)
        *_, state = steps(op, np.array([3.0, 3.0]), settings, lambda s: s.k == 1)
        exact = (np.array([3.0, 3.0]) + eta * c) / (1 + eta)
        errors.append(np.abs(state.v - exact).max())
    assert errors[0] < 1e-3
    assert errors[1] < 1e-3 * errors[0]


def test_a_rotation_is_lost_by_algorithm_1_and_solved_by_algorithm_2():
    lost = VRHalpern(rotation(), method="page", eta=0.25, max_evals=1e5).solve([1.0, 0.0])
    assert "diverged" in lost.status
    assert not lost.converged
    found = VRHalpern(rotation(), method="resolvent", tol=1e-3, max_evals=1e6).solve([1.0, 0.0])
    assert found.converged
    assert np.linalg.norm(found.u) <= 1e-3 * (1 + 1e-9)


def test_the_outer_residual_keeps_the_bound_of_halperns_iteration():
    op, eta, u0 = rotation(), 0.9, np.array([1.0, 0.0])
    exact = np.linalg.inv(np.eye(2) + eta * TURN)
    settings = HalpernSettings("resolvent", eta=eta, inner=60.0, tol=0.0)
    seen = 0
    for state in steps(op, u0, settings, lambda s: s.k == 12):
        if state.inner == 0:  # u_k is new
            gap = np.linalg.norm(state.u - exact @ state.u)
            assert gap <= 2 * 1.0 / (state.k + 1) * (1 + 1e-4)
            seen += 1
    assert seen == 12


@pytest.mark.parametrize(
    ("matrix", "wanted", "value"),
    [
        ([[1, -1], [-1, 1]], [0.5, 0.5, 0.5, 0.5], 0.0),
        ([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], [1 / 3] * 6, 0.0),
        ([[3, 1], [0, 2]], [0.5, 0.5, 0.25, 0.75], 1.5),
    ],
)
def test_games_whose_equilibrium_is_known(matrix, wanted, value):
    game = MatrixGame(matrix)
    start = np.zeros(len(wanted))
    start[[0, len(matrix)]] = 1
    found = solve_inclusion(game, start, tol=1e-5, max_evals=1e5, restart=True, seed=100)
    assert found.converged
    np.testing.assert_allclose(found.u, wanted, atol=1e-3)
    assert game.gap(found.u) < 1e-3
    assert found.u @ game.full(found.u) == pytest.approx(0, abs=1e-9)
    m = len(matrix)
    assert found.u[:m] @ np.array(matrix) @ found.u[m:] == pytest.approx(value, abs=1e-3)


def test_the_compiled_game_steps_are_those_of_any_operator():
    problem = policeman_burglar(12, seed=100)
    game, resolvent = problem.op, problem.resolvent
    settings = HalpernSettings(tol=0.0, inner=5.0)
    compiled, plain = (
        begin(game, resolvent, problem.u0, np.random.default_rng(7)) for _ in range(2)
    )
    for _ in range(15):  # snapshots come and go
        rng = np.random.default_rng()
        rng.bit_generator.state = compiled.rng.bit_generator.state
        before = plain.k, plain.inner
        advance(game, resolvent, settings, compiled, lambda n: None)
        if before[1] == 0:
            at_u = game.full(plain.u)
            plain.v, plain.w, plain.old = (plain.u.copy() for _ in range(3))
            plain.eta, plain.estimate = compiled.eta, compiled.eta * at_u
            plain.inner = int(np.ceil(5.0 * 12 * np.log(1.252 * (plain.k + 2))))
        size, p = min(plain.inner, 6), 1 / 12
        drawn, snapshots = game.draw(rng, size), rng.random(size) < p
        tau = 2.0 * (p * (1 - p)) ** 0.5 / (2 * (compiled.eta * compiled.constant + 1))
        _inner_steps(game, resolvent, None, plain, drawn, snapshots, tau, 1 - p)
        plain.inner -= size
        np.testing.assert_allclose(compiled.v, plain.v, atol=1e-12)
        np.testing.assert_allclose(compiled.w, plain.w, atol=1e-12)
        np.testing.assert_allclose(compiled.estimate, plain.estimate, atol=1e-11)
        if plain.inner == 0:
            plain.u, plain.k = compiled.u.copy(), compiled.k


@pytest.mark.parametrize("method", ["page", "resolvent", "halpern"])
def test_every_component_evaluation_is_counted_and_none_beyond_the_limit(method):
    op, seen = regression(), []

    def components(i, u):
        seen.append(len(i))
        return op.A[i] * (op.A[i] @ u - op.b[i])[:, None]

    counted = FiniteSum(components, op.n, L=op.constant("page", None, None)[0])
    solver = VRHalpern(counted, method=method, tol=0.0, max_evals=5000)
    seen.clear()
    found = solver.solve(np.ones(5))
    # once more at the start for the check of the shapes, and once for the residual of the answer
    assert sum(seen) == found.evaluations + 2 * op.n
    assert 4800 <= found.evaluations <= 5000
    assert "component evaluations are over" in found.status


def test_algorithm_1_needs_fewer_evaluations_than_full_ones_where_components_are_alike():
    op = regression(n=2000, d=10)
    best = {}
    for method in ("page", "halpern"):
        best[method] = min(
            VRHalpern(op, method=method, eta=f / op.norm, tol=0, max_evals=100 * op.n)
            .solve(np.zeros(10))
            .residual
            for f in (0.25, 0.5, 1.0)
        )
    assert best["page"] < 0.5 * best["halpern"]


def test_restarting_helps_and_the_history_falls():
    problem = policeman_burglar(20, seed=100)
    found = {}
    for restart in (False, True):
        solver = VRHalpern(problem.op, restart=restart, tol=0, max_evals=1e5, seed=100)
        found[restart] = solver.solve(problem.u0)
        assert (np.diff(found[restart].history[:, 1]) < 0).all()
        assert (np.diff(found[restart].history[:, 0]) > 0).all()
    assert found[True].residual < found[False].residual


def test_a_step_that_was_chosen_too_long_is_halved_until_it_fits():
    op = regression()
    wrong = FiniteSum(
        lambda i, u: op.A[i] * (op.A[i] @ u - op.b[i])[:, None], op.n, L=op.norm / 200
    )
    found = solve_inclusion(wrong, np.ones(5), method="page", tol=1e-3, max_evals=1e6)
    assert found.converged
    assert found.eta <= 2 / op.norm


def test_an_operator_that_is_not_monotone_ends_with_a_status():
    op = FiniteSum(lambda i, u: np.tile(-u, (len(i), 1)), 3, L=1.0)
    for method in ("page", "resolvent"):
        found = solve_inclusion(op, [1.0], method=method, eta=0.5, max_evals=1e6)
        assert "diverged" in found.status
        assert "may not be monotone" in found.status


def test_a_step_beyond_stability_is_warned_of():
    op = regression()
    with pytest.warns(RuntimeWarning, match=r"more than 2 / L_F"):
        VRHalpern(op, method="halpern", eta=2.1 / op.norm, max_evals=1e4).solve(np.ones(5))


def test_a_callback_hears_of_better_points_and_may_end_it():
    heard = []

    def callback(u, found, evaluations):
        heard.append((found, evaluations))
        return len(heard) == 3

    op = regression()
    found = VRHalpern(op, tol=0, callback=callback).solve(np.ones(5))
    assert found.status == "the callback ended it"
    assert heard[-1] == pytest.approx((found.residual, found.evaluations))


def test_a_constraint_holds_by_its_projection():
    op = regression()
    found = solve_inclusion(op, np.zeros(5), box(0, 0.1), tol=1e-4, max_evals=1e6)
    assert found.converged
    assert found.u.min() >= 0
    assert found.u.max() <= 0.1
    assert residual(op, box(0, 0.1), found.u) == found.residual


def components(i, u):
    return np.tile(u, (len(i), 1))


@pytest.mark.parametrize(
    ("error", "said", "call"),
    [
        (ArgumentError, "n=0", lambda: FiniteSum(components, 0)),
        (ArgumentError, "L=0", lambda: FiniteSum(components, 2, L=0.0)),
        (ArgumentTypeError, "components=3", lambda: FiniteSum(3, 2)),
        (ShapeError, "prob has shape", lambda: FiniteSum(components, 2, prob=[1.0])),
        (ArgumentError, "sum to 1", lambda: FiniteSum(components, 2, prob=[0.5, 0.6])),
        (ShapeError, "M has shape", lambda: MatrixGame([1.0, 2.0])),
        (ArgumentError, "M=0", lambda: MatrixGame([[0.0]])),
        (NotFinite, "M has a NaN", lambda: MatrixGame([[np.nan]])),
        (ShapeError, "A has shape", lambda: AffineFiniteSum(np.ones((2, 3)), np.ones(3))),
        (ArgumentError, "prob='large'", lambda: regression(prob="large")),
        (ArgumentTypeError, "op=3", lambda: VRHalpern(3)),
        (ArgumentError, "not cocoercive", lambda: VRHalpern(MatrixGame([[1.0]]), method="page")),
        (ArgumentError, "eta=0", lambda: VRHalpern(regression(), eta=0.0)),
        (ArgumentError, "method='newton'", lambda: VRHalpern(regression(), method="newton")),
        (ArgumentTypeError, "resolvent=3", lambda: VRHalpern(regression(), 3)),
        (ShapeError, "u0 has shape", lambda: VRHalpern(regression()).solve([[1.0]])),
        (ShapeError, "u0 has shape", lambda: VRHalpern(regression()).solve([1.0])),
        (NotFinite, "u0 has a NaN", lambda: VRHalpern(regression()).solve([np.nan] * 5)),
        (
            ShapeError,
            "resolvent.u, eta. has shape",
            lambda: VRHalpern(regression(), lambda u: u[:2]).solve(np.ones(5)),
        ),
        (
            ShapeError,
            "components.i, u. has shape",
            lambda: VRHalpern(FiniteSum(lambda i, u: u, 3, L=1.0)).solve(np.ones(2)),
        ),
        (
            ArgumentError,
            "away from the mean of the components",
            lambda: VRHalpern(FiniteSum(components, 2, lambda u: 2 * u, L=1.0)).solve(np.ones(2)),
        ),
    ],
)
def test_bad_input_is_refused_by_name(error, said, call):
    with pytest.raises(error, match=said):
        call()


def test_an_operator_without_a_resolvent_is_an_equation():
    assert nothing()(np.ones(2), 3.0).tolist() == [1.0, 1.0]
