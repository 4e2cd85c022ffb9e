"""The room's errors."""

from __future__ import annotations

import pickle

from feasible.core.errors import ArgumentError, FeasibleError
from feasible.physics import InvalidShape, NotConverged


def test_errors_carry_their_figures_through_a_worker():
    late = pickle.loads(pickle.dumps(NotConverged("left 0.1", 0.1, 50)))
    assert (str(late), late.residual, late.iterations) == ("left 0.1", 0.1, 50)
    assert isinstance(late, FeasibleError)
    flat = pickle.loads(pickle.dumps(InvalidShape("flat", {"min_angle": 4.0})))
    assert (str(flat), flat.violations) == ("flat", {"min_angle": 4.0})
    assert isinstance(flat, ArgumentError)
