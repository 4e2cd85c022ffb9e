import inspect
import io
import math

import numpy as np
import pytest
import torch

from feasible.blackbox.cbo.consensus import consensus
from feasible.blackbox.cbo.in_torch import CBOptimizer
from feasible.blackbox.cbo.settings import CBOSettings
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    EvaluationFailed,
    FeasibleError,
    ShapeError,
)


def line(seed=0):
    torch.manual_seed(seed)
    model = torch.nn.Linear(2, 1)
    x = torch.randn(64, 2)
    y = x @ torch.tensor([[1.0], [-2.0]]) + 0.5
    return model, lambda: ((model(x) - y) ** 2).mean()


def particles(optimizer):
    return torch.cat(
        [
            optimizer.state[p]["particles"].flatten(1)
            for g in optimizer.param_groups
            for p in g["params"]
        ],
        dim=1,
    )


def run(optimizer, loss, steps):
    for _ in range(steps):
        optimizer.step(loss)
    return optimizer


def test_a_line_is_fitted_without_gradients():
    model, loss = line()
    optimizer = run(CBOptimizer(model, n_particles=50, batch=None, sigma=1.0, lr=0.3), loss, 300)
    assert loss().item() < 0.02
    assert optimizer.evaluations == 300 * (50 + 2)
    assert all(p.grad is None for p in model.parameters())


