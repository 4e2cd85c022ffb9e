"""The judge solves the lower level itself: what it says of responses that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from feasible.bilevel import Bilevel, Box, Equal, Simplex, UpperPoint
from feasible.core.budget import Meter, active_meter


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def clark_westerberg(upper=1.0, lower=1.0):
    """Clark and Westerberg's example of 1990, or its twins of other signs."""
    return Bilevel(
        lambda x, y: upper * ((x - 3) ** 2 + (y - 2) ** 2).sum(),
        lambda x, y: lower * ((y - 5) ** 2).sum(),
        [0.0],
        [0.0],
        x_set=[(0, 8)],
        lower_constraints={
            "a": lambda x, y: -2 * x + y - 1,
            "b": lambda x, y: x - 2 * y + 2,
            "c": lambda x, y: x + 2 * y - 14,
        },
        maximise_upper=upper < 0,
        maximise_lower=lower < 0,
    )


@pytest.mark.parametrize(("x", "value"), [(1.0, 5.0), (3.0, 9.0), (5.0, 10.25)])
@pytest.mark.parametrize("upper", [1.0, -1.0])
@pytest.mark.parametrize("lower", [1.0, -1.0])
def test_maximising_twins_agree_with_minimising_ones(x, value, upper, lower):
    verdict = clark_westerberg(upper, lower).judge([x])
    assert verdict.objective == pytest.approx(value, abs=1e-9)
    assert verdict.feasible


def test_a_follower_without_an_answer_makes_no_number():
    verdict = clark_westerberg().judge([7.9])
    assert math.isnan(verdict.objective)
    assert verdict.worst == "follower infeasible"
    assert not verdict.feasible


def follower(lower, y0=(0.3,), **more):
    return Bilevel(lambda x, y: y.sum(), lower, [1.0], list(y0), **more)


UNSOLVABLE = {
    "linear, unbounded": (follower(lambda x, y: y.sum()), "unbounded"),
    "quadratic, unbounded": (follower(lambda x, y: y[0] ** 2 + y[1], (0.0, 0.0)), "unbounded"),
    "smooth, unbounded": (follower(lambda x, y: (torch.exp(y) - x * y).sum()), "unbounded"),
    "linear, infeasible": (
        follower(lambda x, y: y.sum(), lower_constraints={"c": lambda x, y: torch.cat([y, 1 - y])}),
        "infeasible",
    ),
    "quadratic, infeasible": (
        follower(lambda x, y: y @ y, lower_constraints={"c": lambda x, y: torch.cat([y, 1 - y])}),
        "infeasible",
    ),
    "smooth, infeasible": (
        follower(lambda x, y: y.sum(), lower_constraints={"c": lambda x, y: y**2 + 1}),
        "infeasible",
    ),
    "a box, unbounded": (
        follower(lambda x, y: -torch.exp(y).sum(), y_set=Box(low=0)),
        "unbounded",
    ),
}


@pytest.mark.parametrize("case", UNSOLVABLE)
def test_what_became_of_the_follower_is_said(case):
    problem, status = UNSOLVABLE[case]
    verdict = problem.judge([-1.0])
    assert verdict.violations == {f"follower {status}": math.inf}
    assert math.isnan(verdict.objective)


def test_several_followers_are_solved_each_and_named():
    problem = Bilevel(
        lambda x, y: (y["a"] - y["b"]).sum(),
        {"a": lambda x, y: ((y - x) ** 2).sum(), "b": lambda x, y: ((y + x) ** 2).sum()},
        [1.0],
        {"a": [0.0], "b": [0.0]},
        lower_constraints={"b": {"cap": lambda x, y: torch.cat([y - 5, x + y])}},
    )
    assert problem.judge([2.0]).objective == pytest.approx(4.0)
    assert problem.judge(UpperPoint(np.array([2.0]), np.array([2.0, -2.0]))).residual == (
        pytest.approx(0.0, abs=1e-12)
    )
    problem = Bilevel(
        lambda x, y: (y["a"] + y["b"]).sum(),
        {"a": lambda x, y: ((y - x) ** 2).sum(), "b": lambda x, y: (x * y).sum()},
        [1.0],
        {"a": [0.0], "b": [0.0]},
    )
    assert problem.judge([1.0]).worst == "follower 'b' unbounded"


