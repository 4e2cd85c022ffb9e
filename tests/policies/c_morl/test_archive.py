"""What is kept, and what is extended next."""

import numpy as np
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from feasible.policies.c_morl.archive import Archive
from feasible.policies.c_morl.members import Members, Shape
from feasible.policies.c_morl.metrics import pareto_filter

SHAPE = Shape(1, 2, True, 2, 2)
LOW = np.full(2, -1.0)


def members(numbers):
    """Policies whose weights are all one number, so that they can be told apart."""
    found = Members.begin(len(numbers), SHAPE, torch.Generator(), torch.zeros(1), torch.ones(1))
    found.theta[:] = torch.tensor(numbers, dtype=torch.float32)[:, None]
    return found


def empty():
    return Archive(members([]), np.zeros((0, 2)), np.zeros((0, 2)))


def kept(archive):
    return archive.members.theta[:, 0].tolist()


@settings(deadline=None)
@given(arrays(float, (9, 2), elements=st.integers(0, 5).map(float)), st.integers(1, 8))
def test_in_pieces_or_at_once_the_same_is_kept_and_it_is_the_front(points, cut):
    once, twice = empty(), empty()
    once.add(members(range(9)), points, 100, LOW)
    twice.add(members(range(cut)), points[:cut], 100, LOW)
    twice.add(members(range(cut, 9)), points[cut:], 100, LOW)
    front = pareto_filter(points)
    assert kept(once) == front.tolist()
    np.testing.assert_array_equal(once.points, points[front])
    np.testing.assert_array_equal(once.points, twice.points)
    assert [points[int(k)].tolist() for k in kept(twice)] == twice.points.tolist()


def test_the_most_crowded_ones_go():
    archive = empty()
    points = np.array([(0, 10), (4.9, 5.1), (5, 5), (5.1, 4.9), (10, 0)], dtype=float)
    archive.add(members(range(5)), points, 4, LOW)
    assert kept(archive) == [0, 1, 3, 4]


def test_what_is_below_the_reference_point_is_not_kept():
    archive = empty()
    archive.add(members([0, 1]), np.array([(5.0, -2.0), (1.0, 1.0)]), 10, LOW)
    assert kept(archive) == [1]


def test_no_vector_is_selected_twice_before_all_were():
    archive = empty()
    points = np.array([(k, 9 - k) for k in range(10)], dtype=float)
    archive.add(members(range(10)), points, 10, LOW)
    rounds = [archive.select(4).tolist() for _ in range(3)]
    assert sorted(k for row in rounds for k in row) == list(range(10))
    assert set(rounds[0]) >= {0, 9}  # the extremes are first
    assert len(archive.select(4)) == 4  # and then all over again


def test_an_empty_buffer_has_nothing_to_select():
    assert not len(empty().select(3))
