"""The ready-made problems are the ones of the literature: formulas, optima and feasible shares,
checked by a second transcription.
"""

import itertools
import math
import pickle

import numpy as np
import pytest
from published import FORMULA, GIVEN, ackley, half, measured, scale, uniform
from scipy.optimize import brentq, minimize, nnls, rosen

from feasible.blackbox import instances
from feasible.core.errors import ArgumentError, ArgumentTypeError, UnknownName

SINGLE = {name: make for name, make in instances.PROBLEMS.items() if not make().several}
LIMITED = [name for name, make in SINGLE.items() if make().limits.m and make().target is None]
SOLVED = [name for name in LIMITED if name != "cantilever-beam-published"]
LANDSCAPES = [name for name, make in SINGLE.items() if not make().limits.m]
SMOOTH = [name for name in SOLVED if not name.startswith("ackley")]

# -- formulas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIMITED)
def test_objective_and_every_violation_are_those_of_the_published_formula(name):
    problem = instances.get(name)
    x = uniform(problem, 200)
    if problem.best_point is not None:
        x = np.vstack([x, problem.best_point])
    f, g = measured(problem, x)
    want = [FORMULA[name](row.tolist()) for row in x]
    np.testing.assert_allclose(f, [w[0] for w in want], rtol=1e-13, atol=1e-14)
    expected = np.array([w[1] for w in want]) / scale(name)
    np.testing.assert_allclose(np.maximum(g, 0), np.maximum(expected, 0), rtol=1e-10, atol=1e-11)
    for row, e in zip(x[::40], expected[::40], strict=True):
        np.testing.assert_allclose(
            list(problem.judge(row).violations.values()), np.maximum(e, 0), rtol=1e-10, atol=1e-11
        )


@pytest.mark.parametrize("name", instances.PROBLEMS)
def test_one_point_alone_and_in_a_batch_give_the_same_bits(name):
    problem = instances.get(name)
    x = uniform(problem, 131)
    batch = problem.evaluate(x).values
    assert np.array_equal(batch, np.vstack([problem.evaluate(row).values for row in x]))
    assert np.array_equal(batch[::3], problem.evaluate(np.asfortranarray(x[::3])).values)


@pytest.mark.parametrize("name", instances.PROBLEMS)
def test_every_metric_is_finite_inside_the_box_and_at_its_corners(name):
    problem = instances.get(name)
    corners = [
        [
            lo if c else hi
            for c, lo, hi in zip(bits, problem.space.low, problem.space.high, strict=True)
        ]
        for bits in itertools.islice(itertools.product((0, 1), repeat=problem.space.d), 4096)
    ]
    x = np.vstack(
        [
            corners,
            problem.space.low,
            (problem.space.low + problem.space.high) / 2,
            uniform(problem, 2000),
        ]
    )
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        seen = problem.evaluate(x)
    assert np.isfinite(seen.values).all()
    assert not seen.reason


@pytest.mark.parametrize("name", LIMITED)
def test_each_metric_is_the_objective_or_limited_and_no_name_stands_twice(name):
    problem = instances.get(name)
    returned = problem.fun(uniform(problem, 3))
    assert tuple(returned) == problem.columns
    assert not set(returned) & set(problem.names)


@pytest.mark.parametrize("name", instances.PROBLEMS)
def test_problems_travel_to_other_processes(name):
    problem = instances.get(name)
    x = uniform(problem, 5)
    assert np.array_equal(
        pickle.loads(pickle.dumps(problem)).evaluate(x).values, problem.evaluate(x).values
    )


def test_a_spring_with_equal_wire_and_coil_diameter_is_infeasible_rather_than_failed():
    seen = instances.compression_spring().evaluate([0.5, 0.5, 5.0])
    assert np.isfinite(seen.values).all()
    assert seen.violation[0] > 1e3


