"""A black box from plain callables: every form that people write, and what becomes of every wrong
thing a function can do.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from one_point import AT, BOX, one, raising, square, status
from scipy.optimize import NonlinearConstraint
from tiny import Listed, go, rows

from feasible.blackbox import (
    BlackBox,
    Categorical,
    Checks,
    Integer,
    Limit,
    Limits,
    Objective,
    Real,
    noisy,
)
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    NotFinite,
    NotMeasured,
    ShapeError,
)

# -- objectives ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [3, 3.0, np.float32(3), np.array(3.0), np.array([3.0]), [3.0], True + 2]
)
def test_a_number_is_the_objective(value):
    assert one(BlackBox(lambda x: value, BOX)).objective == 3.0


@pytest.mark.parametrize(
    "value",
    [
        (1.0, [2.0, 3.0]),
        (1.0, np.array([2.0, 3.0])),
        [1.0, 2.0, 3.0],
        np.array([1.0, 2.0, 3.0]),
        (1.0, 2.0, 3.0),
        {"objective": 1.0, "a": 2.0, "b": 3.0},
    ],
)
def test_one_simulation_gives_objective_and_limits_together(value):
    seen = one(BlackBox(lambda x: value, BOX, limits={"a": "<= 1", "b": ">= 1"}))
    assert seen.objective == 1.0
    assert seen.metrics == {"objective": 1.0, "a": 2.0, "b": 3.0}
    assert seen.violation == 1.0


def test_a_single_limit_may_be_a_bare_number_beside_the_objective():
    assert one(BlackBox(lambda x: (1.0, 2.0), BOX, limits=["<= 1"])).metrics == {
        "objective": 1.0,
        "g1": 2.0,
    }


def test_the_only_metric_without_a_limit_is_the_objective():
    problem = BlackBox(lambda x: {"stress": 3.0, "cost": 5.0}, BOX, limits={"stress": "<= 4"})
    assert one(problem).objective == 5.0
    assert problem.columns == ("cost", "stress")


def test_several_metrics_without_a_limit_ask_which_is_the_objective():
    state, reason = status(BlackBox(lambda x: {"cost": 1.0, "mass": 2.0}, BOX))
    assert state == "failed"
    assert "say objective='cost'" in reason
    assert (
        one(BlackBox(lambda x: {"cost": 1.0, "mass": 2.0}, BOX, objective="mass")).objective == 2.0
    )


def test_metrics_beyond_objective_and_limits_are_kept():
    assert one(BlackBox(lambda x: {"objective": 1.0, "time": 9.0}, BOX)).metrics["time"] == 9.0


@pytest.mark.parametrize("value", [{"stress": 9.0}, {"cost": None, "stress": 9.0}])
def test_no_objective_beside_a_violated_limit_means_infeasible(value):
    seen = one(
        BlackBox(lambda x: value, BOX, objective="cost", limits={"stress": "<= 4", "heat": "<= 1"})
    )
    assert (seen.status, seen.reason) == ("infeasible", None)
    assert seen.violation == 5.0 / 4.0


def test_what_an_infeasible_evaluation_did_not_measure_is_not_called_the_worst():
    problem = BlackBox(
        lambda x: {"stress": 9.0}, BOX, objective="cost", limits={"stress": "<= 4", "heat": "<= 1"}
    )
    verdict = problem.judge(one(problem))
    assert (verdict.worst, verdict.violation, verdict.feasible) == ("stress", 5.0 / 4.0, False)


def test_no_objective_without_a_violated_limit_is_a_failure():
    assert status(
        BlackBox(lambda x: {"stress": 3.0}, BOX, objective="cost", limits={"stress": "<= 4"})
    ) == ("failed", "no value for the objective 'cost'")


def test_a_missing_limit_is_a_failure():
    assert status(
        BlackBox(lambda x: {"cost": 3.0}, BOX, objective="cost", limits={"stress": "<= 4"})
    ) == ("failed", "no value for the limit 'stress'")


@pytest.mark.parametrize("value", [True, False, np.True_])
def test_yes_or_no_feasibility_is_enough(value):
    problem = BlackBox(
        lambda x: {"cost": 1.0, "works": value}, BOX, objective="cost", limits={"works": "is true"}
    )
    seen = one(problem)
    assert problem.judge(seen).feasible == bool(value)
    assert problem.describe(seen, problem.judge(seen))[-1][1:3] == (
        "yes" if value else "no",
        "is true",
    )


# -- what a function can do wrong ------------------------------------------------------------------


def leaving(x):
    sys.exit(3)


@pytest.mark.parametrize(
    ("fun", "said"),
    [
        (lambda x: math.nan, "not finite: objective is nan"),
        (lambda x: math.inf, "not finite: objective is inf"),
        (raising, "ValueError: mesh failed"),
        (leaving, "SystemExit: 3"),
        (lambda x: None, "returned None"),
        (lambda x: "3.0", "returned '3.0'"),
        (lambda x: 1 + 2j, "returned"),
        (lambda x: x, "wrong shape"),
        (lambda x: [[1.0]], "wrong shape"),
        (lambda x: [], "wrong shape"),
        (lambda x: (1.0, [2.0]), "wrong shape"),
        (lambda x: {"cost": [1.0, 2.0]}, "wrong shape"),
        (lambda x: {"cost": "3"}, "wrong shape"),
        (lambda x: {}, "no value for the objective"),
        (lambda x: [1.0, [2.0, 3.0], 4.0], "returned"),
        (lambda x: x[7], "IndexError"),
        (lambda x, y: 1.0, "TypeError"),
        (lambda x: {"cost": math.nan}, "not finite"),
    ],
)
def test_every_wrong_return_is_a_failure_with_a_reason(fun, said):
    state, reason = status(BlackBox(fun, BOX))
    assert state == "failed"
    assert said in reason


def test_a_failed_evaluation_has_no_objective_and_no_made_up_number():
    seen = one(BlackBox(raising, BOX, limits=["<= 1"]))
    assert math.isnan(seen.objective)
    assert seen.violation == math.inf
    assert seen.metrics == {}


def test_a_nan_limit_is_a_failure_and_an_extra_nan_is_not():
    assert (
        status(BlackBox(lambda x: {"objective": 1.0, "a": math.nan}, BOX, limits={"a": "<= 1"}))[1]
        == "not finite: a is nan"
    )
    assert status(BlackBox(lambda x: {"objective": 1.0, "a": math.nan}, BOX))[0] == "done"


def test_printing_does_no_harm(capsys):
    def talk(x):
        print("hello")
        return 1.0

    assert one(BlackBox(talk, BOX)).status == "done"
    assert capsys.readouterr().out == "hello\n"


def test_a_function_cannot_change_the_point_that_is_recorded():
    def meddle(x):
        x[:] = 99
        return 1.0

    def meddle_all(x):
        x[:] = 99
        return np.ones(len(x))

    for problem in (
        BlackBox(meddle, BOX),
        BlackBox(meddle_all, BOX, vectorized=True),
        BlackBox(lambda x: 1.0, BOX, constraints=NonlinearConstraint(meddle, 0, 2)),
    ):
        assert one(problem).x.tolist() == AT[0]


def test_a_vectorised_function_may_use_its_output_buffer_again():
    buffer = np.zeros(1)

    def fill(x):
        buffer[:] = x[:, 0]
        return buffer

    problem = BlackBox(fill, BOX, vectorized=True)
    first = problem.evaluate([[0.1, 0]])
    problem.evaluate([[0.9, 0]])
    assert first.objective[0] == first.values[0, 0] == 0.1


# -- names, units, sense ---------------------------------------------------------------------------


def test_a_maximum_is_stored_shown_and_judged_in_the_right_sense():
    problem = BlackBox(lambda x: x[0], BOX, maximize=True, unit="t")
    result = go(problem, 3, Listed(batch=3, points=[[0.2, 0], [0.9, 0], [0.5, 0]]))
    assert result.answer["x1"] == 0.9
    assert result.verdict.objective == -0.9
    assert result.verdict.metrics["objective"] == 0.9
    assert rows(result).values[:, 0].tolist() == [0.2, 0.9, 0.5]
    assert ("objective", "0.9", "maximise", "", "t") in problem.describe(
        result.answer, result.verdict
    )


def test_scales_are_the_units_in_which_violations_are_compared():
    problem = BlackBox(
        lambda x: (1.0, [300.0, 2.0]),
        BOX,
        limits={"stress": "<= 250 MPa", "bend": "<= 1 mm"},
        scales={"stress": 250, "bend": 1},
    )
    verdict = problem.judge(one(problem))
    assert dict(verdict.violations) == pytest.approx({"stress": 0.2, "bend": 1.0})
    assert verdict.worst == "bend"


@pytest.mark.parametrize(
    ("pass_as", "fun"),
    [
        ("vector", lambda x: x[0] + x[1]),
        ("mapping", lambda p: p["h"] + p["n"]),
        ("keywords", lambda h, n: h + n),
    ],
)
def test_points_are_passed_as_asked(pass_as, fun):
    assert (
        one(
            BlackBox(fun, variables=[Real("h", 0, 1), Integer("n", 0, 9)], pass_as=pass_as),
            [[0.5, 3]],
        ).objective
        == 3.5
    )


def test_categories_arrive_as_themselves_and_whole_numbers_as_int():
    got = []
    problem = BlackBox(
        lambda p: got.append(p) or 1.0,
        variables=[Categorical("solvent", ["DMAc", "CHCl3"]), Integer("n", 0, 9)],
    )
    one(problem, [[1, 3.4]])
    assert got == [{"solvent": "CHCl3", "n": 3}]
    assert type(got[0]["n"]) is int
    assert problem.evaluate([[1, 3.4]]).x.tolist() == [[1, 3]]


def test_a_design_outside_the_bounds_says_value_bound_and_excess():
    with pytest.raises(BoundsError, match=r"x0: h = 1.5 is outside \[0, 1\], by 0.5 past 1"):
        BlackBox(lambda x: 1.0, {"h": (0, 1, "mm")}, x0=[1.5])


def test_a_first_design_that_the_known_constraints_forbid_is_refused():
    with pytest.raises(ArgumentError, match=r"x0 = .* forbid"):
        BlackBox(lambda x: 1.0, BOX, known=lambda x: x[:, 0] > 0.5, x0=[0.2, 0.2])


@pytest.mark.parametrize(
    "bad",
    [
        {"pass_as": "list"},
        {"tolerance": -1},
        {"tolerance": math.nan},
        {"tolerance": "1"},
        {"noise": -1},
        {"noise": math.nan},
        {"noise": "a"},
        {"simulated_noise": -1.0},
        {"repeats": "never"},
        {"limits": {"objective": "<= 1"}, "objective": "objective"},
        {"limits": {"c1": "<= 1"}, "constraints": NonlinearConstraint(square, 0, 1)},
        {"variables": [Real("h", 0, 1)]},
    ],
)
def test_arguments_that_make_no_sense_are_refused(bad):
    with pytest.raises((ArgumentError, ArgumentTypeError)):
        BlackBox(lambda x: 1.0, BOX, **bad)


def test_something_that_is_no_function_is_refused():
    with pytest.raises(ArgumentTypeError, match="fun=3"):
        BlackBox(3, BOX)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="give the inputs once"):
        BlackBox(lambda x: 1.0)


def test_a_problem_for_people_has_no_function_and_says_so_when_it_is_called():
    assert "ask and tell" in status(BlackBox(None, BOX))[1]


# -- evaluating and judging ------------------------------------------------------------------------


def test_points_are_clipped_and_rounded_before_they_are_evaluated():
    seen = BlackBox(lambda x: x.sum(), variables=[Real("h", 0, 1), Integer("n", 0, 9)]).evaluate(
        [[5.0, 3.6], [-2.0, 12.0]]
    )
    assert seen.x.tolist() == [[1, 4], [0, 9]]
    assert seen.objective.tolist() == [5, 9]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_proposal_that_is_not_finite_is_an_error_by_name(value):
    with pytest.raises(NotFinite, match=r"x2 is .* in row 1"):
        BlackBox(lambda x: 1.0, [(0, 1), (-math.inf, math.inf)]).evaluate([[0, 0], [0, value]])


def test_a_wrong_number_of_columns_is_a_shape_error():
    with pytest.raises(ShapeError):
        BlackBox(lambda x: 1.0, BOX).evaluate([[0, 0, 0]])


def test_no_points_give_no_rows():
    seen = BlackBox(lambda x: 1 / 0, BOX).evaluate(np.empty((0, 2)))
    assert len(seen) == 0


def test_an_answer_must_have_been_measured():
    with pytest.raises(NotMeasured, match="only evaluating can tell"):
        BlackBox(lambda x: 1.0, BOX).judge([0.5, 0.5])


def test_a_problem_whose_truth_is_known_judges_any_point():
    assert BlackBox(lambda x: x[0], BOX, truth=True).judge([0.5, 0.5]).objective == 0.5


def test_a_verdict_is_computed_from_the_raw_metrics():
    problem = BlackBox(lambda x: (1.0, [2.0]), BOX, limits={"a": "<= 1"})
    seen = one(problem)
    object.__setattr__(seen, "objective", -1e9)
    object.__setattr__(seen, "violation", 0.0)
    verdict = problem.judge(seen)
    assert (verdict.objective, verdict.violation, verdict.feasible) == (1.0, 1.0, False)


def test_noise_of_an_instance_is_judged_without_noise():
    problem = noisy(BlackBox(lambda x: x[0], BOX), 1.0)
    assert not problem.deterministic
    assert problem.judge([0.5, 0.5]).objective == 0.5
    for sd in (-1, 0, math.nan, "a"):
        with pytest.raises((ArgumentError, ArgumentTypeError), match="sd="):
            noisy(problem, sd)


def test_an_answer_gives_categories_by_their_choice():
    import feasible

    problem = BlackBox(
        lambda p: {"cost": p["x"] ** 2 + (p["solvent"] == "water")},
        objective="cost",
        variables=[Real("x", -1, 1), Categorical("solvent", ["water", "DMAc"])],
    )
    answer = feasible.solve(problem, "random-search", 40).answer
    assert answer["solvent"] == "DMAc"
    assert answer[1] == 1.0


def test_what_belongs_together_may_be_given_as_objects():
    def run(x):
        return {"mass": x[0], "stress": x[1]}

    words = BlackBox(
        run,
        BOX,
        objective="mass",
        maximize=True,
        unit="kg",
        noise=0.1,
        known=lambda x: x[:, 0] < 0.5,
        limits={"stress": (-np.inf, 0.5, "MPa")},
    )
    objects = BlackBox(
        run,
        BOX,
        objective=Objective("mass", maximize=True, unit="kg", noise=0.1),
        check=Checks(known=lambda x: x[:, 0] < 0.5),
        limits=Limits([Limit("stress", high=0.5, unit="MPa")]),
    )
    x = np.random.default_rng(0).random((5, 2))
    assert np.array_equal(words.allowed(x), objects.allowed(x))
    assert words.fingerprint() == objects.fingerprint()
    assert words.metric_titles == objects.metric_titles
    assert (words.noise, words.free_repeats) == (objects.noise, objects.free_repeats)
    with pytest.raises(ArgumentError, match=r"maximize: given twice"):
        BlackBox(run, BOX, objective=Objective("mass"), maximize=True)
    with pytest.raises(ArgumentError, match=r"known: given twice"):
        BlackBox(run, BOX, check=Checks(), known=lambda x: x[:, 0] < 0.5)
