import copy
import io
import math
import warnings

import numpy as np
import pytest
import torch
from classifier import apart, loss_of, network, train
from torch import nn

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training.hyperparameter_free.cocob import COCOB
from feasible.training.hyperparameter_free.dadapt import DAdaptAdam, DAdaptSGD
from feasible.training.hyperparameter_free.dog import DoG, DoWG, LDoG
from feasible.training.hyperparameter_free.estimate import (
    EstimateWarning,
    EstimateWatch,
    effective_lr,
)
from feasible.training.hyperparameter_free.mechanic import mechanize
from feasible.training.hyperparameter_free.momo import MoMo, MoMoAdam
from feasible.training.hyperparameter_free.nadamw import NAdamW
from feasible.training.hyperparameter_free.named import averaged_dog, mechanic_adamw
from feasible.training.hyperparameter_free.prodigy import Prodigy

OURS = {
    "nadamw": lambda p: NAdamW(p, lr=3e-3, weight_decay=0.05),
    "prodigy": lambda p: Prodigy(p, weight_decay=0.05),
    "dadapt-adam": lambda p: DAdaptAdam(p, weight_decay=0.05),
    "dadapt-sgd": lambda p: DAdaptSGD(p, momentum=0.5),
    "dog": lambda p: DoG(p, 1e-3),
    "ldog": lambda p: LDoG(p, 1e-3),
    "dowg": lambda p: DoWG(p, weight_decay=0.01),
    "averaged-dog": averaged_dog,
    "mechanic-adamw": lambda p: mechanic_adamw(p, weight_decay=0.01),
    "mechanic-sgd": lambda p: mechanize(torch.optim.SGD)(p, lr=0.1, momentum=0.9),
    "momo": lambda p: MoMo(p, weight_decay=0.01),
    "momo-adam": lambda p: MoMoAdam(p, weight_decay=0.01, use_fstar=True),
    "cocob": COCOB,
}
OTHERS = {n: f for n, f in OURS.items() if not n.startswith("momo")}


# -- closed forms ----------------------------------------------------------------------------------


def quadratic(start, **more):
    x = nn.Parameter(torch.tensor(start, dtype=torch.float64, **more))
    return x, lambda: (x**2).sum()


def test_dogs_first_step_has_exactly_its_length():
    x, f = quadratic([3.0, 4.0])
    f().backward()
    before = x.detach().clone()
    DoG([x], reps_rel=1e-3).step()
    assert float((x.detach() - before).norm()) == pytest.approx(
        1e-3 * 6 * 10 / math.sqrt(100 + 1e-8), rel=1e-9
    )
    x, f = quadratic([3.0, 4.0])
    f().backward()
    DoWG([x]).step()  # d2 = 1e-4, V = 1e-4 |g|^2
    assert float((before - x.detach()).norm()) == pytest.approx(
        1e-4 * 10 / (1e-2 * 10 + 1e-4), rel=1e-9
    )


def test_dog_measures_all_groups_together_unless_asked():
    def etas(**more):
        a, b = nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([4.0]))
        optimizer = DoG([{"params": [a]}, {"params": [b], "lr": 2.0}], 1e-3, **more)
        (a**2 + b**2).sum().backward()
        optimizer.step()
        return optimizer.effective_lr()

    assert etas() == pytest.approx([6e-4, 12e-4])
    assert etas(per_group=True) == pytest.approx([1e-3 * 4 / 6, 2e-3 * 5 / 8])


def test_cocobs_first_step_is_a_hundredth_whatever_the_scale():
    for scale in (1e-3, 1.0, 1e5):
        x = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        x.grad = scale * torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
        COCOB([x]).step()
        assert torch.allclose(x.detach(), torch.tensor([-0.01, 0.01, -0.01], dtype=torch.float64))


def test_momo_makes_polyaks_step():
    x, f = quadratic([1.0, 2.0, 3.0])
    optimizer = MoMo([x], lr=1e9, beta=0.0)
    values = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = f()
        loss.backward()
        optimizer.step(loss=loss)
        values.append(float(f().detach()))
    assert values == pytest.approx(
        [14 / 4, 14 / 16, 14 / 64]
    )  # |x|^2: Polyak's step f / |g|^2 = 1/4 halves x
    assert optimizer.effective_lr() == pytest.approx([0.25])


