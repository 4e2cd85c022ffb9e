"""What is said after a race: the winner, by how much, ties as ties, and what to type next."""

from __future__ import annotations

import pytest
from races import race_of, trial

from feasible.lab.standings import standings
from feasible.lab.words import chosen_in_words, in_words, what_next


def said(trials, **more) -> str:
    return " ".join(in_words(standings(race_of(trials, **more))))


def grid(values: dict[str, list[list[float]]]):
    """Trials of methods on problems p0, p1, ...: values[method][problem][seed]."""
    return [
        trial(f"p{j}", method, seed, objective)
        for j in range(len(next(iter(values.values()))))
        for method, problems in values.items()
        for seed, objective in enumerate(problems[j])
    ]


def test_the_winner_is_named_with_its_gap_its_rate_and_where_it_is_first():
    text = said(grid({"a": [[1.1], [1.2]], "b": [[1.5], [2.0]]}), best_known=1.0)
    assert text.startswith("a won, with the best average rank (1.00 among 2): ")
    assert "first in 2 of 2 problems, median gap 15 % to the best known values" in text
    assert "feasible in 2 of 2 trials" in text


def test_the_next_method_has_the_same_figures():
    text = said(grid({"a": [[1.1], [1.2]], "b": [[1.5], [2.0]]}), best_known=1.0)
    assert "Next is b (rank 2.00): first in 0 of 2 problems, median gap 75 %" in text


def test_equal_ranks_are_a_tie_and_nobody_wins():
    text = said(grid({"a": [[1.1], [1.9]], "b": [[1.5], [1.2]], "c": [[3], [3]]}), best_known=1.0)
    assert text.startswith("A tie between a and b, at the same average rank of 1.50 among 3.")
    assert "won" not in text
    assert "Next is c (rank 3.00)" in text


def test_a_tie_of_all_has_no_next():
    text = said(grid({"a": [[1.5]], "b": [[1.5]]}), best_known=1.0)
    assert text.startswith("A tie between a and b")
    assert "Next" not in text


def test_a_first_place_that_is_shared_says_so():
    text = said(grid({"a": [[1.5], [1.1]], "b": [[1.5], [1.2]]}), best_known=1.0)
    assert "first in 2 of 2 problems (1 of them shared)" in text
    assert "first in 1 of 2 problems (1 of them shared)" in text


def test_gaps_to_zero_are_differences():
    text = said(grid({"a": [[0.25]], "b": [[0.5]]}), best_known=0.0)
    assert "median gap 0.25 to the best known value" in text


def test_without_a_best_known_value_the_gap_is_to_the_best_found():
    text = said(grid({"a": [[2.0]], "b": [[3.0]]}), best_known=None)
    assert "a won" in text
    assert "median gap 50 % to the best value found" in text


def test_what_is_not_feasible_has_no_gap():
    trials = [trial("p", "a", 0, 1.5), trial("p", "b", 0, 0.5, violation=2.0)]
    text = said(trials, best_known=1.0)
    assert "a won" in text
    assert "Next is b (rank 2.00): median answer not feasible, feasible in 0 of 1 trials." in text


def test_few_problems_say_nothing_of_luck_and_many_do():
    few = said(grid({"a": [[1.1]], "b": [[1.2]]}), best_known=1.0)
    assert "Too few seeds to say whether that is luck." in few
    seeds = said(grid({"a": [[1.1] * 10] * 3, "b": [[1.2] * 10] * 3}), best_known=1.0)
    assert "Too few problems to say whether that is luck." in seeds
    many = {"a": [[1.1]] * 10, "b": [[1.2]] * 10}
    assert "The difference to b is more than luck (p <= 0.05)." in said(grid(many), best_known=1.0)


def test_one_problem_says_nothing_of_others():
    many = {"a": [[1.1] * 10], "b": [[1.2] * 10]}
    assert (
        "The difference to b is more than luck (p <= 0.05) on this problem; it says nothing of "
        "others."
    ) in said(grid(many), best_known=1.0)
    mixed = {"a": [[1.1] * 6 + [1.3] * 4], "b": [[1.2] * 10]}
    assert "The difference to b may be luck" in said(grid(mixed), best_known=1.0)


def test_one_method_alone_wins_nothing():
    text = said(grid({"a": [[1.1]]}), best_known=1.0)
    assert text == (
        "a ran alone: median gap 10 % to the best known value, feasible in 1 of 1 trials."
    )


def test_a_race_without_a_finished_pair_has_no_winner_yet():
    trials = [trial("p", "a", 0, 1.0), trial("p", "b", 1, 1.0)]
    trials += [trial("p", "a", 1, status="pending"), trial("p", "b", 0, status="pending")]
    assert said(trials, best_known=1.0).startswith("No winner yet")


def test_defaults_are_said_once_for_all_problems_with_the_same_reason():
    trials = [
        trial("p", "default", 0, 1.0, chosen="x, because it is fast"),
        trial("q", "default", 0, 1.0, chosen="x, because it is fast"),
        trial("r", "default", 0, 1.0, chosen="y, because it is noisy"),
    ]
    assert chosen_in_words(race_of(trials)) == [
        "default on p and q: x, because it is fast.",
        "default on r: y, because it is noisy.",
    ]


@pytest.mark.parametrize("store", [None, "mine.db"])
def test_what_to_type_next_is_the_report_and_the_best_design_of_each_problem(store):
    trials = [trial("p", m, 0, v, run=f"race/p/{m}/0") for m, v in (("a", 2.0), ("b", 1.0))]
    at = f" --store {store}" if store else ""
    assert what_next(race_of(trials), store) == [
        f"feasible report race{at} --output report.html",
        f"feasible show race/p/b/0{at}",
    ]


def test_an_unfinished_race_is_resumed_first():
    trials = [trial("p", "a", 0, 1.0), trial("p", "a", 1, status="pending")]
    assert what_next(race_of(trials))[0] == "feasible resume race"
