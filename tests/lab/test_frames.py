"""Tables with names in them."""

from __future__ import annotations

import math
import warnings

import pandas as pd

from feasible.lab.frames import frame

HALF = "half \ud800 of a pair"


def test_any_name_is_held_as_it_is_and_nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = frame([(HALF, 1), ("plain", 2)], ["name", "n"])
    assert table["name"].tolist() == [HALF, "plain"]
    assert table["name"].dtype == object


def test_numbers_have_the_kinds_that_pandas_gives_them():
    rows = [{"n": 1, "x": 0.5, "yes": True, "gap": None}, {"n": 2, "x": math.inf, "yes": False}]
    rows[1]["gap"] = 3
    pd.testing.assert_frame_equal(frame(rows), pd.DataFrame(rows))
    assert frame([], ["name", "n"]).columns.tolist() == ["name", "n"]
    rows = [{"n": 1}, {"n": 2, "more": 4.0}]  # a key that a row has not
    pd.testing.assert_frame_equal(frame(rows), pd.DataFrame(rows))