def test_nadamw_is_adamw_without_momentum_and_its_first_step_is_longer_with():
    a, b = network(), network()
    ours = train(a, NAdamW(a.parameters(), betas=(0.0, 0.99), weight_decay=0.0), 30)
    assert (
        apart(
            ours,
            train(b, torch.optim.AdamW(b.parameters(), betas=(0.0, 0.99), weight_decay=0.0), 30),
        )
        < 1e-12
    )
    x = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    x.grad = torch.tensor([7.0], dtype=torch.float64)
    NAdamW([x], lr=0.1, weight_decay=0.0).step()
    assert float(x.detach()) == pytest.approx(-0.19, rel=1e-6)


def test_nadamw_follows_its_formula():
    rng = np.random.default_rng(100)
    x = rng.standard_normal(5)
    p = nn.Parameter(torch.tensor(x))
    optimizer = NAdamW([p], lr=0.01, betas=(0.8, 0.95), weight_decay=0.3)
    m = v = np.zeros(5)
    for t in range(1, 20):
        g = rng.standard_normal(5)
        p.grad = torch.tensor(g)
        optimizer.step()
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        x = x * (1 - 0.01 * 0.3) - 0.01 * (0.8 * m + 0.2 * g) / (1 - 0.8**t) / (
            np.sqrt(v / (1 - 0.95**t)) + 1e-8
        )
    assert np.allclose(p.detach().numpy(), x, rtol=1e-12)


def test_mechanic_makes_little_of_the_bases_rate():
    ends = []
    for lr in (1e-2, 1.0, 1e2):
        torch.manual_seed(100)
        model = nn.Linear(6, 3).double()
        train(model, mechanic_adamw(model.parameters(), lr=lr, weight_decay=0.0, s_init=1e-4), 400)
        ends.append(np.mean([float(loss_of(model, i).detach()) for i in range(50)]))
    assert max(ends) < 0.6 < float(loss_of(network(), 0).detach())
    assert max(ends) - min(ends) < 0.1


# -- what every optimiser of the room does ---------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_a_saved_state_is_plain_and_training_goes_on_bit_for_bit(name, dtype):
    momo = name.startswith("momo")
    whole, first, second = network(dtype), network(dtype), network(dtype, seed=7)
    want = train(whole, OURS[name](whole.named_parameters()), 30, momo=momo)
    optimizer = OURS[name](first.named_parameters())
    train(first, optimizer, 13, momo=momo)
    file = io.BytesIO()
    torch.save((first.state_dict(), optimizer.state_dict()), file)
    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    second.load_state_dict(weights)
    again = OURS[name](second.named_parameters())
    again.load_state_dict(state)
    assert torch.equal(train(second, again, 17, start=13, momo=momo), want)


@pytest.mark.parametrize("name", OURS)
def test_a_closure_gives_the_same_steps(name):
    momo = name.startswith("momo")
    a, b = network(), network()
    want = train(a, OURS[name](a.parameters()), 5, momo=momo)
    optimizer = OURS[name](b.parameters())
    for i in range(5):

        def closure(i=i):
            optimizer.zero_grad()
            loss = loss_of(b, i)
            loss.backward()
            return loss

        assert float(optimizer.step(closure).detach()) > 0
    assert torch.equal(torch.cat([p.detach().flatten() for p in b.parameters()]), want)


