import copy
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from pruned_networks import MLP, NETWORKS, made
from torch import nn

from feasible.core.errors import ArgumentError, Infeasible, NotFinite, ShapeError
from feasible.training import (
    HESSO,
    HESSOCRIC,
    compare,
    construct_subnet,
    find_zero_invariant_groups,
)
from feasible.training.hesso.saliency import direction, lowest, saliency

SETTINGS = {
    "sgd": {"variant": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
    "adam": {"variant": "adam", "lr": 0.01, "weight_decay": 0.01},
    "adamw": {"variant": "adamw", "lr": 0.01},
}


def labels(n=100):
    return torch.arange(n) % 3


def train(model, optimizer, x, steps, y=None):
    for i in range(steps):
        rows = slice(10 * (i % 10), 10 * (i % 10) + 10)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), (labels() if y is None else y)[rows])
        loss.backward()
        optimizer.step(loss) if isinstance(optimizer, HESSOCRIC) else optimizer.step()


def set_up(name="mlp", kind=HESSO, variant="adamw", **more):
    model, x, how = made(name)
    groups = find_zero_invariant_groups(model, x[:2], **how)
    return model, x, groups, kind(model, groups, **{**SETTINGS[variant], **more})


CRIC = {
    "kind": HESSOCRIC,
    "sampling_steps": 3,
    "hybrid_training_steps": 6,
    "target_group_sparsity": 0.5,
}


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


# -- what is chosen --------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(0, 30),
    st.integers(0, 10**6),
)
def test_layers_keep_a_multiple_and_the_lowest_go_first(sizes, q, count, seed):
    rng = np.random.default_rng(seed)
    layer = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    scores, gone = rng.random(len(layer)), np.zeros(len(layer), dtype=bool)
    picked = lowest(scores, count, gone, layer, q)
    assert picked.sum() <= count
    for i, size in enumerate(sizes):
        own = layer == i
        left = size - picked[own].sum()
        assert left >= min(q, size)
        assert left % q == 0 or left == size
        assert scores[own & picked].max(initial=-1) <= scores[own & ~picked].min()
    if q == 1:
        assert picked.sum() == min(count, len(layer) - len(sizes))


def test_what_is_gone_is_not_chosen_again():
    gone = np.array([True, False, False, True, False])
    assert lowest(np.array([0.0, 3, 1, 0, 2]), 2, gone, np.zeros(5, dtype=int)).tolist() == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_the_criteria_have_their_formulas():
    x, d = torch.randn(2, 7, 5, dtype=torch.float64)
    sums = torch.stack(
        [(x * x).sum(1), (x * d).sum(1), (d * d).sum(1), torch.full((7,), 5.0, dtype=torch.float64)]
    )
    cosine = nn.functional.cosine_similarity(x, d)
    for name, value in {
        "magnitude": x.norm(dim=1),
        "avg_magnitude": x.norm(dim=1) / 5,
        "cosine_similarity": 1 - cosine,
        "taylor_first_order": (x * d).sum(1).abs(),
        "taylor_second_order": (x * d).sum(1) ** 2 / 2,
    }.items():
        assert torch.allclose(
            saliency(sums, {name: 2.0}, "descent"), 2 * value / (value.norm() + 1e-8)
        )
    assert torch.allclose(
        saliency(sums, {"cosine_similarity": 1.0}, "official"),
        (1 + cosine) / ((1 + cosine).norm() + 1e-8),
    )


def test_scores_do_not_see_the_scale_of_a_criterion():
    sums = torch.rand(4, 9, dtype=torch.float64) + 1
    assert torch.allclose(
        saliency(
            sums * torch.tensor([[1], [10], [100], [1]]), {"taylor_first_order": 1.0}, "descent"
        ),
        saliency(sums, {"taylor_first_order": 1.0}, "descent"),
    )


@pytest.mark.parametrize("variant", SETTINGS)
def test_the_direction_is_that_of_torchs_next_step(variant):
    model, x, _, optimizer = set_up(
        variant=variant, target_group_sparsity=0.5, start_pruning_step=100
    )
    train(model, optimizer, x, 3)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), labels()).backward()
    group = optimizer.param_groups[0]
    d = [
        direction(p, optimizer.state[p], group, variant).detach().clone()
        for p in model.parameters()
    ]
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.step()
    decay = group["lr"] * group["weight_decay"] if variant == "adamw" else 0.0
    for p, old, step in zip(model.parameters(), before, d, strict=True):
        assert torch.allclose(p, old * (1 - decay) - group["lr"] * step, atol=1e-6)


# -- HESSO -----------------------------------------------------------------------------------------


