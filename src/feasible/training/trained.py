"""Trained weights: plain tensors and, for a smaller network than the model function makes, the
plan that shrinks it. No pickles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..core.annotations import checked
from ..core.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Trained:
    """Trained weights, and how the network was made smaller where it was.

    Attributes:
        weights: The state dict, name -> tensor.
        plan: How channels were removed, as plain data (see `feasible.training.hesso.subnet`), or
            None.
    """

    weights: dict[str, Any]
    plan: dict[str, Any] | None = None

    @classmethod
    def of(cls, model: nn.Module, plan: Mapping[str, Any] | None = None) -> Trained:
        """A copy of a model's weights and buffers.

        Args:
            model: The network.
            plan: How it was made smaller, where it was.
        """
        return cls(
            {name: value.detach().clone() for name, value in model.state_dict().items()},
            None if plan is None else dict(plan),
        )

    def into(self, model: nn.Module) -> nn.Module:
        """The model with these weights, made smaller first where there is a plan.

        Args:
            model: A new network, changed in place.

        Raises:
            ShapeError: Weights or a plan of another model.
        """
        if self.plan is not None:
            model = shrink(model, self.plan)
        own = model.state_dict()
        missing, strange = (
            sorted(own.keys() - self.weights.keys()),
            sorted(self.weights.keys() - own.keys()),
        )
        if missing or strange:
            raise ShapeError(
                f"weights of another model: missing {', '.join(missing[:3]) or 'none'}; not known "
                "here: "
                f"{', '.join(strange[:3]) or 'none'}"
            )
        for name, value in self.weights.items():
            if value.shape != own[name].shape:
                raise ShapeError(
                    f"weights of another model: {name} has shape {tuple(value.shape)}, expected "
                    f"{tuple(own[name].shape)}"
                )
        model.load_state_dict(self.weights)
        return model

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, with the plan as JSON in its header."""
        tensors: dict[str, Tensor] = {
            name: value.contiguous() for name, value in self.weights.items()
        }
        plan = {} if self.plan is None else {"plan": json.dumps(self.plan)}
        try:
            save_file(tensors, str(path), metadata={"format": "pt", **plan})
        except (SafetensorError, OSError) as error:
            raise ArgumentError(f"path: '{path}' cannot be written ({error})") from None

    @classmethod
    def load(cls, path: str | Path) -> Trained:
        """Read what `save` wrote.

        Runs no code of the file.

        Raises:
            ArgumentError: No file of trained weights.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                plan = (file.metadata() or {}).get("plan")
                return cls(
                    {name: file.get_tensor(name) for name in file.keys()},  # noqa: SIM118
                    None if plan is None else json.loads(plan),
                )
        except (SafetensorError, OSError, ValueError) as error:
            raise ArgumentError(f"path: '{path}' is no file of trained weights ({error})") from None


def sparsity(model: nn.Module) -> float:
    """Share of zeros among the entries of weights with two axes or more."""
    weights = [p for p in model.parameters() if p.ndim >= 2]
    return sum(int((p == 0).sum()) for p in weights) / max(1, sum(p.numel() for p in weights))


def multiply_adds(model: nn.Module, inputs: Tensor) -> int:
    """Multiply-adds of a forward pass, as torch counts floating-point operations, two for each.

    Args:
        model: The network.
        inputs: A batch, of which all multiply-adds are counted.
    """
    from torch.utils.flop_counter import FlopCounterMode

    training, fused = model.training, torch.backends.mha.get_fastpath_enabled()
    counter = FlopCounterMode(display=False)
    torch.backends.mha.set_fastpath_enabled(
        False
    )  # the fused layers of nn.TransformerEncoder are not counted
    try:
        with torch.no_grad(), counter:
            model.eval()(inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        model.train(training)
    return counter.get_total_flops() // 2


PLAN = "pruning_plan"
"""Attribute of a smaller network: its plan, counted from the network that the model function makes.
"""


@checked
def shrink(model: nn.Module, plan: Mapping[str, Any]) -> nn.Module:
    """Cut a model down to a plan, in place, and return it.

    Args:
        model: The network.
        plan: Of `Trained.plan`.

    Raises:
        ShapeError: The plan is another model's.
    """
    if not {"tensors", "attributes"} <= plan.keys():
        raise ArgumentError(f"plan has {sorted(map(str, plan))}: expected a plan of `Trained.plan`")
    for name, axes in plan["tensors"].items():
        path, _, leaf = name.rpartition(".")
        try:
            owner = model.get_submodule(path)
            tensor = getattr(owner, leaf)
        except AttributeError:
            raise ShapeError(
                f"plan of another model: it cuts '{name}', which this one does not have"
            ) from None
        kept = tensor.detach()
        for axis, entries in axes.items():
            if int(axis) >= kept.ndim or not entries or max(entries) >= kept.shape[int(axis)]:
                raise ShapeError(
                    f"plan of another model: it keeps entry {max(entries, default=-1)} on axis "
                    f"{axis} of '{name}', which has shape "
                    f"{tuple(tensor.shape)}"
                )
            kept = kept.index_select(int(axis), torch.tensor(entries, device=kept.device))
        if isinstance(tensor, nn.Parameter):
            setattr(
                owner, leaf, nn.Parameter(kept.contiguous(), requires_grad=tensor.requires_grad)
            )
        else:
            setattr(owner, leaf, kept.contiguous())
    for path, attributes in plan["attributes"].items():
        for name, value in attributes.items():
            setattr(
                model.get_submodule(path),
                name,
                tuple(value) if isinstance(value, (list, tuple)) else value,
            )
    setattr(model, PLAN, _after(getattr(model, PLAN, None), plan))
    return model


def _after(first: Mapping[str, Any] | None, second: Mapping[str, Any]) -> dict[str, Any]:
    """One plan that does what two do after each other."""
    if first is None:
        return {"tensors": dict(second["tensors"]), "attributes": dict(second["attributes"])}
    tensors = {name: dict(axes) for name, axes in first["tensors"].items()}
    for name, axes in second["tensors"].items():
        mine = tensors.setdefault(name, {})
        for axis, entries in axes.items():
            mine[axis] = [mine[axis][i] for i in entries] if axis in mine else list(entries)
    attributes = {name: dict(values) for name, values in first["attributes"].items()}
    for name, values in second["attributes"].items():
        attributes.setdefault(name, {}).update(values)
    return {"tensors": tensors, "attributes": attributes}
