"""ProfileLR: torch's scheduler contract, exact resumption, and horizons."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import warnings
import weakref
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from schedules import MAKERS, advance, optimizer
from torch import nn
from torch.optim import lr_scheduler

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite
from feasible.training import REX, UBA, HorizonWarning, LinearDecay, ProfileLR, Sampling

# -- the contract of torch -------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_it_is_a_scheduler_whose_first_rate_is_set_at_once(name):
    opt = optimizer()
    sched = MAKERS[name](opt)
    assert isinstance(sched, lr_scheduler.LRScheduler)
    assert (
        sched.get_last_lr()
        == [g["lr"] for g in opt.param_groups]
        == [sched.lr_at(0, 0.1), sched.lr_at(0, 0.02)]
    )


@pytest.mark.parametrize("name", MAKERS)
def test_profile_is_the_whole_curve_bit_for_bit(name):
    opt = optimizer()
    sched = MAKERS[name](opt)
    curves = np.stack([sched.profile(0), sched.profile(1)], axis=1)
    assert np.array_equal(curves, advance(opt, sched, 40))


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"rex"}))
def test_groups_keep_their_ratio(name):
    sched = MAKERS[name](optimizer((0.1, 0.02)))
    assert np.allclose(sched.profile(1), 0.2 * sched.profile(0), rtol=1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_tensor_rates_are_filled_in_place_with_the_same_values(name):
    opt, plain = optimizer(tensor=True), optimizer()
    held = [g["lr"] for g in opt.param_groups]
    used = advance(opt, MAKERS[name](opt), 40)
    assert all(g["lr"] is lr for g, lr in zip(opt.param_groups, held, strict=True))
    assert np.array_equal(used, advance(plain, MAKERS[name](plain), 40))


def test_a_compiled_step_sees_every_rate_and_is_compiled_once():
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    opt, plain = (
        torch.optim.SGD([{"params": [nn.Parameter(torch.ones(3))], "lr": rate}])
        for rate in (torch.tensor(0.1), 0.1)
    )
    sched, other = REX(opt, 12), REX(plain, 12)
    for o in (opt, plain):
        for group in o.param_groups:
            group["params"][0].grad = torch.ones(3)
    compiled = torch.compile(opt.step, backend=backend)
    for _ in range(12):
        compiled()
        sched.step()
        plain.step()
        other.step()
    assert len(graphs) == 1
    for a, b in zip(opt.param_groups, plain.param_groups, strict=True):
        assert torch.allclose(a["params"][0], b["params"][0], rtol=1e-6)


@pytest.mark.parametrize("ours", ["linear", "cosine"])
def test_it_equals_torchs(ours):
    a, b = optimizer(), optimizer()
    theirs = {
        "linear": lambda: lr_scheduler.LinearLR(b, 1.0, 0.0, total_iters=20),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(b, T_max=20),
    }[ours]()
    assert np.allclose(
        advance(a, ProfileLR(a, ours, 20), 20), advance(b, theirs, 20), rtol=1e-12, atol=1e-16
    )


@pytest.mark.parametrize("steps", [4, 20, 100])
def test_step_50_75_equals_multisteplr(steps):
    a, b = optimizer(), optimizer()
    mine = ProfileLR(a, "step", steps, sampling=Sampling.milestones(0.5, 0.75))
    assert np.allclose(
        advance(a, mine, steps),
        advance(b, lr_scheduler.MultiStepLR(b, [steps // 2, 3 * steps // 4], 0.1), steps),
        rtol=1e-12,
    )


def test_after_another_schedule_it_starts_at_its_own_beginning():
    opt, alone = optimizer(), optimizer()
    both = lr_scheduler.SequentialLR(
        opt, [lr_scheduler.LinearLR(opt, 0.1, 1.0, total_iters=5), REX(opt, 20)], milestones=[5]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", HorizonWarning)
        used = advance(opt, both, 25)
    assert np.array_equal(used[5:], advance(alone, REX(alone, 20), 20))
    assert np.allclose(used[0], [0.01, 0.002])


def test_a_chain_ends_with_the_closed_form_of_its_last():
    opt, alone = optimizer(), optimizer()
    chain = lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(opt, 0.5, total_iters=3), REX(opt, 20)]
    )
    assert np.array_equal(advance(opt, chain, 20)[1:], advance(alone, REX(alone, 20), 20)[1:])


def test_warm_up_rises_from_the_first_step_and_the_profile_takes_the_rest():
    warm, cold = LinearDecay(optimizer(), 25, warmup_steps=5), LinearDecay(optimizer(), 20)
    assert np.allclose(warm.profile()[:5], 0.1 * np.arange(1, 6) / 5, rtol=1e-15)
    assert np.array_equal(warm.profile()[5:], cold.profile())


def test_a_group_that_joins_later_gets_its_own_peak():
    opt = optimizer()
    sched = REX(opt, 20)
    advance(opt, sched, 10)
    opt.add_param_group({"params": [nn.Parameter(torch.ones(2))], "lr": torch.tensor(0.5)})
    advance(opt, sched, 1)
    assert sched.get_last_lr()[2] == 0.5 * sched.share(11)
    assert opt.param_groups[2]["initial_lr"] == 0.5


@pytest.mark.parametrize("name", MAKERS)
def test_it_is_copied_and_pickled_with_its_optimiser(name):
    opt = optimizer()
    sched = MAKERS[name](opt)
    advance(opt, sched, 7)
    for twin in (copy.deepcopy(sched), pickle.loads(pickle.dumps(sched))):
        assert twin.optimizer is not opt
        assert np.array_equal(twin.profile(), sched.profile())
        assert twin.last_epoch == 7
        with warnings.catch_warnings():
            warnings.simplefilter("error", HorizonWarning)
            advance(twin.optimizer, twin, 33)


def test_nothing_keeps_a_dropped_model_alive():
    model = nn.Linear(2, 2)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    sched = UBA(opt, 10)
    model(torch.ones(1, 2)).sum().backward()
    opt.step()
    sched.step()
    gone = weakref.ref(model), weakref.ref(sched), weakref.ref(opt)
    gc.disable()
    try:
        del model, opt, sched
        assert [g() for g in gone] == [None, None, None]
    finally:
        gc.enable()


# -- sampling --------------------------------------------------------------------------------------


def test_a_quarter_of_linear():
    assert ProfileLR(optimizer((1.0,)), "linear", 8, sampling=0.25).profile().tolist() == [
        1,
        1,
        0.75,
        0.75,
        0.5,
        0.5,
        0.25,
        0.25,
    ]


@given(st.integers(1, 400), st.integers(1, 40), st.data())
def test_points_are_the_last_sampled_share_in_exact_arithmetic(steps, den, data):
    num = data.draw(st.integers(1, den))
    k = data.draw(st.integers(0, steps))
    share = Fraction(num, den)
    found = Fraction(*Sampling.every(num / den).point(k, steps))
    assert found == math.floor(Fraction(k, steps) / share) * share
    marks = sorted(
        {Fraction(i, den) for i in data.draw(st.lists(st.integers(1, den), max_size=4))} - {1}
    )
    if marks:
        at = Fraction(*Sampling.milestones(*map(float, marks)).point(k, steps))
        assert at == max([m for m in marks if Fraction(k, steps) >= m], default=0)


@given(st.integers(1, 400), st.integers(1, 50), st.data())
def test_epochs_begin_at_multiples(steps, length, data):
    k = data.draw(st.integers(0, steps))
    assert Fraction(*Sampling.epoch(length).point(k, steps)) == Fraction(
        k // length * length, steps
    )
    assert Fraction(*Sampling.iteration().point(k, steps)) == Fraction(k, steps)


def test_a_schedule_of_another_budget_is_no_prefix():
    assert not np.allclose(
        REX(optimizer(), 100).profile(), REX(optimizer(), 1000).profile()[:100], rtol=0.01
    )


def test_a_single_step_is_made_at_the_peak():
    assert REX(optimizer(), 1).profile().tolist() == [0.1]


# -- horizons --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_past_the_horizon_the_last_rate_stays_and_one_warning_is_given(name):
    opt = optimizer()
    sched = MAKERS[name](opt)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advance(opt, sched, 40)
    last = sched.get_last_lr()
    with pytest.warns(HorizonWarning, match="step 41 of a schedule over 40") as found:
        advance(opt, sched, 5)
    assert len(found) == 1
    assert sched.get_last_lr() == last


def test_extend_stretches_the_profile_from_the_next_rate_on():
    opt = optimizer()
    sched = LinearDecay(opt, 10)
    advance(opt, sched, 10)
    sched.extend(20)
    assert opt.param_groups[0]["lr"] == sched.get_last_lr()[0] == 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.allclose(
            np.array(advance(opt, sched, 10))[:, 0], 0.1 * (1 - np.arange(10, 20) / 20)
        )
    with pytest.raises(ArgumentError, match="total_steps=15: expected at least the 20 steps"):
        sched.extend(15)


def test_extended_phases_lengthen_the_last():
    sched = MAKERS["uba phases"](optimizer())
    sched.extend(60)
    assert sched.phases == [[10, 0.1, 0.01], [50, 0.05, 0.0]]
    twin = MAKERS["uba phases"](optimizer())
    with pytest.warns(HorizonWarning):
        twin.load_state_dict(sched.state_dict())
    assert np.array_equal(twin.profile(), sched.profile())


def stepped(opt, sched, rounds, made, asked):
    for _ in range(rounds):
        for _ in range(made):
            opt.step()
        for _ in range(asked):
            sched.step()


def test_steps_that_a_gradient_scaler_skips_are_no_alarm():
    p = nn.Parameter(torch.ones(3))
    opt = torch.optim.SGD([p], lr=0.1)
    sched = REX(opt, 1000)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
    scaler.scale(torch.zeros(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", HorizonWarning)
        for _ in range(
            200
        ):  # float16's largest number is 65504, so some 17 scales overflow before one holds
            p.grad = (torch.full((3,), scaler.get_scale()).half() * 8).float()
            scaler.step(opt)
            scaler.update()
            sched.step()
    assert sched._made.n < 200 - 14


@pytest.mark.parametrize(
    ("made", "asked"), [(1, 4), (30, 1)], ids=["by several processes", "by epoch"]
)
def test_a_schedule_that_is_not_stepped_with_its_optimiser_is_noticed_once(made, asked):
    opt = optimizer()
    sched = REX(opt, 1000)
    with pytest.warns(
        HorizonWarning, match=r"the optimiser made \d+ steps and the schedule \d+"
    ) as found:
        stepped(opt, sched, 100, made, asked)
    assert len(found) == 1


def test_a_few_steps_that_a_gradient_scaler_skips_are_no_mismatch():
    opt = optimizer()
    sched = REX(opt, 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HorizonWarning)
        advance(opt, sched, 5)
        for _ in range(8):
            sched.step()
        advance(opt, sched, 500)


def test_a_run_that_ends_early_says_that_the_rate_never_came_down():
    opt = optimizer()
    sched = REX(opt, 100)
    advance(opt, sched, 50)
    with pytest.warns(HorizonWarning, match="after 50 of 100 planned steps"):
        assert sched.finish() == 0.5


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"total_steps": 0}, ArgumentError, "total_steps=0: expected a whole number >= 1"),
        ({"total_steps": 10.5}, ArgumentError, "total_steps=10.5: expected a whole"),
        ({"total_steps": math.nan}, ArgumentError, "total_steps=nan"),
        ({"total_steps": "10"}, ArgumentTypeError, "total_steps="),
        ({"total_steps": True}, ArgumentTypeError, "total_steps=True"),
        (
            {"warmup_steps": 10},
            ArgumentError,
            "warmup_steps=10: expected fewer than the total_steps=10",
        ),
        ({"warmup_steps": -1}, ArgumentError, "warmup_steps=-1"),
        (
            {"min_lr": 0.05},
            ArgumentError,
            "min_lr=0.05: expected at most the rate of group 1, 0.02",
        ),
        ({"min_lr": -0.1}, ArgumentError, "min_lr=-0.1: expected a number >= 0"),
        ({"min_lr": math.nan}, NotFinite, "min_lr=nan"),
        ({"min_lr": "low"}, ArgumentTypeError, "min_lr: got str|min_lr"),
        ({"sampling": "weekly"}, ArgumentError, "sampling='weekly'"),
        ({"sampling": 1.5}, ArgumentError, "sampling=1.5: expected a share of the run"),
        ({"sampling": 0.0}, ArgumentError, "sampling=0"),
        ({"profile": lambda z: math.nan}, NotFinite, "profile is nan at step"),
        ({"profile": lambda z: -1.0}, NotFinite, "profile is -1 at step"),
    ],
)
def test_bad_settings_are_named(settings, error, words):
    with pytest.raises(error, match=words):
        ProfileLR(optimizer(), **{"profile": "rex", "total_steps": 10, **settings})


@pytest.mark.parametrize(
    "shares", [(), (0.75, 0.5), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0), (math.nan,)]
)
def test_milestones_increase_within_the_run(shares):
    with pytest.raises(ArgumentError, match="milestones"):
        Sampling.milestones(*shares)


def test_rates_of_the_optimiser_are_checked():
    opt = optimizer()
    opt.param_groups[1]["lr"] = math.nan
    with pytest.raises(NotFinite, match="lr of group 1=nan"):
        REX(opt, 10)
    opt = optimizer()
    opt.param_groups[0]["lr"] = -0.1
    with pytest.raises(ArgumentError, match=r"lr of group 0=-0\.1"):
        REX(opt, 10)
    with pytest.raises(ArgumentTypeError, match=r"optimizer=\[Parameter"):
        REX([nn.Parameter(torch.ones(1))], 10)