def test_a_step_is_the_numpy_consensus_and_drift():
    model, loss = line()
    optimizer = CBOptimizer(
        model,
        n_particles=8,
        batch=None,
        sigma=0.0,
        lr=0.25,
        alpha=3.0,
        restart=None,
        answer="consensus",
    )
    before = particles(optimizer).clone()
    energy = []
    for row in before:
        torch.nn.utils.vector_to_parameters(row.clone(), model.parameters())
        energy.append(loss().item())
    optimizer.step(loss)
    m = consensus(before.double().numpy(), np.array(energy), 3.0)
    np.testing.assert_allclose(
        torch.nn.utils.parameters_to_vector(model.parameters()).detach(), m, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        particles(optimizer), before.numpy() - 0.25 * (before.numpy() - m), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("noise", ["anisotropic", "isotropic"])
def test_particles_at_once_and_one_after_the_other_agree(noise):
    results = []
    for form in ("model", "loop", "params", "groups"):
        model, loss = line()
        given = {
            "model": model,
            "loop": model,
            "params": model.parameters(),
            "groups": [{"params": [model.weight]}, {"params": [model.bias]}],
        }[form]
        optimizer = run(
            CBOptimizer(
                given, n_particles=12, batch=5, noise=noise, vectorized=form != "loop", seed=4
            ),
            loss,
            8,
        )
        results.append(particles(optimizer))
    for other in results[1:]:
        torch.testing.assert_close(results[0], other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("partial", [True, False])
def test_state_dict_round_trip_continues_exactly(partial):
    def fresh():
        model, loss = line()
        return CBOptimizer(model, n_particles=12, batch=5, partial=partial, reduce=True), loss

    (one, loss_one), (two, loss_two) = fresh(), fresh()
    run(one, loss_one, 7)
    one.end_epoch()
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    two.load_state_dict(torch.load(file, weights_only=True))
    run(one, loss_one, 6)
    run(two, loss_two, 6)
    assert one.evaluations == two.evaluations
    torch.testing.assert_close(particles(one), particles(two), rtol=0, atol=0)


@pytest.mark.parametrize("vectorized", [True, False])
def test_the_model_keeps_the_best_parameters_however_wildly_the_particles_shake(vectorized):
    model, loss = line()
    optimizer = CBOptimizer(
        model, n_particles=8, batch=4, sigma=6.0, lr=1.0, vectorized=vectorized, seed=3
    )
    before = loss().item()
    for _ in range(25):
        told = optimizer.step(loss).item()
        assert told == pytest.approx(loss().item(), rel=1e-4)
        assert told <= before * (1 + 1e-6)
        before = told


def test_the_best_is_the_lowest_of_all_losses_that_the_closure_gave():
    model, loss = line()
    seen = []

    def heard():
        seen.append(loss().item())
        return torch.tensor(seen[-1])

    optimizer = CBOptimizer(model, n_particles=6, batch=3, sigma=3.0, vectorized=False)
    run(optimizer, heard, 12)
    assert len(seen) == optimizer.evaluations == 12 * (3 + 2)
    assert loss().item() == pytest.approx(min(seen))


def test_the_best_of_earlier_data_is_judged_anew_on_the_data_of_the_step():
    model, loss = line()
    optimizer = CBOptimizer(model, n_particles=40, batch=None, sigma=1.0, lr=0.3)
    first = loss().item()
    for k in range(60):
        optimizer.step(lambda k=k: loss() + 10.0 * k)  # each step's losses exceed all before
    assert loss().item() < 0.1 * first


def test_the_consensus_is_the_answer_where_it_is_asked_for():
    model, loss = line()
    optimizer = CBOptimizer(model, n_particles=6, batch=3, answer="consensus")
    run(optimizer, loss, 4)
    assert optimizer.evaluations == 4 * 3
    for p in model.parameters():
        torch.testing.assert_close(optimizer.state[p]["consensus"], p.detach(), rtol=0, atol=0)


def test_a_state_saved_before_the_best_was_kept_goes_on():
    model, loss = line()
    optimizer = run(CBOptimizer(model, n_particles=6, answer="consensus", batch=3), loss, 3)
    saved = optimizer.state_dict()
    for own in saved["state"].values():
        own.pop("consensus", None)
    other, loss = line()
    other.load_state_dict(model.state_dict())
    later = CBOptimizer(other, n_particles=6, batch=3)
    later.load_state_dict(saved)
    before = loss().item()
    assert later.step(loss).item() <= before * (1 + 1e-6)


def test_partial_batches_move_only_themselves():
    model, loss = line()
    optimizer = CBOptimizer(model, n_particles=12, batch=4, partial=True, alpha=0.1)
    before = particles(optimizer).clone()
    optimizer.step(loss)
    assert int((particles(optimizer) != before).any(dim=1).sum()) == 4


def test_an_epoch_cools_and_doubles_alpha():
    model, _ = line()
    optimizer = CBOptimizer(model, alpha=50.0)
    for _ in range(3):
        optimizer.end_epoch()
    assert optimizer.state["swarm"]["cooled"] == pytest.approx(1 / math.log2(5))
    assert optimizer.state["swarm"]["alpha"] == 400


def test_particles_that_agree_become_fewer():
    model, loss = line()
    optimizer = CBOptimizer(model, n_particles=60, batch=5, reduce=True, sigma=0.1, restart=None)
    for _ in range(6):
        run(optimizer, loss, 12).end_epoch()
    assert 5 <= optimizer.n_particles < 60
    assert optimizer.n_particles % 5 == 0


def test_a_scheduler_of_torch_drives_the_time_step():
    model, loss = line()
    optimizer = CBOptimizer(model, n_particles=6, batch=None, lr=0.4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.step(loss)
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


def test_nan_losses_have_no_weight_and_all_nan_is_an_error():
    model, loss = line()
    optimizer = CBOptimizer(model, n_particles=6, batch=None, vectorized=False)
    calls = []

    def some():
        calls.append(1)
        return loss() if len(calls) % 2 else torch.tensor(math.nan)

    assert math.isfinite(optimizer.step(some).item())
    assert torch.isfinite(particles(optimizer)).all()
    with pytest.raises(EvaluationFailed):
        optimizer.step(lambda: torch.tensor(math.nan))


def test_a_closure_that_cannot_be_vectorised_is_named():
    model, loss = line()
    with pytest.raises(ArgumentError, match="vectorized=False"):
        CBOptimizer(model, n_particles=6, batch=None).step(lambda: torch.tensor(loss().item()))


@pytest.mark.parametrize(
    "bad",
    [
        {"n_particles": 1},
        {"batch": 1},
        {"batch": 1000},
        {"alpha": math.inf},
        {"sigma": -1.0},
        {"noise": "white"},
        {"answer": "last"},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(FeasibleError, match=next(iter(bad))):
        CBOptimizer(line()[0], **bad)


def test_the_defaults_are_those_of_the_learning_preset():
    preset, given = CBOSettings.learning(), inspect.signature(CBOptimizer).parameters
    for name, parameter in given.items():
        own = "dt" if name == "lr" else name
        if hasattr(preset, own):
            assert parameter.default == getattr(preset, own), name


def test_bad_calls_are_refused():
    model, loss = line()
    with pytest.raises(ArgumentTypeError, match="closure"):
        CBOptimizer(model).step()
    with pytest.raises(ShapeError, match="scalar"):
        CBOptimizer(model).step(lambda: model(torch.ones(3, 2)).squeeze())
    with pytest.raises(ArgumentError, match="lr"):
        CBOptimizer(model, lr=2.5).step(loss)
