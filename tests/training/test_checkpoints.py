"""torch.distributed.checkpoint saves every optimiser of the room and loads it again, in one process
over gloo: through its state dictionaries by name, and as plain nested data.
"""

from __future__ import annotations

import copy

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from optimizers import OPTIMIZERS, PRUNING, advanced, go_on_alike, parameters, step, weights
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from feasible import training

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
every = pytest.mark.parametrize("name", OPTIMIZERS)
TORCHS = ("mechanic", *PRUNING)
"""Those on an optimiser of torch's, which counts the step by which its state is made."""


@pytest.fixture(scope="module", autouse=True)
def group(tmp_path_factory):
    file = tmp_path_factory.mktemp("gloo") / "store"
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


class Held(nn.Module):
    def __init__(self, values, order=(0, 1, 2)):
        super().__init__()
        for i in order:
            self.register_parameter(f"p{i}", nn.Parameter(values[i].detach().clone()))


def made(name, model):
    return OPTIMIZERS[name](list(model.named_parameters()))


def trained(name, steps):
    model = Held(parameters())
    optimizer = made(name, model)
    for t in range(steps):
        step(optimizer, t)
    return model, optimizer


@every
@pytest.mark.parametrize("steps", [1, 4])
def test_a_new_process_goes_on_from_the_state_by_names(name, steps, tmp_path):
    model, optimizer = trained(name, steps)
    dcp.save({"optimizer": get_optimizer_state_dict(model, optimizer)}, checkpoint_id=tmp_path)
    other = Held(dict(enumerate(p.detach() for p in model.parameters())))
    resumed = made(name, other)
    held = {"optimizer": get_optimizer_state_dict(other, resumed)}
    dcp.load(held, checkpoint_id=tmp_path)
    set_optimizer_state_dict(other, resumed, held["optimizer"])
    assert go_on_alike(optimizer, resumed)


@every
def test_plain_nested_data_loads_over_another_state(name, tmp_path):
    optimizer = advanced(name, steps=4)
    dcp.save({"optimizer": optimizer.state_dict()}, checkpoint_id=tmp_path)
    other = OPTIMIZERS[name]([nn.Parameter(w + 1) for w in weights(optimizer)])
    step(other, 9)
    held = {"optimizer": other.state_dict()}
    dcp.load(held, checkpoint_id=tmp_path)
    other.load_state_dict(held["optimizer"])
    for p, w in zip(
        (p for g in other.param_groups for p in g["params"]), weights(optimizer), strict=True
    ):
        p.data.copy_(w)
    assert go_on_alike(optimizer, other)


@every
def test_the_state_by_names_fits_parameters_in_another_order(name, tmp_path):
    model, optimizer = trained(name, 4)
    values = dict(enumerate(p.detach() for p in model.parameters()))
    other = Held(values, order=(2, 0, 1))
    resumed = made(name, other)
    set_optimizer_state_dict(
        other, resumed, copy.deepcopy(get_optimizer_state_dict(model, optimizer))
    )
    for t in range(3):
        step(optimizer, t)
        step(resumed, t)
    for key, p in model.named_parameters():
        assert torch.allclose(p, dict(other.named_parameters())[key], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n not in TORCHS])
def test_asking_for_the_state_of_a_new_optimizer_changes_nothing(name):
    model, other = Held(parameters()), Held(parameters())
    asked, plain = made(name, model), made(name, other)
    get_optimizer_state_dict(model, asked)
    assert all(map(torch.equal, weights(asked), weights(plain)))
    assert go_on_alike(asked, plain)


@pytest.mark.parametrize("name", ["dog", "momo", "lion", "mfac", "target-surrogate"])
def test_the_average_is_part_of_it(name, tmp_path):
    model = Held(parameters())
    optimizer = made(name, model)
    averager = training.PolynomialAverager(optimizer, gamma=3.0)
    for t in range(4):
        step(optimizer, t)
    dcp.save({"optimizer": get_optimizer_state_dict(model, optimizer)}, checkpoint_id=tmp_path)
    other = Held(dict(enumerate(p.detach() for p in model.parameters())))
    resumed = made(name, other)
    again = training.PolynomialAverager(resumed, gamma=3.0)
    held = {"optimizer": get_optimizer_state_dict(other, resumed)}
    dcp.load(held, checkpoint_id=tmp_path)
    set_optimizer_state_dict(other, resumed, held["optimizer"])
    assert go_on_alike(optimizer, resumed)
    averager.eval()
    again.eval()
    assert all(map(torch.equal, weights(optimizer), weights(resumed)))


def former(name, state):
    """A state as the versions before 0.2 wrote it: what pruning and the window hold by itself."""
    first = state["param_groups"][0]
    if name in PRUNING:
        held = {**first.pop("hesso")}
        keys = dict(zip(first["params"], first["param_names"], strict=True))
        held["reference"] = {
            keys[k]: entry.pop("reference")
            for k, entry in state["state"].items()
            if "reference" in entry
        }
        return {**state, "hesso": held}
    window = {"gram": first.pop("gram"), "pushed": first.pop("pushed")}
    for now, then in (("window", "rows"), ("velocity", "velocity")):
        found = {k: entry.pop(now) for k, entry in state["state"].items() if now in entry}
        window |= {then: found} if found else {}
    return {"state": {}, "param_groups": state["param_groups"], "window": window}


@pytest.mark.parametrize("name", ["mfac", "mfac with momentum", *PRUNING])
def test_states_of_the_versions_before_load(name):
    model, optimizer = trained(name, 4)
    state = former(name, copy.deepcopy(optimizer.state_dict()))
    other = made(name, Held(dict(enumerate(p.detach() for p in model.parameters()))))
    other.load_state_dict(state)
    assert go_on_alike(optimizer, other)
