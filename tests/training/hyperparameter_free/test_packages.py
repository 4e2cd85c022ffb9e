import contextlib
import copy
import io
import subprocess
import sys
import textwrap

import dadaptation
import dog as dog_package
import mechanic_pytorch
import momo as momo_package
import numpy as np
import parameterfree
import prodigyopt
import pytest
import torch
from classifier import apart, loss_of, network, train
from torch import nn

from feasible.training.hyperparameter_free.cocob import COCOB
from feasible.training.hyperparameter_free.dadapt import DAdaptAdam, DAdaptSGD
from feasible.training.hyperparameter_free.dog import DoG, LDoG
from feasible.training.hyperparameter_free.mechanic import mechanize
from feasible.training.hyperparameter_free.momo import MoMo, MoMoAdam
from feasible.training.hyperparameter_free.prodigy import Prodigy

# -- as the packages have it -----------------------------------------------------------------------

PARITY = {
    "DoG": (lambda p: DoG(p), lambda p: dog_package.DoG(p), False),
    "DoG, decay": (
        lambda p: DoG(p, 1e-3, weight_decay=0.1),
        lambda p: dog_package.DoG(p, 1e-3, weight_decay=0.1),
        False,
    ),
    "LDoG": (lambda p: LDoG(p, 1e-3), lambda p: dog_package.LDoG(p, 1e-3), False),
    "DAdaptAdam": (
        lambda p: DAdaptAdam(p, weight_decay=0.1),
        lambda p: dadaptation.DAdaptAdam(p, weight_decay=0.1, decouple=True),
        False,
    ),
    "DAdaptSGD": (
        lambda p: DAdaptSGD(p, momentum=0.9),
        lambda p: dadaptation.DAdaptSGD(p, momentum=0.9),
        False,
    ),
    "Prodigy": (
        lambda p: Prodigy(p, weight_decay=0.1, d0=1e-3),
        lambda p: prodigyopt.Prodigy(p, weight_decay=0.1, d0=1e-3),
        False,
    ),
    "COCOB": (lambda p: COCOB(p), lambda p: parameterfree.COCOB(p), False),
    "Mechanic": (
        lambda p: mechanize(torch.optim.AdamW, s_init=1e-4)(p, lr=1.0),
        lambda p: mechanic_pytorch.mechanize(torch.optim.AdamW, s_init=1e-4)(p, lr=1.0),
        False,
    ),
    "Mechanic, SGD": (
        lambda p: mechanize(torch.optim.SGD)(p, lr=0.1),
        lambda p: mechanic_pytorch.mechanize(torch.optim.SGD)(p, lr=0.1),
        False,
    ),
    "MoMo": (
        lambda p: MoMo(p, weight_decay=0.1),
        lambda p: momo_package.Momo(p, weight_decay=0.1),
        True,
    ),
    "MoMo, corrected": (
        lambda p: MoMo(p, bias_correction=True, use_fstar=True),
        lambda p: momo_package.Momo(p, bias_correction=True, use_fstar=True),
        True,
    ),
    "MoMoAdam": (
        lambda p: MoMoAdam(p, weight_decay=0.1),
        lambda p: momo_package.MomoAdam(p, weight_decay=0.1),
        True,
    ),
    "MoMoAdam*": (
        lambda p: MoMoAdam(p, lr=1.0, use_fstar=True, divide=False, weight_decay=0.01),
        lambda p: momo_package.MomoAdam(p, lr=1.0, use_fstar=True, divide=False, weight_decay=0.01),
        True,
    ),
}


@pytest.mark.parametrize("name", PARITY)
def test_fifty_steps_are_those_of_the_package(name):
    ours, theirs, momo = PARITY[name]
    a, b = network(), network()
    start = train(a, torch.optim.SGD(a.parameters(), lr=0.0), 0)
    end = train(a, ours(a.parameters()), 50, momo=momo)
    want = train(b, theirs(b.parameters()), 50, momo=momo)
    assert apart(end - start, want - start) < 1e-5
    assert (end - start).norm() > 1e-6


WRITTEN_HERE = {
    "DAdaptAdam": (
        lambda p, **s: DAdaptAdam(p, **{"decouple": False, **s}),
        dadaptation.DAdaptAdam,
        (
            {},
            {"weight_decay": 0.1, "decouple": True, "use_bias_correction": True},
            {"weight_decay": 0.02, "betas": (0.8, 0.95), "growth_rate": 1.05, "lr": 0.5},
        ),
    ),
    "DAdaptSGD": (
        DAdaptSGD,
        dadaptation.DAdaptSGD,
        ({}, {"momentum": 0.9, "weight_decay": 0.05}, {"d0": 1e-4, "growth_rate": 1.1, "lr": 0.5}),
    ),
    "COCOB": (
        COCOB,
        parameterfree.COCOB,
        ({}, {"alpha": 10.0, "weight_decay": 0.05}, {"eps": 1e-3, "alpha": 0.0}),
    ),
}


def quadratic_path(made, steps):
    """Every iterate on 1/2 sum c_i (x_i - 1)^2 with noise, curvatures from 0.01 to 10."""
    c = torch.logspace(-2, 1, 12, dtype=torch.float64)
    noise = torch.Generator().manual_seed(100)
    x = nn.Parameter(torch.zeros(12, dtype=torch.float64))
    optimizer, path = made([x]), []
    for _ in range(steps):
        x.grad = c * (x.detach() - 1)
        x.grad += 0.1 * torch.randn(12, generator=noise, dtype=torch.float64)
        optimizer.step()
        path.append(x.detach().clone())
    return torch.stack(path)


