"""Linear decay, the last iterate's bound, refinement and the logger of norms."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.optimize import linprog
from torch import nn

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training import (
    DegenerateScheduleWarning,
    GradNormLogger,
    LinearDecay,
    Refined,
    last_iterate_bound,
    linear_to_last,
    refine_schedule,
)
from feasible.training.refined_schedule.refined import kind_of, optimal_weights

positive = st.lists(st.floats(0.2, 5), min_size=4, max_size=60)


def optimizer(lr=0.1):
    return torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=lr)


# -- theory ----------------------------------------------------------------------------------------


def l1_regression(seed, n=30, d=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n)


def subgradient(a, b, x):
    return a.T @ np.sign(a @ x - b) / len(b)


@pytest.mark.parametrize("seed", range(100, 110))
def test_the_last_iterate_obeys_its_bound(seed):
    a, b = l1_regression(seed)
    n, d = a.shape
    best = linprog(
        np.r_[np.zeros(d), np.full(n, 1 / n)],
        np.block([[a, -np.eye(n)], [-a, -np.eye(n)]]),
        np.r_[b, -b],
        bounds=[(None, None)] * d + [(0, None)] * n,
    )
    rng = np.random.default_rng(seed)
    for weights in (np.full(40, 0.1), 0.3 * rng.random(40) + 1e-3):
        x, norms = np.zeros(d), []
        for eta in linear_to_last(weights):
            g = subgradient(a, b, x)
            norms.append(np.linalg.norm(g))
            x = x - eta * g
        gap = np.abs(a @ x - b).mean() - best.fun
        assert gap <= last_iterate_bound(weights, norms, float(np.linalg.norm(best.x[:d]))) + 1e-12


def test_its_rates_are_the_two_sequence_recursion():
    a, b = l1_regression(100)
    w = np.random.default_rng(100).random(25)
    x = plain = z = np.zeros(4)
    for t, eta in enumerate(linear_to_last(w)):
        plain = plain - eta * subgradient(a, b, plain)
        moved = z - w[t] * subgradient(a, b, x)
        x, z = x + w[t + 1 :].sum() / w.sum() * (moved - z), moved
        assert np.allclose(x, plain, atol=1e-12)


def test_constant_weights_are_linear_decay():
    steps = 100
    assert np.allclose(
        linear_to_last(np.full(steps, 1 / math.sqrt(steps))),
        (1 - np.arange(1, steps + 1) / steps) / math.sqrt(steps),
        atol=1e-15,
    )
    assert linear_to_last(np.full(100, 0.1))[0] == pytest.approx(0.099)
    assert last_iterate_bound(np.full(100, 0.1), np.ones(100), 1.0) == pytest.approx(
        0.1
    )  # D G / sqrt(T)


@given(positive, st.floats(0.1, 10), st.integers(0, 2**31))
def test_no_other_weights_have_a_smaller_bound(norms, distance, seed):
    w = optimal_weights(norms, distance)
    best = last_iterate_bound(w, norms, distance)
    assert best == pytest.approx(distance / math.sqrt((np.array(norms) ** -2.0).sum()))
    other = w * np.exp(0.3 * np.random.default_rng(seed).normal(size=len(w)))
    assert last_iterate_bound(other, norms, distance) >= best * (1 - 1e-12)


# -- refinement ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["l1", "l2"])
@pytest.mark.parametrize("steps", [2, 3, 10, 57])
def test_constant_norms_give_linear_decay(kind, steps):
    t = np.arange(1, steps + 1)
    assert np.allclose(
        refine_schedule(np.full(steps, 3.3), kind), (steps - t) / (steps - 1), atol=1e-15
    )


@pytest.mark.parametrize(
    ("kind", "expected"), [("l2", [0.375, 1, 0.5, 0]), ("l1", [0.75, 1, 0.5, 0])]
)
def test_a_large_first_gradient_gives_a_warm_up(kind, expected):
    assert np.allclose(refine_schedule([2, 1, 1, 1], kind), expected, atol=1e-15)


@pytest.mark.filterwarnings("ignore::feasible.training.DegenerateScheduleWarning")
@given(positive, st.sampled_from(["l1", "l2"]), st.floats(1e-150, 1e150), st.booleans())
def test_scale_does_not_matter_and_shares_are_shares(norms, kind, c, fallback):
    found = refine_schedule(norms, kind, fallback=fallback)
    assert np.allclose(
        found, refine_schedule(np.array(norms) * c, kind, fallback=fallback), rtol=1e-9
    )
    assert (found.max(), found[-1]) == (1, 0)
    assert (found >= 0).all()


@given(positive, st.sampled_from([1, 2]))
def test_it_is_the_reverse_cumulative_sum(norms, power):
    w = np.array(norms) ** -float(power)
    brute = np.array([w[t] * sum(w[p] for p in range(t + 1, len(w))) for t in range(len(w))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = refine_schedule(norms, f"l{power}", tau=1e-9, fallback=False)
    assert np.allclose(found, brute / brute.max(), rtol=1e-9, atol=1e-12)


def test_a_spike_shorter_than_half_the_filter_leaves_no_trace():
    norms = np.linspace(2, 1, 200)
    spiked = norms.copy()
    spiked[100:108] = 1e6
    assert np.allclose(
        refine_schedule(spiked), refine_schedule(norms), atol=0.06
    )  # the median moves by 8 of its neighbours


def test_vanishing_gradients_fall_back_to_linear_decay_with_a_warning():
    norms = np.exp(-np.linspace(0, 6.5, 300))
    with pytest.warns(DegenerateScheduleWarning, match="linear decay takes its place"):
        assert np.allclose(refine_schedule(norms), np.linspace(1, 0, 300))
    with pytest.warns(DegenerateScheduleWarning, match="half-way"):
        assert refine_schedule(norms, fallback=False).argmax() > 270


@settings(max_examples=25)
@given(st.integers(20, 200), st.integers(20, 200))
def test_a_log_serves_another_budget(logged, steps):
    found = refine_schedule(1 + np.linspace(0, 1, logged), total_steps=steps, tau=0.01)
    assert np.allclose(found, refine_schedule(1 + np.linspace(0, 1, steps), tau=0.01), atol=1e-9)


@pytest.mark.parametrize(
    ("norms", "settings", "error", "words"),
    [
        ([1.0, math.nan], {}, NotFinite, "norms hold a NaN or an infinity at step 1"),
        ([1.0, math.inf], {}, NotFinite, "norms"),
        ([1.0, -1.0], {}, ArgumentError, "negative"),
        ([0.0, 0.0], {}, ArgumentError, "all zero"),
        ([1.0], {}, ShapeError, "at least 2"),
        ([[1.0, 2.0]], {}, ShapeError, "shape"),
        ([1.0, 2.0], {"tau": 0.0}, ArgumentError, "tau=0"),
        ([1.0, 2.0], {"tau": 0.6}, ArgumentError, "tau=0.6"),
        ([1.0, 2.0], {"kind": "l3"}, ArgumentError, "kind='l3'"),
        ([1.0, 2.0], {"mode": "wrap"}, ArgumentError, "mode='wrap'"),
        ([1.0, 2.0], {"floor_ratio": 1.0}, ArgumentError, "floor_ratio=1"),
        ([1.0, 0.0, 0.0, 0.0], {"floor_ratio": 0.0}, ArgumentError, "zero"),
        ([1.0, 2.0], {"total_steps": 1}, ArgumentError, "total_steps=1"),
    ],
)
def test_bad_norms_are_named(norms, settings, error, words):
    with pytest.raises(error, match=words):
        refine_schedule(norms, **settings)


@pytest.mark.parametrize(
    "call",
    [
        lambda: linear_to_last([0, 0]),
        lambda: last_iterate_bound([1, 1], [1], 1.0),
        lambda: last_iterate_bound([1], [1], 0),
        lambda: optimal_weights([1, 0], 1.0),
    ],
)
def test_bad_weights_are_refused(call):
    with pytest.raises(ArgumentError):
        call()


# -- schedulers ------------------------------------------------------------------------------------


def test_the_schedule_is_followed_entry_by_entry():
    shares = refine_schedule(1 + np.random.default_rng(100).random(37))
    assert np.allclose(Refined(optimizer(), shares).profile(), 0.1 * shares, atol=1e-15)


def test_another_horizon_interpolates():
    shares = np.linspace(1, 0, 11)
    assert np.allclose(
        Refined(optimizer(), shares, total_steps=21).profile(),
        0.1 * np.linspace(1, 0, 21),
        atol=1e-15,
    )


def test_linear_decay_starts_at_the_peak_and_ends_one_step_above_zero():
    assert np.allclose(
        LinearDecay(optimizer(), 5).profile(), 0.1 * np.array([1, 0.8, 0.6, 0.4, 0.2])
    )


@pytest.mark.parametrize(
    ("schedule", "error"),
    [([1.0, math.nan], NotFinite), ([1.0, -1.0], ArgumentError), ([1.0], ShapeError)],
)
def test_bad_schedules_are_refused(schedule, error):
    with pytest.raises(error):
        Refined(optimizer(), schedule)


# -- the logger ------------------------------------------------------------------------------------


@pytest.fixture
def net():
    torch.manual_seed(100)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 4))


def logged(net, log, steps=1, scale=1.0):
    for _ in range(steps):
        net.zero_grad()
        (scale * net(torch.randn(5, 1, 6, 6)).square().mean()).backward()
        log.record()


@pytest.mark.parametrize("flat", [True, False])
def test_both_norms_are_those_of_the_whole_gradient(net, monkeypatch, flat):
    monkeypatch.setattr("feasible.training.refined_schedule.refined.FLAT", 10**6 if flat else 0)
    log = GradNormLogger(net.parameters())
    logged(net, log, 3)
    whole = torch.cat([p.grad.reshape(-1) for p in net.parameters()])
    assert len(log) == 3
    assert log.l1[-1] == pytest.approx(float(whole.abs().sum()), rel=1e-5)
    assert log.l2[-1] == pytest.approx(float(whole.norm()), rel=1e-5)


def test_as_a_hook_it_logs_each_step_of_the_optimiser(net):
    by_call, by_hook = GradNormLogger(net.parameters()), GradNormLogger(net.parameters())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(by_hook)
    for _ in range(3):
        logged(net, by_call)
        optimizer.step()
    assert np.array_equal(by_hook.l2, by_call.l2)


def test_a_long_log_is_kept_in_order(net):
    log, by_hand = GradNormLogger(net.parameters()), []
    logged(net, log)
    for i in range(700):
        for p in net.parameters():
            p.grad.fill_(float(i))
        log.record()
        by_hand.append(i * math.sqrt(sum(p.numel() for p in net.parameters())))
    assert np.allclose(log.l2[1:], by_hand, rtol=1e-5)


def test_a_log_is_saved_resumed_and_refined(net, tmp_path):
    log = GradNormLogger(net.parameters())
    logged(net, log, 30)
    log.save(tmp_path / "norms.npz")
    again = GradNormLogger(net.parameters())
    again.load_state_dict(log.state_dict())
    logged(net, again)
    assert np.array_equal(again.l1[:30], log.l1)
    assert len(again) == 31
    for opt, kind in (
        (torch.optim.SGD(net.parameters(), lr=0.1), "l2"),
        (torch.optim.AdamW(net.parameters(), lr=0.1), "l1"),
    ):
        assert kind_of(opt) == kind
        found = Refined.from_log(tmp_path / "norms.npz", opt, total_steps=60)
        assert np.allclose(
            found.profile(),
            0.1 * refine_schedule(getattr(log, kind), kind, total_steps=60),
            atol=1e-15,
        )


def test_accumulated_and_frozen_parameters_count_as_they_are(net):
    net[0].requires_grad_(False)
    log = GradNormLogger(net.parameters())
    logged(net, log)
    assert log.l1[0] == pytest.approx(
        float(sum(p.grad.abs().sum() for p in net[3].parameters())), rel=1e-5
    )


def test_what_cannot_be_logged_is_refused(net, tmp_path):
    with pytest.raises(ArgumentError, match=r"call record\(\) after backward"):
        GradNormLogger(net.parameters()).record()
    with pytest.raises(ArgumentError, match="none of them requires a gradient"):
        GradNormLogger([])
    table = nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ArgumentTypeError, match="a gradient is sparse"):
        GradNormLogger(table.parameters()).record()
    (tmp_path / "other.npz").write_text("no norms")
    with pytest.raises(ArgumentError, match="no file of gradient norms"):
        GradNormLogger.load(tmp_path / "other.npz")


def test_a_gradient_that_overflows_is_logged_and_found_when_it_is_refined(net):
    log = GradNormLogger(net.parameters())
    logged(net, log, 3, scale=math.inf)
    with pytest.raises(NotFinite, match="at step 0"):
        refine_schedule(log.l2)
