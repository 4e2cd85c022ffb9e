"""The bar distribution against numeric integration, the network's invariances, its prior, its
training, and its weights on disk.
"""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import integrate, stats

from feasible.blackbox.pfn_cbo.bars import HALF, Bars
from feasible.blackbox.pfn_cbo.network import WEIGHTS, Shape
from feasible.blackbox.pfn_cbo.pfn import PFN
from feasible.blackbox.pfn_cbo.prior import Prior
from feasible.blackbox.pfn_cbo.train import (
    Recipe,
    advance,
    begin,
    examine,
    export,
    load,
    save,
    train,
)
from feasible.core import errors

torch.set_num_threads(1)
TINY = Shape(d_max=3, rows=30, width=16, layers=2, heads=2, hidden=32, bars=12)
RECIPE = Recipe(
    shape=TINY, prior=Prior(d_max=3), steps=6, tokens=200, queries=10, warmup=2, draws=4000
)


def bars(seed=0, k=7, tails=True):
    g = torch.Generator().manual_seed(seed)
    borders = torch.cumsum(0.2 + torch.rand(k + 1, generator=g, dtype=torch.float64), 0) - 3
    return Bars(borders, tails), 2 * torch.randn(k, generator=g, dtype=torch.float64)


def density(b, logits):
    p, edges, w = torch.softmax(logits, 0).numpy(), b.borders.numpy(), b.widths.numpy()

    def at(y):
        k = min(max(np.searchsorted(edges, y, side="right") - 1, 0), len(p) - 1)
        if b.tails and k == 0:
            return p[0] * 2 * stats.norm.pdf(edges[1] - y, scale=w[0] / HALF)
        if b.tails and k == len(p) - 1:
            return p[-1] * 2 * stats.norm.pdf(y - edges[-2], scale=w[-1] / HALF)
        return p[k] / w[k] if edges[0] <= y < edges[-1] else 0.0

    return at


def integral(b, logits, what, low=None, high=None):
    at, edges = density(b, logits), b.borders.numpy()
    low, high = -40.0 if low is None else low, 40.0 if high is None else high
    cuts = [low, *[float(e) for e in edges if low < e < high], high]
    return sum(
        integrate.quad(lambda y: what(y) * at(y), lo, hi, epsabs=1e-12)[0]
        for lo, hi in itertools.pairwise(cuts)
    )


# -- bars ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tails", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_moments_agree_with_numeric_integration(seed, tails):
    b, logits = bars(seed, tails=tails)
    mean = integral(b, logits, lambda y: y)
    assert integral(b, logits, lambda y: 1.0) == pytest.approx(1, abs=1e-8)
    assert float(b.mean(logits)) == pytest.approx(mean, abs=1e-8)
    assert float(b.variance(logits)) == pytest.approx(
        integral(b, logits, lambda y: (y - mean) ** 2), abs=1e-8
    )


@pytest.mark.parametrize("tails", [True, False])
@pytest.mark.parametrize("tau", [-6.0, -2.9, -1.0, 0.3, 1.1, 1.9, 4.0])
def test_improvements_agree_with_numeric_integration(tau, tails):
    b, logits = bars(1, tails=tails)
    assert float(b.ei(logits, tau)) == pytest.approx(
        integral(b, logits, lambda y: y - tau, low=tau), abs=1e-8
    )
    assert float(b.pi(logits, tau)) == pytest.approx(
        integral(b, logits, lambda y: 1.0, low=tau), abs=1e-8
    )


@pytest.mark.parametrize("y", [-4.0, -2.5, 0.0, 0.7, 5.0])
def test_the_loss_is_minus_the_log_density(y):
    b, logits = bars(2)
    assert float(b.nll(logits[None], torch.tensor([y], dtype=torch.float64))) == pytest.approx(
        -math.log(density(b, logits)(y)), abs=1e-9
    )


@given(st.integers(0, 50), st.floats(0.001, 0.999), st.booleans())
@settings(max_examples=60, deadline=None)
def test_quantiles_invert_the_probability_of_lying_above(seed, q, tails):
    b, logits = bars(seed, tails=tails)
    assert float(b.pi(logits, float(b.quantile(logits, q)))) == pytest.approx(1 - q, abs=1e-9)


def test_far_below_everything_improves_and_far_above_nothing():
    b, logits = bars(3)
    assert float(b.pi(logits, -1e3)) == pytest.approx(1)
    assert float(b.ei(logits, -1e3)) == pytest.approx(float(b.mean(logits)) + 1e3)
    assert float(b.pi(logits, 1e3)) == 0
    assert float(b.ei(logits, 1e3)) == 0


@given(st.floats(-0.99, 2.99))
def test_equal_bounded_bars_are_the_uniform_distribution(tau):
    b = Bars(torch.linspace(-1, 3, 9, dtype=torch.float64), tails=False)
    assert float(b.ei(torch.zeros(8), tau)) == pytest.approx((3 - tau) ** 2 / 8, abs=1e-9)


