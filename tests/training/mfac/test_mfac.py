import copy
import io

import numpy as np
import pytest
import torch
from torch import nn

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.training import MFAC


def network(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype)


def batches(n, dtype=torch.float64):
    g = torch.Generator().manual_seed(1)
    return [
        (torch.randn(8, 5, generator=g, dtype=dtype), torch.randint(2, (8,), generator=g))
        for _ in range(n)
    ]


def train(model, optimizer, data):
    for x, y in data:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy()


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("method", ["woodbury", "dp"])
def test_a_step_is_the_dense_formula_with_momentum_and_decay_in_the_fisher(method):
    m, damp, lr, mu, decay = 3, 1e-2, 0.05, 0.6, 0.1
    model, data = network(), batches(7)
    optimizer = MFAC(model.parameters(), lr, m, damp, mu, decay, method=method)
    w, rows, v = flat(model), [], 0.0
    for x, y in data:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        g = torch.cat([p.grad.reshape(-1) for p in model.parameters()]).numpy() + decay * w
        rows = [*rows, g][-m:]
        F = damp * np.eye(len(g)) + sum(np.outer(r, r) for r in rows) / m
        v = mu * v + (1 - mu) * np.linalg.solve(F, g)
        w = w - lr * v
        optimizer.step()
        assert np.allclose(flat(model), w, rtol=1e-9, atol=1e-11)


def test_decoupled_decay_stays_out_of_the_window():
    plain, decayed = network(), network()
    x, y = batches(1)[0]
    optimizers = [
        MFAC(plain.parameters(), 0.1, 4),
        MFAC(decayed.parameters(), 0.1, 4, weight_decay=0.5, decoupled=True),
    ]
    start = flat(plain)
    for model, optimizer in zip((plain, decayed), optimizers, strict=True):
        train(model, optimizer, [(x, y)])
    assert torch.equal(optimizers[0].window.rows, optimizers[1].window.rows)
    assert np.allclose(flat(plain) - flat(decayed), 0.1 * 0.5 * start, rtol=1e-9, atol=1e-12)


def test_groups_share_one_window_and_keep_their_rates():
    one, two = network(), network()
    optimizer = MFAC(one.parameters(), 0.1, 4, 1e-2)
    grouped = MFAC(
        [{"params": two[0].parameters()}, {"params": two[2].parameters(), "lr": 0.3}], 0.1, 4, 1e-2
    )
    before = flat(one)
    train(one, optimizer, batches(1))
    train(two, grouped, batches(1))
    moved, moved_by_group = flat(one) - before, flat(two) - before
    assert np.allclose(moved_by_group[:24], moved[:24], rtol=1e-9)
    assert np.allclose(moved_by_group[24:], 3 * moved[24:], rtol=1e-9)


@pytest.mark.parametrize(
    "more", [{}, {"momentum": 0.9, "weight_decay": 0.01}, {"sparse": True, "method": "dp"}]
)
def test_a_resumed_run_is_bit_equal_and_its_state_reads_with_weights_only(more):
    whole, data = network(), batches(9)
    with torch.no_grad():
        whole[0].weight[0] = 0
    cut = copy.deepcopy(whole)
    train(whole, MFAC(whole.named_parameters(), 0.05, 4, **more), data)
    first = MFAC(cut.named_parameters(), 0.05, 4, **more)
    train(cut, first, data[:5])
    again = copy.deepcopy(cut)
    resumed = MFAC(again.named_parameters(), 0.9, 4, **more)
    resumed.load_state_dict(through_a_file(first.state_dict()))
    train(again, resumed, data[5:])
    assert np.array_equal(flat(again), flat(whole))


def test_state_is_matched_by_name_when_the_order_differs():
    model, data = network(), batches(6)
    other = copy.deepcopy(model)
    optimizer = MFAC(model.named_parameters(), 0.05, 4, momentum=0.5)
    train(model, optimizer, data[:5])
    other.load_state_dict(model.state_dict())
    mixed = MFAC(list(other.named_parameters())[::-1], 0.05, 4, momentum=0.5)
    mixed.load_state_dict(optimizer.state_dict())
    train(model, optimizer, data[5:])
    train(other, mixed, data[5:])
    assert np.allclose(flat(other), flat(model), rtol=1e-10)


def test_another_models_state_is_refused_with_shapes():
    small, big = network(), nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    saved = MFAC(big.named_parameters()).state_dict()
    with pytest.raises(ShapeError, match=r"\(6, 5\) there, expected \(4, 5\)"):
        MFAC(small.named_parameters()).load_state_dict(saved)


