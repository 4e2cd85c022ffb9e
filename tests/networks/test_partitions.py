"""Partitions of a data set: every row goes to one client, and alpha is read the right way round."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ShapeError
from feasible.networks import split_at_random, split_by_label, split_dirichlet, unlikeness

LABELS = np.random.default_rng(0).integers(0, 10, 1000)


@pytest.mark.parametrize(
    "split",
    [
        lambda seed: split_at_random(1000, 7, seed),
        lambda seed: split_by_label(LABELS, 5, 0.5, seed),
        lambda seed: split_by_label([f"class {k}" for k in LABELS], 13, 0.2, seed),
        lambda seed: split_dirichlet(LABELS, 6, 0.3, least=10, seed=seed),
        lambda seed: split_dirichlet(LABELS, 1, 0.3, seed=seed),
    ],
)
def test_each_row_goes_to_exactly_one_client(split):
    parts = split(3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(1000))
    assert all((one == other).all() for one, other in zip(parts, split(3), strict=True))


def test_parts_at_random_differ_by_one_row():
    assert {len(part) for part in split_at_random(1000, 7)} == {142, 143}
    assert len(split_at_random(5, 5)) == 5


def test_a_client_has_its_share_of_the_classes_in_equal_parts():
    parts = split_by_label(LABELS, 5, 0.5)
    held = [set(LABELS[part].tolist()) for part in parts]
    assert [len(h) for h in held] == [5] * 5
    for c in range(10):
        sizes = [int((LABELS[part] == c).sum()) for part in parts]
        kept = [s for s in sizes if s]
        assert max(kept) - min(kept) <= 1


def test_a_smaller_alpha_makes_clients_less_alike():
    found = [
        np.mean([unlikeness(LABELS, split_dirichlet(LABELS, 5, a, 0, s)) for s in range(5)])
        for a in (100.0, 1.0, 0.1, 0.01)
    ]
    assert found == sorted(found)
    assert found[0] < 0.1 < 0.5 < found[-1]
    assert unlikeness(LABELS, split_at_random(1000, 5)) < 0.1


def test_the_least_size_is_met_or_refused_after_bounded_draws():
    for seed in range(5):
        parts = split_dirichlet(LABELS, 8, 0.5, least=30, seed=seed)
        assert min(map(len, parts)) >= 30
    with pytest.raises(ArgumentError, match="least=200: 6 clients need 1200 rows"):
        split_dirichlet(LABELS, 6, 1.0, least=200)
    with pytest.raises(ArgumentError, match=r"least=160: not met in 100 draws with alpha=0\.01"):
        split_dirichlet(LABELS, 6, 0.01, least=160)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: split_by_label(LABELS, 5, 0.05), ArgumentError, "would have none"),
        (lambda: split_by_label(LABELS, 3, 0.2), ArgumentError, "without a client"),
        (lambda: split_dirichlet(LABELS, 5, 0.0), ArgumentError, "alpha=0"),
        (lambda: split_dirichlet(LABELS[:, None], 5, 1.0), ShapeError, "labels have shape"),
        (lambda: split_at_random(3, 4), ArgumentError, "clients=4"),
    ],
)
def test_what_is_refused_is_named(call, error, said):
    with pytest.raises(error, match=said):
        call()
