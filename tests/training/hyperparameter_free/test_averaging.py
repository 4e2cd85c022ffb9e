import copy
import warnings

import dog as dog_package
import pytest
import torch
from torch import nn

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.training.hyperparameter_free.averaging import PolynomialAverager
from feasible.training.hyperparameter_free.named import averaged_dog


def network(seed=100):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def train(model, optimizer, steps, start=0):
    for i in range(start, start + steps):
        x = torch.randn(16, 6, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long()).backward()
        optimizer.step()
    return flat(model)


@pytest.mark.parametrize("gamma", [0.0, 8.0])
def test_the_average_is_that_of_its_formula_and_of_the_package(gamma):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    averager, package = (
        PolynomialAverager(optimizer, gamma),
        dog_package.PolynomialDecayAverager(model, gamma),
    )
    points = []
    for i in range(20):
        points.append(train(model, optimizer, 1, start=i))
        package.step()
    averager.eval()
    average = flat(model)
    theirs = flat(package.averaged_model)
    assert torch.allclose(average, theirs, rtol=1e-12)
    if gamma == 0:
        assert torch.allclose(average, torch.stack(points).mean(0))
    averager.train()
    assert torch.equal(flat(model), points[-1])


def test_a_step_at_the_average_is_refused_and_the_mode_is_saved():
    model, other = network(), network(seed=3)
    optimizer, again = averaged_dog(model.parameters()), averaged_dog(other.parameters())
    train(model, optimizer, 5)
    want = flat(model)
    optimizer.eval()
    optimizer.eval()
    other.load_state_dict(model.state_dict())
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    with pytest.raises(ArgumentError, match=r"train\(\)"):
        train(other, again, 1)
    again.train()
    assert torch.equal(flat(other), want)


def test_weights_saved_at_the_training_point_are_warned_of_once():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    averager = PolynomialAverager(optimizer, model=model)
    model.state_dict()  # nothing is averaged yet
    train(model, optimizer, 2)
    averager.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.state_dict()
        averager.train()
    with pytest.warns(UserWarning, match=r"averager.eval\(\)"):
        model.state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.state_dict()


def test_the_average_works_with_adam_where_a_gradient_comes_late():
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    PolynomialAverager(optimizer)
    model[0].bias.requires_grad_(False)
    train(model, optimizer, 2)
    model[0].bias.requires_grad_(True)
    train(model, optimizer, 2)
    assert "average" in optimizer.state[model[0].bias]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (lambda: (3,), ArgumentTypeError),
        (lambda: (torch.optim.SGD([nn.Parameter(torch.zeros(1))]), -1.0), ArgumentError),
    ],
)
def test_averagers_without_sense_are_refused(args, error):
    with pytest.raises(error):
        PolynomialAverager(*args())
