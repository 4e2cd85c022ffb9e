import copy
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from feasible.core.errors import ArgumentError, NotFinite, ShapeError, UnknownName
from feasible.training import OBSPruner
from feasible.training.mfac.obs_pruner import Masks, gradual


def network(seed=0, norm=True):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Tanh(), nn.Linear(8, 3)
    ).double()


def loader(batches=8, size=4):
    g = torch.Generator().manual_seed(3)
    return [
        (
            torch.randn(size, 6, generator=g, dtype=torch.float64),
            torch.randint(3, (size,), generator=g),
        )
        for _ in range(batches)
    ]


def pruner(model=None, **more):
    return OBSPruner(
        network() if model is None else model,
        nn.functional.cross_entropy,
        loader(),
        **{"ngrads": 8, "recomputations": 3, **more},
    )


class Residuals(nn.Module):
    """Outputs a_i'w of a linear layer of one output: with the loss below, gradient i is a_i e_i."""

    def __init__(self, w):
        super().__init__()
        self.layer = nn.Linear(len(w), 1, bias=False).double()
        with torch.no_grad():
            self.layer.weight.copy_(w)

    def forward(self, x):
        return self.layer(x)


def test_a_single_weight_costs_its_saliency_on_a_quadratic():
    rng = np.random.default_rng(0)
    G, w = rng.standard_normal((5, 6)), torch.from_numpy(rng.standard_normal(6))
    damp = 1e-2
    F = damp * np.eye(6) + G.T @ G / 5
    model = Residuals(w)
    batches = [(torch.from_numpy(g)[None], None) for g in G]
    OBSPruner(
        model,
        lambda out, _: out.sum(),
        batches,
        ngrads=5,
        blocksize=None,
        damp=damp,
        recomputations=1,
    ).prune(1 / 6)
    new = model.layer.weight.detach().numpy()[0]
    saliency = w.numpy() ** 2 / (2 * np.diag(np.linalg.inv(F)))
    gone = int(saliency.argmin())
    assert new[gone] == 0
    moved = new - w.numpy()
    assert 0.5 * moved @ F @ moved == pytest.approx(saliency[gone], rel=1e-9)
    free = np.delete(np.arange(6), gone)  # the best of all moves that remove this weight
    best = np.linalg.solve(F[np.ix_(free, free)], -F[free, gone] * moved[gone])
    assert moved[free] == pytest.approx(best, rel=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 0.95), st.sampled_from([None, 1, 7]), st.integers(1, 4))
def test_the_sparsity_is_met_to_the_nearest_weight_and_no_weight_comes_back(
    sparsity, blocksize, recomputations
):
    p = pruner(blocksize=blocksize, recomputations=recomputations)
    p.prune(sparsity / 2)
    before = {name: mask.clone() for name, mask in p.masks.items()}
    masks = p.prune(sparsity)
    assert abs(p.sparsity * p.total - sparsity * p.total) <= 0.5 + 1e-9
    assert all(bool((masks[name] <= before[name]).all()) for name in masks)
    assert all(bool((p.weights[name][~mask] == 0).all()) for name, mask in masks.items())


def test_biases_and_normalisation_stay():
    model = network()
    before = copy.deepcopy(model)
    pruner(model).prune(0.9)
    for name in ("0.bias", "1.weight", "1.bias", "3.bias", "1.running_mean", "1.running_var"):
        assert torch.equal(model.state_dict()[name], before.state_dict()[name])
    assert model.training


def test_blocks_of_one_move_nothing_else():
    model = network()
    before = model[0].weight.detach().clone()
    p = pruner(model, blocksize=1, recomputations=1)
    p.prune(0.5)
    kept = p.masks["0.weight"]
    assert torch.equal(model[0].weight[kept], before[kept])


def test_without_gradients_it_is_magnitude_pruning():
    one, other = network(), network()
    p = OBSPruner(one, lambda out, y: 0.0 * out.sum(), loader(), ngrads=4)
    p.prune(0.6)
    Masks(other).prune_magnitude(0.6)
    assert torch.allclose(one[0].weight, other[0].weight)
    assert all(r.damped == 1 for r in p.rounds)


def test_gradients_of_single_examples_average_to_those_of_the_batch():
    model = network()
    model.eval()
    whole = pruner(model, ngrads=1).gradients()
    each = pruner(model, ngrads=4, per_sample=True).gradients()
    assert each.shape == (4, whole.shape[1])
    assert torch.allclose(each.mean(0), whole[0], rtol=1e-10)


