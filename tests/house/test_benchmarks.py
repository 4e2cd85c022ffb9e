"""What `make bench` calls worse."""

import pytest
from benchmarks.common import FLOOR, MARGIN, Figure, worse


@pytest.mark.parametrize(
    ("unit", "was", "now", "lost"),
    [
        ("ratio", 1.0, 1.0 + MARGIN, False),
        ("ratio", 1.0, 1.01 + MARGIN, True),
        ("ratio", 1.0, 0.1, False),
        ("at least", 20.0, 20.0 / (1 + MARGIN), False),
        ("at least", 20.0, 15.9, True),
        ("at least", 20.0, 40.0, False),
        ("ratio", 0.001, 0.001 + FLOOR, False),
        ("s", 1.0, 10.0, False),
    ],
)
def test_a_ratio_is_worse_beyond_the_margin_on_the_wrong_side(unit, was, now, lost):
    before, after = [Figure("x", was, 5.0, unit)], [Figure("x", now, 5.0, unit)]
    assert bool(worse(before, after)) == lost


def test_figures_without_a_bar_or_a_stored_one_are_not_compared():
    assert worse([Figure("x", 1.0)], [Figure("x", 9.0)]) == []
    assert worse([], [Figure("x", 9.0, 1.0)]) == []
