"""A checkpoint gives back what was saved, bit for bit, and reading one never runs code."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import feasible
from feasible.core.checkpoint import FORMAT, decode, encode
from feasible.core.errors import CheckpointError


@dataclass
class Inner:
    x: Any = None
    note: str = ""


@dataclass(slots=True)
class State:
    value: Any
    inner: Inner = field(default_factory=Inner)


def there_and_back(value, template=None):
    return decode(encode(State(value)), State(template)).value


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(a, b):
    if isinstance(a, float):
        return type(b) is float and ((math.isnan(a) and math.isnan(b)) or a.hex() == b.hex())
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


@given(PLAIN)
def test_plain_data_comes_back_with_its_types(value):
    assert same(value, there_and_back(value))


@given(
    arrays(
        st.sampled_from(
            [np.float64, np.float32, np.float16, np.int64, np.int8, np.uint32, np.bool_]
        ),
        array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_arrays_come_back_bit_for_bit(a):
    b = there_and_back(np.asarray(a))
    assert (b.dtype, b.shape, b.tobytes()) == (a.dtype, a.shape, np.asarray(a).tobytes())


@pytest.mark.parametrize(
    "a", [np.arange(12.0).reshape(3, 4).T, np.arange(12.0)[::-2], np.arange(3, dtype=">f8")]
)
def test_strided_and_foreign_byte_orders_keep_their_values(a):
    assert np.array_equal(there_and_back(a), a)


def test_numpy_scalars_stay_scalars():
    value = there_and_back([np.float32(0.1), np.int64(3), np.bool_(True)])
    assert [type(v) for v in value] == [np.float32, np.int64, np.bool_]
    assert value[0] == np.float32(0.1)


def test_keys_that_are_numpy_numbers_stay_apart():
    assert there_and_back({np.int64(1): "a", np.int64(2): "b"}) == {1: "a", 2: "b"}


def test_what_comes_back_can_be_changed():
    there_and_back(np.zeros(3))[0] = 1.0


@pytest.mark.parametrize(
    "bits",
    [np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.MT19937, np.random.SFC64],
)
def test_generators_go_on_with_the_same_numbers(bits):
    rng = np.random.Generator(bits([3, 4]))
    rng.standard_normal(5)
    rng.integers(0, 10, dtype=np.int32)
    again = there_and_back(rng)
    assert again.random(4).tobytes() == rng.random(4).tobytes()
    assert again.integers(0, 100, 7).tolist() == rng.integers(0, 100, 7).tolist()


def test_generators_go_on_spawning_the_same_children():
    rng = np.random.default_rng([7, 1])
    rng.spawn(2)
    again = there_and_back(rng)
    assert again.spawn(1)[0].random() == rng.spawn(1)[0].random()


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float32,
        torch.bfloat16,
        torch.float16,
        torch.int64,
        torch.uint8,
        torch.bool,
        torch.complex64,
    ],
)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_tensors_come_back_bit_for_bit(dtype, shape):
    a = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3).to(dtype)
    b = there_and_back(a)
    assert (b.dtype, b.shape) == (dtype, a.shape)
    assert torch.equal(a, b)


def test_a_transposed_tensor_keeps_its_values():
    a = torch.arange(6.0).reshape(2, 3).T
    assert torch.equal(there_and_back(a), a)


def test_torch_generators_go_on_with_the_same_numbers():
    g = torch.Generator().manual_seed(5)
    torch.rand(3, generator=g)
    again = there_and_back(g)
    assert torch.equal(torch.rand(4, generator=again), torch.rand(4, generator=g))


def trained(steps):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1)
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 2)
    state = {"model": model, "optimiser": optimiser, "schedule": schedule}
    return go_on(state, steps)


def go_on(state, steps):
    data = torch.linspace(-1, 1, 24).reshape(8, 3)
    for _ in range(steps):
        state["optimiser"].zero_grad()
        state["model"](data).square().mean().backward()
        state["optimiser"].step()
        state["schedule"].step()
    return state


def test_a_module_with_its_optimiser_and_schedule_trains_on_as_if_never_stopped():
    whole, part = trained(7), trained(4)
    resumed = go_on(there_and_back(part, trained(0)), 3)
    for a, b in zip(
        whole["model"].state_dict().values(), resumed["model"].state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)


def test_an_optimiser_over_bare_tensors_still_moves_the_tensors_of_its_state():
    def start():
        x = torch.ones(3, requires_grad=True)
        return [x, torch.optim.SGD([x], lr=0.1, momentum=0.9)]

    def step(state):
        state[1].zero_grad()
        state[0].square().sum().backward()
        state[1].step()

    whole, part = start(), start()
    step(part)
    resumed = there_and_back(part, start())
    step(resumed)
    step(whole)
    step(whole)
    assert resumed[0].requires_grad
    assert torch.equal(resumed[0], whole[0])


def test_nested_dataclasses_are_restored_into_the_template():
    template = State(None, Inner())
    restored = decode(encode(State([1], Inner(np.arange(3), "n"))), template)
    assert restored is template
    assert restored.inner.note == "n"
    assert restored.inner.x.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (lambda: 0, "state.value"),
        ({"a": [1, object()]}, r"state.value\['a'\]\[1\]"),
        (np.array(["a"]), "state.value"),
        ({1, 2}, "state.value"),
        (np.array([None]), "state.value"),
        (np.zeros(2, dtype=np.longdouble), "state.value"),
        (torch.eye(2).to_sparse(), "state.value"),
        (1j, "state.value"),
    ],
)
def test_what_cannot_be_saved_is_named(value, path):
    with pytest.raises(CheckpointError, match=path):
        encode(State(value))


def test_a_state_that_holds_itself_is_refused():
    value: list[Any] = []
    value.append(value)
    with pytest.raises(CheckpointError, match="nested"):
        encode(State(value))


def test_another_methods_state_is_refused_by_field_names():
    @dataclass
    class Other:
        particles: int = 0

    with pytest.raises(CheckpointError, match="particles"):
        decode(encode(State(Other())), State(Inner()))


GOOD = encode(
    State(
        [np.arange(20.0), np.random.default_rng(0), {"a": (1, math.nan)}], Inner(torch.ones(3), "x")
    )
)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_one_damaged_byte_gives_a_state_or_a_typed_error(place, byte):
    damaged = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]
    with contextlib.suppress(CheckpointError):
        decode(damaged, State(None, Inner()))


@given(st.integers(0, len(GOOD) - 1))
def test_a_file_cut_short_is_refused(n):
    with pytest.raises(CheckpointError):
        decode(GOOD[:n], State(None))


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("bomb-went-off"),)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x00" * 8,
        b"not a checkpoint",
        pickle.dumps(Bomb()),
        b"PK\x03\x04" + b"\x00" * 100,
        b"\xff" * 64,
        (10).to_bytes(8, "little") + b"[[[[[[[[[[",
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
    ],
)
def test_foreign_bytes_are_refused_and_nothing_runs(blob, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError):
        decode(blob, State(None))
    assert not list(tmp_path.iterdir())


def forged(tree, fmt=FORMAT):
    from safetensors.numpy import save

    return save(
        {"a": np.zeros(2)},
        {"format": fmt, "tree": tree if isinstance(tree, str) else json.dumps(tree)},
    )


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"array": "missing", "scalar": False},
        {"array": ["a"], "scalar": False},
        {"unknown": 1},
        {"float": "x"},
        {"float": []},
        {"list": 3},
        {"dict": [1]},
        {"generator": {"dict": [["bit_generator", "seed"]]}},
        {"generator": {"dict": [["bit_generator", "BitGenerator"]]}},
        {"generator": 3},
        {
            "generator": {
                "dict": [
                    ["bit_generator", "PCG64"],
                    ["state", {"dict": [["state", {"dict": [["big", "9" * 5000]]}]]}],
                ]
            }
        },
        {
            "generator": {
                "dict": [
                    ["bit_generator", "PCG64"],
                    ["state", {"dict": [["state", {"dict": [["big", "9" * 100]]}]]}],
                ]
            }
        },
        {"generator": {"dict": [["bit_generator", "__class__"]]}},
        {"fields": {"__class__": 1}},
        {"fields": {"value": 1, "__class__": 2}},
        {"tensor": "a", "dtype": "load", "shape": [1], "grad": False},
        {"tensor": "a", "dtype": "float64", "shape": [99], "grad": False},
        {"torch_generator": "a"},
        {"state_dict": {"dict": []}},
        {"tuple": None},
    ],
)
def test_forged_trees_are_refused(node):
    with pytest.raises(CheckpointError):
        decode(forged({"fields": {"value": node, "inner": None}}), State(None))


@pytest.mark.parametrize(
    "tree", ["[" * 100_000, "{", "\x00", '{"list": ' * 5_000 + "[]" + "}" * 5_000]
)
def test_forged_texts_are_refused(tree):
    with pytest.raises(CheckpointError):
        decode(forged(tree), State(None))


def test_another_format_is_named():
    with pytest.raises(CheckpointError, match="someone-elses"):
        decode(forged({}, "someone-elses"), State(None))


def test_hostile_strings_stay_strings():
    for text in ("__import__('os').system('x')", "../../x", "\x00", "\ud800", "{{7*7}}"):
        assert there_and_back(text) == text


def test_nothing_in_the_library_uses_pickle():
    use = re.compile(
        r"\b(import|from)\s+(pickle|cloudpickle|dill|joblib|marshal|shelve)\b"
        r"|allow_pickle\s*=\s*True|weights_only\s*=\s*False"
        r"|torch\.(load|save)\("
    )
    assert [
        str(p) for p in Path(feasible.__file__).parent.rglob("*.py") if use.search(p.read_text())
    ] == []
