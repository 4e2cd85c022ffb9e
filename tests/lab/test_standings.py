"""Standings and profiles: facts from the definitions, on cases small enough to check by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from races import HOSTILE, make_race, numbers, race_of, trial
from rich.console import Console

from feasible.core.verdict import Verdict
from feasible.lab import profiles
from feasible.lab.outcomes import average_ranks, best_trial, compare, outcome, quantile, reference
from feasible.lab.standings import format_standings, percent, standings
from feasible.lab.trials import Contest, Race, Trial

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