@pytest.mark.parametrize("name", OURS)
def test_a_parameter_without_gradient_rests_and_zero_gradients_do_no_harm(name):
    momo = name.startswith("momo")
    model = network()
    frozen = model[2].bias.detach().clone()
    model[2].bias.requires_grad_(False)
    optimizer = OURS[name](model.parameters())
    train(model, optimizer, 2, momo=momo)
    for p in model.parameters():
        p.grad = None if p.grad is None else torch.zeros_like(p)
    optimizer.step(**({"loss": torch.tensor(1.0)} if momo else {}))
    train(model, optimizer, 2, momo=momo)
    assert torch.equal(model[2].bias, frozen)
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("name", OURS)
def test_a_nan_gradient_is_refused_by_name_and_changes_nothing(name):
    momo = name.startswith("momo")
    model = network()
    optimizer = OURS[name](model.named_parameters())
    before = train(model, optimizer, 3, momo=momo)
    state = copy.deepcopy(optimizer.state_dict())
    model[2].weight.grad[0, 0] = math.nan
    with pytest.raises(NotFinite, match=r"2\.weight"):
        optimizer.step(**({"loss": torch.tensor(1.0)} if momo else {}))
    assert torch.equal(torch.cat([p.detach().flatten() for p in model.parameters()]), before)
    assert str(optimizer.state_dict()) == str(state)


@pytest.mark.parametrize("name", OURS)
def test_a_sparse_gradient_is_refused(name):
    model = nn.Embedding(5, 3, sparse=True)
    optimizer = OURS[name](model.named_parameters())
    model(torch.tensor([1])).sum().backward()
    with pytest.raises(ArgumentError, match="'weight' has a sparse gradient"):
        optimizer.step(**({"loss": torch.tensor(1.0)} if name.startswith("momo") else {}))


@pytest.mark.parametrize("name", OURS)
def test_a_checkpoint_of_another_model_is_refused(name):
    model, other = network(), nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 3)).double()
    optimizer = OURS[name](model.parameters())
    train(model, optimizer, 2, momo=name.startswith("momo"))
    with pytest.raises(ShapeError, match=r"\(8, 6\)"):
        OURS[name](other.parameters()).load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("made", [Prodigy, DAdaptAdam, DAdaptSGD])
def test_groups_of_different_rates_are_refused_and_resting_ones_are_not(made):
    model = network()
    groups = [
        {"params": model[0].parameters(), "lr": 1.0},
        {"params": model[2].parameters(), "lr": 0.5},
    ]
    with pytest.raises(ArgumentError, match=r"rates 0\.5, 1"):
        train(model, made(groups), 1)
    model = network()
    rests = [{"params": model[0].parameters()}, {"params": model[2].parameters()}]
    optimizer = made(rests)
    optimizer.param_groups[1]["lr"] = 0.0
    train(model, optimizer, 3)


@pytest.mark.parametrize(
    ("made", "change", "error", "says"),
    [
        (Prodigy, {"lr": 0.0}, ArgumentError, "lr=0"),
        (Prodigy, {"d0": -1.0}, ArgumentError, "d0"),
        (Prodigy, {"betas": (1.0, 0.9)}, ArgumentError, "betas"),
        (DAdaptAdam, {"d0": 0.0}, ArgumentError, "d0"),
        (DAdaptAdam, {"lr": math.nan}, ArgumentError, "lr"),
        (DAdaptSGD, {"momentum": 1.0}, ArgumentError, "momentum"),
        (COCOB, {"alpha": -1.0}, ArgumentError, "alpha"),
        (DoG, {"reps_rel": 0.0}, ArgumentError, "reps_rel"),
        (DoG, {"lr": -1.0}, ArgumentError, "lr"),
        (DoWG, {"d2": 0.0}, ArgumentError, "d2"),
        (MoMo, {"beta": 1.5}, ArgumentError, "beta"),
        (MoMo, {"lr": 0.0}, ArgumentError, "lr"),
        (MoMoAdam, {"betas": (0.9, 1.0)}, ArgumentError, r"betas\[1\]"),
        (NAdamW, {"lr": "a"}, ArgumentTypeError, "lr"),
        (NAdamW, {"weight_decay": -1.0}, ArgumentError, "weight_decay"),
    ],
)
def test_settings_without_sense_are_refused(made, change, error, says):
    with pytest.raises(error, match=says):
        made([nn.Parameter(torch.zeros(2))], **change)


def test_mechanize_refuses_what_is_no_optimiser_and_settings_without_sense():
    with pytest.raises(ArgumentTypeError, match="class of optimisers"):
        mechanize(nn.Linear)
    with pytest.raises(ArgumentError, match="s_init"):
        mechanize(torch.optim.SGD, s_init=0.0)


