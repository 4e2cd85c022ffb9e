"""Tests between methods: signed ranks, Holm's correction, and how often they err."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from races import race_of, trial
from scipy.stats import wilcoxon

from feasible.lab.significance import attainable
from feasible.lab.standings import holm, signed_rank, signed_rank_p, standings

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
