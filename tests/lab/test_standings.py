"""Standings and profiles: facts from the definitions, on cases small enough to check by hand."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from races import HOSTILE, make_race, race_of, trial
from rich.console import Console
from scipy.stats import wilcoxon

from feasible.core.verdict import Verdict
from feasible.lab import profiles
from feasible.lab.outcomes import average_ranks, best_trial, compare, outcome, quantile, reference
from feasible.lab.significance import attainable
from feasible.lab.standings import (
    format_standings,
    holm,
    percent,
    signed_rank,
    signed_rank_p,
    standings,
)
from feasible.lab.trials import Contest, Race, Trial

numbers = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 1.0, 2.0]), st.floats()
)
verdicts = st.builds(
    lambda o, v, t: Verdict(o, abs(v), t), numbers, numbers, st.sampled_from([0.0, 1e-6, -1.0, 1.0])
)
outcomes = st.builds(
    lambda o, v, s: trial(objective=o, violation=abs(v), status=s),
    numbers,
    numbers,
    st.sampled_from(["done", "done", "failed"]),
)


# ------------------------------------------------------------------------------------------------
# ranks


def test_ranks_by_hand_feasible_then_violation_then_missing():
    found = average_ranks(
        [
            Verdict(5.0, 0.1),
            Verdict(2.0),
            Verdict(9.0, 0.01),
            Verdict(3.0),
            Verdict(math.nan, math.inf),
        ]
    )
    assert found == [4, 1, 3, 2, 5]


def test_equals_share_the_average_of_their_ranks():
    assert average_ranks(
        [Verdict(1.0), Verdict(2.0), Verdict(1.0), Verdict(2.0), Verdict(2.0)]
    ) == [1.5, 4, 1.5, 4, 4]


@given(st.lists(verdicts, max_size=12))
def test_rank_one_is_beaten_by_nobody_and_ranks_sum_to_n_n_plus_1_over_2(some):
    ranks = average_ranks(some)
    assert sum(ranks) == pytest.approx(len(some) * (len(some) + 1) / 2)
    for a, ra in zip(some, ranks, strict=True):
        for b, rb in zip(some, ranks, strict=True):
            assert a.beats(b) == (ra < rb)


@given(st.lists(outcomes, min_size=1, max_size=10))
def test_best_trial_is_the_one_that_no_other_beats(trials):
    best = best_trial(trials)
    done = [t for t in trials if t.status == "done"]
    assert (best is None) == (not done)
    assert best is None or not any(outcome(t).beats(outcome(best)) for t in done)


@given(numbers, st.floats(min_value=0), st.booleans())
def test_outcome_is_feasible_only_if_the_trial_says_so_and_an_objective_was_measured(
    objective, violation, feasible
):
    verdict = outcome(trial(objective=objective, violation=violation, feasible=feasible))
    assert verdict.feasible == (feasible and not math.isnan(objective) and math.isfinite(violation))


def test_average_rank_weighs_problems_equally_however_many_seeds_they_have():
    trials = [trial("p", m, s, o) for s in range(3) for m, o in (("a", 1.0), ("b", 2.0))]
    trials += [trial("q", "a", 0, 2.0), trial("q", "b", 0, 1.0)]
    assert standings(race_of(trials)).ranks.set_index("method")["rank"].to_dict() == {
        "a": 1.5,
        "b": 1.5,
    }


# ------------------------------------------------------------------------------------------------
# table


def test_median_and_quartiles_by_hand():
    race = race_of(
        [trial("p", "a", s, o) for s, o in enumerate([5.0, 1.0, 2.0, 4.0, 3.0])], best_known=2.0
    )
    row = standings(race).table.iloc[0]
    assert (row["median"], row["q25"], row["q75"], row["gap"]) == (3.0, 2.0, 4.0, 0.5)
    assert (row["feasible_rate"], row["failed"], row["seconds"]) == (1.0, 0, 1.0)


def test_infeasible_answer_with_a_better_objective_does_not_improve_the_median():
    race = race_of(
        [trial("p", "a", 0, 3.0), trial("p", "a", 1, -100.0, 5.0), trial("p", "a", 2, 1.0)]
    )
    row = standings(race).table.iloc[0]
    assert (row["median"], row["q25"], row["feasible_rate"]) == (3.0, 2.0, pytest.approx(2 / 3))
    assert math.isnan(row["q75"])


def test_method_that_is_infeasible_in_most_seeds_has_no_median_and_an_infinite_gap():
    race = race_of([trial("p", "a", s, 1.0, 0.5 * (s > 0)) for s in range(3)], best_known=1.0)
    row = standings(race).table.iloc[0]
    assert math.isnan(row["median"])
    assert row["gap"] == math.inf
    assert row["violation"] == 0.5


def test_maximised_objectives_are_shown_in_the_users_sense():
    race = race_of(
        [trial("p", "a", s, -v) for s, v in enumerate([1.0, 2.0, 3.0])],
        best_known=-4.0,
        maximize=True,
    )
    row = standings(race).table.iloc[0]
    assert (row["median"], row["q25"], row["q75"], row["reference"]) == (2.0, 1.5, 2.5, 4.0)
    assert row["gap"] == 0.5


def test_failed_trials_count_as_infeasible_and_rank_last():
    race = race_of(
        [trial("p", "a", 0, status="failed", error="boom"), trial("p", "b", 0, 9.0, 1e3)]
    )
    result = standings(race)
    assert result.ranks["method"].tolist() == ["b", "a"]
    assert result.table.set_index("method").loc["a", ["failed", "feasible_rate"]].tolist() == [1, 0]


def test_pending_trials_are_left_out_and_only_complete_seeds_are_ranked():
    trials = [
        trial("p", "a", 0, 2.0),
        trial("p", "b", 0, 1.0),
        trial("p", "a", 1, 1.0),
        trial("p", "b", 1, status="pending"),
    ]
    result = standings(race_of(trials))
    assert result.leader == "b"
    assert result.ranks.set_index("method")["rank"].to_dict() == {"b": 1.0, "a": 2.0}
    assert any("1 of 4 trials are pending" in n for n in result.notes)
    assert any("not ranked yet" in n for n in result.notes)


def test_method_that_has_not_begun_takes_no_ranks_from_the_others():
    trials = [
        trial("p", "a", 0, 2.0),
        trial("p", "b", 0, 1.0),
        trial("p", "c", 0, status="pending"),
    ]
    ranks = standings(race_of(trials)).ranks.set_index("method")["rank"]
    assert ranks["b"] == 1
    assert math.isnan(ranks["c"])


@pytest.mark.parametrize(
    "race",
    [
        race_of([]),
        Race("empty", [Contest("p")], ["a", "b"], [], {}, []),
        Race("x", [], [], [], {}, []),
        race_of([trial(status="pending")]),
        race_of([trial(status="failed")]),
        race_of([trial(objective=math.nan)]),
        race_of([trial(objective=math.inf)]),
        race_of([trial(objective=1.0, violation=math.nan)]),
        race_of([trial(objective=-math.inf), trial(method="b", objective=1.0)], best_known=None),
        race_of([trial(objective=1.0)], best_known=math.nan),
        race_of([trial(objective=1.0)], budget={}),
    ],
)
def test_degenerate_races_have_standings_and_profiles(race):
    result = standings(race)
    assert len(result.table) == len(race.contests) * len(race.methods)
    assert len(result.to_frame()) == len(result.table)
    format_standings(result)
    for curve in (
        profiles.performance_profile(race),
        profiles.data_profile(race),
        profiles.ecdf(race),
    ):
        assert (
            curve.to_numpy().size == 0 or ((curve.to_numpy() >= 0) & (curve.to_numpy() <= 1)).all()
        )


def test_quantiles_are_linear_and_never_cross_an_infinity():
    assert quantile([1, 2, 3, 4], 0.5) == 2.5
    assert quantile([1, math.inf], 0.5) == math.inf
    assert quantile([1, 2, math.inf], 0.5) == 2
    assert quantile([math.inf, math.inf], 0.25) == math.inf
    assert math.isnan(quantile([], 0.5))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.sampled_from([0.25, 0.5, 0.75]))
def test_quantile_agrees_with_numpy_on_finite_values(values, q):
    assert quantile(values, q) == pytest.approx(float(np.quantile(values, q)), abs=1e-9)


# ------------------------------------------------------------------------------------------------
# the reference value


def test_beating_the_best_known_value_feasibly_is_reported_first_and_loudly():
    result = standings(
        race_of([trial(objective=0.99), trial(seed=1, status="pending")], best_known=1.0)
    )
    assert result.notes[0].startswith("ATTENTION:")
    assert "1 %" in result.notes[0]


@pytest.mark.parametrize(
    "t",
    [
        trial(objective=0.5, violation=1.0),
        trial(objective=1 - 1e-8),
        trial(objective=0.5, status="failed"),
        trial(objective=1.0),
    ],
)
def test_no_alarm_for_infeasible_failed_or_rounding(t):
    assert not any(
        n.startswith("ATTENTION:") for n in standings(race_of([t], best_known=1.0)).notes
    )


def test_unknown_optimum_is_replaced_by_the_best_found_and_said():
    race = race_of(
        [
            trial(objective=2.0),
            trial(method="b", objective=3.0),
            trial(method="c", objective=1.0, violation=1.0),
        ],
        best_known=None,
    )
    result = standings(race)
    assert result.table.set_index("method")["gap"].to_dict() == {"a": 0.0, "b": 0.5, "c": math.inf}
    assert not result.table["known"].any()
    assert any("no best known value" in n for n in result.notes)


def test_gaps_to_zero_are_differences():
    race = race_of([trial(objective=0.25)], best_known=0.0)
    assert standings(race).table.loc[0, "gap"] == 0.25
    assert reference(race, race.contests[0]).absolute
    assert percent(0.25, absolute=True) == "0.25"


# ------------------------------------------------------------------------------------------------
# tests of significance


def test_holm_on_a_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_missing_tests_out_of_the_count():
    found = holm([0.02, math.nan, 0.04])
    assert found[0] == pytest.approx(0.04)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(0.04)


@given(st.lists(st.floats(0, 1), max_size=10))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p):
    adjusted = holm(p)
    for a, raw in zip(adjusted, p, strict=True):
        assert raw <= a <= min(1.0, raw * len(p)) + 1e-12 or a == pytest.approx(raw)
    for i in range(len(p)):
        for j in range(len(p)):
            assert p[i] > p[j] or adjusted[i] <= adjusted[j]


def test_always_better_in_six_pairs_gives_two_over_two_to_the_sixth():
    trials = [trial("p", m, s, o + s) for s in range(6) for m, o in (("a", 0.0), ("b", 100.0))]
    assert signed_rank(race_of(trials), "b", "a") == (pytest.approx(2 / 2**6), 6)


@pytest.mark.parametrize(
    "d",
    [
        [1, 2, 3, -4, 5, 6, 7],
        [0, 0, 1, -2, 3, 4],
        [1, 1, 1, -1, 2, 2, 0],
        [3, -3, 1, -1, 2, -2],
        [(-1) ** (i // 3) * i for i in range(1, 30)],
    ],
)
def test_exact_p_value_agrees_with_scipy(d):
    assert signed_rank_p(np.array(d, dtype=float)) == pytest.approx(
        wilcoxon(d, zero_method="zsplit").pvalue, rel=1e-9
    )


def test_exact_and_normal_p_values_meet():
    d = np.round(np.random.default_rng(0).normal(0.15, 1, 200), 1)
    assert signed_rank_p(d) == pytest.approx(
        wilcoxon(d, zero_method="zsplit", method="asymptotic").pvalue, rel=0.03
    )


def test_identical_outcomes_have_p_one():
    trials = [trial("p", m, s, 1.0) for s in range(8) for m in "ab"]
    assert signed_rank(race_of(trials), "b", "a") == (1.0, 8)


def won(problems, methods, seeds, by=1.0):
    """Trials in which method m0 is better than m1, and so on, on every problem and seed."""
    return [
        trial(f"p{p}", f"m{m}", s, by * m + 0.001 * s)
        for p in range(problems)
        for m in range(methods)
        for s in range(seeds)
    ]


def test_seeds_are_no_problems_a_method_that_wins_on_five_has_no_p_value():
    result = standings(race_of(won(5, 2, 40)))
    assert result.leader == "m0"
    assert result.ranks["p"].isna().all()
    assert (
        "No p-values: 5 problems and 1 pair of methods allow no p below 0.062, whatever the "
        "outcome: 6 problems are needed. Seeds are no further problems."
    ) in result.notes


def test_a_method_that_wins_on_every_problem_has_the_smallest_attainable_p():
    result = standings(race_of(won(9, 2, 3)))
    assert result.ranks["p"][1] == pytest.approx(attainable(9, 1)) == 2 / 2**9
    assert result.ranks["pairs"][1] == 9


def test_all_pairs_are_corrected_for_because_the_leader_was_chosen_by_the_same_figures():
    result = standings(race_of(won(9, 4, 2)))
    assert result.ranks["p"][1:].tolist() == pytest.approx([6 * 2 / 2**9] * 3)
    assert any("for all 6 pairs of methods" in n for n in result.notes)


def test_the_attainable_p_is_said_where_it_decides_and_only_there():
    needs = "7 problems and 10 pairs of methods allow no p below 0.16"
    (note,) = [n for n in standings(race_of(won(7, 5, 2))).notes if n.startswith(needs)]
    assert note.endswith("whatever the outcome: 9 problems are needed.")
    assert not any("allow no p" in n for n in standings(race_of(won(9, 5, 2))).notes)


def test_one_problem_is_tested_over_its_seeds_and_says_nothing_of_others():
    result = standings(race_of(won(1, 2, 8)))
    assert result.ranks["p"][1] == pytest.approx(2 / 2**8)
    assert any("8 seeds of p0 only, which says nothing of other" in n for n in result.notes)


@pytest.mark.parametrize(("problems", "methods", "seeds"), [(10, 2, 5), (12, 3, 3), (25, 2, 3)])
def test_without_an_overall_winner_at_most_six_races_in_a_hundred_name_one(
    problems, methods, seeds
):
    """Every method is best on some problems, by far more than its seeds differ."""
    rng, named, races = np.random.default_rng(problems), 0, 120
    for _ in range(races):
        effect = rng.normal(size=(problems, methods))
        trials = [
            trial(f"p{p}", f"m{m}", s, float(effect[p, m] + 0.3 * rng.normal()))
            for p in range(problems)
            for m in range(methods)
            for s in range(seeds)
        ]
        named += bool((standings(race_of(trials)).ranks["p"] < 0.05).any())
    assert named <= 0.06 * races


def test_single_method_is_the_leader_without_a_test():
    result = standings(race_of([trial("p", "a", s, 1.0) for s in range(9)]))
    assert result.leader == "a"
    assert result.ranks["p"].isna().all()


def test_raw_p_value_of_two_methods_does_not_depend_on_a_third():
    rng = np.random.default_rng(0)
    two = [
        trial(p, m, s, float(rng.normal() + (m == "b")))
        for p in "pq"
        for s in range(8)
        for m in "ab"
    ]
    three = two + [trial(p, "c", s, float(rng.normal())) for p in "pq" for s in range(8)]
    assert signed_rank(race_of(two), "b", "a") == signed_rank(race_of(three), "b", "a")


# ------------------------------------------------------------------------------------------------
# adding a method


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=6, max_size=6), st.floats(0, 2))
def test_adding_a_method_changes_no_figure_of_the_others(objectives, violation):
    race = make_race(2)
    race.contests[2].best_known = -92.0
    own = [
        "trials",
        "median",
        "q25",
        "q75",
        "gap",
        "feasible_rate",
        "violation",
        "failed",
        "seconds",
    ]
    more = [
        trial(c.name, "new", s, objectives[i % 6] * 1000, violation * (s % 2), evaluations=200.0)
        for i, c in enumerate(race.contests)
        for s in range(2)
    ]
    bigger = replace(race, methods=[*race.methods, "new"], trials=[*race.trials, *more])
    before, after = standings(race).table, standings(bigger).table
    after = after[after["method"] != "new"].reset_index(drop=True)
    pd.testing.assert_frame_equal(before[own], after[own])
    pd.testing.assert_frame_equal(profiles.ecdf(race), profiles.ecdf(bigger)[race.methods])
    costs = profiles.costs(bigger)
    pd.testing.assert_frame_equal(
        profiles.costs(race), costs[costs["method"] != "new"].reset_index(drop=True)
    )


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


# ------------------------------------------------------------------------------------------------
# terminal


def shown(table):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_terminal_table_has_one_row_per_method_and_the_leader_first():
    text = shown(format_standings(standings(make_race(3))))
    assert text.index("cei-gp") < text.index("trust-region") < text.index("random-search")
    assert "leader" in text
    assert "to best found" in text


def test_many_problems_are_merged_into_one_column():
    race = race_of([trial(f"p{i}", m, 0, 1.0) for i in range(9) for m in "ab"], 1.0)
    assert "p3" not in shown(format_standings(standings(race)))


def test_names_steer_neither_the_terminal_nor_rich():
    race = race_of(
        [trial(n, m, 0, 1.0) for n in HOSTILE[:2] for m in (*HOSTILE, "[red]x[/red]", "[/]")], 1.0
    )
    text = shown(format_standings(standings(race)))
    assert "\x1b" not in text
    assert "[red]x[/red]" in text


def test_ties_between_methods_are_neither_won_nor_lost():
    assert compare(Verdict(1.0), Verdict(1.0)) == 0


def test_trials_that_solved_a_problem_share_a_rank_and_others_do_not():
    from feasible.lab.outcomes import solved

    contest = Contest("p", best_known=10.0)

    def seen(method, objective, violation=0.0, feasible=True):
        return Trial(
            "p",
            method,
            0,
            status="done",
            objective=objective,
            violation=violation,
            feasible=feasible,
        )

    found = [
        seen("a", 10.0 + 5e-6),
        seen("b", 10.0 - 1e-3),
        seen("c", 10.1),
        seen("d", 9.0, 1.0, False),
    ]
    assert average_ranks([solved(t, contest) for t in found]) == [1.5, 1.5, 3.0, 4.0]
    assert average_ranks([solved(t, Contest("p")) for t in found]) == [2.0, 1.0, 3.0, 4.0]