def network_path(made, steps):
    """Every iterate of the small network's training, as one row."""
    model = network()
    optimizer = made(model.parameters())
    return torch.stack([train(model, optimizer, 1, start=i) for i in range(steps)])


@pytest.mark.parametrize("path", [quadratic_path, network_path])
@pytest.mark.parametrize("setting", range(3))
@pytest.mark.parametrize("name", WRITTEN_HERE)
def test_a_hundred_and_twenty_iterates_are_those_of_the_package(name, setting, path):
    ours, theirs, settings = WRITTEN_HERE[name]
    found = path(lambda p: ours(p, **settings[setting]), 120)
    with contextlib.redirect_stdout(io.StringIO()):
        want = path(lambda p: theirs(p, **settings[setting]), 120)
    assert ((found - want).norm(dim=1) <= 1e-6 * want.norm(dim=1)).all()
    assert (found[-1] - found[0]).norm() > 1e-5


@pytest.mark.parametrize("made", [DAdaptAdam, DAdaptSGD])
def test_a_group_at_rate_zero_rests(made):
    model = network()
    optimizer = made(
        [{"params": model[0].parameters()}, {"params": model[2].parameters()}], weight_decay=0.1
    )
    optimizer.param_groups[1]["lr"] = 0.0
    before = copy.deepcopy(model.state_dict())
    train(model, optimizer, 20)
    assert torch.equal(model[2].weight, before["2.weight"])
    assert not torch.equal(model[0].weight, before["0.weight"])


def test_states_that_the_packages_saved_go_on_here():
    for ours, theirs in (
        (lambda p: DAdaptAdam(p, decouple=False), dadaptation.DAdaptAdam),
        (DAdaptSGD, dadaptation.DAdaptSGD),
        (COCOB, parameterfree.COCOB),
    ):
        model, other = network(), network()
        package = theirs(model.parameters())
        train(model, package, 60)
        again = ours(other.parameters())
        other.load_state_dict(model.state_dict())
        again.load_state_dict(copy.deepcopy(package.state_dict()))
        want = train(model, package, 40, start=60)
        assert apart(train(other, again, 40, start=60), want) < 1e-6


def test_estimates_on_a_sum_of_absolute_values_are_the_formulas():
    for made, d, f in (
        (Prodigy, 0.4358659706787783, 0.7665852294616681),
        (DAdaptAdam, 4.900403270060861, 6.071700359),
    ):
        x = nn.Parameter(torch.ones(10, dtype=torch.float64))
        optimizer = made([x])
        estimates = []
        for _ in range(500):
            x.grad = x.detach().sign()
            optimizer.step()
            estimates.append(optimizer.estimate())
        assert estimates[-1] == pytest.approx(d, rel=1e-6)
        assert float(x.detach().abs().sum()) == pytest.approx(f, rel=1e-5)
        assert (np.diff(estimates) >= 0).all()


def test_no_optimiser_needs_the_package_of_another():
    code = """
        import sys
        packages = "prodigyopt dadaptation parameterfree dog momo mechanic_pytorch"
        sys.modules.update(dict.fromkeys(packages.split()))
        import feasible.training as t
        from feasible.core.errors import MissingExtra
        t.COCOB, t.DAdaptAdam, t.DAdaptSGD, t.DoG, t.MoMo, t.mechanize, t.NAdamW
        try:
            t.Prodigy
        except MissingExtra as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert "Prodigy needs the package prodigyopt" in done.stdout


# -- why they are written anew ---------------------------------------------------------------------


def test_dog_package_fails_where_a_parameter_has_no_gradient_and_ours_does_not():
    def go(made):
        model = network()
        model[0].weight.requires_grad_(False)
        return train(model, made(model.parameters()), 2)

    with pytest.raises(AttributeError):
        go(dog_package.DoG)
    assert go(DoG).isfinite().all()


def test_momo_package_forgets_its_averages_on_resume():
    def resumed(made):
        whole, first, second = network(), network(), network()
        want = train(whole, made(whole.parameters()), 20, momo=True)
        optimizer = made(first.parameters())
        train(first, optimizer, 10, momo=True)
        second.load_state_dict(first.state_dict())
        again = made(second.parameters())
        again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        return apart(train(second, again, 10, start=10, momo=True), want)

    assert resumed(lambda p: momo_package.MomoAdam(p, lr=1.0)) > 1e-3
    assert resumed(lambda p: MoMoAdam(p, lr=1.0)) == 0


def test_mechanic_package_fails_on_resume_and_with_closures():
    made = mechanic_pytorch.mechanize(torch.optim.SGD)
    model, other = network(), network()
    optimizer = made(model.parameters(), lr=0.1)
    train(model, optimizer, 3)
    again = made(other.parameters(), lr=0.1)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    with pytest.raises(KeyError), torch.enable_grad():  # it leaves gradients off
        train(other, again, 1)
    with pytest.raises(RuntimeError, match="does not require grad"), torch.enable_grad():
        optimizer.step(lambda: loss_of(model, 0).backward())


def test_dadapt_sgd_package_fails_in_a_warm_up_from_zero_and_ours_waits():
    def go(made):
        model = network()
        optimizer = made(model.parameters())
        for lr in (0.0, 0.5, 1.0):
            optimizer.param_groups[0]["lr"] = lr
            train(model, optimizer, 1)
        return optimizer

    with pytest.raises(ZeroDivisionError):
        go(dadaptation.DAdaptSGD)
    assert go(DAdaptSGD).param_groups[0]["k"] == 2