def test_another_window_is_refused():
    model = network()
    optimizer = MFAC(model.parameters(), ngrads=4)
    train(model, optimizer, batches(1))
    with pytest.raises(ShapeError, match="window of 4 gradients, expected ngrads = 5"):
        MFAC(model.parameters(), ngrads=5).load_state_dict(optimizer.state_dict())


def test_a_nan_gradient_is_refused_by_name_and_does_not_poison_the_window():
    model, data = network(), batches(4)
    optimizer = MFAC(model.named_parameters(), 0.05, 4)
    train(model, optimizer, data[:3])
    before, rows = flat(model), optimizer.window.rows.clone()
    model[2].weight.grad[0, 0] = float("nan")
    with pytest.raises(NotFinite, match=r"2\.weight"):
        optimizer.step()
    assert np.array_equal(flat(model), before)
    assert torch.equal(optimizer.window.rows, rows)
    train(model, optimizer, data[3:])
    assert np.isfinite(flat(model)).all()


def test_sparse_keeps_zero_weights_zero_and_out_of_the_window():
    model = network()
    with torch.no_grad():
        model[0].weight[:, 1] = 0
    optimizer = MFAC(model.parameters(), 0.05, 4, weight_decay=0.1, sparse=True)
    train(model, optimizer, batches(6))
    assert bool((model[0].weight[:, 1] == 0).all())
    assert optimizer.window.d == len(flat(model)) - 4


def test_parameters_without_a_gradient_stay():
    model = network()
    optimizer = MFAC(model.parameters(), 0.05, 4)
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    train(model, optimizer, batches(3))
    assert torch.equal(model[0].weight, before)


def test_a_group_added_later_has_had_zero_gradients():
    model, data = network(), batches(4)
    optimizer = MFAC([model[2].weight], 0.05, 4)
    train(model, optimizer, data[:2])
    optimizer.add_param_group({"params": [model[2].bias]})
    assert optimizer.window.rows.shape == (4, 10)
    assert bool((optimizer.window.rows[:, 8:] == 0).all())
    train(model, optimizer, data[2:])
    assert np.allclose(optimizer.window.gram, optimizer.window.rows @ optimizer.window.rows.T)


def test_delay_collects_gradients_before_the_first_step():
    model = network()
    before = flat(model)
    optimizer = MFAC(model.parameters(), 0.05, 4, delay=2)
    train(model, optimizer, batches(2))
    assert np.array_equal(flat(model), before)
    train(model, optimizer, batches(1))
    assert not np.array_equal(flat(model), before)


def test_a_closure_is_called_with_gradients_and_its_value_returned():
    model, (x, y) = network(), batches(1)[0]
    optimizer = MFAC(model.parameters(), 0.05)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    assert torch.equal(optimizer.step(closure), nn.functional.cross_entropy(network()(x), y))


def test_a_copy_carries_the_window():
    model, data = network(), batches(5)
    optimizer = MFAC(model.parameters(), 0.05, 4)
    train(model, optimizer, data[:4])
    twin_model, twin = copy.deepcopy((model, optimizer))
    train(model, optimizer, data[4:])
    train(twin_model, twin, data[4:])
    assert np.array_equal(flat(model), flat(twin_model))


def test_torch_schedulers_drive_it():
    model = network()
    optimizer = MFAC(model.parameters(), 0.1, 4)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5**t)
    train(model, optimizer, batches(1))
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_half_precision_parameters_have_a_float32_window():
    model = network(dtype=torch.bfloat16)
    optimizer = MFAC(model.parameters(), 0.01, 4)
    train(model, optimizer, batches(3, torch.bfloat16))
    assert optimizer.window.rows.dtype == torch.float32
    assert model[0].weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": -1}, "lr=-1"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"ngrads": 0}, "ngrads=0"),
        ({"damp": 0}, "damp=0"),
        ({"momentum": 1}, "momentum=1"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"method": "cg"}, "method='cg'"),
        ({"delay": -1}, "delay"),
        (
            {"max_bytes": 1000},
            r"34 parameters need .* GB, more than max_bytes .* at most ngrads=3 fit",
        ),
    ],
)
def test_bad_settings_are_named(settings, words):
    with pytest.raises(ArgumentError, match=words):
        MFAC(network().parameters(), **settings)


def test_sparse_gradients_are_refused_by_name():
    model = nn.Embedding(3, 2, sparse=True)
    optimizer = MFAC(model.named_parameters())
    model(torch.tensor([1])).sum().backward()
    with pytest.raises(ArgumentError, match="'weight' has a sparse gradient"):
        optimizer.step()
