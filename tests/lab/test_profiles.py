"""Profiles of a race, from the definitions."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from races import make_race, numbers, race_of, trial

from feasible.core.verdict import Verdict
from feasible.lab import profiles
from feasible.lab.outcomes import outcome, reference
from feasible.lab.trials import Contest

# ------------------------------------------------------------------------------------------------
# profiles


def two_methods():
    """On p both solve at 10 and 20 evaluations; on q only b, at 40. Target: objective <= 1.01, best
    known 1; two variables.
    """
    return race_of(
        [
            trial("p", "a", 0, 1.0, trail=[(5, 3.0), (10, 1.0)]),
            trial("p", "b", 0, 1.0, trail=[(20, 1.005)]),
            trial("q", "a", 0, 2.0, trail=[(10, 2.0)]),
            trial("q", "b", 0, 1.0, trail=[(1, 50.0), (40, 1.0)]),
        ],
        best_known=1.0,
    )


def test_costs_are_the_evaluations_to_the_target():
    assert profiles.costs(two_methods())["cost"].tolist() == [10, 20, math.inf, 40]


def test_performance_profile_by_hand():
    curve = profiles.performance_profile(two_methods())
    assert curve.index.tolist() == [1, 2]
    assert curve["a"].tolist() == [0.5, 0.5]
    assert curve["b"].tolist() == [0.5, 1.0]


def test_data_profile_counts_groups_of_d_plus_one_evaluations():
    curve = profiles.data_profile(two_methods())
    assert curve.index.tolist() == pytest.approx([0, 10 / 3, 20 / 3, 40 / 3])
    assert curve["a"].tolist() == [0, 0.5, 0.5, 0.5]
    assert curve["b"].tolist() == [0, 0, 0.5, 1]


def test_ecdf_reaches_all_targets_at_the_optimum_and_counts_decades_before():
    race = race_of([trial("p", "a", 0, 1.0, trail=[(50, 1.1 - 1e-9), (100, 1.0)])], best_known=1.0)
    curve = profiles.ecdf(race, np.array([0, 0.49, 0.5, 0.99, 1.0]))["a"]
    assert curve.tolist() == pytest.approx([0, 0, 21 / 71, 21 / 71, 1.0])


def test_infeasible_points_reach_no_target_however_good_their_objective():
    t = trial("p", "a", 0, 1.0, 0.5)
    t.trail = [
        replace(p, verdict=Verdict(0.0, 1.0)) for p in trial(trail=[(1, 0.0), (2, 0.0)]).trail
    ]
    assert (
        profiles.cost_to(t, "evaluations", reference(race_of([t], 1.0), Contest("p", 1.0)))
        == math.inf
    )
    assert profiles.first_feasible(t, "evaluations") == math.inf


def test_failed_trial_reached_nothing_although_its_trail_was_good():
    t = trial("p", "a", 0, 1.0, trail=[(1, 1.0)], status="failed")
    assert profiles.costs(race_of([t, trial("p", "b", 0, 1.0)], 1.0))["cost"].tolist() == [
        math.inf,
        100,
    ]


def test_budget_of_seconds_only_is_counted_in_seconds():
    race = race_of([trial("p", "a", 0, 1.0, trail=[(50, 1.0)])], 1.0, budget={"seconds": 2.0})
    assert profiles.resource(race) == "seconds"
    assert profiles.costs(race)["cost"].tolist() == [0.5]


@settings(max_examples=40)
@given(st.lists(st.tuples(numbers, st.floats(0, 1)), max_size=30), numbers, st.floats(0, 1))
def test_trajectory_only_improves_and_ends_at_the_best_feasible_verdict(points, last, violation):
    t = trial("p", "a", 0, last, violation, evaluations=len(points) + 1)
    t.trail = [
        replace(p, verdict=Verdict(o, max(v - 0.5, 0)))
        for (o, v), p in zip(
            points, trial(trail=[(i + 1.0, 0.0) for i in range(len(points))]).trail, strict=True
        )
    ]
    spent, best = profiles.trajectory(t, "evaluations")
    assert (np.diff(spent) >= 0).all()
    assert all(b <= a for a, b in pairwise(best))
    good = [v for v in [p.verdict for p in t.trail] + [outcome(t)] if v.feasible]
    assert (len(best) == 0) == (not good)
    assert not good or best[-1] == min(v.objective for v in good)


def test_profiles_never_fall_and_shares_are_shares():
    race = make_race(4)
    for curve in (
        profiles.performance_profile(race),
        profiles.data_profile(race),
        profiles.ecdf(race),
    ):
        values = curve.to_numpy()
        assert (np.diff(values, axis=0) >= 0).all()
        assert ((values >= 0) & (values <= 1)).all()
        assert list(curve.columns) == race.methods
