import copy

import pytest
import torch
from pruned_networks import MLP, NETWORKS, Block, Depthwise, Residual, Transformer, made
from torch import nn

from feasible.core.errors import ArgumentError, Infeasible, ShapeError, UnknownName
from feasible.training import (
    compare,
    construct_subnet,
    find_zero_invariant_groups,
    load_subnet,
    save_subnet,
    shrink,
)
from feasible.training.hesso.groups import by_hand
from feasible.training.trained import PLAN


def zeroed(model, groups, which):
    """A copy with these groups zero."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for p, axis, ids in groups.tensors(other):
            p.movedim(axis, 0)[torch.isin(ids, torch.tensor(which))] = 0
    return other


@pytest.mark.parametrize("name", NETWORKS)
def test_the_subnetwork_has_the_outputs_of_the_network_with_zero_groups(name):
    model, x, more = made(name)
    groups = find_zero_invariant_groups(model, x[:2], **more)
    full = zeroed(model, groups, list(range(0, len(groups), 3)))
    found = compare(full, construct_subnet(full, groups), x)
    assert found.difference <= 1e-5
    assert found.after["parameters"] < found.before["parameters"]
    assert found.after["macs"] < found.before["macs"]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_saved_subnetwork_is_rebuilt_from_the_model_function(name, tmp_path):
    model, x, more = made(name)
    groups = find_zero_invariant_groups(model, x[:2], **more)
    small = construct_subnet(zeroed(model, groups, [1]), groups).eval()
    save_subnet(small, tmp_path / "small.safetensors")
    again = load_subnet(NETWORKS[name][0], tmp_path / "small.safetensors").eval()
    assert torch.equal(again(x), small(x))


@pytest.mark.parametrize("name", ["mlp", "residual", "concatenating", "depthwise"])
def test_fx_finds_the_groups_that_torch_pruning_finds(name):
    model, x, _ = made(name)
    ours, theirs = (
        find_zero_invariant_groups(model, x[:2], backend=b) for b in ("fx", "torch-pruning")
    )
    assert {frozenset(g.slices) for g in ours} == {frozenset(g.slices) for g in theirs}
    full = zeroed(model, ours, list(range(0, len(ours), 3)))
    assert compare(full, construct_subnet(full, ours), x).difference <= 1e-5


def test_fx_leaves_what_it_does_not_know_and_says_so():
    model = nn.Sequential(
        nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4), nn.LayerNorm(4), nn.Linear(4, 2)
    )
    groups = find_zero_invariant_groups(model, torch.randn(3, 8), backend="fx")
    assert groups.layers == ("0",)
    assert groups.ungrouped["2"] == "its channels go into '_3', which is not known"
    with pytest.raises(ArgumentError, match="no layer of the model can be cut"):
        find_zero_invariant_groups(made("transformer")[0], torch.randn(2, 6, 16), backend="fx")
    with pytest.raises(ArgumentError, match=r"cannot be traced by torch\.fx: TraceError"):
        find_zero_invariant_groups(Branching(8, 2), torch.randn(3, 8), backend="fx")


class Branching(nn.Linear):
    """A layer that looks at its values."""

    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


def test_every_channel_is_one_group_and_residual_layers_share_theirs():
    model, x, _ = made("residual")
    groups = find_zero_invariant_groups(model, x[:2])
    assert sorted(groups.layers) == ["b1.c1", "b2.c1", "b2.down.0+b2.c2", "stem+b1.c2"]
    assert len(groups) == 6 + 8 + 8 + 6
    coupled = next(g for g in groups if g.name == "stem+b1.c2[2]")
    assert {(p, i) for p, _, i in coupled.slices} == {
        (p, (2,))
        for p in ("stem.weight", "stem.bias", "b1.c2.weight", "b1.b2.weight", "b1.b2.bias")
    }


def test_a_hidden_unit_of_an_mlp_is_its_row_and_bias():
    model, x, _ = made("mlp")
    groups = find_zero_invariant_groups(model, x[:2])
    assert next(g for g in groups if g.name == "net.0[3]").slices == (
        ("net.0.weight", 0, (3,)),
        ("net.0.bias", 0, (3,)),
    )


def test_concatenated_channels_keep_their_place_in_the_normalisation():
    model, x, _ = made("concatenating")
    groups = find_zero_invariant_groups(model, x[:2])
    slices = {p: i for p, _, i in next(g for g in groups if g.name == "b[1]").slices}
    assert slices["b.weight"] == (1,)
    assert slices["n.weight"] == slices["n.bias"] == (6,)


def test_an_attention_head_is_the_rows_of_query_key_and_value():
    model, x, more = made("transformer")
    head = next(
        g
        for g in find_zero_invariant_groups(model, x[:2], **more)
        if "q" in g.name.split("[")[0].split("+") and g.name.endswith("[1]")
    )
    assert {p: i for p, _, i in head.slices} == {
        f"{m}.{w}": (4, 5, 6, 7) for m in "qkv" for w in ("weight", "bias")
    }


def test_output_layers_stay_whole_without_being_asked():
    model, x, _ = made("residual")
    assert (
        find_zero_invariant_groups(model, x[:2]).ungrouped["fc"]
        == "its channels are outputs of the model"
    )


def test_attention_without_its_heads_and_what_a_bare_parameter_is_added_to_stay_whole():
    model, x, _ = made("transformer")
    why = find_zero_invariant_groups(model, x[:2]).ungrouped
    assert "output changes" in why["q"]
    assert why["q"] == why["k"] == why["v"]
    assert why["o"] == "the parameter 'pos' is added to its channels"


class Odd(nn.Module):
    """Layers that cannot be cut for one reason each, and one that can."""

    def __init__(self):
        super().__init__()
        self.good, self.normed, self.norm = nn.Linear(8, 6), nn.Linear(6, 6), nn.LayerNorm(6)
        self.squashed, self.one, self.two, self.twice = (
            nn.Linear(6, 6),
            nn.Linear(6, 6),
            nn.Linear(6, 6),
            nn.Linear(6, 6),
        )
        self.frozen, self.out = nn.Linear(6, 6), nn.Linear(6, 2)
        self.two.weight = self.one.weight
        self.frozen.requires_grad_(False)

    def forward(self, x):
        x = self.norm(self.normed(torch.relu(self.good(x))))
        x = torch.relu(self.two(torch.relu(self.one(torch.sigmoid(self.squashed(x))))))
        return self.out(torch.relu(self.frozen(torch.relu(self.twice(torch.relu(self.twice(x)))))))


def test_layers_that_cannot_be_cut_are_named_with_the_reason():
    groups = find_zero_invariant_groups(Odd(), torch.randn(3, 8))
    assert groups.layers == ("good",)
    assert groups.ungrouped["normed"] == "'norm' normalises across its channels"
    assert (
        "output changes" in groups.ungrouped["squashed"] or "shared" in groups.ungrouped["squashed"]
    )
    assert "is shared with" in groups.ungrouped["one"]
    assert "is used 2 times" in groups.ungrouped["twice"]
    assert "is frozen" in groups.ungrouped["frozen"]
    assert groups.ungrouped["out"] == "its channels are outputs of the model"


def test_a_model_without_a_layer_to_cut_is_an_error_that_says_why():
    with pytest.raises(
        ArgumentError, match=r"no layer of the model can be cut: '0': .*outputs of the model"
    ):
        find_zero_invariant_groups(nn.Sequential(nn.Linear(4, 2)), torch.randn(2, 4))
    with pytest.raises(ArgumentError, match="output changes"):
        find_zero_invariant_groups(MLP(nn.Sigmoid), torch.randn(2, 8))


def test_finding_groups_leaves_the_model_as_it_was():
    model, x, _ = made("residual")
    before = copy.deepcopy(model.state_dict())
    find_zero_invariant_groups(model, x[:2])
    assert model.training
    assert all(
        torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True)
    )


def test_ignored_layers_are_left_out():
    model, x, _ = made("residual")
    for item in ("b1.c1", model.b1.c1):
        groups = find_zero_invariant_groups(model, x[:2], ignore=[item])
        assert "b1.c1" not in groups.layers
        assert groups.ungrouped["b1.c1"] == "'b1.c1' is ignored"


def test_nothing_zero_is_an_error():
    model, x, _ = made("mlp")
    with pytest.raises(ArgumentError, match="0 of 22 groups are zero"):
        construct_subnet(model, find_zero_invariant_groups(model, x[:2]))


def test_a_layer_never_loses_all_of_its_channels():
    model, x, _ = made("mlp")
    groups = find_zero_invariant_groups(model, x[:2])
    with pytest.raises(ArgumentError, match=r"all 10 groups of 'net\.2' would be cut"):
        construct_subnet(zeroed(model, groups, list(range(10))), groups)


def test_batch_normalisation_of_a_zero_channel_is_zero_whatever_its_statistics():
    model, x, _ = made("depthwise")
    groups = find_zero_invariant_groups(model, x[:2])
    full = zeroed(model, groups, [0, 9])
    full.n.running_mean += 3
    assert compare(full, construct_subnet(full, groups), x).difference <= 1e-5


def test_a_network_can_be_cut_again_and_its_plan_counts_from_the_whole(tmp_path):
    model, x, _ = made("residual")
    small = model
    for _ in range(2):
        groups = find_zero_invariant_groups(small, x[:2])
        small = construct_subnet(zeroed(small, groups, list(range(0, len(groups), 4))), groups)
    save_subnet(small, tmp_path / "s.safetensors")
    assert torch.equal(load_subnet(Residual, tmp_path / "s.safetensors").eval()(x), small.eval()(x))


def test_limits_are_met_on_the_built_network_or_it_fails():
    model, x, _ = made("residual")
    groups = find_zero_invariant_groups(model, x[:2])
    full = zeroed(model, groups, [0, 1])
    count = sum(p.numel() for p in construct_subnet(full, groups).parameters())
    construct_subnet(full, groups, limits={"parameters": count})
    with pytest.raises(
        Infeasible,
        match=f"has {count:,} parameters, expected at most {count - 1:,}; 2 of 28 groups",
    ):
        construct_subnet(full, groups, limits={"parameters": count - 1})


def test_the_plan_of_another_model_is_refused():
    model, x, _ = made("residual")
    groups = find_zero_invariant_groups(model, x[:2])
    small = construct_subnet(zeroed(model, groups, [0, 1]), groups)
    with pytest.raises(ShapeError, match="plan of another model: it cuts"):
        shrink(Depthwise(), getattr(small, PLAN))
    narrow = nn.Module()
    narrow.stem = nn.Conv2d(1, 3, 3)
    with pytest.raises(
        ShapeError,
        match=r"keeps entry \d on axis 0 of 'stem.weight', which has shape \(3, 1, 3, 3\)",
    ):
        shrink(narrow, {"tensors": {"stem.weight": {"0": [1, 5]}}, "attributes": {}})


def test_the_table_counts_before_and_after():
    model, x, _ = made("mlp")
    groups = find_zero_invariant_groups(model, x[:2])
    full = zeroed(model, groups, [12])  # one of the 12 units of net.0, after the 10 of net.2
    small = construct_subnet(full, groups)
    assert "271" in str(compare(full, small, x))
    assert compare(full, small, x).before["macs"] == 100 * (8 * 12 + 12 * 10 + 10 * 3)
    assert compare(full, small, x[:1]).after["parameters"] == 271 - 9 - 10


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({}, "empty"),
        ({"a": []}, "no variables"),
        ({"a": [("net.0.wait", 0, 1)]}, r"did you mean 'net\.0\.weight'"),
        ({"a": [("net.0.weight", 2, 1)]}, "axis 2"),
        ({"a": [("net.0.weight", 0, 12)]}, "entry 12"),
        (
            {"a": [("net.0.weight", 0, 1)], "b": [("net.0.weight", 0, [0, 1])]},
            "'b' and 'a' overlap in entry 1",
        ),
        ({"a": [("net.0.weight", 0, 1)], "b": [("net.0.weight", 1, 0)]}, "expected one axis"),
    ],
)
def test_bad_groups_by_hand_are_named(groups, words):
    with pytest.raises((ArgumentError, UnknownName), match=words):
        by_hand(MLP(), groups)


def test_bad_calls_are_named():
    model, x, _ = made("residual")
    with pytest.raises(UnknownName, match="no layer 'f': did you mean 'fc'"):
        find_zero_invariant_groups(model, x[:2], ignore=["f"])
    with pytest.raises(ArgumentError, match="example_input: the model raised RuntimeError"):
        find_zero_invariant_groups(model, torch.randn(2, 3, 8, 8))
    with pytest.raises(ArgumentError, match="backend='jit'"):
        find_zero_invariant_groups(model, x[:2], backend="jit")
    with pytest.raises(UnknownName, match="no attribute 'heads'"):
        find_zero_invariant_groups(Transformer(), torch.randn(2, 6, 16), heads={"q": "heads"})
    with pytest.raises(
        ArgumentError, match="'n_heads' is 5, expected a divisor of the 16 channels"
    ):
        find_zero_invariant_groups(
            Counted(Transformer()), torch.randn(2, 6, 16), heads={"model.q": "n_heads"}
        )
    with pytest.raises(ArgumentError, match="nothing was cut"):
        save_subnet(model, "x.safetensors")


class Counted(nn.Module):
    """A transformer of four heads that says it has five."""

    def __init__(self, model):
        super().__init__()
        self.model, self.n_heads = model, 5

    def forward(self, x):
        return self.model(x)


def test_hidden_units_of_torchs_transformer_layers_are_cut_and_their_macs_counted():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    model, x = nn.Sequential(layer, nn.Linear(8, 3)), torch.randn(1, 5, 8)
    groups = find_zero_invariant_groups(model, x)
    assert groups.layers == ("0.linear1",)
    full = zeroed(model, groups, [0, 1, 2, 3])
    found = compare(full, construct_subnet(full, groups), x)
    assert found.difference <= 1e-5
    assert found.before["macs"] - found.after["macs"] == 5 * 4 * 2 * 8


def test_blocks_of_a_bigger_network_are_all_found():
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        *(Block(6, 6) for _ in range(4)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    groups = find_zero_invariant_groups(model, torch.randn(2, 1, 8, 8))
    assert len(groups.layers) == 5
    assert list(groups.ungrouped) == ["7"]