@pytest.mark.parametrize(
    "borders",
    [[0.0, 1.0, 1.0, 2.0], [0.0, 1.0], [0.0, 1.0, math.inf, 2.0], [0.0, 1.0, 2.0, math.nan]],
)
def test_borders_must_increase(borders):
    with pytest.raises(errors.ArgumentError, match="borders"):
        Bars(torch.tensor(borders))


# -- the network -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return PFN.load("small")


def data(n=20, d=4, s=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return (
        torch.rand(n, d, generator=g),
        torch.randn(s, n, generator=g),
        torch.rand(15, d, generator=g),
    )


def test_the_order_of_the_observations_does_not_matter(small):
    x, y, q = data()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(
        small.predict(x, y, q).mean, small.predict(x[order], y[:, order], q).mean, atol=1e-5
    )


def test_what_else_is_asked_does_not_matter(small):
    x, y, q = data()
    whole, part = small.predict(x, y, q), small.predict(x, y, q[3:5])
    assert torch.allclose(whole.logits[:, 3:5], part.logits, atol=1e-4)
    with torch.no_grad():
        assert torch.allclose(
            small.condition(x, y).predict(q, chunk=6).logits, whole.logits, atol=1e-4
        )


def test_each_output_is_predicted_as_if_alone(small):
    x, y, q = data()
    assert torch.allclose(
        small.predict(x, y, q).logits[1:2], small.predict(x, y[1:2], q).logits, atol=1e-4
    )


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
@settings(max_examples=10, deadline=None)
def test_units_of_an_output_do_not_matter(unit, shift):
    model, (x, y, q) = PFN.load("small"), data()
    one, other = model.predict(x, y.double(), q), model.predict(x, unit * y.double() + shift, q)
    assert torch.allclose(unit * one.mean + shift, other.mean, rtol=1e-3, atol=1e-3 * unit)
    assert torch.allclose(
        unit * one.ei(0.5), other.ei(0.5 * unit + shift), rtol=1e-2, atol=1e-3 * unit
    )


@pytest.mark.parametrize(("n", "d", "s"), [(1, 1, 1), (2, 18, 1), (300, 18, 2)])
def test_every_size_up_to_the_largest_is_served(small, n, d, s):
    x, y, q = data(n, d, s)
    found = small.predict(x, y, q)
    assert torch.isfinite(found.mean).all()
    assert (found.variance > 0).all()
    assert (found.quantile(0.1) < found.quantile(0.9)).all()


def test_a_constant_output_is_predicted_around_it(small):
    x, _, q = data()
    assert torch.isfinite(small.predict(x, torch.full((1, 20), 7.0), q).mean).all()


def test_bad_observations_are_refused(small):
    x, y, q = data()
    with pytest.raises(errors.ShapeError):
        small.predict(x, y[0], q)
    with pytest.raises(errors.ShapeError):
        small.predict(x, y[:, :-1], q)
    with pytest.raises(errors.ShapeError, match="at most 18 inputs"):
        small.predict(torch.rand(5, 19), torch.rand(1, 5), torch.rand(2, 19))
    with pytest.raises(errors.ShapeError):
        small.predict(x, y, q[:, :2])
    with pytest.raises(errors.ShapeError, match="1 to 300"):
        small.predict(torch.rand(301, 2), torch.rand(1, 301), torch.rand(2, 2))
    with pytest.raises(errors.NotFinite):
        small.predict(x, torch.where(y > 1, math.nan, y), q)


def test_predictions_can_be_differentiated(small):
    x, y, q = data()
    q = q.double().requires_grad_()
    small.condition(x, y).predict(q).mean.sum().backward()
    assert torch.isfinite(q.grad).all()
    assert q.grad.abs().sum() > 0


def test_the_packaged_network_follows_exact_gaussian_processes(small):
    found = examine(small.network, small.bars, Prior(), sizes=(30,), seed=5)["30"]
    assert found["mean_r"] > 0.8
    assert found["nll"] < 1.0  # a standard normal, which knows nothing of the observations, has 1.4


# -- the prior -------------------------------------------------------------------------------------


def test_the_prior_is_standardised_stays_in_the_cube_and_repeats():
    one, two = (
        Prior().sample(40, 25, 10, torch.Generator().manual_seed(3), oracle=True) for _ in range(2)
    )
    assert torch.equal(one.y_query, two.y_query)
    assert torch.allclose(one.y.mean(1), torch.zeros(40), atol=1e-4)
    assert torch.allclose(one.y.std(1, unbiased=False), torch.ones(40), atol=1e-3)
    for x in (one.x, one.x_query):
        assert ((x >= 0) & (x <= 1)).all()
        assert all((x[i, :, d:] == 0.5).all() for i, d in enumerate(one.d.tolist()))
    assert torch.isfinite(one.oracle).all()


def test_the_oracle_is_calibrated():
    """Without skew the oracle is Gaussian: its mean loss is that of its own entropy, and knowing
    more lowers it.
    """
    few, many = (
        Prior(skewed=0.0).sample(60, n, 40, torch.Generator().manual_seed(1), oracle=True)
        for n in (3, 100)
    )
    assert many.oracle.mean() < few.oracle.mean()
    assert (
        torch.corrcoef(torch.stack([many.oracle_mean.flatten(), many.y_query.flatten()]))[0, 1]
        > 0.8
    )


def test_drawing_from_the_prior_leaves_the_global_stream_alone():
    before = torch.random.get_rng_state()
    Prior(d_max=3).sample(4, 5, 5, torch.Generator().manual_seed(0))
    begin(RECIPE)
    assert torch.equal(before, torch.random.get_rng_state())


# -- training and weights --------------------------------------------------------------------------


def test_training_lowers_the_loss_on_other_functions():
    prior = Prior(d_max=1, skewed=0.0, trend=1.0, gathered=0.0, idle=0.0)
    shape = Shape(d_max=1, rows=30, width=32, layers=2, heads=2, hidden=32, bars=12)
    training = begin(
        Recipe(
            shape=shape,
            prior=prior,
            steps=100,
            tokens=800,
            queries=20,
            warmup=10,
            rate=5e-3,
            draws=4000,
        )
    )
    losses = []
    for steps in (0, 100):
        for _ in range(steps):
            advance(training)
        losses.append(examine(training.averaged, training.bars, prior, sizes=(10, 30)))
    assert all(losses[1][n]["nll"] < losses[0][n]["nll"] - 0.5 for n in losses[0])


def test_a_resumed_training_ends_like_the_whole_one(tmp_path):
    whole = train(RECIPE)
    half = begin(RECIPE)
    for _ in range(3):
        advance(half)
    save(half, tmp_path)
    resumed = train(load(tmp_path).recipe, tmp_path, resume=True)
    assert resumed.step == whole.step == 6
    for a, b in zip(whole.averaged.parameters(), resumed.averaged.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_same_seed_trains_the_same_network_and_another_another():
    one, two, other = (
        PFN.train(Prior(d_max=3), steps=2, seed=s, shape=TINY, tokens=100, queries=5, draws=4000)
        for s in (1, 1, 2)
    )
    x, y, q = data(5, 2, 1)
    assert torch.equal(one.predict(x, y, q).logits, two.predict(x, y, q).logits)
    assert not torch.equal(one.predict(x, y, q).logits, other.predict(x, y, q).logits)


def test_a_training_needs_one_length():
    with pytest.raises(errors.ArgumentError, match="exactly one"):
        begin(Recipe(shape=TINY, prior=Prior(d_max=3)))


def test_a_damaged_or_foreign_training_is_refused(tmp_path):
    with pytest.raises(errors.CheckpointError):
        load(tmp_path)
    save(begin(RECIPE), tmp_path)
    with pytest.raises(errors.CheckpointError, match="another network"):
        load(tmp_path, Recipe(shape=TINY, prior=Prior(d_max=3, near=0.1), steps=1))
    (tmp_path / "training.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(errors.CheckpointError):
        load(tmp_path)


def test_weights_survive_the_disk_and_tampering_is_noticed(tmp_path):
    save(begin(RECIPE), tmp_path)
    file = export(tmp_path, tmp_path, "mine")
    assert "parameters" in (tmp_path / "pfn.md").read_text()
    model = PFN.load(file)
    x, y, q = data(5, 2, 1)
    again = PFN.load(model.save(tmp_path / "again.safetensors"))
    assert torch.equal(model.predict(x, y, q).logits, again.predict(x, y, q).logits)
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(errors.CheckpointError, match="sha256"):
        PFN.load(file)


@pytest.mark.parametrize(
    "change", [{"shape": {"width": 8}}, {"shape": {"depth": 8}}, {"sha256": None}]
)
def test_a_note_that_does_not_fit_the_weights_is_refused(tmp_path, change):
    file = PFN.load("small").save(tmp_path / "a.safetensors")
    note = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps(note | change))
    with pytest.raises(errors.CheckpointError):
        PFN.load(file)


def test_unknown_and_missing_weights_are_named(tmp_path):
    with pytest.raises(errors.UnknownName, match="small"):
        PFN.load("smal")
    with pytest.raises(errors.CheckpointError):
        PFN.load(tmp_path / "none.safetensors")


def test_the_package_holds_less_than_3_megabytes_and_a_card():
    assert (WEIGHTS / "pfn-small.safetensors").stat().st_size < 3e6
    assert "Trained from nothing" in (WEIGHTS / "pfn.md").read_text()
    assert "sha256" in json.loads((WEIGHTS / "pfn-small.json").read_text())


def test_the_command_trains_resumes_and_exports(tmp_path):
    from typer.testing import CliRunner

    from feasible.blackbox.commands import pfn

    def call(*arguments):
        return CliRunner().invoke(pfn, list(arguments))

    folder = str(tmp_path / "t")
    assert call("train", folder, "--steps", "2", "--tiny").exit_code == 0
    assert isinstance(
        call("train", folder, "--steps", "2", "--tiny").exception, errors.ArgumentError
    )
    assert "trained 3 steps" in call("train", folder, "--steps", "3", "--resume").output
    assert call("export", folder, "--to", str(tmp_path), "--name", "t").exit_code == 0
    assert PFN.load(tmp_path / "pfn-t.safetensors").d_max == 4
