"""Smaller networks: cut channels whose variables are zero out of a network, keep what was cut as
plain data, and build it again from there.

A plan is {"tensors": {name: {axis: entries that stay}}, "attributes": {module: {name: value}}}:
lists of whole numbers, as JSON has them. With the
weights beside it in a safetensors file, `load_subnet(model_fn, file)` rebuilds the network without
a pickle.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...core.errors import ArgumentError, Infeasible, ShapeError
from ..trained import Trained, multiply_adds
from .groups import Groups, tensors_of

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor

PLAN = "pruning_plan"
"""Attribute of a smaller network: its plan, counted from the network that the model function makes.
"""


def cutting_plan(model: nn.Module, groups: Groups, cut: Bool[Tensor, " n"]) -> dict[str, Any]:
    """The plan that cuts these groups. Raises ArgumentError where the groups are made by hand, or a
    layer would lose all of its groups.
    """
    if not groups.cuts:
        raise ArgumentError(
            "groups made by hand say what to train to zero, not what to cut: use "
            "find_zero_invariant_groups"
        )
    for layer, name in enumerate(groups.layers):
        if bool(cut[groups.layer == layer].all()):
            raise ArgumentError(
                f"all {int((groups.layer == layer).sum())} groups of '{name}' would be cut, "
                "expected at least one to stay"
            )
    plan: dict[str, Any] = {"tensors": {}, "attributes": {}}
    for name in dict.fromkeys(c.module for c in groups.cuts):
        calls = [(c.prune, c.index[cut[c.group]]) for c in groups.cuts if c.module == name]
        _trace(model.get_submodule(name), f"{name}." if name else "", _merged(calls), plan)
    for (module, attribute), layer in groups.heads.items():
        plan["attributes"].setdefault(module, {})[attribute] = int(
            (~cut[groups.layer == layer]).sum()
        )
    return plan


def _merged(calls: list[tuple[Any, Tensor]]) -> list[tuple[Any, list[int]]]:
    """One call a handler, for indices count from the whole layer."""
    merged: dict[Any, set[int]] = {}
    for prune, index in calls:
        merged.setdefault(prune, set()).update(index.tolist())
    return [(prune, sorted(index)) for prune, index in merged.items() if index]


def _trace(
    module: nn.Module, prefix: str, calls: list[tuple[Any, list[int]]], plan: dict[str, Any]
) -> None:
    """What the handlers do to a module, read off a copy whose entries are their own flat
    indices."""
    if not calls:
        return
    other = copy.deepcopy(module)
    tensors = {n: t for n, t in (*other.named_parameters(), *other.named_buffers()) if t.ndim}
    shapes = {n: t.shape for n, t in tensors.items()}
    for t in tensors.values():
        t.data = torch.arange(t.numel(), dtype=torch.float64).reshape(t.shape)
    for prune, index in calls:
        prune(other, index)
    for name, t in (*other.named_parameters(), *other.named_buffers()):
        if name in shapes and t.shape != shapes[name]:
            where = torch.unravel_index(t.detach().long(), shapes[name])
            plan["tensors"][prefix + name] = {
                str(axis): where[axis].movedim(axis, 0).flatten(1)[:, 0].tolist()
                if t.ndim > 1
                else where[0].tolist()
                for axis in range(t.ndim)
                if t.shape[axis] != shapes[name][axis]
            }
    for (path, new), (_, old) in zip(other.named_modules(), module.named_modules(), strict=True):
        changed = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(new).items()
            if isinstance(value, (int, tuple))
            and not isinstance(value, bool)
            and vars(old).get(key) != value
        }
        if changed:
            plan["attributes"][f"{prefix}{path}".rstrip(".")] = changed


def shrink(model: nn.Module, plan: Mapping[str, Any]) -> nn.Module:
    """Cut a model down to a plan, in place, and return it. Raises ShapeError where the plan is
    another model's.
    """
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


def construct_subnet(
    model: nn.Module,
    groups: Groups,
    example_input: Any = None,
    *,
    limits: Mapping[str, float] | None = None,
) -> nn.Module:
    """A copy of the model without the groups whose variables are all zero; its output is the same.

    limits: most "parameters" and "macs" that the copy may have; macs are counted on
      `example_input`.
    Raises ArgumentError (no group is zero), Infeasible (a limit is not kept; says by how much).
    """
    cut = groups.zero(model)
    if not bool(cut.any()):
        raise ArgumentError(
            f"0 of {len(groups)} groups are zero, so nothing would be cut: train with HESSO until "
            "its pruning steps are over"
        )
    small = shrink(copy.deepcopy(model), cutting_plan(model, groups, cut))
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
    """Of "parameters" and "macs" those named. Raises ArgumentError."""
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
    """before, after: parameters and multiply-adds.  difference: largest of the two outputs, in eval
    mode.
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


def compare(model: nn.Module, small: nn.Module, example_input: Tensor) -> Comparison:
    """Counts before and after, and how far the outputs are apart on an input."""
    modes = model.training, small.training
    with torch.no_grad():
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


def save_subnet(small: nn.Module, path: str | Path) -> None:
    """Write weights and plan as a safetensors file. Raises ArgumentError for a network that nothing
    was cut from.
    """
    plan = getattr(small, PLAN, None)
    if plan is None:
        raise ArgumentError("small: nothing was cut from this network; save it by its state_dict")
    Trained.of(small, plan).save(path)


def load_subnet(model_fn: Callable[[], nn.Module], path: str | Path) -> nn.Module:
    """The network of a file, from the function that makes the whole one. Runs no code of the file.
    Raises ArgumentError, ShapeError.
    """
    return Trained.load(path).into(model_fn())