def test_violations_of_stresses_are_relative_to_their_limit():
    problem = instances.welded_beam()
    verdict = problem.judge([0.125, 3.0, 8.0, 0.1])
    assert verdict.violations["bending_stress"] == pytest.approx(
        verdict.metrics["bending_stress"] / 30000 - 1
    )
    assert verdict.violations["weld_excess"] == pytest.approx(0.025)


# -- optima ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVED)
def test_best_known_agrees_with_the_digits_given(name):
    problem = instances.get(name)
    best, design, _ = GIVEN[name]
    assert abs(problem.best_known - float(best)) <= half(best)
    for value, text in zip(problem.best_point, design.split(), strict=True):
        assert abs(value - float(text)) <= half(text)


@pytest.mark.parametrize("name", SOLVED)
def test_best_design_is_inside_the_box_and_keeps_every_limit(name):
    problem = instances.get(name)
    assert (problem.space.low <= problem.best_point).all()
    assert (problem.best_point <= problem.space.high).all()
    verdict = problem.judge(problem.best_point)
    assert verdict.feasible
    assert verdict.violation <= 1e-13
    assert verdict.objective == pytest.approx(problem.best_known, rel=1e-14, abs=1e-14)


def slopes(problem, x, step=1e-6):
    """Gradients of objective and constraints with respect to the unit cube, one-sided at the
    bounds.
    """
    low, width = problem.space.low, problem.space.high - problem.space.low
    u = (x - low) / width
    up, down = (
        np.minimum(u + step * np.eye(len(u)), 1.0),
        np.maximum(u - step * np.eye(len(u)), 0.0),
    )
    f, g = measured(problem, low + np.vstack([up, down]) * width)
    n, gap = len(u), (up - down).diagonal()
    return (f[:n] - f[n:]) / gap, (g[:n] - g[n:]) / gap[:, None]


@pytest.mark.parametrize("name", SMOOTH)
def test_first_order_conditions_hold_at_the_best_design(name):
    problem = instances.get(name)
    x = np.array(problem.best_point)
    df, dg = slopes(problem, x)
    g = measured(problem, x[None])[1][0]
    at_low, at_high = (
        np.isclose(x, problem.space.low, rtol=0, atol=1e-9),
        np.isclose(x, problem.space.high, rtol=0, atol=1e-9),
    )
    eye = np.eye(len(x))
    active = np.hstack([dg[:, g > -1e-9], -eye[:, at_low], eye[:, at_high]])
    residual = nnls(active, -df)[1] if active.shape[1] else np.linalg.norm(df)
    assert residual <= 2e-5 * max(np.linalg.norm(df), abs(problem.best_known))


@pytest.mark.parametrize("name", SOLVED)
def test_no_local_search_from_the_best_design_improves_it(name):
    problem = instances.get(name)
    low, width = problem.space.low, problem.space.high - problem.space.low
    x = np.array(problem.best_point)
    rng = np.random.default_rng(0)
    found = [
        low + np.clip((x - low) / width + s * rng.standard_normal((2000, len(x))), 0, 1) * width
        for s in (1e-1, 1e-2, 1e-4, 1e-6)
    ]
    size = max(abs(problem.best_known), 1e-3)
    for start in (0.0, 1e-3):
        u0 = np.clip((x - low) / width + start * rng.standard_normal(len(x)), 0, 1)
        end = minimize(
            lambda u: measured(problem, (low + u * width)[None])[0][0] / size,
            u0,
            bounds=[(0, 1)] * len(x),
            method="SLSQP",
            constraints={
                "type": "ineq",
                "fun": lambda u: -measured(problem, (low + u * width)[None])[1][0],
            },
            options={"maxiter": 60, "ftol": 1e-13},
        )
        found.append((low + np.clip(end.x, 0, 1) * width)[None])
    f, g = measured(problem, np.vstack(found))
    kept = f[g.max(axis=1) <= 1e-9]
    assert (
        kept.size == 0 or kept.min() >= problem.best_known - 1e-6 * abs(problem.best_known) - 1e-9
    )


