"""Lipschitz bounds: closed forms, exact constants by enumeration, order of the forms, solvers."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError, Infeasible, NotFinite, ShapeError
from feasible.programs import (
    DEQ,
    FullSort,
    GroupSort,
    Householder,
    MaxMin,
    ResidualMLP,
    Slope,
    lipschitz_bound,
)
from feasible.programs.lipsdp_groupsort import Layer, Network, feedforward

FORMS = ("full", "simple", "relu")
ROOT2 = 2**0.5
UP = np.array([[1.0], [1.0]])


def weights(*widths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((b, a)) / a**0.5 for a, b in pairwise(widths)]


def value(net, **more):
    found = lipschitz_bound(net, samples=0, **more)
    assert found.verify(), found.verify()
    return found.value


def pairings(n):
    """Every Jacobian of MaxMin: each pair as it is, or exchanged."""
    for flips in product((False, True), repeat=n // 2):
        order = np.arange(n).reshape(-1, 2)
        order[list(flips)] = order[list(flips)][:, ::-1]
        yield np.eye(n)[order.ravel()]


# -- closed forms ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["full", "simple"])
def test_one_maxmin_layer_has_the_constant_1(form):
    assert value([np.eye(4)] * 2, form=form) == pytest.approx(1, abs=1e-5)


def test_maxmin_as_relu_has_the_bound_root_2():
    assert value([np.eye(4)] * 2, form="relu") == pytest.approx(ROOT2, abs=1e-5)


@pytest.mark.parametrize("phi", [MaxMin(), GroupSort(3), FullSort(), Householder([0.6, 0.8])])
def test_orthogonal_weights_give_1(phi):
    rng = np.random.default_rng(1)
    turns = [np.linalg.qr(rng.standard_normal((6, 6)))[0] for _ in range(4)]
    assert value(turns, activation=phi) == pytest.approx(1, abs=1e-5)


def test_a_linear_map_has_its_norm():
    (W,) = weights(5, 3)
    assert value([W]) == pytest.approx(np.linalg.norm(W, 2), rel=1e-6)
    assert value([W[:1]], norm="linf") == pytest.approx(np.abs(W[0]).sum(), rel=1e-5)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("form", FORMS)
def test_scaling_a_layer_scales_the_bound(norm, form):
    given = weights(4, 6, 6, 2)
    once = value(given, norm=norm, form=form)
    thrice = value([given[0], -3 * given[1], given[2]], norm=norm, form=form)
    assert thrice == pytest.approx(3 * once, rel=1e-4)


@pytest.mark.parametrize("form", ["full", "simple"])
@pytest.mark.parametrize("last", [[[1.0, 1.0]], [[1.0, -1.0]]])
def test_the_sum_and_the_distance_of_two_inputs(form, last):
    net = [np.eye(2), np.array(last)]
    assert value(net, form=form) == pytest.approx(ROOT2, abs=1e-4)
    assert value(net, norm="linf", form=form) == pytest.approx(2, abs=1e-4)


@pytest.mark.parametrize("form", ["full", "simple"])
def test_the_difference_of_a_doubled_input_is_0_thanks_to_gamma(form):
    assert value([UP, np.array([[1.0, -1.0]])], form=form) <= 1e-3


def test_householder_of_the_pair_gives_the_bound_of_maxmin():
    given = weights(4, 6, 6, 2)
    other = Householder(np.array([1, -1]) / ROOT2)
    for form in ("full", "simple"):
        same = value(given, form=form, activation=other)
        assert same == pytest.approx(value(given, form=form), rel=1e-5)


def test_a_residual_block_without_weights_is_the_identity():
    block = ResidualMLP([np.zeros((4, 4))])
    for form in ("full", "simple"):
        assert 1 <= value(block, form=form) <= 1 + 1e-4


def test_an_implicit_layer_without_feedback_is_feed_forward():
    U, out = weights(3, 6, 2)
    for form in FORMS:
        implicit = value(DEQ(np.zeros((6, 6)), U, out), form=form)
        assert implicit == pytest.approx(value([U, out], form=form), rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_an_implicit_layer_that_grows_is_not_well_posed(form):
    U, out = weights(3, 6, 2)
    with pytest.raises(Infeasible, match="not provably well-posed"):
        lipschitz_bound(DEQ(1.5 * np.eye(6), U, out), form=form)


# -- exact constants by enumeration ----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(100, 108))
def test_one_hidden_layer_is_within_5_percent_of_the_exact_constant(seed):
    W, out = weights(6, 6, 3, seed=seed)
    exact = max(np.linalg.norm(out @ Q @ W, 2) for Q in pairings(6))
    found = value([W, out])
    assert exact * (1 - 1e-9) <= found <= 1.05 * exact


def test_two_hidden_layers_are_never_below_the_largest_product_of_pieces():
    found, exact = [], []
    for seed in range(100, 104):
        A, B, out = weights(4, 6, 6, 2, seed=seed)
        pieces = (out @ Q @ B @ R @ A for Q in pairings(6) for R in pairings(6))
        exact.append(max(np.linalg.norm(J, 2) for J in pieces))
        found.append(value([A, B, out]))
    ratio = np.array(found) / exact
    assert (ratio >= 1 - 1e-9).all()
    assert np.median(ratio) <= 1.05


@pytest.mark.parametrize("seed", range(100, 104))
def test_one_residual_block_is_exact(seed):
    (W,) = weights(6, 6, seed=seed)
    exact = max(np.linalg.norm(np.eye(6) + Q @ W, 2) for Q in pairings(6))
    assert value(ResidualMLP([W])) == pytest.approx(exact, rel=1e-4)


def test_one_output_in_linf_is_within_10_percent_of_the_exact_constant():
    for seed in (100, 101):
        W, out = weights(4, 6, 1, seed=seed)
        exact = max(np.abs(out @ Q @ W).sum() for Q in pairings(6))
        assert exact * (1 - 1e-9) <= value([W, out], norm="linf") <= 1.1 * exact


# -- networks --------------------------------------------------------------------------------------

NETS = {
    "feed-forward": feedforward(weights(5, 8, 8, 3)),
    "groups of 4": feedforward(weights(5, 8, 8, 3), GroupSort(4)),
    "householder": feedforward(weights(5, 8, 8, 3), Householder([0.6, 0.8])),
    "residual": ResidualMLP(
        weights(8, 8, 8, seed=1), W_in=weights(5, 8)[0], W_out=weights(8, 3)[0]
    ),
    "implicit": DEQ(0.3 * weights(8, 8)[0], *weights(5, 8, 3)),
    "relu": feedforward(weights(5, 8, 8, 3), Slope("relu")),
    "wide input": feedforward(weights(30, 8, 3)),
    "one block": Network(
        (Layer(weights(5, 6)[0], MaxMin(), None, np.eye(5), weights(6, 5)[0]),), np.eye(5)
    ),
}


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_sampled_slopes_are_below_the_full_constraint_and_that_below_the_others(net, norm):
    full = lipschitz_bound(net, norm, samples=400)
    assert full.status == "optimal"
    assert full.verify()
    assert 0 < full.lower <= full.value * (1 + 1e-9)
    assert full.value <= value(net, norm=norm, form="simple") * (1 + 1e-4)
    if norm == "l2":
        assert full.value <= full.product * (1 + 1e-6)


def test_maxmin_as_relu_is_never_below_the_full_constraint():
    for norm in ("l2", "linf"):
        assert value(NETS["feed-forward"], norm=norm) <= value(
            NETS["feed-forward"], norm=norm, form="relu"
        ) * (1 + 1e-4)


def test_a_deep_network_of_large_weights_keeps_its_scale():
    given = [20 * W for W in weights(4, *[6] * 12, 2)]
    small = value([W / 20 for W in given])
    assert value(given) == pytest.approx(20 ** len(given) * small, rel=1e-4)


# -- solvers and certificates ----------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_clarabel_and_newton_find_the_same_optimum(form, norm):
    given = weights(4, 6, 6, 2, seed=3)
    ours = lipschitz_bound(given, norm, form=form, samples=0)
    theirs = lipschitz_bound(given, norm, form=form, samples=0, solver="clarabel")
    assert ours.converged
    assert ours.value <= theirs.value * (1 + 2e-5)
    assert theirs.value <= ours.value * 1.02
    assert theirs.verify()


def test_eliminating_what_is_preserved_is_the_full_constraint_of_the_paper():
    # cvxpy has the layer-wise inequality with T and P; Finsler's lemma says the values are the same
    for seed in (100, 101):
        given = weights(3, 4, 4, 2, seed=seed)
        assert value(given, solver="clarabel") == pytest.approx(value(given), rel=5e-3)


@pytest.mark.parametrize("solver", ["scs", "gradient"])
@pytest.mark.parametrize("form", FORMS)
def test_other_solvers_give_certificates_near_the_optimum(solver, form):
    given = weights(4, 6, 6, 2, seed=4)
    best = value(given, form=form)
    found = value(given, form=form, solver=solver, tol=1e-5, steps=150)
    assert best * (1 - 1e-5) <= found <= 1.05 * best


def test_an_inaccurate_solver_is_never_called_optimal():
    given = weights(4, 6, 6, 2)
    rough = lipschitz_bound(given, solver="scs", tol=0.1, samples=0)
    assert rough.verify()  # the bound is recomputed from the multipliers, however rough
    assert rough.value >= value(given) * (1 - 1e-6)
    from feasible.programs.lipsdp_groupsort.lmi import lmi_of
    from feasible.programs.lipsdp_groupsort.sdp import STATUS, solved
    from feasible.programs.lipsdp_groupsort.settings import LipschitzSettings

    net = feedforward(given)
    left = solved(net, lmi_of(net, "l2", "full"), LipschitzSettings(tol=1e-9), "scs", most=3)
    assert left.status != "optimal"
    assert STATUS["optimal_inaccurate"] == "inaccurate"


def test_any_multipliers_at_all_make_a_valid_bound():
    from feasible.programs.lipsdp_groupsort.certify import certified
    from feasible.programs.lipsdp_groupsort.lmi import lmi_of

    rng = np.random.default_rng(7)
    for name in ("feed-forward", "residual", "relu"):
        for norm in ("l2", "linf"):
            lmi = lmi_of(NETS[name], norm, "full")
            best = value(NETS[name], norm=norm)
            for _ in range(5):
                theta = rng.normal(size=len(lmi.cost))
                assert lmi.bound(certified(lmi, theta)) >= best * (1 - 1e-5)


def test_verify_sees_a_bound_that_is_too_small_and_multipliers_that_are_wrong():
    for norm in ("l2", "linf"):
        found = lipschitz_bound(NETS["feed-forward"], norm, samples=0)
        found.value *= 0.999
        assert not found.verify()
        assert not found.certified
        found = lipschitz_bound(NETS["feed-forward"], norm, samples=0)
        found.multipliers["lambda"][0] = 0.5 * found.multipliers["lambda"][0]
        assert not found.verify()
        found.multipliers["lambda"][0] = -found.multipliers["lambda"][0]
        assert "negative" in found.verify().why


def test_a_time_limit_or_a_callback_ends_it_with_a_certificate():
    given = weights(6, *[16] * 5, 2)
    seen = []

    def stop(step, bound):
        seen.append(bound)
        return step >= 3

    early = lipschitz_bound(given, callback=stop, samples=0)
    assert early.status == "the callback ended it"
    assert early.steps == 3 == len(seen)
    assert early.verify()
    limited = lipschitz_bound(given, time_limit=1e-9, samples=0)
    assert limited.status == "time limit"
    assert not limited.converged
    assert limited.verify()


def test_wide_networks_go_to_the_gradient_method():
    given = weights(4, 8, 8, 2)
    assert lipschitz_bound(given, samples=0).solver == "newton"
    assert lipschitz_bound(given, samples=0, most=10, steps=5).solver == "gradient"


def test_the_same_seed_gives_the_same_bound_and_sample():
    one, two = (lipschitz_bound(NETS["feed-forward"], seed=5) for _ in range(2))
    assert (one.value, one.lower) == (two.value, two.lower)


def test_a_radius_is_the_margin_over_root_2_times_the_bound():
    found = lipschitz_bound([np.eye(2)], samples=0)
    assert found.radius(ROOT2) == pytest.approx(1, rel=1e-6)
    assert float(found) == found.value
    with pytest.raises(ArgumentError, match="norm='linf'"):
        lipschitz_bound([np.eye(2)], "linf", samples=0).radius(1)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda: lipschitz_bound([np.ones((3, 2)), np.ones((1, 3))]),
            ShapeError,
            "layer 1 has width 3.*size 2",
        ),
        (lambda: lipschitz_bound([np.ones((4, 2)), np.ones((1, 3))]), ShapeError, "W_2 has shape"),
        (lambda: lipschitz_bound([np.full((2, 2), np.nan)]), NotFinite, "W_1 has a NaN"),
        (lambda: lipschitz_bound([]), ArgumentError, "at least one matrix"),
        (lambda: lipschitz_bound([np.ones(3)]), ShapeError, "W_1 has shape"),
        (lambda: lipschitz_bound([["a"]]), ArgumentTypeError, "W_1"),
        (lambda: lipschitz_bound(3), ArgumentTypeError, "net=3"),
        (lambda: lipschitz_bound([np.eye(2)], "l1"), ArgumentError, "norm='l1'"),
        (
            lambda: lipschitz_bound([np.eye(2)], activation="relu"),
            ArgumentTypeError,
            "activation='relu'",
        ),
        (lambda: lipschitz_bound([np.eye(2)], form="best"), ArgumentError, "form='best'"),
        (lambda: lipschitz_bound([np.eye(2)], solver="mosek"), ArgumentError, "solver='mosek'"),
        (lambda: lipschitz_bound([np.eye(2)], tol=0.0), ArgumentError, "tol=0"),
        (lambda: lipschitz_bound([np.eye(2)], biases=[None] * 2), ArgumentError, "biases"),
        (
            lambda: lipschitz_bound([np.eye(3)] * 2, activation=GroupSort(3), form="relu"),
            ArgumentError,
            "form='relu'",
        ),
        (
            lambda: lipschitz_bound([np.eye(4)] * 2, activation=Householder([[0.6, 0.8]] * 3)),
            ShapeError,
            "layer 1 has width 4",
        ),
        (lambda: ResidualMLP([np.ones((4, 3))]), ShapeError, "V_1 has shape"),
        (lambda: ResidualMLP([]), ArgumentError, "at least one"),
        (lambda: DEQ(np.eye(4), np.ones((2, 3)), np.eye(2)), ShapeError, "W has shape"),
        (lambda: Network((1,), np.eye(2)), ArgumentTypeError, "expected a Layer"),
    ],
)
def test_bad_input_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call()
