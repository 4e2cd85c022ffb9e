"""Schedules one after another by SequentialLR: every cut resumes, and only one has the rate."""

from __future__ import annotations

import pytest
import torch
from schedules import MAKERS, advance, optimizer
from torch.optim.lr_scheduler import ExponentialLR, LinearLR, SequentialLR

pytestmark = pytest.mark.filterwarnings(
    "ignore::feasible.training.HorizonWarning",
    "ignore:Detected call of `lr_scheduler.step:UserWarning",
)

SEQUENCES = {
    "linear, ours": lambda opt, make: [LinearLR(opt, 0.1, 1.0, 5), make(opt)],
    "ours, exponential": lambda opt, make: [make(opt), ExponentialLR(opt, 0.9)],
    "ours, ours": lambda opt, make: [make(opt), make(opt)],
}


def built(name, kind, tensor=False):
    opt = optimizer(tensor=tensor)
    return opt, SequentialLR(opt, SEQUENCES[kind](opt, MAKERS[name]), [5])


@pytest.mark.parametrize("kind", SEQUENCES)
@pytest.mark.parametrize("name", MAKERS)
def test_every_cut_resumes_in_both_orders(name, kind):
    opt, sched = built(name, kind)
    used = advance(opt, sched, 12)
    for cut in range(11):
        for tensor in (False, True):
            opt, sched = built(name, kind, tensor)
            advance(opt, sched, cut)
            states = opt.state_dict(), sched.state_dict()
            for order in ((0, 1), (1, 0)):
                again = built(name, kind, tensor)
                for which in order:
                    again[which].load_state_dict(states[which])
                assert again[1].get_last_lr() == sched.get_last_lr()
                assert advance(*again, 12 - cut) == used[cut:], (cut, tensor, order)


@pytest.mark.parametrize("name", MAKERS)
def test_one_that_is_not_at_work_leaves_the_rate_alone(name):
    opt = optimizer()
    linear = LinearLR(opt, 0.1, 1.0, 5)
    ours = MAKERS[name](opt)
    sched = SequentialLR(opt, [linear, ours], [5])
    advance(opt, sched, 2)
    held = [g["lr"] for g in opt.param_groups]
    ours.load_state_dict(ours.state_dict())
    assert [g["lr"] for g in opt.param_groups] == held


def test_extending_one_that_is_not_at_work_waits_for_its_turn():
    from feasible.training import REX

    opt, alone = optimizer(), optimizer()
    ours = REX(opt, 20)
    sched = SequentialLR(opt, [LinearLR(opt, 0.1, 1.0, 5), ours], [5])
    advance(opt, sched, 2)
    held = [g["lr"] for g in opt.param_groups]
    ours.extend(40)
    assert [g["lr"] for g in opt.param_groups] == held
    advance(opt, sched, 3)
    assert advance(opt, sched, 10) == advance(alone, REX(alone, 40), 10)


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"uba phases"}))
def test_a_state_saved_just_after_a_group_was_added_fits(name):
    def grown():
        opt = optimizer()
        sched = MAKERS[name](opt)
        advance(opt, sched, 3)
        opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.05})
        return opt, sched

    opt, sched = grown()
    states = opt.state_dict(), sched.state_dict()
    again = grown()
    again[0].load_state_dict(states[0])
    again[1].load_state_dict(states[1])
    assert advance(*again, 9) == advance(opt, sched, 9)
