"""Whatever a network does, its groups are those that can be cut; the rest has a reason."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from feasible.core.errors import FeasibleError
from feasible.training import find_zero_invariant_groups
from feasible.training.hesso.cutting import cutting_plan
from feasible.training.hesso.groups_tp import each
from feasible.training.trained import shrink

pytestmark = pytest.mark.filterwarnings("ignore")


class Padded(nn.Module):
    """A shortcut that is padded to more channels, and a layer beside it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.f, self.g = nn.Linear(16, 6), nn.Linear(6, 5)

    def forward(self, x):
        h = F.relu(self.a(x))
        y = self.b(h) + F.pad(h, (0, 0, 0, 0, 4, 4))
        return self.g(F.relu(self.f(y.mean((2, 3)))))


class Gated(nn.Module):
    """A gate made from the largest channel, and a layer beside it."""

    def __init__(self):
        super().__init__()
        self.a, self.g, self.f = nn.Linear(6, 12), nn.Linear(1, 12), nn.Linear(12, 7)
        self.o = nn.Linear(7, 4)

    def forward(self, x):
        h = self.a(x)
        return self.o(F.relu(self.f(h * torch.sigmoid(self.g(h.amax(1, keepdim=True))))))


class Joined(nn.Module):
    """A flattened map beside a vector."""

    def __init__(self):
        super().__init__()
        self.a, self.v = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(5, 7)
        self.f, self.g = nn.Linear(8 * 16 + 7, 6), nn.Linear(6, 4)

    def forward(self, x, v):
        both = torch.cat([F.relu(self.a(x)).flatten(1), F.relu(self.v(v))], 1)
        return self.g(F.relu(self.f(both)))