def test_without_a_rate_the_norms_fall_in_equal_parts_to_zero():
    model, x, groups, optimizer = set_up(
        variant="sgd", lr=0.0, target_group_sparsity=0.5, pruning_steps=5, pruning_periods=1
    )
    start = groups.norms(model)
    for t in range(5):
        train(model, optimizer, x, 1)
        chosen = optimizer.status > 0
        assert torch.allclose(
            groups.norms(model)[chosen], (1 - (t + 1) / 5) * start[chosen], atol=1e-6
        )
        assert torch.equal(groups.norms(model)[~chosen], start[~chosen])
    assert bool(groups.zero(model)[chosen].all())


@pytest.mark.parametrize("variant", SETTINGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_exactly_k_groups_are_zero_stay_zero_and_are_cut_without_a_change(name, variant):
    model, x, groups, optimizer = set_up(
        name,
        variant=variant,
        target_group_sparsity=0.5,
        start_pruning_step=3,
        pruning_steps=12,
        pruning_periods=3,
    )
    train(model, optimizer, x, 3)
    assert not bool(groups.zero(model).any())
    train(model, optimizer, x, 12)
    zero = groups.zero(model)
    assert int(zero.sum()) == len(groups) // 2
    train(model, optimizer, x, 6)
    assert torch.equal(groups.zero(model), zero)
    assert compare(model, construct_subnet(model, groups), x).difference <= 1e-5
    assert optimizer.group_sparsity == len(groups) // 2 / len(groups)


def test_each_period_takes_its_part_and_the_last_the_rest():
    model, x, groups, optimizer = set_up(
        target_group_sparsity=0.5, pruning_steps=9, pruning_periods=3
    )
    counts = []
    for _ in range(3):
        train(model, optimizer, x, 3)
        counts.append(int(groups.zero(model).sum()))
    assert counts == [3, 6, 11]


def test_before_the_pruning_steps_it_is_the_base_optimiser():
    model, x, _, optimizer = set_up(target_group_sparsity=0.5, start_pruning_step=10)
    other = copy.deepcopy(model)
    train(model, optimizer, x, 10)
    train(other, torch.optim.AdamW(other.parameters(), lr=0.01), x, 10)
    assert torch.equal(flat(model), flat(other))


@pytest.mark.filterwarnings("ignore:. of 9 groups are cut")
def test_kept_channels_are_a_multiple():
    model, x, groups, optimizer = set_up(
        "residual",
        target_group_sparsity=0.35,
        group_divisible=4,
        pruning_steps=20,
        pruning_periods=5,
    )
    train(model, optimizer, x, 20)
    left = torch.bincount(groups.layer[~groups.zero(model)])
    whole = torch.bincount(groups.layer)
    assert bool(((left % 4 == 0) | (left == whole)).all())
    assert bool((left < whole).any())


@pytest.mark.parametrize(
    "limits", [{"parameters": 1000}, {"macs": 30000}, {"parameters": 1100, "macs": 40000}]
)
def test_limits_are_met_on_the_built_network_with_no_group_to_spare(limits):
    model, x, how = made("residual")
    groups = find_zero_invariant_groups(model, x[:2], **how)
    optimizer = HESSO(
        model,
        groups,
        lr=0.01,
        limits=limits,
        example_input=x[:1],
        pruning_steps=12,
        pruning_periods=3,
    )
    train(model, optimizer, x, 12)
    small = construct_subnet(model, groups, x[:1], limits=limits)
    assert 0 < optimizer.target < len(groups)
    assert all(compare(model, small, x[:1]).after[name] <= most for name, most in limits.items())
    assert any(
        compare(model, small, x[:1]).after[name] > 0.75 * most for name, most in limits.items()
    )


def test_limits_out_of_reach_say_what_is_left():
    model, x, how = made("residual")
    groups = find_zero_invariant_groups(model, x[:2], **how)
    optimizer = HESSO(model, groups, limits={"parameters": 5}, pruning_steps=2, pruning_periods=1)
    with pytest.raises(
        Infeasible, match=r"at least [0-9]+ parameters are left, expected at most 5"
    ):
        train(model, optimizer, x, 1)


def test_groups_made_by_hand_are_trained_to_zero():
    model, x, _ = made("mlp")
    hand = {"first": [("net.0.weight", 0, [0, 1])], "second": [("net.2.weight", 1, 3)]}
    train(
        model,
        HESSO(
            model,
            hand,
            lr=0.01,
            target_group_sparsity=0.9,
            pruning_steps=4,
            pruning_periods=1,
        ),
        x,
        4,
    )
    assert (
        int((model.net[0].weight[:2] == 0).all()) + int((model.net[2].weight[:, 3] == 0).all()) == 1
    )


# -- HESSO-CRIC ------------------------------------------------------------------------------------


def test_cric_cuts_exactly_k_groups_after_cycles_that_return_to_the_start():
    model, x, groups, optimizer = set_up(**CRIC, start_pruning_step=2, trials=(0.25, 0.75))
    train(model, optimizer, x, 2)
    reference, cycles, seen = flat(model), 0, 0
    train(model, optimizer, x, 2 * 2 * 2)
    assert torch.equal(flat(model), reference)
    while optimizer.phase == 2:
        train(model, optimizer, x, 3)
        cycles += 1
        assert torch.equal(flat(model), reference)
        assert int(optimizer._seen.sum()) >= seen
        seen = int(optimizer._seen.sum())
    assert cycles == optimizer.cycle <= 10
    train(model, optimizer, x, 6)
    assert int(groups.zero(model).sum()) == len(groups) // 2
    train(model, optimizer, x, 4)
    assert int(groups.zero(model).sum()) == len(groups) // 2
    assert compare(model, construct_subnet(model, groups), x).difference <= 1e-5


def test_cric_stops_at_its_most_cycles():
    model, x, _, optimizer = set_up(**CRIC, max_cycles=1, trials=())
    train(model, optimizer, x, 3)
    assert (optimizer.phase, optimizer.cycle) == (3, 1)


def test_trials_compare_losses_of_projected_layers():
    model, x, groups, optimizer = set_up(**CRIC, variant="sgd", trials=(0.5,))
    train(model, optimizer, x, 1)
    layer = groups.layer == 0
    assert int(groups.zero(model)[layer].sum()) == int(layer.sum()) // 2
    with torch.no_grad():
        on, off = (
            float(nn.functional.cross_entropy(model(x[r]), labels()[r]))
            for r in (slice(10, 20), slice(0, 10))
        )
    first = optimizer._loss
    train(model, optimizer, x[10:], 1, labels()[10:])
    assert float(optimizer._ratios[0]) == pytest.approx(on / first)
    assert off != first  # the first loss was that of the whole network


def test_cric_takes_a_closure_by_name_as_torchs_optimisers_do():
    model, x, _, optimizer = set_up(**CRIC)
    loss = torch.nn.functional.cross_entropy(model(x), labels())
    loss.backward()
    assert optimizer.step(closure=lambda: loss) is loss
    with pytest.raises(TypeError, match="a loss or a closure"):
        optimizer.step(loss, closure=lambda: loss)


def test_cric_meets_limits_too():
    model, x, how = made("residual")
    groups = find_zero_invariant_groups(model, x[:2], **how)
    optimizer = HESSOCRIC(
        model,
        groups,
        lr=0.01,
        limits={"parameters": 1000},
        sampling_steps=2,
        hybrid_training_steps=3,
        trials=(),
        max_cycles=2,
    )
    train(model, optimizer, x, 10)
    construct_subnet(model, groups, limits={"parameters": 1000})


def test_cric_needs_the_loss_and_takes_a_closure():
    model, x, _, optimizer = set_up(**CRIC)
    with pytest.raises(ArgumentError, match=r"call step\(loss\) after loss.backward\(\)"):
        optimizer.step()

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels())
        loss.backward()
        return loss

    assert math.isfinite(float(optimizer.step(closure).detach()))
    with pytest.raises(NotFinite, match="loss=nan"):
        optimizer.step(float("nan"))


