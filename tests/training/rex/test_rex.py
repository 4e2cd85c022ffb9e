"""REX and the baselines, against their peers."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite
from feasible.training import REX, LinearDecay, OneCycle, Plateau, Recipe
from feasible.training.recipe import curves


def optimizer(kind=torch.optim.SGD, lr=0.1, **settings):
    return kind([nn.Parameter(torch.ones(1))], lr=lr, **settings)


def test_beta_is_the_family():
    assert np.array_equal(
        REX(optimizer(), 30, beta=0.0).profile(), LinearDecay(optimizer(), 30).profile()
    )
    assert np.allclose(REX(optimizer(), 4).profile() / 0.1, [1, 6 / 7, 2 / 3, 2 / 5])


@pytest.mark.parametrize(
    ("beta", "error"), [(1.0, ArgumentError), (2.0, ArgumentError), (math.nan, NotFinite)]
)
def test_beta_stays_below_one(beta, error):
    with pytest.raises(error, match="beta="):
        REX(optimizer(), 10, beta=beta)


def test_it_equals_pytorch_optimizers_from_the_first_step_on():
    from pytorch_optimizer import REXScheduler

    steps = 25
    a, b = optimizer(), optimizer()
    ours, theirs = REX(a, steps, min_lr=1e-3), REXScheduler(b, steps, max_lr=0.1, min_lr=1e-3)
    assert (
        b.param_groups[0]["lr"] == 1e-3
    )  # a step made here would be dead with its default min_lr = 0
    for _ in range(steps):
        a.step()
        ours.step()
        theirs.step()
        assert a.param_groups[0]["lr"] == pytest.approx(b.param_groups[0]["lr"], rel=1e-12)


def test_the_peer_makes_one_dead_step_and_else_follows_the_same_curve():
    ours, theirs = (
        curves(Recipe("sgd", name, lr=0.1), 12)[0] for name in ("rex", "pytorch-optimizer-rex")
    )
    assert theirs[0] == 0
    assert np.allclose(theirs[1:], ours[1:])


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_onecycle_is_torchs_to_one_step(kind):
    steps, more = 500, {"momentum": 0.9} if kind is torch.optim.SGD else {}
    a, b = optimizer(kind, **more), optimizer(kind, **more)
    ours = OneCycle(a, steps)
    theirs = lr_scheduler.OneCycleLR(b, max_lr=0.1, total_steps=steps, anneal_strategy="linear")

    def momentum(opt):
        group = opt.param_groups[0]
        return group["betas"][0] if "betas" in group else group["momentum"]

    for _ in range(steps - 1):
        assert a.param_groups[0]["lr"] == pytest.approx(
            b.param_groups[0]["lr"], abs=0.1 * 4 / steps
        )
        assert momentum(a) == pytest.approx(momentum(b), abs=0.1 * 4 / steps)
        a.step()
        b.step()
        ours.step()
        theirs.step()


def test_onecycle_can_leave_momentum_alone():
    opt = optimizer(momentum=0.9)
    OneCycle(opt, 10, high=None)
    assert opt.param_groups[0]["momentum"] == 0.9
    with pytest.raises(ArgumentError, match=r"low=0\.9, high=0\.8"):
        OneCycle(opt, 10, low=0.9, high=0.8)


def test_plateau_is_torchs():
    rng = np.random.default_rng(100)
    a, b = optimizer(), optimizer()
    ours, theirs = (
        Plateau(a, evaluations=60),
        lr_scheduler.ReduceLROnPlateau(b, factor=0.1, patience=3, threshold=0.0, eps=0.0),
    )
    assert ours.patience == 3
    for metric in 1 + rng.random(60):
        ours.step(metric)
        theirs.step(metric)
        assert a.param_groups[0]["lr"] == pytest.approx(b.param_groups[0]["lr"], rel=1e-12)
    assert ours.decays >= 3


def test_plateau_goes_on_from_its_state():
    metrics = 1 + np.random.default_rng(101).random(40)
    whole = Plateau(optimizer(), evaluations=20, min_lr=1e-7)
    rates = []
    for i, metric in enumerate(metrics):
        if i == 17:
            resumed = Plateau(optimizer(), evaluations=20)
            resumed.load_state_dict(whole.state_dict())
        whole.step(metric)
        rates.append(whole.get_last_lr()[0])
    found = []
    for metric in metrics[17:]:
        resumed.step(metric)
        found.append(resumed.get_last_lr()[0])
    assert found == rates[17:]
    assert min(found) == 1e-7


def test_plateau_needs_its_metric():
    sched = Plateau(optimizer())
    with pytest.raises(ArgumentTypeError, match=r"step\(metric\) needs the figure"):
        sched.step()
    with pytest.raises(NotFinite, match="metric is NaN"):
        sched.step(math.nan)
    with pytest.raises(ArgumentError, match="factor=1"):
        Plateau(optimizer(), factor=1.0)


def test_warnings_of_torch_about_the_order_are_kept():
    sched = REX(optimizer(), 10)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        sched.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sched.step()