LITERATURE = {
    "three-bar-truss": 263.8958433764684,
    "compression-spring": 0.012665232788,
    "pressure-vessel-classic": 5885.332773616,
    "speed-reducer-classic": 2994.4710661468,
    "heat-exchanger-classic": 7049.24802052867,
}


@pytest.mark.parametrize(("name", "value"), LITERATURE.items())
def test_classic_optima_are_the_literatures_to_ten_digits(name, value):
    assert instances.get(name).best_known == pytest.approx(value, rel=1e-10)


def test_the_truss_optimum_has_a_closed_form():
    assert instances.three_bar_truss().best_point == pytest.approx(
        ((3 + math.sqrt(3)) / 6, 1 / math.sqrt(6)), rel=1e-14
    )


@pytest.mark.parametrize(("variant", "length"), [("published", 190), ("classic", 200)])
def test_the_vessel_optimum_is_the_longest_vessel_with_exact_thickness_and_volume(variant, length):
    radius = brentq(
        lambda r: math.pi * r * r * length + 4 / 3 * math.pi * r**3 - 1296000,
        10,
        100,
        xtol=1e-13,
        rtol=1e-14,
    )
    design = (0.0193 * radius, 0.00954 * radius, radius, length)
    assert instances.pressure_vessel(variant).best_point == pytest.approx(design, rel=1e-13)


def test_the_published_reducer_optimum_is_a_corner_except_for_one_shaft():
    stress = math.sqrt((745 * 7.3 / 11.9) ** 2 + 157.5e6)
    assert instances.speed_reducer().best_point == pytest.approx(
        (3.5, 0.7, 17, 7.3, 7.3, 2.9, (stress / 85) ** (1 / 3)), rel=1e-14
    )


def test_the_published_slip_means_that_the_first_shafts_stress_never_binds():
    problem = instances.speed_reducer()
    assert (
        max(
            problem.evaluate(uniform(problem, 5000)).values[
                :, problem.columns.index("shaft_1_stress_ratio")
            ]
        )
        < 0.6
    )


def test_keanes_bump_in_twenty_dimensions_has_the_known_value():
    problem = instances.keane_bump(d=20)
    verdict = problem.judge(problem.best_point)
    assert verdict.feasible
    assert verdict.objective == pytest.approx(-0.80361910412559, rel=1e-13)
    assert instances.keane_bump(d=5).best_known is None


def test_keanes_bump_is_zero_at_the_origin():
    values = instances.keane_bump().evaluate(np.vstack([np.zeros(18), np.ones(18)])).values[:, 0]
    assert values[0] == 0.0
    assert values[1] < 0.0


def test_the_five_digit_spring_breaks_the_deflection_limit():
    verdict = instances.compression_spring().judge([0.05169, 0.35672, 11.289])
    assert verdict.worst == "deflection_ratio"
    assert verdict.violation == pytest.approx(5.06e-5, abs=1e-7)


def test_the_cars_best_design_allows_any_material_of_the_floor_but_one_hitting_position():
    problem = instances.car_side_impact(variant="classic")
    design = dict(zip(problem.names, problem.best_point, strict=True))
    for material in (0.192, 0.25, 0.345):
        verdict = problem.judge(design | {"floor_side_material": material})
        assert (verdict.feasible, verdict.objective) == (True, problem.best_known)
    for position in (-5, 5):
        assert problem.judge(design | {"hitting_position": position}).worst == "pubic_force"


# -- feasible shares -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVED)
def test_share_of_feasible_points_is_the_one_given(name):
    problem = instances.get(name)
    text = GIVEN[name][2]
    share, n = float(text), 200_000
    raw = problem.fun(uniform(problem, n, seed=3))
    g = problem.limits.signed(np.stack([raw[q] for q in problem.limits.names], axis=1))
    assert abs((g.max(axis=1) <= 0).mean() - share) <= 4 * math.sqrt(
        share * (1 - share) / n
    ) + half(text)