def bottleneck(seed):
    """Everything goes through two units of small weights, which feed large ones."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(8, 16),
        nn.ReLU(),
        nn.Linear(16, 2),
        nn.ReLU(),
        nn.Linear(2, 16),
        nn.ReLU(),
        nn.Linear(16, 3),
    )
    with torch.no_grad():
        model[2].weight *= 0.01
        model[2].bias.fill_(0.01)
        model[4].weight *= 1000
    x = torch.randn(100, 8)
    return model, x, model(x).argmax(1)


@pytest.mark.parametrize("seed", range(3))
def test_cric_keeps_a_bottleneck_of_small_weights_that_magnitude_cuts(seed):
    model, x, y = bottleneck(seed)
    groups = find_zero_invariant_groups(model, x[:2])
    settings = {
        "variant": "sgd",
        "lr": 1e-6,
        "target_group_sparsity": 0.5,
        "criteria": {"magnitude": 1.0},
    }
    simple, careful = copy.deepcopy(model), copy.deepcopy(model)
    train(simple, HESSO(simple, groups, **settings, pruning_steps=4, pruning_periods=1), x, 4, y)
    train(
        careful,
        HESSOCRIC(
            careful, groups, **settings, sampling_steps=3, max_cycles=2, hybrid_training_steps=4
        ),
        x,
        40,
        y,
    )
    narrow = torch.tensor([layer == "2" for layer in groups.layers])[groups.layer]
    assert int(groups.zero(simple)[narrow].sum()) == 1
    assert int(groups.zero(careful)[narrow].sum()) == 0


# -- resuming, faults ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "steps"),
    [({"target_group_sparsity": 0.5, "pruning_steps": 12, "pruning_periods": 3}, 15), (CRIC, 40)],
)
def test_a_run_cut_anywhere_resumes_bit_for_bit(more, steps):
    whole, x, groups, optimizer = set_up("residual", **more)
    start = copy.deepcopy(whole)
    train(whole, optimizer, x, steps)
    for at in (1, 5, 13):
        cut = copy.deepcopy(start)
        first = type(optimizer)(
            cut, groups, **{**SETTINGS["adamw"], **{k: v for k, v in more.items() if k != "kind"}}
        )
        train(cut, first, x, at)
        file = io.BytesIO()
        torch.save({"optimizer": first.state_dict(), "model": cut.state_dict()}, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        again = copy.deepcopy(start)
        again.load_state_dict(saved["model"])
        resumed = type(optimizer)(
            again, groups, **{**SETTINGS["adamw"], **{k: v for k, v in more.items() if k != "kind"}}
        )
        resumed.load_state_dict(saved["optimizer"])
        rest = torch.cat([x[10 * (i % 10) : 10 * (i % 10) + 10] for i in range(at, at + 10)])
        y = torch.cat([labels()[10 * (i % 10) : 10 * (i % 10) + 10] for i in range(at, at + 10)])
        train(again, resumed, rest, steps - at, y)
        assert torch.equal(flat(again), flat(whole))


def test_it_is_an_optimiser_that_torch_schedulers_drive_and_copies_carry():
    model, x, _, optimizer = set_up(target_group_sparsity=0.5, pruning_steps=12, pruning_periods=3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
    train(model, optimizer, x, 2)
    scheduler.step()
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.base.param_groups[0]["lr"] == 0.005
    twin_model, twin = copy.deepcopy((model, optimizer))
    for m, o in ((model, optimizer), (twin_model, twin)):
        train(m, o, x, 6)
    assert torch.equal(flat(model), flat(twin_model))


def test_a_nan_gradient_is_refused_by_name():
    model, x, _, optimizer = set_up(target_group_sparsity=0.5)
    nn.functional.cross_entropy(model(x), labels()).backward()
    model.net[2].bias.grad[0] = float("nan")
    before = flat(model)
    with pytest.raises(NotFinite, match=r"net\.2\.bias"):
        optimizer.step()
    assert torch.equal(flat(model), before)


def test_the_state_of_other_groups_is_refused():
    one, other = (
        set_up(target_group_sparsity=0.5)[3],
        set_up("residual", target_group_sparsity=0.5)[3],
    )
    with pytest.raises(ShapeError, match="has 28 groups, expected 22"):
        one.load_state_dict(other.state_dict())


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"target_group_sparsity": 1.0}, ArgumentError, "target_group_sparsity=1"),
        ({"target_group_sparsity": -0.1}, ArgumentError, "-0.1"),
        ({}, ArgumentError, "either target_group_sparsity or limits"),
        ({"target_group_sparsity": 0.01}, ArgumentError, "less than one group"),
        ({"target_group_sparsity": 0.99}, Infeasible, "asks for 21 of 22 groups, .* at most 20"),
        ({"limits": {"parameters": 999}}, ArgumentError, "keeps them as it is"),
        ({"limits": {"macs": 10}}, ArgumentError, "example_input"),
        ({"limits": {"bytes": 10}}, ArgumentError, "'bytes' is not counted"),
        (
            {"target_group_sparsity": 0.5, "pruning_steps": 5},
            ArgumentError,
            "pruning_steps=5 is less than pruning_periods=10",
        ),
        ({"target_group_sparsity": 0.5, "variant": "lion"}, ArgumentError, "variant='lion'"),
        ({"target_group_sparsity": 0.5, "cosine_sign": "up"}, ArgumentError, "cosine_sign='up'"),
        ({"target_group_sparsity": 0.5, "criteria": {"size": 1.0}}, ArgumentError, "criteria"),
        ({"target_group_sparsity": 0.5, "lr": -1}, ArgumentError, "lr=-1"),
    ],
)
def test_bad_settings_are_named(more, error, words):
    model, x, _ = made("mlp")
    groups = find_zero_invariant_groups(model, x[:2])
    with pytest.raises(error, match=words):
        HESSO(model, groups, **more)


def test_groups_of_another_model_are_refused():
    model, x, _ = made("residual")
    with pytest.raises(ArgumentError, match="the model has no parameter"):
        HESSO(MLP(), find_zero_invariant_groups(model, x[:2]), target_group_sparsity=0.5)
