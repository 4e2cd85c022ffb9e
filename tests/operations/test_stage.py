"""Stages: what they take, and what they refuse by name."""

from __future__ import annotations

import numpy as np
import pytest
from dispatch import stock, tank

from feasible.core import errors
from feasible.operations import MultistageLP, Stage


@pytest.mark.parametrize("none", [None, np.nan, np.inf])
def test_a_limit_that_is_none_nan_or_infinite_is_no_limit(none):
    with_limit, without = tank(v_max=none), tank(v_max=1e9)
    a, b = with_limit.perfect_foresight(), without.perfect_foresight()
    assert np.allclose(a, b)
    row = stock(rhs=[0.0, none])  # the row of the demand is gone
    assert not row.below[1]
    assert not row.above[1]


def test_limits_of_none_inside_a_list_equal_absent_ones():
    assert np.isinf(stock(upper=[None, 3.0, np.nan]).upper[[0, 2]]).all()


@pytest.mark.parametrize(
    ("given", "error", "word"),
    [
        ({"cost": [1.0]}, errors.ShapeError, "cost"),
        ({"cost": [0.0, np.nan, 1.0]}, errors.NotFinite, "cost"),
        ({"A": [[np.inf, 0, 0], [0, 0, 1]]}, errors.NotFinite, "A"),
        ({"sense": "=<"}, errors.ArgumentError, "sense"),
        ({"state": ["stuck"]}, errors.UnknownName, "did you mean 'stock'"),
        ({"units": {"stok": "t"}}, errors.UnknownName, "did you mean 'stock'"),
        ({"unmet": {"unservd": None}}, errors.UnknownName, "did you mean 'unserved'"),
        ({"B": [[1.0, 2.0], [0, 0]]}, errors.ShapeError, "B"),
        ({"C": [[1.0], [0.0]], "noise": [[np.nan]]}, errors.NotFinite, "noise"),
        ({"C": [[1.0], [0.0]], "noise": [[1.0, 2.0]]}, errors.ShapeError, "noise"),
        ({"lower": [3.0, 0, 0], "upper": [2.0, 1, 1]}, errors.BoundsError, "'stock'"),
        ({"rows": ["store", "store"]}, errors.ArgumentError, "twice"),
        ({"probability": [0.5]}, errors.ArgumentError, "probability"),
    ],
)
def test_a_wrong_stage_is_refused_by_name(given, error, word):
    with pytest.raises(error, match=word):
        stock(**given)


def test_an_unknown_attribute_raises():
    with pytest.raises(TypeError, match="uper"):
        Stage(A=[[1.0]], cost=[1.0], state=["x0"], rhs=[1.0], uper=[3.0])  # type: ignore[call-arg]


def test_stages_of_other_units_or_states_are_refused():
    tonnes, kilos = stock(units={"stock": "t"}), stock(units={"stock": "kg"})
    with pytest.raises(errors.ArgumentError, match="'stock' in 'kg': expected 't'"):
        MultistageLP([tonnes, kilos], [0.0], "free")
    other = stock(columns=["goods", "bought", "unserved"], state=["goods"])
    with pytest.raises(errors.ArgumentError, match="goods"):
        MultistageLP([stock(), other], [0.0], "free")
