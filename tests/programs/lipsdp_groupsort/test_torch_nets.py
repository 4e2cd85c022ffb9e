"""Reading torch modules: the network that was read computes what the module computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.programs import FullSort, GroupSort, Householder, MaxMin, lipschitz_bound
from feasible.programs.lipsdp_groupsort import module
from feasible.programs.lipsdp_groupsort.torch_nets import read

ACTIVATIONS = [
    module(MaxMin()),
    module(MaxMin(chunked=True)),
    module(GroupSort(3, descending=True)),
    module(FullSort()),
    module(Householder([0.6, 0.8])),
    nn.ReLU(),
    nn.LeakyReLU(0.2),
    nn.Tanh(),
    nn.Sigmoid(),
]


@pytest.mark.parametrize("between", ACTIVATIONS, ids=lambda m: str(getattr(m, "activation", m)))
def test_a_sequential_is_read_as_the_function_that_it_is(between):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(4, 6),
        between,
        nn.Dropout(),
        nn.Sequential(nn.Linear(6, 6, bias=False), between),
        nn.Linear(6, 3),
    ).double()
    net.eval()
    x = torch.randn(20, 4, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_allclose(read(net)(x.numpy()), net(x).numpy(), atol=1e-12)
    found = lipschitz_bound(net, samples=100)
    assert found.verify()
    assert found.lower <= found.value


def test_an_activation_at_the_end_and_two_linear_maps_in_a_row_are_read_too():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), module(MaxMin())).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    np.testing.assert_allclose(read(net)(x.numpy()), net(x).detach().numpy(), atol=1e-12)
    assert lipschitz_bound(net).verify()


def test_sorting_layers_of_deel_torchlip_are_known_by_name():
    class GroupSort2(nn.Module):
        pass

    class FullSort(nn.Module):
        pass

    for kind, size in ((GroupSort2, 2), (FullSort, None)):
        net = read(nn.Sequential(nn.Linear(4, 4), kind(), nn.Linear(4, 1)))
        assert net.layers[0].activation == GroupSort(size)


def test_a_module_of_your_own_is_what_you_say_it_is():
    class Mine(nn.Module):
        def forward(self, x):
            return torch.sort(x).values

    net = nn.Sequential(nn.Linear(4, 4), Mine(), nn.Linear(4, 1))
    with pytest.raises(ArgumentTypeError, match=r"net\[1\] is a Mine, which is not supported"):
        lipschitz_bound(net)
    x = torch.randn(5, 4)
    got = read(net, FullSort())(x.numpy())
    np.testing.assert_allclose(got, net(x).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("part", [nn.Conv2d(1, 1, 3), nn.BatchNorm1d(4), nn.Softmax(dim=1)])
def test_an_unsupported_module_is_named_with_its_place(part):
    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(part), nn.Linear(4, 1))
    with pytest.raises(ArgumentTypeError, match=rf"net\[1\.0\] is a {type(part).__name__}"):
        lipschitz_bound(net, activation=MaxMin())


def test_sequences_that_make_no_network_are_refused():
    with pytest.raises(ArgumentError, match="no Linear"):
        lipschitz_bound(nn.Sequential(nn.Flatten()))
    with pytest.raises(ArgumentTypeError, match="a second activation"):
        lipschitz_bound(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Tanh(), nn.Linear(2, 2)))
    with pytest.raises(ArgumentTypeError, match="before the first Linear"):
        lipschitz_bound(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
