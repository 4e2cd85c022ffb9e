"""Networks bounded in parts, and the differences of two outputs."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest

from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    FeasibleError,
    NotFinite,
    ShapeError,
)
from feasible.programs import DEQ, ResidualMLP, lipschitz_bound, pair_bounds
from feasible.programs.lipsdp_groupsort import feedforward


def weights(*widths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((b, a)) / a**0.5 for a, b in pairwise(widths)]


DEEP = weights(5, *[6] * 7, 3)
RESIDUAL = ResidualMLP(weights(*[4] * 6), W_in=weights(3, 4)[0], W_out=weights(4, 2)[0])


@pytest.mark.parametrize("net", [DEEP, RESIDUAL], ids=["feed-forward", "residual"])
@pytest.mark.parametrize("split", [1, 2, 3, 5])
def test_the_product_of_the_parts_is_a_bound_between_the_whole_and_the_norms(net, split):
    whole, found = lipschitz_bound(net, samples=0), lipschitz_bound(net, split=split)
    assert found.verify()
    assert whole.value <= found.value * (1 + 1e-4)
    assert found.value <= found.product * (1 + 1e-6)
    assert found.lower <= whole.value
    assert found.value == math.prod(p.value for p in found.parts)
    layers = len(net) - 1 if isinstance(net, list) else len(net.layers)
    assert [len(p.net.layers) for p in found.parts] == [
        min(split, layers - at) for at in range(0, layers, split)
    ]


def test_the_parts_are_the_network():
    net = feedforward(DEEP, biases=[np.full(len(W), 0.1) for W in DEEP])
    x = np.random.default_rng(1).standard_normal((7, 5))
    at = x
    for part in lipschitz_bound(net, split=3, samples=0).parts:
        at = part.net(at)
    assert at == pytest.approx(net(x))


def test_a_network_of_one_part_is_bounded_as_a_whole():
    assert lipschitz_bound(DEEP, split=9).value == lipschitz_bound(DEEP).value


def test_a_bound_below_its_parts_product_is_not_certified():
    found = lipschitz_bound(DEEP, split=3, samples=0)
    low = replace(found, value=0.99 * found.value)
    assert not low.verify()
    assert "product" in low.verify().why
    part = replace(found.parts[0], value=0.5 * found.parts[0].value)
    assert not replace(found, parts=(part, *found.parts[1:])).verify()


@pytest.mark.parametrize(
    "call",
    [
        lambda: lipschitz_bound(DEEP, "linf", split=2),
        lambda: lipschitz_bound(DEQ(np.eye(2) / 4, np.eye(2), np.eye(2)), split=2),
        lambda: lipschitz_bound(DEEP, split=0),
        lambda: lipschitz_bound(DEEP, split=1.5),
    ],
)
def test_a_split_that_cannot_be_is_refused(call):
    with pytest.raises(FeasibleError, match="split"):
        call()


def test_a_pairs_bound_is_between_its_slopes_and_root_2_of_the_whole():
    net = feedforward(DEEP[-4:])
    found, whole = pair_bounds(net), lipschitz_bound(net).value
    slopes = net.jacobians(np.random.default_rng(0).standard_normal((500, 6)))
    assert found.bounds.keys() == set(combinations(range(3), 2))
    for (i, j), bound in found.bounds.items():
        assert bound.verify()
        seen = np.linalg.norm(slopes[:, i] - slopes[:, j], axis=1).max()
        assert seen <= bound.value <= 2**0.5 * whole * (1 + 1e-4)
        assert found.values[i, j] == found.values[j, i] == bound.value


def test_a_linear_networks_pairs_are_exact_and_so_is_the_radius():
    """f_i - f_j = (w_i - w_j)'x changes its sign at the distance |f_i - f_j| / |w_i - w_j|."""
    W = np.random.default_rng(3).standard_normal((4, 6))
    found = pair_bounds([W])
    exact = np.linalg.norm(W[:, None] - W, axis=2)
    assert found.values == pytest.approx(exact, rel=1e-6)
    x = np.random.default_rng(4).standard_normal((9, 6))
    f = x @ W.T
    top = f.argmax(1)
    away = [
        min((f[b, y] - f[b, j]) / exact[y, j] for j in range(4) if j != y)
        for b, y in enumerate(top)
    ]
    assert found.radius(f) == pytest.approx(away, rel=1e-6)
    assert found.radius(f[0]) == found.radius(f)[0]
    assert found.radius(np.ones(4)) == 0


def test_where_a_pair_was_not_asked_for_the_radius_is_0():
    found = pair_bounds([np.eye(3)], pairs=[(1, 0), (0, 1)])
    assert found.bounds.keys() == {(0, 1)}
    assert found.values[0, 2] == np.inf
    assert found.radius([3.0, 1.0, 0.0]) == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: pair_bounds([np.ones((1, 2))]), ArgumentError, "1 output"),
        (lambda: pair_bounds([np.eye(2)], pairs=[(0, 0)]), ArgumentError, "two different"),
        (lambda: pair_bounds([np.eye(2)], pairs=[(0, 2)]), ArgumentError, "below 2"),
        (lambda: pair_bounds([np.eye(2)], pairs=[0, 1]), ArgumentTypeError, "pairs"),
        (lambda: pair_bounds([np.eye(2)], pairs=[("a", 1)]), ArgumentTypeError, "pairs"),
        (lambda: pair_bounds([np.eye(2)], norm="linf"), ArgumentError, "norm='linf'"),
        (lambda: pair_bounds([np.eye(2)]).radius(np.ones(3)), ShapeError, "expected \\(..., 2\\)"),
        (lambda: pair_bounds([np.eye(2)]).radius([0, np.nan]), NotFinite, "outputs"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, words):
    with pytest.raises(error, match=words):
        call()
