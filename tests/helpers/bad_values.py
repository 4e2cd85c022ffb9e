"""Values that hardly any argument takes, and what a call makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from feasible.core.errors import FeasibleError

BAD: Mapping[str, Any] = {
    "None": None,
    "True": True,
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "huge": 10**30,
    "1e300": 1e300,
    "text": "text",
    "empty text": "",
    "bytes": b"x",
    "[]": [],
    "[1, 2]": [1, 2],
    "[text]": ["a"],
    "[nan, 1]": [math.nan, 1.0],
    "()": (),
    "{}": {},
    "{a: 1}": {"a": 1},
    "object": object(),
    "empty array": np.zeros(0),
    "array of nan": np.full((2, 2), np.nan),
    "array of one": np.array(2.0),
    "matrix": np.matrix([[1.0, 2.0]]),
    "cube": np.zeros((2, 3, 4)),
    "1j": 1j,
}
"""A label -> a bad value."""


def outcome(call: Callable[[], Any]) -> str:
    """What a call raises, as text; "" where it returns."""
    try:
        call()
    except FeasibleError as error:
        return str(error)
    return ""
