"""What the optimisers of the room share, seen on the smallest one: momentum."""

import io

import numpy as np
import pytest
import torch
from torch import nn

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training.optimizer import NamedState, evaluated, number, with_gradients


class Momentum(NamedState, torch.optim.Optimizer):
    like_parameter = ("m",)

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        loss = evaluated(closure)
        for group, (params, grads) in zip(
            self.param_groups, with_gradients(self.param_groups, "momentum"), strict=True
        ):
            for p, g in zip(params, grads, strict=True):
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.mul_(0.9).add_(g)
                p.sub_(m, alpha=group["lr"])
        return loss


def net(seed=0, hidden=4):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, hidden), nn.Tanh(), nn.Linear(hidden, 2))


def train(model, opt, steps, seed=0):
    x = torch.randn(steps, 8, 3, generator=torch.Generator().manual_seed(seed))
    for batch in x:
        opt.zero_grad()
        model(batch).square().sum().backward()
        opt.step()


def saved(opt):
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_state_is_matched_by_name_whatever_the_order():
    model = net()
    opt = Momentum(model.named_parameters())
    train(model, opt, 3)
    other = net(1)
    other.load_state_dict(model.state_dict())
    again = Momentum(reversed(list(other.named_parameters())))
    again.load_state_dict(saved(opt))
    for name, p in model.named_parameters():
        assert torch.equal(
            opt.state[p]["m"], again.state[dict(other.named_parameters())[name]]["m"]
        )
    train(model, opt, 4, seed=1)
    train(other, again, 4, seed=1)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_groups_are_matched_by_their_names_too():
    def groups(model, order):
        named = dict(model.named_parameters())
        parts = [
            {"params": [(n, named[n]) for n in named if n.endswith("weight")], "lr": 0.2},
            {"params": [(n, named[n]) for n in named if n.endswith("bias")], "lr": 0.3},
        ]
        return [parts[i] for i in order]

    model = net()
    opt = Momentum(groups(model, (0, 1)))
    train(model, opt, 2)
    again = Momentum(groups(model, (1, 0)))
    again.load_state_dict(saved(opt))
    assert [g["lr"] for g in again.param_groups] == [0.3, 0.2]
    assert torch.equal(again.state[model[2].bias]["m"], opt.state[model[2].bias]["m"])
    apart = Momentum([{"params": [(n, p)]} for n, p in list(model.named_parameters())[:2]])
    with pytest.raises(ShapeError, match=r"missing none; not known here '2\.bias', '2\.weight'"):
        apart.load_state_dict(opt.state_dict())
    mixed = Momentum(
        [
            {"params": list(model.named_parameters())[:2]},
            {"params": list(model.named_parameters())[2:]},
        ]
    )
    with pytest.raises(ShapeError, match="divides the parameters into other groups"):
        mixed.load_state_dict(opt.state_dict())


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("steps", [0, 2])
def test_a_checkpoint_of_another_model_is_refused_with_names_and_shapes_and_nothing_changes(
    names, steps
):
    def made(model):
        return Momentum(model.named_parameters() if names else model.parameters())

    model, other = net(), net(hidden=5)
    opt, another = made(model), made(other)
    train(model, opt, 2)
    train(other, another, steps)
    before = opt.state[model[0].weight]["m"].clone()
    with pytest.raises(
        ShapeError, match=r"(0\.weight.*|number 0 .*)has shape \(5, 3\) there, expected \(4, 3\)"
    ):
        opt.load_state_dict(another.state_dict())
    assert torch.equal(opt.state[model[0].weight]["m"], before)
    longer = made(nn.Sequential(*net(), nn.Linear(2, 2)))
    with pytest.raises(
        ShapeError, match=r"'3\.bias'" if names else "6 parameters in group 0, expected 4"
    ):
        opt.load_state_dict(longer.state_dict())
    with pytest.raises(ShapeError, match="2 parameter groups, expected 1"):
        opt.load_state_dict(
            Momentum([{"params": [p]} for p in list(model.parameters())[:2]]).state_dict()
        )


def test_the_shapes_are_in_the_file_only():
    opt = Momentum(net().named_parameters())
    assert saved(opt)["param_groups"][0]["param_shapes"] == [[4, 3], [4], [2, 4], [2]]
    opt.load_state_dict(saved(opt))
    assert "param_shapes" not in opt.param_groups[0]


def test_a_state_without_shapes_as_torch_writes_it_is_read_and_checked_by_its_tensors():
    model = net()
    opt = Momentum(model.parameters())
    train(model, opt, 1)
    plain = torch.optim.Optimizer.state_dict(opt)
    again = Momentum(model.parameters())
    again.load_state_dict(plain)
    assert torch.equal(again.state[model[0].weight]["m"], opt.state[model[0].weight]["m"])
    with pytest.raises(ShapeError, match=r"\(4, 3\) there"):
        Momentum(net(hidden=5).parameters()).load_state_dict(plain)


def test_a_sparse_gradient_and_one_with_a_nan_are_refused_by_name_before_anything_moves():
    model = nn.ModuleDict({"words": nn.Embedding(5, 3, sparse=True), "head": nn.Linear(3, 1)})
    opt = Momentum(reversed(list(model.named_parameters())))
    model["head"](model["words"](torch.tensor([1, 2]))).sum().backward()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ArgumentError, match=r"'words\.weight' has a sparse gradient"):
        opt.step()
    for bad in (float("nan"), float("inf")):
        model["words"].weight.grad = torch.zeros(5, 3)
        model["words"].weight.grad[4, 2] = bad
        with pytest.raises(NotFinite, match=r"'words\.weight' holds a NaN or an infinity"):
            opt.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not opt.state


def test_huge_finite_gradients_whose_sum_overflows_are_taken():
    p = nn.Parameter(torch.zeros(2))
    p.grad = torch.full((2,), 3e38)
    assert len(next(with_gradients([{"params": [p]}], "m"))[1]) == 1
    p.grad[0] = -torch.inf
    with pytest.raises(NotFinite, match=r"number 0 of its group, of shape \(2,\)"):
        next(with_gradients([{"params": [p]}], "m"))


def test_a_closure_is_called_with_gradients_and_its_loss_is_returned():
    model = net()
    opt = Momentum(model.parameters())

    def closure():
        opt.zero_grad()
        loss = model(torch.ones(1, 3)).square().sum()
        loss.backward()
        return loss

    assert opt.step(closure) > 0
    assert evaluated(None) is None


def test_numbers_are_checked_and_a_tensor_of_one_number_counts_as_one():
    assert number("lr", np.float64(0.5), above=0) == 0.5
    assert number("lr", torch.tensor(2)) == 2.0
    for value, error, text in (
        (0, ArgumentError, r"lr=0: expected a number in \(0, 1\]"),
        (float("nan"), ArgumentError, "lr=nan"),
        (torch.ones(2), ArgumentTypeError, "lr=tensor"),
        (True, ArgumentTypeError, "lr=True"),
    ):
        with pytest.raises(error, match=text):
            number("lr", value, above=0, most=1)
