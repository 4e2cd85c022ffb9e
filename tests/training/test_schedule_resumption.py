"""ProfileLR: exact resumption, whichever of optimiser and scheduler comes first."""

from __future__ import annotations

import io
import warnings

import pytest
import torch
from hypothesis import given, settings, strategies as st
from schedules import MAKERS, advance, optimizer
from torch.optim import lr_scheduler

from feasible.core.checkpoint import decode, encode
from feasible.core.errors import ArgumentError
from feasible.training import REX, HorizonWarning, ProfileLR


def saved(**states):
    buffer = io.BytesIO()
    torch.save(states, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.filterwarnings("ignore::feasible.training.HorizonWarning")
@pytest.mark.parametrize(
    "order",
    [
        "optimiser, its state, scheduler, its state",
        "both, scheduler's state, optimiser's state",
        "both, states",
    ],
)
@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 13, 39, 40])
@pytest.mark.parametrize("name", MAKERS)
def test_a_resumed_run_goes_on_bit_for_bit(name, cut, tensor, order):
    whole = optimizer(tensor=tensor)
    sched = MAKERS[name](whole)
    used = advance(whole, sched, cut)
    state = saved(opt=whole.state_dict(), sched=sched.state_dict())
    weights = [g["params"][0].detach().clone() for g in whole.param_groups]
    used += advance(whole, sched, 42 - cut)

    again = optimizer(tensor=tensor)
    for group, w in zip(again.param_groups, weights, strict=True):
        group["params"][0].data.copy_(w)
    if order.startswith("optimiser"):
        again.load_state_dict(state["opt"])
        resumed = MAKERS[name](again)
        resumed.load_state_dict(state["sched"])
    else:
        resumed = MAKERS[name](again)
        for which in ("sched", "opt") if "scheduler's" in order else ("opt", "sched"):
            (again if which == "opt" else resumed).load_state_dict(state[which])
    assert resumed.get_last_lr() == [float(g["lr"]) for g in again.param_groups]
    assert advance(again, resumed, 42 - cut) == used[cut:]
    for a, b in zip(again.param_groups, whole.param_groups, strict=True):
        assert torch.equal(a["params"][0], b["params"][0])


@pytest.mark.parametrize("name", MAKERS)
def test_a_run_killed_between_optimiser_and_scheduler_keeps_its_rates(name):
    opt = optimizer()
    sched = MAKERS[name](opt)
    used = advance(opt, sched, 10)
    opt.step()  # the eleventh; the process ends here
    state = saved(opt=opt.state_dict(), sched=sched.state_dict())
    again = optimizer()
    resumed = MAKERS[name](again)
    resumed.load_state_dict(state["sched"])
    again.load_state_dict(state["opt"])
    resumed.step()
    alone = optimizer()
    used = advance(alone, MAKERS[name](alone), 20)
    assert advance(again, resumed, 9) == used[11:]


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 60),
    st.integers(0, 70),
    st.sampled_from(["rex", "cosine", "linear", "exponential"]),
)
def test_states_are_plain_numbers(steps, cut, profile):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opt = optimizer()
        sched = ProfileLR(opt, profile, steps)
        advance(opt, sched, cut)
        state = sched.state_dict()
        twin = ProfileLR(optimizer(), profile, steps)
        twin.load_state_dict(saved(s=state)["s"])
    assert twin.state_dict() == state


@pytest.mark.parametrize("name", MAKERS)
def test_a_checkpoint_of_a_run_holds_it(name):
    opt = optimizer()
    sched = MAKERS[name](opt)
    advance(opt, sched, 9)
    twin = decode(encode([sched]), [MAKERS[name](optimizer())])[0]
    assert twin.get_last_lr() == sched.get_last_lr()
    assert twin.last_epoch == 9


def test_a_state_brings_its_horizon_and_says_so():
    sched = REX(optimizer(), 100)
    with pytest.warns(HorizonWarning, match="plans for 50 steps, not for 100"):
        sched.load_state_dict(REX(optimizer(), 50).state_dict())
    assert sched.total_steps == 50


def test_a_state_of_another_profile_is_refused():
    with pytest.raises(ArgumentError, match="another profile"):
        ProfileLR(optimizer(), "cosine", 10).load_state_dict(
            ProfileLR(optimizer(), "linear", 10).state_dict()
        )
    with pytest.raises(ArgumentError, match="2 groups of parameters, the optimiser has 1"):
        REX(optimizer((0.1,)), 10).load_state_dict(REX(optimizer(), 10).state_dict())
    with pytest.raises(ArgumentError, match="another scheduler: it lacks"):
        REX(optimizer(), 10).load_state_dict(lr_scheduler.StepLR(optimizer(), 3).state_dict())


def test_last_epoch_goes_on_as_in_torch():
    opt = optimizer()
    advance(opt, REX(opt, 20), 8)
    assert REX(opt, 20, last_epoch=7).get_last_lr() == [
        float(v) for v in (REX(optimizer(), 20).profile()[8], REX(optimizer(), 20).profile(1)[8])
    ]