@pytest.mark.parametrize(("d", "text"), [(2, "0.175"), (6, "0.0035"), (10, "0.00002")])
def test_ackleys_feasible_set_is_half_a_ball(d, text):
    assert math.pi ** (d / 2) / math.gamma(d / 2 + 1) * 5**d / 2 / 15**d == pytest.approx(
        float(text), abs=half(text)
    )


def test_the_published_cantilever_has_no_feasible_point():
    problem = instances.cantilever_beam(variant="published")
    f, g = measured(
        problem, np.vstack([uniform(problem, 2000), problem.space.low, problem.space.high])
    )
    deflection = problem.limits.names.index("deflection")
    assert g[:, deflection] == pytest.approx(50000 * 100**3 * 1.25 / 642 - 2.7)
    assert np.isfinite(f).all()
    assert problem.best_known is None
    assert problem.best_point is None


@pytest.mark.parametrize("name", instances.FEASIBLE_ENGINEERING)
def test_every_problem_called_feasible_has_a_feasible_point(name):
    problem = instances.get(name)
    assert problem.judge(problem.best_point).feasible


# -- landscapes ------------------------------------------------------------------------------------

PLAIN = {
    "sphere": lambda v: float(np.sum(v**2)),
    "rastrigin": lambda v: float(np.sum(v**2 - 10 * np.cos(2 * np.pi * v) + 10)),
    "rastrigin-cbo": lambda v: float(np.sum(v**2) + 2.5 * np.sum(1 - np.cos(2 * np.pi * v))),
    "ackley": ackley,
    "griewank": lambda v: float(
        1 + np.sum(v**2) / 4000 - np.prod(np.cos(v / np.sqrt(np.arange(len(v)) + 1)))
    ),
    "rosenbrock": rosen,
}


@pytest.mark.parametrize("d", [2, 7, 20])
@pytest.mark.parametrize("name", PLAIN)
def test_landscapes_equal_their_textbook_formula(name, d):
    problem = instances.get(name, d=d)
    x = uniform(problem, 50)
    np.testing.assert_allclose(
        problem.evaluate(x).objective, [PLAIN[name](row) for row in x], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "ripple"), [("grand-canyon", 1.1625), ("grand-canyon-smooth", 0.25)]
)
def test_the_canyon_is_the_authors_formula(name, ripple):
    problem = instances.get(name)
    x = uniform(problem, 200)
    for (a, b), seen in zip(x.tolist(), problem.evaluate(x).objective, strict=True):
        val, side = b - ((2 / 16) * (a - 1) * (a - 4) ** 2 + 2), -a - 1.6 * b
        e = 25 * (1 - math.exp(-1.4 * val**2 * math.exp(-0.002 * a**4))) + 0.4 * a**2 + 0.2 * b**2
        e += ripple * (2 - math.cos(0.75 * math.pi * a) - math.cos(0.75 * math.pi * b))
        e += (
            4
            * math.exp(1 - 2 * val**4)
            * max((1 - math.exp(-9 * side**2)) * math.copysign(1, side), 0)
        )
        assert seen == pytest.approx(e, rel=1e-12)


def test_the_canyon_has_the_papers_two_values():
    values = instances.grand_canyon().evaluate([[0.0, 0.0], [8.0, 8.0]]).objective
    assert values[0] == 0.0
    assert values[1] == pytest.approx(39.01254, abs=5e-6)


def test_the_canyon_has_the_local_minimum_in_which_gradient_descent_stops():
    problem = instances.grand_canyon()
    end = minimize(
        lambda x: problem.evaluate(x).objective[0],
        (2.3, 2.5),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-12},
    )
    assert end.x == pytest.approx((2.34, 2.47), abs=5e-3)
    assert end.fun == pytest.approx(3.862, abs=5e-4)