def test_gradients_and_factors_on_disk_prune_the_same(tmp_path):
    one, other = pruner(), pruner(folder=tmp_path)
    one.prune(0.6)
    other.prune(0.6)
    assert torch.equal(one.weights["0.weight"], other.weights["0.weight"])
    assert (tmp_path / "gradients.bin").exists()


def test_every_row_of_g_is_filled_when_the_loader_is_short():
    assert bool((pruner(ngrads=11).gradients().norm(dim=1) > 0).all())


def test_masks_hold_through_momentum_and_decay():
    model = network(norm=False)
    p = pruner(model)
    p.prune(0.5)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=0.1)
    handle = p.hold(optimizer)
    for x, y in loader():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        assert all(bool((p.weights[n][~m] == 0).all()) for n, m in p.masks.items())
    handle.remove()
    optimizer.step()
    assert any(bool((p.weights[n][~m] != 0).any()) for n, m in p.masks.items())


def test_masks_are_saved_as_tensors_and_fit_only_their_model():
    p = pruner()
    p.prune(0.5)
    file = io.BytesIO()
    torch.save(p.state_dict(), file)
    file.seek(0)
    other = pruner()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.sparsity == p.sparsity
    with pytest.raises(ShapeError, match=r"'0\.weight' has shape \(8, 6\), expected \(2, 6\)"):
        Masks(
            nn.Sequential(nn.Linear(6, 2), nn.Identity(), nn.Identity(), nn.Linear(2, 3))
        ).load_state_dict(p.state_dict())


def test_compensation_loses_less_than_removing_the_smallest_weights():
    torch.manual_seed(0)
    x = torch.randn(300, 20, dtype=torch.float64) @ torch.randn(20, 20, dtype=torch.float64)
    y = (x @ torch.randn(20, 3, dtype=torch.float64)).argmax(1)
    model = nn.Linear(20, 3).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y) + 1e-3 * model.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    smallest = copy.deepcopy(model)
    batches = [(x[i : i + 1], y[i : i + 1]) for i in range(300)]
    OBSPruner(
        model, nn.functional.cross_entropy, batches, ngrads=300, blocksize=None, recomputations=8
    ).prune(0.7)
    Masks(smallest).prune_magnitude(0.7)
    loss, naive = (float(nn.functional.cross_entropy(m(x), y).detach()) for m in (model, smallest))
    assert loss < 0.7 * naive


def test_layers_can_be_skipped_and_shared_weights_count_once():
    model = network()
    assert (
        list(pruner(model, skip=["3"]).weights)
        == list(pruner(model, skip=[model[3]]).weights)
        == ["0.weight"]
    )
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    assert list(Masks(tied).weights) == ["0.weight"]


def test_a_gradual_schedule_removes_the_same_share_each_time():
    shares = gradual(0.2, 0.9, 4)
    left = 1 - np.array([0.2, *shares])
    assert shares[-1] == 0.9
    assert left[1:] / left[:-1] == pytest.approx([(0.1 / 0.8) ** 0.25] * 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: pruner().prune(1.0), ArgumentError, "sparsity=1"),
        (lambda: pruner().prune(-0.1), ArgumentError, "sparsity=-0.1"),
        (lambda: pruner().prune(math.nan), ArgumentError, "sparsity=nan"),
        (lambda: pruner(damp=0), ArgumentError, "damp=0"),
        (lambda: pruner(ngrads=0), ArgumentError, "ngrads=0"),
        (lambda: pruner(blocksize=0), ArgumentError, "blocksize=0"),
        (lambda: pruner(skip=["7"]), UnknownName, "no layer '7'"),
        (lambda: Masks(nn.Tanh()), ArgumentError, "no weights"),
        (
            lambda: OBSPruner(network(), nn.functional.cross_entropy, []).prune(0.5),
            ArgumentError,
            "loader gives no batch",
        ),
        (
            lambda: OBSPruner(network(), nn.functional.cross_entropy, iter(loader())).prune(0.5),
            ArgumentError,
            "once only",
        ),
        (
            lambda: OBSPruner(network(), lambda o, y: o.sum() * math.nan, loader()).prune(0.5),
            NotFinite,
            "NaN",
        ),
        (lambda: gradual(0.5, 0.4, 2), ArgumentError, "target=0.4 is below start=0.5"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_sparsity_below_the_present_one_is_refused():
    p = pruner()
    p.prune(0.5)
    with pytest.raises(ArgumentError, match=r"sparsity=0.4 is below the present 0.5"):
        p.prune(0.4)
