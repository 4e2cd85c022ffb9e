"""Smaller networks: cut channels whose variables are zero out of a network, keep what was cut as
plain data, and build it again from there.

A plan is {"tensors": {name: {axis: entries that stay}}, "attributes": {module: {name: value}}}:
lists of whole numbers, as JSON has them. With the weights beside it in a safetensors file,
`load_subnet(model_fn, file)` rebuilds the network without a pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...core.annotations import checked
from ...core.checks import naming
from ...core.errors import ArgumentError, Infeasible
from ..trained import PLAN, Trained, multiply_adds, shrink
from .cutting import copied, cutting_plan
from .groups import Groups, tensors_of

if TYPE_CHECKING:
    from torch import Tensor


@checked
def construct_subnet(
    model: nn.Module,
    groups: Groups,
    example_input: Any = None,
    *,
    limits: Mapping[str, float] | None = None,
) -> nn.Module:
    """A copy of the model without the groups whose variables are all zero; its output is the same.

    Args:
        model: The network.
        groups: Its groups.
        example_input: A tensor, or a tuple of the model's inputs.
        limits: Most "parameters" and "macs" that the copy may have; macs are counted on
            `example_input`.

    Returns:
        A network of its own, with its plan in `pruning_plan`.

    Raises:
        ArgumentError: No group is zero.

    References:
        T. Chen et al., arXiv 2409.09085.
    """
    cut = groups.zero(model)
    if not bool(cut.any()):
        raise ArgumentError(
            f"0 of {len(groups)} groups are zero, so nothing would be cut: train with HESSO until "
            "its pruning steps are over"
        )
    small = shrink(copied(model), cutting_plan(model, groups, cut))
    sizes = measured(small, example_input, limits or {})
    for name, most in (limits or {}).items():
        if sizes[name] > most:
            raise Infeasible(
                f"limits: the smaller network has {sizes[name]:,.0f} {name}, expected at most "
                f"{most:,.0f}; {int(cut.sum())} of "
                f"{len(groups)} groups were cut"
            )
    return small


def measured(model: nn.Module, example_input: Any, names: Mapping[str, Any]) -> dict[str, float]:
    """Of "parameters" and "macs" those named.

    Args:
        model: The network.
        example_input: What macs are counted on.
        names: Which to measure.

    Raises:
        ArgumentError: Macs without an example input.
    """
    found = {}
    for name in names:
        if name == "parameters":
            found[name] = float(sum(p.numel() for p in model.parameters()))
        elif name == "macs":
            if example_input is None:
                raise ArgumentError("example_input: expected an input on which macs are counted")
            found[name] = float(multiply_adds(model, example_input))
        else:
            raise ArgumentError(f"limits: '{name}' is not counted, expected 'parameters' or 'macs'")
    return found


@dataclass(frozen=True)
class Comparison:
    """A network before and after it was cut.

    Attributes:
        before: Parameters and multiply-adds before.
        after: The same after.
        difference: Largest difference of the two outputs, in eval mode.
    """

    before: dict[str, float]
    after: dict[str, float]
    difference: float

    def __str__(self) -> str:
        rows = [("", "before", "after", "kept")]
        rows += [
            (k, f"{v:,.0f}", f"{self.after[k]:,.0f}", f"{100 * self.after[k] / v:.1f} %")
            for k, v in self.before.items()
        ]
        table = "\n".join(f"{a:<12}{b:>14}{c:>14}{d:>10}" for a, b, c, d in rows)
        return f"{table}\nlargest difference of the outputs: {self.difference:.2g}"


@checked
def compare(model: nn.Module, small: nn.Module, example_input: Tensor) -> Comparison:
    """Counts before and after, and how far the outputs are apart on an input.

    Args:

    """
    modes = model.training, small.training
    with torch.no_grad(), naming("example_input"):
        pairs = list(
            zip(
                tensors_of(model.eval()(example_input)),
                tensors_of(small.eval()(example_input)),
                strict=True,
            )
        )
    sizes = [measured(m, example_input, {"parameters": 0, "macs": 0}) for m in (model, small)]
    model.train(modes[0])
    small.train(modes[1])
    return Comparison(
        sizes[0], sizes[1], max((float((a - b).abs().max()) for a, b in pairs), default=0.0)
    )


@checked
def save_subnet(small: nn.Module, path: str | Path) -> None:
    """Write weights and plan as a safetensors file.

    Args:
        small: Of `construct_subnet`.
        path: The file.

    Raises:
        ArgumentError: Nothing was cut from this network.
    """
    plan = getattr(small, PLAN, None)
    if plan is None:
        raise ArgumentError("small: nothing was cut from this network; save it by its state_dict")
    Trained.of(small, plan).save(path)


@checked
def load_subnet(model_fn: Callable[[], nn.Module], path: str | Path) -> nn.Module:
    """The network of a file, from the function that makes the whole one.

    Runs no code of the file.

    Args:
        model_fn: () -> the whole network.
        path: The file.

    Returns:
        The smaller network with its weights.

    Raises:
        ArgumentError: No such file, or one without a plan.
        ShapeError: Another model's plan or weights.
    """
    return Trained.load(path).into(model_fn())
