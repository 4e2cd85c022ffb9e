"""Tables of an answer: each constraint has its state, and columns of numbers stand under one
another.
"""

from __future__ import annotations

from feasible.core.rows import aligned, html_table, with_states
from feasible.core.verdict import Verdict

ROWS = [
    ("variable", "value", "unit"),
    ("width", "1.5", "mm"),
    ("metric", "value", "limit", "slack", "unit"),
    ("cost", "4", "minimise", "", "USD"),
    ("stress", "250.01", "<= 250 MPa", "-0.01", "MPa"),
    ("sag", "3", "<= 2 mm", "-1", "mm"),
    ("mode", "9", ">= 8 Hz", "1", "Hz"),
]
VERDICT = Verdict(4.0, 1.0, 0.1, violations={"stress": 0.01, "sag": 1.0, "mode": 0.0})


def test_every_constraint_gets_its_state_and_nothing_else_does():
    rows = {r[0]: r for r in with_states(ROWS, VERDICT)}
    assert rows["metric"][-1] == "state"
    assert rows["cost"][-1] == ""
    assert rows["stress"][-1] == "within tolerance"
    assert rows["sag"][-1] == "VIOLATED"
    assert rows["mode"][-1] == "holds"
    assert rows["width"] == ("width", "1.5", "mm")


def test_a_table_without_constraints_stays_as_it_is():
    rows = [("metric", "value", ""), ("loss", "0.5", "")]
    assert with_states(rows, Verdict(0.5, 0.0)) == rows


def test_numbers_end_at_the_same_place_and_text_begins_there():
    lines = aligned(ROWS)
    stress, sag = (next(one for one in lines if one.startswith(n)) for n in ("stress", "sag"))
    assert stress.index("250.01") + 6 == sag.index(" 3 ") + 2
    assert stress.index("<= 250") == sag.index("<= 2 ")
    assert lines[0] == ""
    assert lines.count("") == 2


def test_a_long_table_is_cut_with_the_number_of_rows_that_are_left():
    rows = [("variable", "value", "unit"), *((f"x{i}", "1", "") for i in range(100))]
    assert len(aligned(rows)) == 43
    assert aligned(rows)[-1] == "and 60 more"
    assert "and 60 more" in html_table(rows)


def test_html_shows_hostile_names_as_text():
    shown = html_table([("variable", "value", "unit"), ("<script>", "1", "")])
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