@pytest.mark.parametrize("name", LANDSCAPES)
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_the_minimum_is_zero_at_the_best_point_wherever_it_was_shifted(name, seed):
    problem = instances.get(name, shift_seed=seed)
    assert problem.best_known == 0.0
    assert problem.judge(problem.best_point).objective == pytest.approx(0.0, abs=1e-13)
    around = np.random.default_rng(2).standard_normal((2000, problem.space.d))
    x = np.vstack(
        [uniform(problem, 20_000, seed=1), *(problem.best_point + s * around for s in (1e-3, 0.3))]
    )
    assert problem.evaluate(x).objective.min() >= 0.0


@pytest.mark.parametrize("name", LANDSCAPES)
def test_a_shift_moves_the_landscape_by_a_seeded_vector_of_the_cube(name):
    plain, moved = instances.get(name), instances.get(name, shift_seed=7)
    shift = np.array(moved.best_point) - plain.best_point
    assert (np.abs(shift) <= 1).all()
    assert (shift != 0).all()
    assert instances.get(name, shift_seed=7).best_point == moved.best_point
    assert instances.get(name, shift_seed=8).best_point != moved.best_point
    x = uniform(plain, 100) / 2
    np.testing.assert_allclose(
        moved.evaluate(x + shift).objective, plain.evaluate(x).objective, rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("name", LANDSCAPES)
def test_landscapes_leave_their_input_alone_and_charge_repeats(name):
    problem = instances.get(name)
    x = uniform(problem, 10)
    before = x.copy()
    problem.fun(x)
    assert np.array_equal(x, before)
    assert not problem.free_repeats


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", instances.PROBLEMS)
def test_a_problem_carries_the_name_it_is_registered_under_and_a_docstring(name):
    make = instances.PROBLEMS[name]
    assert make().name == name
    assert "best known" in make.__doc__.lower()


def test_the_papers_fifteen_problems_are_registered():
    assert len(instances.ENGINEERING) == len(set(instances.ENGINEERING)) == 15
    assert set(instances.ENGINEERING) <= set(instances.PROBLEMS)


def test_a_variant_is_the_problem_of_the_other_name():
    assert instances.get("speed-reducer", variant="classic").name == "speed-reducer-classic"
    assert instances.get("cantilever-beam", variant="published").name == "cantilever-beam-published"
    assert instances.get("cantilever-beam", variant="classic").name == "cantilever-beam"
    assert instances.get("welded-beam", variant="published").name == "welded-beam"
    assert instances.get("grand-canyon", variant="smooth").name == "grand-canyon-smooth"


@pytest.mark.parametrize(
    ("name", "options", "error", "says"),
    [
        ("welded-beem", {}, UnknownName, "did you mean 'welded-beam'"),
        ("welded-beam", {"variant": "classic"}, ArgumentError, "comes as 'published'"),
        (
            "speed-reducer",
            {"variant": "clasic"},
            ArgumentError,
            "comes as 'published' or 'classic'",
        ),
        ("ackley", {"variant": "classic"}, ArgumentError, "one form only"),
        ("ackley", {"variant": "constrained-2d"}, ArgumentError, "one form only"),
        ("ackley", {"dim": 3}, ArgumentTypeError, "it takes d, shift_seed, low, high"),
        ("rosenbrock", {"d": 1}, ArgumentError, "at least 2"),
        ("ackley", {"d": 0}, ArgumentError, "at least 1"),
        ("sphere", {"low": 1.0}, ArgumentError, "expected bounds around the minimum"),
    ],
)
def test_a_wrong_name_or_option_is_explained(name, options, error, says):
    with pytest.raises(error, match=says):
        instances.get(name, **options)
    with pytest.raises(ArgumentError, match="'published'"):
        instances.speed_reducer(variant="modern")
