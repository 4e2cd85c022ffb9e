"""The classic programs: what brute force finds over grids, and what the judge says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize

from feasible.bilevel import entries
from feasible.bilevel.instances.classic import CLASSICS, PUBLISHED_ERRORS, classic
from feasible.bilevel.instances.cleaning import hyper_cleaning
from feasible.bilevel.instances.toys import (
    analytic_line,
    coupled_cap,
    llc_toy,
    llsc_toy,
    rank_deficient,
    unit_interval,
)

FINE = {1: 401, 2: 31, 3: 41}
"""Points a variable of a level of so many variables."""


def grid(pairs, points, centre=None, share=1.0):
    """Points over a box, or over a share of it about a point."""
    axes = []
    for i, (low, high) in enumerate(pairs):
        if centre is not None:
            half = share * (high - low) / 2
            low, high = max(low, centre[i] - half), min(high, centre[i] + half)
        axes.append(np.linspace(low, high, points))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(pairs))


def values(function, x, ys):
    x, ys = torch.from_numpy(x), torch.from_numpy(ys)
    return torch.func.vmap(lambda y: function(x, y).reshape(()))(ys).numpy()


def brute_response(of, x, ys, slack=1e-6):
    """Rows of ys that keep to the lower limits and are nearly as good as the best of them."""
    keeps = np.ones(len(ys), dtype=bool)
    for h in of.lower_limits.values():
        keeps &= values(h, x, ys) <= 1e-9
    if not keeps.any():
        return ys[:0]
    f = values(of.lower, x, ys[keeps])
    return ys[keeps][f <= f.min() + slack]


def brute(of, xs, ys, coarse):
    """The least F over a grid of x, each with its responses of a grid of y; and where.

    Upper limits may be missed by what the grid of y is coarse.
    """
    best, at = np.inf, None
    for x in xs:
        answers = brute_response(of, x, ys)
        for G in of.upper_limits.values():
            answers = answers[values(G, x, answers) <= coarse] if len(answers) else answers
        if len(answers):
            F = values(of.upper, x, answers).min()
            if best > F:
                best, at = F, x
    return best, at


def test_all_are_offered_by_name():
    assert set(entries.CLASSICS) == set(CLASSICS)


@pytest.mark.parametrize("name", CLASSICS)
def test_the_judge_confirms_the_optimum(name):
    problem = classic(name)
    verdict = problem.judge(np.array(CLASSICS[name].at))
    assert verdict.objective == pytest.approx(CLASSICS[name].best, abs=1e-3)
    assert verdict.violation <= 1e-5


@pytest.mark.parametrize("name", [n for n, of in CLASSICS.items() if len(of.x) == 1])
def test_brute_force_over_one_variable_finds_no_better_point(name):
    of = CLASSICS[name]
    xs, ys = grid(of.x, 401), grid(of.y, 2001)
    xs = np.vstack([xs, [of.at]])
    step = (of.y[0][1] - of.y[0][0]) / 2000
    found, _ = brute(of, xs, ys, 2 * step)
    slope = (
        4
        * step
        * max(1.0, np.abs(np.gradient(values(of.upper, np.array(of.at), ys), ys[:, 0])).max())
    )
    assert found >= of.best - slope
    assert found <= of.best + slope


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, of in CLASSICS.items() if len(of.x) == 2])
def test_brute_force_over_two_variables_finds_no_better_point(name):
    of, problem = CLASSICS[name], classic(name)
    best = np.inf
    for x in [*grid(of.x, 11), np.array(of.at)]:
        verdict = problem.judge(x)
        if verdict.violation <= 1e-5:
            best = min(best, verdict.objective)
        answers = brute_response(of, x, grid(of.y, FINE[len(of.y)]))
        if len(answers) and np.isfinite(verdict.objective):  # the judge's response is no worse
            f = float(of.lower(torch.from_numpy(x), torch.from_numpy(answers[0])))
            assert verdict.metrics["lower"] <= f + 1e-7
    assert best == pytest.approx(of.best, abs=1e-3)


@pytest.mark.parametrize("case", PUBLISHED_ERRORS)
def test_values_that_were_published_are_not_taken_for_the_optimum(case):
    name, x, given = PUBLISHED_ERRORS[case]
    verdict = classic(name).judge(np.array(x))
    assert verdict.objective > CLASSICS[name].best + 1
    assert verdict.objective >= given - 1e-6


# -- the toys --------------------------------------------------------------------------------------


def test_the_toys_optima_are_those_that_are_said():
    line = analytic_line(100)
    a = np.random.default_rng(100).standard_normal(2).sum()
    assert line.judge([a]).objective == pytest.approx(0.0, abs=1e-12)
    assert line.judge([a + 1]).objective == pytest.approx(0.25)
    assert unit_interval().judge([0.0]).objective == 1.0
    assert coupled_cap().judge([5.0]).worst == "coupling"
    quadratic = rank_deficient(100)
    best = optimize.minimize(lambda x: quadratic.judge(x).objective, np.zeros(3), method="BFGS")
    assert best.fun == pytest.approx(quadratic.best_known, abs=1e-6)


def test_the_merely_convex_toys_response_is_the_solution_of_its_program():
    problem = llc_toy(4)
    x = np.array([-0.3] * 4)
    verdict = problem.judge(x)
    assert verdict.objective == pytest.approx(problem.best_known)
    without = llc_toy(4)
    without.respond = None
    solved = without.judge(x)
    assert solved.objective == pytest.approx(problem.best_known, abs=1e-6)
    assert (
        solved.violations == {"upper objective unbounded over the follower's answers": np.inf}
        or "pessimistic" in solved.metrics
    )


def test_the_strongly_convex_toy_has_active_rows_where_it_begins():
    problem = llsc_toy(20, 18)
    verdict = problem.judge(np.ones(20))
    assert verdict.feasible
    assert verdict.metrics["lower_residual"] <= 1e-6


def test_cleaning_is_the_same_for_a_seed_and_keeps_the_test_set_apart():
    one, two = hyper_cleaning(3), hyper_cleaning(3)
    assert one.judge(one.x_start).objective == two.judge(two.x_start).objective
    data = one.measures.__self__
    assert int(data.wrong.sum()) == 300
    assert len(data.train) + len(data.validation) + len(data.test) == 1797
