"""The iterates, the merit function and the ends of AdaSketch-Newton."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint

import feasible
from feasible.core.registry import load_method
from feasible.programs import Program, minimize, s2mpj
from feasible.programs.adasketch_newton import AdaSketchNewton, pde_control
from feasible.programs.adasketch_newton.iterate import evaluate, merit, merit_gradient
from feasible.programs.adasketch_newton.newton import _direction
from feasible.programs.adasketch_newton.system import newton_system
from feasible.programs.instances import hock_schittkowski

EQUALITIES = ("hs6", "hs27", "hs28", "hs39", "hs40", "hs42", "hs48", "hs51", "hs52", "hs78")
EQUALITIES = (*EQUALITIES, "hs79", "bt3", "bt12")
OPTIMA = {
    **{"HS7": -(3**0.5), "HS56": -3.456, "HS77": 0.24150512879, "BT5": 961.715172130},
    **{"BT6": 0.277044788768, "BT11": 0.824891778288, "GENHS28": 0.927173693766},
}
HARD = {
    "HS61": ("singular Jacobian", None),
    "BT8": (None, 1.0),
    "BYRDSPHR": (None, -4.683300133),
    "HS46": ("converged", 0.0),
    "HS49": ("converged", 0.0),
    "MWRIGHT": ("converged", 24.9788095318),
}
ONE_STEP = ("hs28", "hs48", "hs51", "hs52", "bt3")
SKETCHES = (
    *("adasketch-newton-rk", "adasketch-newton-gv", "adasketch-newton[sketch=block]"),
    *("adasketch-newton[sketch=minres]", "adasketch-newton-rk[accuracy=paper]"),
)


def solved(problem, method="adasketch-newton", seed=100, **options):
    return feasible.solve(problem, method, {"evaluations": 1000}, seed, **options)


def iterated(problem, method, seed=100):
    """The states of a method, one after the other, without a run."""
    state = method.init(problem, np.random.default_rng(seed))
    yield state
    while method.done(problem, state) is None:
        state = method.step(problem, state)
        yield state


@pytest.mark.parametrize("name", EQUALITIES)
def test_programs_are_solved_to_their_known_optimum(name):
    problem = hock_schittkowski(name)
    result = solved(problem, "adasketch-newton[eps=1e-9]")
    assert "converged" in result.stopped
    assert result.verdict.objective == pytest.approx(problem.best_known, abs=1e-9)
    assert result.verdict.violation < 1e-9
    assert result.verdict.residual < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMA)
def test_programs_of_the_collection_are_solved_to_their_known_optimum(name):
    result = solved(s2mpj(name), "adasketch-newton[eps=1e-9]")
    assert result.verdict.objective == pytest.approx(OPTIMA[name], rel=1e-9)
    assert result.verdict.residual < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD)
def test_hard_programs_end_with_what_is_true_of_their_answer(name):
    said, optimum = HARD[name]
    result = solved(s2mpj(name))
    if said:
        assert said in result.stopped
    if "converged" in result.stopped:
        assert result.verdict.residual < 1e-5
        assert result.verdict.objective == pytest.approx(optimum, abs=1e-4)
    else:
        assert "singular Jacobian" in result.stopped or "no step" in result.stopped


@pytest.mark.parametrize("name", ONE_STEP)
def test_a_quadratic_under_linear_equations_takes_one_exact_step(name):
    result = solved(name)
    assert result.steps == 1
    assert result.verdict.residual < 1e-12


@pytest.mark.parametrize("method", ["adasketch-newton", *SKETCHES])
def test_hs40_ends_at_its_closed_form(method):
    x = solved("hs40", f"{method.rstrip(']')},eps=1e-9]" if "[" in method else method).answer.x
    assert x == pytest.approx(2.0 ** -np.array([1 / 3, 1 / 2, 11 / 12, 1 / 4]), abs=2e-6)


@pytest.mark.parametrize("method", SKETCHES)
@pytest.mark.parametrize("name", ["hs6", "hs42", "hs78", "pde-control-3"])
def test_inexact_systems_lead_to_the_same_optimum(method, name):
    result, truth = solved(name, method), solved(name)
    assert "converged" in result.stopped
    assert result.verdict.objective == pytest.approx(truth.verdict.objective, abs=1e-5)
    assert result.spent["inner_steps"] > 0


def test_the_merit_functions_gradient_is_that_of_its_values():
    problem = hock_schittkowski("hs78")
    rng = np.random.default_rng(100)
    x, y = problem.x0 + 0.1 * rng.random(5), rng.standard_normal(3)
    at = evaluate(problem, x, y)
    found = merit_gradient(at, problem.hess_lag(x, 1.0, y), 2.0, 0.3)

    def value(z):
        return merit(evaluate(problem, z[:5], z[5:]), 2.0, 0.3)

    z, h = np.concatenate([x, y]), 1e-6
    each = [(value(z + h * e) - value(z - h * e)) / (2 * h) for e in np.eye(8)]
    assert found == pytest.approx(each, rel=1e-6)


@pytest.mark.parametrize("method", ["adasketch-newton", *SKETCHES])
def test_penalties_are_monotone_and_every_step_lowers_the_merit_function(method):
    problem, before = hock_schittkowski("hs40"), None
    for state in iterated(problem, load_method(method)):
        if before is not None:
            at, eta1, eta2, delta = before
            assert state.eta1 >= eta1
            assert state.eta2 <= eta2
            assert state.delta <= delta
            now = state.eta1, state.eta2
            assert merit(state.at, *now) <= merit(at, *now) + 1e-13
        before = state.at, state.eta1, state.eta2, state.delta
    assert state.eta1 > 1  # they did move


def test_the_papers_accuracy_is_that_of_its_bound():
    problem = hock_schittkowski("hs40")
    method = load_method("adasketch-newton-rk[accuracy=paper]")
    state = method.init(problem, np.random.default_rng(100))
    system = newton_system(state.at, problem.hess_lag(state.at.x, 1.0, state.at.y), method)
    B, G, K = system.B, system.G, system.K
    xi = np.linalg.eigvalsh(G @ G.T)[0]
    psi = 20 * max((B**2).sum(), 1) / (min(xi, 1) * min(method.xi_B, 1))
    assert system.psi == pytest.approx(psi)
    z = _direction(system, method, state)
    left = np.linalg.norm(K) * psi * np.linalg.norm(K @ z - system.b)
    assert left <= state.delta * np.linalg.norm(system.b) * (1 + 1e-9)
    bound = (0.5 - method.beta) * state.eta2
    bound /= (1 + state.eta1 + state.eta2) * (system.upsilon * psi) ** 2
    assert state.delta == max(min(method.delta0, bound), 1e-6)


def test_a_hessian_without_curvature_on_the_null_space_is_shifted():
    problem = hock_schittkowski("hs6")
    method = AdaSketchNewton()
    saddle = Program(
        lambda x: x[0] ** 2 - x[1] ** 2,
        [1.0, 1.0],
        jac=lambda x: np.array([2 * x[0], -2 * x[1]]),
        hess=lambda x: np.diag([2.0, -2.0]),
        constraints={"sum": LinearConstraint([[1.0, 0.0]], 1, 1)},
    )
    for program, shifted in ((problem, False), (saddle, True)):
        state = method.init(program, np.random.default_rng(0))
        at = state.at
        system = newton_system(at, program.hess_lag(at.x, 1.0, at.y), method)
        wanted = method.xi_B + np.linalg.norm(system.H) if shifted else 0.0
        assert system.shift == pytest.approx(wanted)
        assert np.allclose(system.B, system.H + system.shift * np.eye(2))


@pytest.mark.parametrize("dense", [True, False])
def test_the_least_shift_leaves_the_least_curvature_at_its_bound(monkeypatch, dense):
    if not dense:
        monkeypatch.setattr("feasible.programs.adasketch_newton.system.DENSE", 1)
    diagonal = np.array([3.0, -2.0, -0.5, 1.0])
    problem = Program(
        lambda x: x @ (diagonal * x) / 2,
        np.ones(4),
        jac=lambda x: diagonal * x,
        hess=lambda x: np.diag(diagonal),
        constraints={"second": LinearConstraint([[0.0, 1.0, 0.0, 0.0]], 1, 1)},
    )
    method = AdaSketchNewton(shift="least")
    at = method.init(problem, np.random.default_rng(0)).at
    system = newton_system(at, problem.hess_lag(at.x, 1.0, at.y), method)
    free = [0, 2, 3]  # the null space of the constraint
    B = system.B if dense else system.B.toarray()
    assert np.linalg.eigvalsh(B[np.ix_(free, free)])[0] == pytest.approx(method.xi_B)
    assert system.shift == pytest.approx(method.xi_B + 0.5)


@pytest.mark.slow
def test_the_least_shift_saves_iterations_where_the_hessian_is_nearly_singular():
    steps = [
        solved(s2mpj("ORTHREGB"), f"adasketch-newton[shift={shift}]").steps
        for shift in ("norm", "least")
    ]
    assert steps[1] < 0.2 * steps[0]


def test_tightening_the_accuracy_makes_convergence_superlinear():
    def rates(theta):
        method = AdaSketchNewton(sketch="rk", theta=theta, eps=1e-9)
        history = np.array([*iterated(hock_schittkowski("hs78"), method)][-1].history)
        return history[1:] / history[:-1]

    linear, faster = rates("constant"), rates("residual")
    assert len(faster) < len(linear)
    assert faster[-1] < 1e-3 < linear[-1] < 0.2
    assert len(rates("harmonic")) < len(linear)


def test_a_point_outside_the_domain_shortens_the_step():
    seen = []

    def logarithm(x):
        seen.append(x[0])
        return np.log(x[0]) if x[0] > 0 else np.nan

    inside = NonlinearConstraint(logarithm, 0, 0, jac=lambda x: np.array([[1 / x[0], 0]]))
    problem = Program(lambda x: x @ x, [5.0, 1.0], constraints={"log": inside})
    result = solved(problem)
    assert min(seen) < 0
    assert result.verdict.objective == pytest.approx(1.0, abs=1e-6)


def test_a_start_outside_the_domain_is_refused():
    problem = Program(lambda x: np.nan, [1.0, 2.0], name="nowhere")
    with pytest.raises(feasible.errors.NotFinite, match="x0 of 'nowhere'"):
        solved(problem)


def test_constraints_that_contradict_one_another_end_where_they_are_violated_least():
    apart = {
        "left": LinearConstraint([[1.0, 0.0]], -1, -1),
        "right": LinearConstraint([[1.0, 0.0]], 1, 1),
    }
    result = solved(Program(lambda x: x @ x, [5.0, 5.0], constraints=apart))
    assert "singular Jacobian" in result.stopped
    assert result.answer.x[0] == pytest.approx(0, abs=1e-6)
    assert result.verdict.violations == pytest.approx({"left": 1, "right": 1}, abs=1e-6)
    assert "no feasible point found" in result.notes[-1]
    never = {"square": NonlinearConstraint(lambda x: x[0] ** 2 + 1, 0, 0)}
    result = solved(Program(lambda x: x @ x, [2.0, 1.0], constraints=never))
    assert "converged" not in result.stopped
    assert result.verdict.worst == "square"
    assert result.answer.x[0] == pytest.approx(0, abs=1e-2)


def test_a_jacobian_without_full_rank_ends_it_where_it_stands_if_that_is_asked_for():
    twice = {"twice": LinearConstraint([[1.0, 1.0], [2.0, 2.0]], [1, 2], [1, 2])}
    problem = Program(lambda x: x @ x, [3.0, 0.0], constraints=twice)
    result = solved(problem, "adasketch-newton[least_violation=false]")
    assert "singular Jacobian" in result.stopped
    assert result.answer.x.tolist() == [3.0, 0.0]
    assert solved(problem).verdict.feasible


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("hs71", feasible.errors.UnsupportedConstraint, r"bounds on x\[0\] of 'hs71'"),
        ("hs43", feasible.errors.UnsupportedConstraint, "the inequality 'positive' of 'hs43'"),
    ],
)
def test_bounds_and_inequalities_are_refused_by_name(name, error, match):
    with pytest.raises(error, match=match):
        solved(name)


def test_more_equalities_than_variables_are_refused():
    many = {"three": LinearConstraint(np.eye(3)[:, :2], 0, 0)}
    with pytest.raises(feasible.errors.ShapeError, match="m=3 and n=2"):
        solved(Program(lambda x: x @ x, [1.0, 1.0], constraints=many))


def test_a_program_without_constraints_and_one_with_as_many_as_variables():
    free = Program(lambda x: (x[0] - 1) ** 2 + x[1] ** 4, [3.0, 1.0])
    assert solved(free).verdict.objective < 1e-4
    full = {"both": LinearConstraint(np.eye(2), [1, 2], [1, 2])}
    assert solved(Program(lambda x: x[0], [0.0, 0.0], constraints=full)).answer.x == pytest.approx(
        [1, 2]
    )


def test_whole_numbers_are_a_start_and_complex_ones_are_not():
    line = {"line": LinearConstraint([[1.0, 1.0]], 1, 1)}
    one, other = (
        minimize(lambda x: x @ x, x0, constraints=line, method="adasketch-newton")
        for x0 in ([3, 0], [3.0, 0.0])
    )
    assert one.x.tolist() == other.x.tolist()
    with pytest.raises(feasible.errors.ArgumentTypeError, match="complex"):
        minimize(lambda x: x @ x, [1 + 1j], method="adasketch-newton")


def test_an_answer_and_its_multipliers_are_a_warm_start():
    first = solved("hs78")
    again = hock_schittkowski("hs78")
    again.x0, again.multipliers = first.answer.x, first.answer.multipliers
    assert solved(again).steps == 0


def test_large_programs_are_held_sparsely_with_the_same_system(monkeypatch):
    problem, method = pde_control(4), AdaSketchNewton()
    at = method.init(problem, np.random.default_rng(0)).at
    hessian = problem.hess_lag(at.x, 1.0, at.y)
    dense = newton_system(at, hessian, method)
    monkeypatch.setattr("feasible.programs.adasketch_newton.system.DENSE", 1)
    sparse = newton_system(at, hessian, method)
    assert np.array_equal(sparse.K.toarray(), dense.K)
    assert sparse.psi == pytest.approx(dense.psi)
    assert sparse.upsilon == pytest.approx(dense.upsilon)
    assert sparse.shift == dense.shift == 0
    result = solved(problem)
    assert result.steps == 1
    assert result.verdict.residual < 1e-9


@pytest.mark.parametrize("curvature", [-0.5, 0.5])
def test_lanczos_finds_the_curvature_on_the_null_space(monkeypatch, curvature):
    rng = np.random.default_rng(100)
    n, m = 40, 15
    G = rng.standard_normal((m, n))
    basis = np.linalg.svd(G)[2][m:].T
    H = basis @ np.diag(np.linspace(curvature, 3, n - m)) @ basis.T - 5 * np.eye(n)
    H += 5 * basis @ basis.T
    zero = np.zeros(m)
    problem = Program(
        lambda x: x @ H @ x / 2 + x.sum(),
        np.ones(n),
        jac=lambda x: H @ x + 1,
        hess=lambda x: H,
        constraints={"rows": LinearConstraint(G, zero, zero)},
    )
    method = AdaSketchNewton()
    at = method.init(problem, rng).at
    hessian = problem.hess_lag(at.x, 1.0, at.y)
    shift = newton_system(at, hessian, method).shift
    monkeypatch.setattr("feasible.programs.adasketch_newton.system.DENSE", 1)
    assert newton_system(at, hessian, method).shift == pytest.approx(shift)
    assert (shift > 0) == (curvature < 0)


class Broken(Exception):
    """An exception of the user's own."""


def test_an_exception_of_the_callback_or_of_a_function_travels_on():
    def broken(_):
        raise Broken

    line = {"line": LinearConstraint([[1.0, 1.0]], 1, 1)}
    for more in ({"callback": broken}, {"jac": broken}):
        with pytest.raises(Broken):
            minimize(
                lambda x: x @ x, [3.0, 0.0], constraints=line, method="adasketch-newton", **more
            )


def test_the_result_says_what_the_method_saw():
    problem = hock_schittkowski("hs6")
    found = minimize(
        problem.fun,
        problem.x0,
        jac=problem.jac,
        hess=problem.hess,
        constraints=problem.constraints,
        method="adasketch-newton",
        options={"sketch": "rk", "accuracy": "practical", "eps": 1e-6, "seed": 100},
    )
    assert found.success
    assert found.nit + 1 == len(found.history)
    assert found.history[-1] <= 1e-6 < found.history[-2]
    assert found.inner_iterations > 0
    assert found.eta[0] >= 1 >= 10 * found.eta[1]
    assert found.kkt_residual <= 1e-6
    assert found.multipliers["zero"] == pytest.approx([0], abs=1e-6)
