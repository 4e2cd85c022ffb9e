"""Figures: what is drawn is what was measured, and names are only names."""

import json
import math

import numpy as np
import pytest
from races import HOSTILE, make_race, race_of, trial

from feasible.lab import drawing, figures
from feasible.lab.standings import standings
from feasible.lab.trials import Contest, Race


def every(race):
    """All figures of a race."""
    result = standings(race)
    found = [
        figures.performance_profile(race),
        figures.data_profile(race),
        figures.ecdf(race),
        figures.feasible_rate(race),
        figures.ranks(result, race.methods),
    ]
    for c in race.contests:
        found += [
            figures.convergence(race, c.name),
            figures.convergence(race, c.name, log_x=True),
            figures.feasible_rate(race, c.name),
            figures.final_values(race, c.name),
        ]
    return found


def line(figure, name):
    """x and y of the curve of that name in the legend."""
    trace = next(t for t in figure.data if t.name == name and t.showlegend is not False)
    return np.asarray(trace.x, dtype=float), np.asarray(trace.y, dtype=float)


def test_median_curve_by_hand():
    race = race_of(
        [
            trial("p", "a", s, o, trail=[(10, o + 1), (50, o)])
            for s, o in enumerate([2.0, 3.0, 4.0])
        ],
        best_known=1.0,
    )
    x, y = line(figures.convergence(race, "p"), "a")
    assert x.tolist() == [10, 50, 100]
    assert y.tolist() == [3.0, 2.0, 2.0]


def test_curve_begins_where_half_of_the_seeds_are_feasible():
    race = race_of(
        [
            trial("p", "a", 0, 2.0, trail=[(10, 2.0)]),
            trial("p", "a", 1, 2.0, trail=[(30, 2.0)]),
            trial("p", "a", 2, 2.0, 1.0),
        ],
        1.0,
    )
    x, _ = line(figures.convergence(race, "p"), "a")
    assert x[0] == 30


def test_method_without_a_feasible_answer_is_named_and_not_drawn():
    race = race_of([trial("p", "a", 0, 2.0, 1.0), trial("p", "b", 0, 2.0)], 1.0)
    x, _ = line(figures.convergence(race, "p"), "a (none feasible)")
    assert np.isnan(x).all()


@pytest.mark.parametrize(
    ("best_known", "maximize", "expected", "kind"),
    [
        (None, False, 2.0, "linear"),
        (-3.0, True, -2.0, "linear"),
        (1.0, False, 1.0, "log"),
        (0.0, False, 2.0, "log"),
        (5.0, False, 2.0, "linear"),
    ],
)
def test_height_is_the_gap_where_it_is_known_else_the_objective_in_the_users_sense(
    best_known, maximize, expected, kind
):
    race = race_of([trial("p", "a", 0, 2.0, trail=[(10, 2.0)])], best_known, maximize)
    figure = figures.convergence(race, "p")
    assert line(figure, "a")[1][-1] == expected
    assert figure.layout.yaxis.type == kind


def test_optimum_itself_stands_at_the_floor_of_the_logarithmic_axis():
    race = race_of([trial("p", "a", 0, 1.0, trail=[(10, 1.0)])], 1.0)
    assert (line(figures.convergence(race, "p"), "a")[1] == drawing.FLOOR).all()


def test_curves_are_steps():
    assert all(
        t.line.shape == "hv" for f in every(make_race(3)) for t in f.data if t.type == "scatter"
    )


def test_feasible_rate_counts_failures_as_infeasible():
    race = race_of(
        [trial("p", "a", 0, 2.0, trail=[(10, 2.0)]), trial("p", "a", 1, status="failed")], 1.0
    )
    assert line(figures.feasible_rate(race, "p"), "a")[1].tolist() == [0, 0.5, 0.5]


def test_colours_are_the_same_in_all_figures_and_distinct_for_twelve_methods():
    styles = drawing.method_styles([f"m{i}" for i in range(30)])
    assert len({s.colour for s in list(styles.values())[:12]}) == 12
    assert len({(s.colour, s.dash) for s in styles.values()}) == 30
    assert drawing.method_styles(["m0", "m1"])["m1"] == styles["m1"]
    race = make_race(3)
    colours = {
        (t.name, t.line.color) for f in every(race)[:4] for t in f.data if t.name in race.methods
    }
    assert len(colours) == len(race.methods)


def test_axes_have_titles():
    for figure in every(make_race(3)):
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text or figure.layout.yaxis.ticktext


def test_no_curve_has_more_than_about_200_points():
    points = [(float(i), 1000.0 - i) for i in range(1, 1000)]
    race = race_of(
        [
            trial("p", "a", s, 1.0, trail=[(x + s / 10, y) for x, y in points], evaluations=1000)
            for s in range(3)
        ],
        0.5,
    )
    for figure in every(race):
        assert all(len(t.x) <= 201 for t in figure.data)


@pytest.mark.parametrize(
    "race",
    [
        race_of([]),
        Race("empty", [Contest("p")], ["a", "b"], [], {}, []),
        race_of([trial(status="pending")]),
        race_of([trial(status="failed")]),
        race_of([trial(objective=math.nan)]),
        race_of([trial(objective=math.inf)]),
        race_of([trial(objective=-math.inf)], None),
        race_of([trial(objective=1.0, violation=math.nan)]),
        race_of([trial(objective=1.0)], None),
        race_of([trial(objective=1.0)], budget={}),
        make_race(1),
        make_race(2, ("only",)),
    ],
)
def test_degenerate_races_can_be_drawn(race):
    for figure in every(race):
        json.loads(figure.to_json())


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_escaped_everywhere(name):
    race = race_of(
        [trial(name, name + m, s, 2.0, trail=[(10, 2.0)]) for s in range(2) for m in "ab"], 1.0
    )
    race.contests[0].objective = name
    for figure in every(race):
        text = json.dumps(figure.to_dict(), default=str)
        for tag in ("<img", "<script", "<b>", "<!--", "$a$", "\\u001b"):
            assert tag not in text


def test_long_names_are_shortened_without_becoming_one_row():
    race = race_of([trial("p", "x" * 300 + m, 0, 2.0) for m in "ab"], 1.0)
    figure = figures.final_values(race, "p")
    assert len(figure.layout.yaxis.ticktext) == 2
    assert max(map(len, figure.layout.yaxis.ticktext)) <= 40