class OneOutput(nn.Module):
    """One output, squeezed."""

    def __init__(self):
        super().__init__()
        self.a, self.f = nn.Linear(6, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.f(F.relu(self.a(x))).squeeze(1)


class Transposed(nn.Module):
    """The layers of GPT-2, whose weights are (in, out)."""

    def __init__(self):
        super().__init__()
        from transformers.pytorch_utils import Conv1D

        self.a, self.b = Conv1D(12, 6), Conv1D(5, 12)

    def forward(self, x):
        return self.b(F.gelu(self.a(x)))


class Rotary(nn.Module):
    """Queries that are turned as rotary embeddings do, halves swapped, and a layer beside them."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.f = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 12)
        self.g = nn.Linear(12, 8)

    def forward(self, x):
        def turn(y):
            return y * 0.5 + 0.5 * torch.cat([-y[..., 4:], y[..., :4]], -1)

        h = x + torch.softmax(turn(self.q(x)) @ turn(self.k(x)).mT, -1) @ x
        return h + self.g(F.silu(self.f(h)))


class Remembering(nn.Module):
    """A recurrence that keeps its states from call to call, with their history."""

    def __init__(self):
        super().__init__()
        self.a, self.f, self.o = nn.Linear(6, 8), nn.Linear(8, 7), nn.Linear(7, 4)
        self.seen, self.states = None, {}

    def forward(self, x):
        h = self.a(x)
        self.seen, self.states = h, {"last": [h.mean()]}
        return self.o(F.relu(self.f(h)))


def with_first(change):
    return nn.Sequential(
        change(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)
    )


def rows(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


IMAGE, ROW = rows(2, 3, 4, 4), rows(3, 6)
WORDS = rows(2, 5, 8)
NETWORKS = {
    "padded shortcut": (Padded, IMAGE),
    "gate": (Gated, ROW),
    "map and vector": (Joined, (IMAGE, rows(2, 5))),
    "one output": (OneOutput, ROW),
    "states from call to call": (Remembering, ROW),
    "weight_norm": (lambda: with_first(nn.utils.parametrizations.weight_norm), ROW),
    "weight_norm by hook": (lambda: with_first(nn.utils.weight_norm), ROW),
    "spectral_norm": (lambda: with_first(nn.utils.parametrizations.spectral_norm), ROW),
    "spectral_norm by hook": (lambda: with_first(nn.utils.spectral_norm), ROW),
    "orthogonal": (lambda: with_first(nn.utils.parametrizations.orthogonal), ROW),
    "LSTM": (lambda: nn.LSTM(6, 8), rows(3, 2, 6)),
    "GRU": (lambda: nn.GRU(6, 8), rows(3, 2, 6)),
    "Bilinear": (lambda: nn.Bilinear(4, 5, 6), (rows(2, 4), rows(2, 5))),
    "attention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), (WORDS,) * 3),
    "encoder layer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), WORDS),
    "decoder layer": (lambda: nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), (WORDS,) * 2),
    "transformer": (lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True), (WORDS,) * 2),
    "transposed groups": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 4, 3, groups=2)),
        IMAGE,
    ),
    "transposed weights": (Transposed, ROW),
    "rotary": (Rotary, WORDS),
    "lazy": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.LazyLinear(3)), ROW),
}
CAN_BE_CUT = {
    "padded shortcut": {"f"},
    "gate": {"f"},
    "map and vector": {"f"},
    "one output": {"a"},
    "transposed weights": {"a"},
    "rotary": {"f"},
    "encoder layer": {"linear1"},
    "decoder layer": {"linear1"},
    "transformer": {"encoder.layers.0.linear1", "decoder.layers.0.linear1"},
    **{name: {"2"} for name in NETWORKS if "norm" in name or name == "orthogonal"},
}


def outputs(model, given):
    with torch.no_grad():
        return copy.deepcopy(model).eval()(*given)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_does_not_fit_is_left_whole_with_a_reason_and_the_rest_is_grouped(name):
    torch.manual_seed(0)
    make, given = NETWORKS[name]
    model = make()
    try:
        groups = find_zero_invariant_groups(model, given)
    except FeasibleError:
        assert name not in CAN_BE_CUT
        return
    assert CAN_BE_CUT.get(name, set()) <= set(groups.layers)
    named = {n for layer in groups.layers for n in layer.split("+")}
    for n, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            assert n in named or groups.ungrouped[n]


@pytest.mark.parametrize("name", CAN_BE_CUT)
def test_cutting_zeroed_groups_leaves_the_output(name):
    torch.manual_seed(0)
    make, given = NETWORKS[name]
    given = given if isinstance(given, tuple) else (given,)
    model = make()
    groups = find_zero_invariant_groups(model, given)
    cut = torch.arange(len(groups)) % 2 == 0
    with torch.no_grad():
        for p, axis, ids in groups.tensors(model):
            p.movedim(axis, 0)[torch.cat([cut, cut.new_zeros(1)])[ids]] = 0
        model.eval()
        whole = model(*given)
        small = shrink(model, cutting_plan(model, groups, cut))(*given)
    assert torch.allclose(whole, small, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in CAN_BE_CUT if "norm" in n or n == "orthogonal"])
def test_looking_for_groups_leaves_the_network_as_it_was(name):
    torch.manual_seed(0)
    make, given = NETWORKS[name]
    model = make().eval()
    before, names = model(given).detach(), [n for n, _ in model.named_parameters()]
    for backend in ("torch-pruning", "fx"):
        assert find_zero_invariant_groups(model, given, backend=backend).layers == ("2",)
    assert torch.equal(model(given), before)
    assert [n for n, _ in model.named_parameters()] == names


class Refusing:
    """A dependency graph that knows one layer and cannot couple it."""

    def __init__(self, layer):
        self.module2node = {layer: None}

    def get_pruner_of_module(self, module):
        raise IndexError("of a channel")


def test_a_layer_that_the_dependency_graph_refuses_stays_with_the_reason():
    layer = nn.Linear(2, 3)
    found, refused = each(Refusing(layer))
    assert found == []
    assert refused == {layer: "torch-pruning cannot couple it: IndexError('of a channel')"}


def test_a_network_that_keeps_tensors_of_its_last_call_is_grouped():
    network = Remembering()
    network(ROW)  # with history
    assert set(find_zero_invariant_groups(network, ROW).layers) == {"a", "f"}


def test_channels_that_the_graph_loses_leave_their_set_out(monkeypatch):
    from feasible.training.hesso import find

    def losing(*args):
        sets, ungrouped = by_torch_pruning(*args)
        lost = [([(*m[:5], [None] * len(m[5])) for m in members], bare) for members, bare in sets]
        return lost, ungrouped

    by_torch_pruning = find.by_torch_pruning
    monkeypatch.setattr(find, "by_torch_pruning", losing)
    with pytest.raises(FeasibleError, match="'0': the graph loses the channels on their way to"):
        find_zero_invariant_groups(with_first(lambda layer: layer), ROW)