# -- several answers -------------------------------------------------------------------------------

SEVERAL = {
    "two valleys": (follower(lambda x, y: ((y**2 - 1) ** 2).sum()), -1.0, 1.0),
    "an edge of a box": (
        follower(lambda x, y: (y[0] - x[0]) ** 2, (0.3, 0.2), y_set=Box(-1, 1)),
        0.0,
        2.0,
    ),
    "a linear program's edge": (
        follower(
            lambda x, y: -(y[0] + y[1]),
            (0.0, 0.0, 0.0),
            y_set=Box(0, 1),
            lower_constraints={"sum": lambda x, y: y[0] + y[1] - 1},
        ),
        1.0,
        2.0,
    ),
    "without limit": (follower(lambda x, y: (y[0] - y[1]) ** 2, (0.0, 0.0)), -math.inf, math.inf),
    "a flat valley of the fourth order": (
        follower(lambda x, y: y[0] ** 4, (0.3, 0.2), y_set=Box(-1, 1)),
        -1.0,
        1.0,
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_both_values_are_said_where_the_follower_has_several_answers(case):
    problem, optimistic, pessimistic = SEVERAL[case]
    verdict = problem.judge([1.0])
    metrics = verdict.metrics
    assert verdict.missing == math.isinf(optimistic)
    assert metrics["optimistic"] == pytest.approx(optimistic, abs=1e-3)
    assert metrics["pessimistic"] == pytest.approx(pessimistic, abs=1e-3)


def test_a_single_answer_has_one_value():
    assert "optimistic" not in clark_westerberg().judge([1.0]).metrics
    problem = Bilevel(
        lambda x, y: y @ y, lambda x, y: (x * y).sum(), [1.0, 2.0], [0.5, 0.5], y_set=Simplex()
    )
    assert "optimistic" not in problem.judge([1.0, 2.0]).metrics
    tied = problem.judge([1.0, 1.0]).metrics
    assert tied["optimistic"] == pytest.approx(0.5)
    assert tied["pessimistic"] == pytest.approx(1.0)


@pytest.mark.parametrize(("sense", "value"), [("optimistic", -1.0), ("pessimistic", 1.0)])
def test_the_sense_says_which_answer_counts(sense, value):
    verdict = follower(lambda x, y: ((y**2 - 1) ** 2).sum(), sense=sense).judge([1.0])
    assert verdict.objective == pytest.approx(value)


def test_upper_constraints_choose_among_the_answers_of_an_optimist_and_bind_a_pessimist():
    given = {
        "lower": lambda x, y: 0 * y.sum(),
        "x0": [1.0],
        "y0": [0.0],
        "y_set": Box(-1, 1),
        "upper_constraints": {"above": lambda x, y: 0.5 - y},
    }
    optimist = Bilevel(lambda x, y: y.sum(), **given).judge([1.0])
    assert optimist.objective == pytest.approx(0.5, abs=1e-6)
    assert optimist.feasible
    pessimist = Bilevel(lambda x, y: y.sum(), **given, sense="pessimistic").judge([1.0])
    assert pessimist.objective == pytest.approx(1.0)
    assert pessimist.violation == pytest.approx(1.5)


# -- what users of other tools were told -----------------------------------------------------------


def test_a_coupling_constraint_is_the_leaders_not_the_followers():
    """MibS#45: min -x, y <= 0, y in argmax {y <= 2}, 0 <= x <= 5 has no feasible point."""
    problem = Bilevel(
        lambda x, y: -x.sum(),
        lambda x, y: y.sum(),
        [0.0],
        [0.0],
        x_set=[(0, 5)],
        lower_constraints={"cap": lambda x, y: y - 2},
        upper_constraints={"coupling": lambda x, y: y},
        maximise_lower=True,
    )
    for x in (0.0, 2.5, 5.0):
        verdict = problem.judge(UpperPoint(np.array([x]), np.array([0.0])))
        assert verdict.worst == "coupling"
        assert verdict.violation == pytest.approx(2.0)
        assert verdict.metrics["lower_gap"] == pytest.approx(2.0)


def test_the_follower_who_maximises_over_the_unit_interval_answers_1():
    problem = Bilevel(
        lambda x, y: y.sum(),
        lambda x, y: y.sum(),
        [0.0],
        [0.0],
        y_set=[(0, 1)],
        maximise_lower=True,
    )
    assert problem.judge([0.0]).objective == pytest.approx(1.0)


def test_the_methods_own_response_is_evidence_only():
    problem = clark_westerberg()
    flattering = problem.judge(UpperPoint(np.array([3.0]), np.array([4.82])))
    assert flattering.objective == pytest.approx(9.0)
    assert flattering.metrics["upper_own"] == pytest.approx(2.82**2)
    assert flattering.residual == pytest.approx(0.18**2)
    outside = problem.judge(UpperPoint(np.array([1.0]), np.array([5.0])))
    assert outside.metrics["lower_missed"] == pytest.approx(2.0)


# -- what a judge must be --------------------------------------------------------------------------


def test_judging_is_pure_and_free():
    problem = SEVERAL["an edge of a box"][0]
    torch.manual_seed(3)
    before = torch.get_rng_state(), repr(np.random.get_state())
    meter = Meter({"gradients": 1})
    token = active_meter.set(meter)
    answer = UpperPoint(np.array([0.7]), np.array([0.1, 0.2]))
    one = problem.judge(answer)
    two = problem.judge(answer)
    active_meter.reset(token)
    assert one == two
    assert meter.units() == 0
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]
    assert answer.x.tolist() == [0.7]


def test_the_response_of_the_user_is_asked_where_there_is_one():
    asked = []

    def respond(x):
        asked.append(x)
        return 2 * x

    problem = Bilevel(lambda x, y: y.sum(), None, [1.0], [0.0], respond=respond)
    assert problem.judge([3.0]).objective == 6.0
    assert len(asked) == 1
    wrong = Bilevel(
        lambda x, y: y.sum(), None, [1.0], [0.0], respond=lambda x: 5 * x, y_set=Box(0, 1)
    )
    assert wrong.judge([1.0]).worst == "follower infeasible"


@pytest.mark.parametrize("m", [1, 3, 600])
def test_a_smooth_response_is_as_exact_as_its_closed_form(m):
    """y = log x minimises sum exp(y) - x y; with equalities and balls likewise."""
    target = torch.linspace(0.5, 3.0, m, dtype=torch.float64)
    problem = Bilevel(
        lambda x, y: ((y - torch.log(x * target)) ** 2).sum().sqrt(),
        lambda x, y: (torch.exp(y) - x * target * y).sum(),
        [1.0],
        np.zeros(m),
    )
    assert problem.judge([2.0]).objective < (1e-10 if m <= 400 else 1e-4)


def test_constrained_smooth_responses_are_those_of_their_closed_forms():
    disc = Bilevel(
        lambda x, y: (y + torch.sqrt(x / 2)).abs().sum(),
        lambda x, y: y.sum(),
        [1.0],
        [0.3, 0.2],
        lower_constraints={"disc": lambda x, y: y @ y - x},
    )
    assert disc.judge([3.0]).objective < 1e-8
    entropy = Bilevel(
        lambda x, y: (y - torch.softmax(x, 0)).abs().sum(),
        lambda x, y: (y * torch.log(y)).sum() - x @ y,
        [0.0, 1.0, 2.0],
        [0.2, 0.3, 0.5],
        y_set=Box(1e-9, 1),
        lower_constraints={"sum": Equal(lambda x, y: y.sum() - 1)},
    )
    assert entropy.judge([0.0, 1.0, 2.0]).objective < 1e-7
    ball = Bilevel(
        lambda x, y: (y - x / x.norm()).abs().sum(),
        lambda x, y: -(x * y).sum(),
        [1.0, 2.0],
        [0.5, 0.5],
        y_set=lambda v: v / v.norm().clamp(min=1),
    )
    assert ball.judge([1.0, 2.0]).objective < 1e-8