@pytest.mark.parametrize("made", [MoMo, MoMoAdam])
def test_momo_without_a_loss_says_what_it_needs(made):
    model = network()
    optimizer = made(model.parameters())
    loss_of(model, 0).backward()
    with pytest.raises(ArgumentTypeError, match=r"step\(loss=loss\)"):
        optimizer.step()
    with pytest.raises(ArgumentError, match="loss"):
        optimizer.step(loss=math.nan)


def test_nothing_is_printed(capsys):
    Prodigy([nn.Parameter(torch.zeros(1))], weight_decay=0.1)
    DAdaptAdam([nn.Parameter(torch.zeros(1))], weight_decay=0.1)
    assert capsys.readouterr().out == ""


# -- the rate and the estimate ---------------------------------------------------------------------


def test_the_rate_read_is_the_rate_of_the_step():
    x = nn.Parameter(torch.ones(4, dtype=torch.float64))
    for made in (DoG, DoWG):
        optimizer = made([x])
        for _ in range(3):
            before = x.detach().clone()
            x.grad = torch.full_like(x, 2.0)
            optimizer.step()
            assert effective_lr(optimizer)[0] * 2.0 == pytest.approx(
                float((before - x.detach())[0])
            )
    optimizer = Prodigy([x], betas=(0.0, 0.5))
    x.grad = torch.ones_like(x)
    optimizer.step()
    assert effective_lr(optimizer) == [optimizer.param_groups[0]["d"]]
    assert effective_lr(torch.optim.SGD([x], lr=0.3)) == [0.3]
    assert effective_lr(mechanic_adamw([x])) == [0.0]
    assert effective_lr(COCOB([x])) == [0.0]


@pytest.mark.parametrize("name", OURS)
def test_every_optimiser_tells_a_positive_rate_for_each_group(name):
    model = network()
    optimizer = OURS[name]([{"params": model[0].parameters()}, {"params": model[2].parameters()}])
    train(model, optimizer, 20, momo=name.startswith("momo"))
    found = effective_lr(optimizer)
    assert len(found) == 2
    assert all(0 < rate < 100 for rate in found)


def watched(estimates):
    watch, record = EstimateWatch("method"), {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for e in estimates:
            watch(record, lambda e=e: e)
    return [str(w.message) for w in caught if w.category is EstimateWarning]


def test_an_estimate_that_stays_at_its_start_or_runs_away_is_warned_of_once():
    (stalled,) = watched([1e-6] * 1500)
    assert "still 1e-06 after 500 steps" in stalled
    (grown,) = watched([*np.geomspace(1e-6, 1e-2, 600), *np.geomspace(1e-2, 1e4, 600)])
    assert "within 100 steps" in grown
    assert watched([*np.geomspace(1e-6, 1e-2, 300), *[1e-2] * 1000]) == []
    assert watched([1e-6 * 1.02] * 499) == []
    assert watched([math.nan] * 1000) == []


def test_a_resumed_run_whose_estimate_has_found_its_level_is_not_warned_of():
    model, other = network(), network()
    optimizer, again = averaged_dog(model.parameters()), averaged_dog(other.parameters())
    train(model, optimizer, 60)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert again.param_groups[0]["estimates"]["steps"] == 60
    level = again.param_groups[0]["rbar"] = torch.tensor(1e3, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for p in other.parameters():
            p.grad = torch.full_like(p, 1e-12)
        for _ in range(600):
            again.step()
    assert again.param_groups[0]["rbar"] == level


def test_an_estimate_that_prodigy_cannot_raise_is_noticed():
    x = nn.Parameter(torch.ones(4))
    optimizer = Prodigy([x], d_coef=1e-9)

    def go(steps):
        for _ in range(steps):
            x.grad = torch.ones_like(x)
            optimizer.step()

    go(499)
    with pytest.warns(
        EstimateWarning, match="Prodigy: the estimate is still 1e-06 after 500 steps"
    ):
        go(1)
