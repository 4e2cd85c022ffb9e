"""The monitor: the two phases, figures by hand, and that looking changes nothing."""

import itertools
import math

import pytest
import torch
from torch import nn

from feasible.core.errors import ArgumentTypeError, ShapeError
from feasible.training import LionK, LyapunovMonitor

ROW = (
    "phase",
    "violation",
    "distance",
    "inside_fraction",
    "f",
    "F",
    "H",
    "fenchel_gap",
    "delta1",
    "delta2",
    "descent",
    "lr",
    "comparable",
)


def made(start, **settings):
    x = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    opt = LionK([x], **{"lr": 0.01, "weight_decay": 1.0, **settings})
    monitor = LyapunovMonitor(opt, lambda: ((x - 3) ** 2).sum() / 2)

    def step(n=1):
        for _ in range(n):
            opt.zero_grad()
            monitor.loss_fn().backward()
            opt.step()

    return x, opt, monitor, step


def test_outside_it_reports_the_phase_and_the_violation_and_inside_the_figures():
    x, _, monitor, step = made([5.0, 0.0], lr=0.1, weight_decay=0.5)
    row = monitor.measure()
    assert set(row) == set(ROW)
    assert row["phase"] == 1
    assert row["violation"] == pytest.approx(3.0)
    assert row["distance"] == pytest.approx(1.5)
    assert row["inside_fraction"] == 0.5
    assert row["F"] == row["H"] == row["fenchel_gap"] == math.inf
    assert row["f"] == pytest.approx(6.5)
    step(600)
    row = monitor.measure()
    assert row["phase"] == 2
    assert row["violation"] <= 1e-9
    assert x.detach().max() <= 2 + 1e-9
    assert row["F"] == row["f"]


def test_the_figures_are_those_of_the_formulas_by_hand():
    """1-D, l1, x = 0.5, m' = 0 before any step; then the paper's m = -m' after one."""
    _, _, monitor, step = made([0.5])
    first = monitor.measure()
    assert first["f"] == first["F"] == pytest.approx(3.125)
    assert first["fenchel_gap"] == pytest.approx(2.5 + 0.5 * -2.5)
    assert first["H"] == pytest.approx(3.125)
    step()
    h = 0.01 / 0.99
    c = h * 0.9 / (h * 0.1 + 0.01)
    x, m = 0.99 * 0.5 + 0.01, 0.01 * 2.5
    assert monitor.measure()["H"] == pytest.approx((x - 3) ** 2 / 2 + c * (m - x * m))


def test_h_falls_to_its_tube_in_phase_two_and_the_gap_to_zero():
    _, _, monitor, step = made([-0.9, 0.2, 0.4], lr=1e-3)
    values = []
    for _ in range(40):
        values.append(monitor.measure()["H"])
        step(100)
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(values))
    assert monitor.measure()["fenchel_gap"] < 0.2 < monitor.rows[0]["fenchel_gap"]
    assert len(monitor.rows) == 41


def test_measuring_changes_nothing():
    x, opt, monitor, step = made([0.5])
    monitor.measure()
    assert x.grad is None
    assert x not in opt.state
    step()
    before = x.detach().clone(), x.grad.clone(), opt.state[x]["exp_avg"].clone()
    monitor.measure()
    assert all(
        torch.equal(a, b)
        for a, b in zip(before, (x.detach(), x.grad, opt.state[x]["exp_avg"]), strict=True)
    )


def test_a_changed_rate_is_noted_as_h_has_another_constant():
    _, opt, monitor, _ = made([0.5])
    assert monitor.measure()["comparable"]
    opt.param_groups[0]["lr"] = 0.005
    assert not monitor.measure()["comparable"]
    assert monitor.measure()["comparable"]


def test_blocks_add_up_and_float32_rounding_is_not_a_violation():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    data = torch.randn(10, 3)
    opt = LionK(net.parameters(), lr=0.05, bound=0.1)
    monitor = LyapunovMonitor(opt, lambda: net(data).square().sum())
    for _ in range(300):
        opt.zero_grad()
        (-monitor.loss_fn()).backward()
        opt.step()
    assert max(float(p.detach().abs().max()) for p in net.parameters()) == pytest.approx(
        0.1, rel=1e-5
    )
    row = monitor.measure()
    assert row["phase"] == 2
    assert row["inside_fraction"] == 1
    assert row["violation"] <= 1e-7


def test_without_decay_it_warns_and_h_is_that_of_hamiltonian_descent():
    _, _, monitor, step = made([0.5], weight_decay=0.0)
    step()
    with pytest.warns(UserWarning, match="weight_decay is 0"):
        row = monitor.measure()
    assert row["F"] == row["f"]
    assert row["H"] == pytest.approx(row["f"] + 0.01 * 0.9 / 0.01 * 0.025)


def test_other_optimisers_and_losses_are_refused():
    x = nn.Parameter(torch.ones(2))
    with pytest.raises(ArgumentTypeError, match=r"optimizer=SGD.*expected a LionK"):
        LyapunovMonitor(torch.optim.SGD([x]), lambda: x.sum())
    with pytest.raises(ArgumentTypeError, match=r"loss_fn=3\.0: expected a function"):
        LyapunovMonitor(LionK([x]), 3.0)
    with pytest.raises(ShapeError, match=r"shape \(2,\), expected a scalar"):
        LyapunovMonitor(LionK([x], weight_decay=1.0), lambda: x * 2).measure()
