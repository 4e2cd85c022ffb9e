"""What a result shows: the verdict in words, the design with units, and no markup that came from
somebody's name.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint

import feasible
from feasible.blackbox import BlackBox, Integer, Real
from feasible.core.budget import Budget, Meter
from feasible.core.run import Run, run

HOSTILE = "<img src=x onerror=alert(1)>$x$</script>"


class Sweep(feasible.blackbox.AskTell):
    """Points on the diagonal of the box, four at a time."""

    name = "sweep"

    def init(self, problem, rng):
        return [0]

    def ask(self, problem, state, n=None):
        t = (np.arange(4) + state[0]) / 12
        state[0] += 4
        return feasible.blackbox.Proposals.of(
            problem.space.low + np.outer(t % 1, problem.space.high - problem.space.low)
        )

    def tell(self, problem, state, seen):
        pass


def go(problem, n=12, **options):
    budget = Budget(evaluations=n)
    return run(Run(problem, Sweep(), budget, 0, Meter(budget), **options))


def beam(**more):
    return BlackBox(
        lambda x: {"cost": x[0] * x[1], "stress": 100 / x[0]},
        variables=[Real("h", 1, 10, unit="mm"), Integer("n", 1, 5)],
        objective="cost",
        unit="USD",
        limits={"stress": "<= 25 MPa"},
        **{"name": "beam", **more},
    )


def never(name="never", **more):
    return BlackBox(
        lambda x: x[0],
        bounds=[(0, 1)],
        constraints={"c": NonlinearConstraint(lambda x: x[0], 5, np.inf)},
        name=name,
        **more,
    )


def test_a_feasible_result_says_its_objective_why_it_stopped_and_what_was_spent():
    text = str(go(beam()))
    assert text.startswith("beam by sweep: objective ")
    assert "feasible" in text
    assert "stopped: budget used up: 12 of 12 evaluations spent" in text
    assert "12 evaluations" in text


def test_an_infeasible_result_says_so_with_the_least_violation_and_the_worst_constraint():
    result = go(never())
    assert "no feasible point found; least violation" in str(result)
    assert "(worst: c)" in str(result)
    assert not result.verdict.feasible
    assert result.answer is not None
    assert result.verdict.violation == pytest.approx(
        (5 - max(r for r in result.ledger.all().x[:, 0])) / 5
    )


def test_a_maximum_is_shown_in_the_users_sense():
    result = go(BlackBox(lambda x: -((x[0] - 0.5) ** 2) + 7, bounds=[(0, 1)], maximize=True))
    assert "objective 7" in str(result)
    assert {r[0]: r[1] for r in result.table()}["objective"] == "7"
    assert max(result.plot().data[0].y) == 7
    assert result.to_frame()["best"].iloc[-1] == 7


def test_the_table_lists_every_variable_and_limit_with_value_slack_and_unit():
    rows = go(beam()).table()
    assert rows[0] == ("variable", "value", "unit")
    assert [(r[0], r[2]) for r in rows[1:3]] == [("h", "mm"), ("n", "")]
    assert rows[4][0] == "cost"
    assert rows[4][4] == "USD"
    name, value, limit, slack, unit, state = rows[5]
    stated = "<= 25 MPa (tolerance 2.5e-05)"
    assert (name, limit, unit, state) == ("stress", stated, "MPa", "holds")
    assert float(slack) == pytest.approx(25 - float(value), rel=1e-2)


def test_a_frame_has_names_with_units_one_row_per_evaluation_and_the_best_feasible_so_far():
    frame = go(beam()).to_frame()
    assert list(frame.columns) == [
        "id",
        "h [mm]",
        "n",
        "cost [USD]",
        "stress [MPa]",
        "violation",
        "feasible",
        "status",
        "reason",
        "best",
    ]
    assert frame["id"].tolist() == list(range(12))
    assert frame["n"].dtype.kind == "i"
    good = frame["cost [USD]"].where(frame["feasible"])
    assert frame["best"].equals(good.cummin().ffill().rename("best"))


def test_metrics_named_as_columns_of_ours_are_kept_beside_them():
    frame = go(
        BlackBox(
            lambda x: {"cost": x[0], "status": 3.0, "x1": 5.0}, bounds=[(0, 1)], objective="cost"
        ),
        4,
    ).to_frame()
    assert set(frame["status"]) == {"done"}
    assert set(frame["status (metric)"]) == {3.0}
    assert set(frame["x1 (metric)"]) == {5.0}


def test_best_refers_to_a_row_whose_values_are_the_reported_ones():
    result = go(beam())
    frame = result.to_frame()
    row = frame.iloc[result.best.id]
    assert row["cost [USD]"] == result.verdict.objective == frame["best"].iloc[-1]
    assert row["h [mm]"] == result.answer["h"] == result.answer[0]
    assert np.asarray(result.answer).tolist() == [row["h [mm]"], row["n"]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: beam(name=HOSTILE),
        lambda: never(HOSTILE),
        lambda: BlackBox(
            lambda x: {HOSTILE: 1.0, "b": 1.0},
            bounds={f"{HOSTILE}x": (0, 1, HOSTILE)},
            objective="b",
            limits={HOSTILE: "<= 3"},
            unit=HOSTILE,
        ),
    ],
)
def test_html_and_plots_hold_no_markup_of_hostile_names(make):
    result = go(make())
    assert "<img" not in result._repr_html_()
    assert "</script" not in result._repr_html_()
    layout = result.plot().layout
    for text in (layout.title.text, layout.yaxis.title.text, layout.xaxis.title.text):
        assert "<" not in text
        assert "$" not in text


def test_the_plot_names_the_objective_with_its_unit_and_the_budget_that_was_spent():
    figure = go(beam()).plot()
    assert figure.layout.yaxis.title.text == "best cost [USD]"
    assert figure.layout.xaxis.title.text == "evaluations"
    assert figure.layout.title.text == "beam: sweep"


def test_infeasible_stretches_are_drawn_by_their_violation():
    figure = go(never()).plot()
    assert len(figure.data[0].y) == 0
    assert list(figure.data[1].y) == sorted(figure.data[1].y, reverse=True)


def test_a_result_without_an_answer_still_prints():
    class Nothing(Sweep):
        def done(self, problem, state):
            return "nothing to do"

    budget = Budget(evaluations=3)
    result = run(Run(beam(), Nothing(), budget, 0, Meter(budget)))
    assert "no answer" in str(result)
    assert "nothing was evaluated" in result._repr_html_()
    result.plot()
    assert len(result.to_frame()) == 0
