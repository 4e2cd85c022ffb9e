"""Limits are declared once, in the user's own sense and units; what cannot be read is refused,
never guessed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from feasible.core.errors import LimitError
from feasible.core.limits import Limit, Limits, read_limits

INF = math.inf


@pytest.mark.parametrize(
    ("text", "low", "high", "unit"),
    [
        ("<= 250 MPa", -INF, 250, "MPa"),
        ("<=250MPa", -INF, 250, "MPa"),
        ("< 250", -INF, 250, ""),
        (">= 0.95", 0.95, INF, ""),
        ("> -1e-3 m", -1e-3, INF, "m"),
        ("== 3", 3, 3, ""),
        ("= 3 kg", 3, 3, "kg"),
        ("== 3 +- 0.5", 2.5, 3.5, ""),
        ("== 3 ± 0.5 mm", 2.5, 3.5, "mm"),
        ("== 3 +/- 0.5", 2.5, 3.5, ""),
        ("in [2, 4] mm", 2, 4, "mm"),
        ("in [-.5,.5]", -0.5, 0.5, ""),
        ("  <=  1e3   kg m/s^2 ", -INF, 1000, "kg m/s^2"),
        ("<= 5 %", -INF, 5, "%"),
        ("<= 90 °C", -INF, 90, "°C"),
        ("<= 3 µm", -INF, 3, "µm"),
        ("<= 5 1/s", -INF, 5, "1/s"),
        ("<= 3 -", -INF, 3, "-"),
        ("<= 3 [mm]", -INF, 3, "[mm]"),
        ("<= 3 N/mm2", -INF, 3, "N/mm2"),
    ],
)
def test_text_is_read_with_its_unit(text, low, high, unit):
    limit = Limit.of("q", text)
    assert (limit.low, limit.high, limit.unit) == (pytest.approx(low), pytest.approx(high), unit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "250",
        "250 MPa",
        "<=",
        "<= MPa",
        "<= 250,5 MPa",
        "<= 1.2.3",
        "<= 10 20",
        "<= 1 <= 2",
        "2 <= x <= 4",
        "<= 5 - 3",
        "<= 2 * 3",
        "<= inf",
        "<= nan",
        "!= 3",
        "in [2 4]",
        "in [2, 4",
        "in (2, 4)",
        "between 2 and 4",
        "is maybe",
        "<= 5 +- 1",
        "=> 3",
        "in [2, 4] 5",
        "<= 1e5.5",
    ],
)
def test_malformed_text_is_refused_with_the_grammar(text):
    with pytest.raises(LimitError, match=r"limit on 'stress': cannot read .* '<= 250 MPa'"):
        Limit.of("stress", text)


@pytest.mark.parametrize(
    "given_", [250, None, True, object(), (1,), (1, 2, 3, 4), ("a", "b"), [None, 3]]
)
def test_what_is_no_limit_is_refused(given_):
    with pytest.raises(LimitError, match="limit on 'stress'"):
        Limit.of("stress", given_)


@pytest.mark.parametrize(
    "given_", ["in [4, 2]", (4, 2), (math.nan, 2), (2, math.nan), (-INF, INF), "== 3 +- -1"]
)
def test_a_limit_that_crosses_or_limits_nothing_is_refused(given_):
    with pytest.raises(LimitError):
        Limit.of("stress", given_)


@pytest.mark.parametrize("scale", [0, -1, math.nan, INF, "2", True])
def test_a_scale_is_a_positive_number(scale):
    with pytest.raises(LimitError, match="scale"):
        Limit("q", high=1.0, scale=scale)


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [("is true", 1, 0), ("is yes", 1, 0), ("== true", 1, 0), ("is false", 0, 1), ("IS No", 0, 1)],
)
def test_yes_or_no_is_a_limit(text, good, bad):
    limits = Limits([Limit.of("ok", text)])
    assert limits.signed(np.array([[float(good)]])).max() <= 0
    assert limits.signed(np.array([[float(bad)]])).max() > 0


@given(
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6),
    st.floats(-1e7, 1e7),
    st.sampled_from([0.5, 1.0, 250.0]),
)
def test_the_violation_is_the_distance_to_the_range_in_units_of_the_scale(low, width, value, scale):
    limits = Limits([Limit("q", low, low + width, scale=scale)])
    distance = max(low - value, value - (low + width), 0.0)
    assert limits.violations(limits.signed(np.array([[value]]))[0])["q"] == pytest.approx(
        distance / scale, rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("<= 2e-6 m", 2e-6),
        (">= -40", 40.0),
        ("in [-3, 2]", 3.0),
        ("in [0, 5]", 5.0),
        ("== 7", 7.0),
        ("== 3 +- 0.5", 3.5),
        ("<= 0", 1.0),
        ("is true", 0.5),
    ],
)
def test_without_a_scale_the_size_of_the_larger_bound_is_what_violations_are_measured_in(
    text, size
):
    assert Limit.of("q", text).size == size
    assert Limit.of("q", text).unsized == (text == "<= 0")
    if text != "is true":
        assert Limit.of("q", text, 4.0).size == 4.0
        assert not Limit.of("q", text, 4.0).unsized


def test_a_limit_is_stated_with_its_tolerance_in_its_own_unit():
    assert Limit.of("q", "<= 250 MPa").stated(1e-6) == "<= 250 MPa (tolerance 0.00025)"
    assert Limit.of("q", "<= 0 mm").stated(1e-6, 30.0) == "<= 0 mm (tolerance 3e-05)"
    assert Limit.of("q", "is true").stated(1e-6) == "is true"


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.text("abcMPa/%", max_size=4))
def test_a_limit_reads_back_from_its_own_text(value, unit):
    value = float(f"{value:.6g}")
    limit = Limit("q", high=value, unit=unit.strip("/"))
    assert Limit.of("q", limit.text) == limit


def test_slack_is_the_distance_to_the_nearer_side():
    assert Limit("q", 2, 4).slack(3.5) == 0.5
    assert Limit("q", 2, 4).slack(1) == -1


def test_an_unknown_value_violates_without_bound():
    limits = Limits([Limit("a", high=1.0), Limit("b", low=1.0)])
    assert limits.violations(limits.signed(np.array([[math.nan, 3.0]]))[0]) == {"a": INF, "b": 0.0}


def test_a_sequence_is_numbered_and_a_limit_keeps_its_name():
    assert [q.name for q in read_limits(["<= 1", Limit("stress", high=2.0), (0, 1)])] == [
        "g1",
        "stress",
        "g3",
    ]
    assert [q.name for q in read_limits({"stress": Limit("other", high=2.0)})] == ["stress"]


def test_names_may_not_repeat():
    with pytest.raises(LimitError, match="'g1' stands twice"):
        Limits(read_limits(["<= 1", Limit("g1", high=2.0)]) + read_limits(["<= 1"]))


def test_a_scale_needs_its_limit():
    with pytest.raises(LimitError, match="heat has no limit to scale"):
        read_limits({"stress": "<= 1"}, {"heat": 2.0})
    assert read_limits({"stress": Limit("stress", high=1.0)}, {"stress": 5.0})[0].scale == 5.0


def test_bare_text_is_no_collection_of_limits():
    with pytest.raises(LimitError, match="expected a mapping"):
        read_limits("<= 250 MPa")


def test_an_equality_among_the_limits_is_known():
    equal, band, one_sided = Limit("a", 3, 3), Limit("b", 2, 4), Limit("c", -INF, 1)
    assert Limits([band, equal, one_sided]).equality
    assert not Limits([band, one_sided]).equality
    assert not Limits([]).equality
