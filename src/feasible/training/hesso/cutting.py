"""What to cut out of a network, read off the handlers that would cut it, as plain data."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...core.errors import ArgumentError
from .groups import Groups

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor


def copied(model: nn.Module) -> nn.Module:
    """Copy a network. Tensors that it keeps from a forward pass, in attributes or in lists and
    dictionaries of theirs, are copied without their history: torch copies leaves only.
    """
    memo: dict[int, Tensor] = {}
    todo = [value for module in model.modules() for value in vars(module).values()]
    while todo:
        value = todo.pop()
        if isinstance(value, torch.Tensor):
            if not value.is_leaf:
                memo[id(value)] = value.detach().clone()
        elif isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, (list, tuple)):
            todo += value
    return copy.deepcopy(model, memo)


def cutting_plan(model: nn.Module, groups: Groups, cut: Bool[Tensor, " n"]) -> dict[str, Any]:
    """The plan that cuts these groups.

    Args:
        model: The network.
        groups: Its groups.
        cut: (n,) which of them go.

    Returns:
        The plan as plain data, for `trained.shrink`.

    Raises:
        ArgumentError: The groups are made by hand.
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
    other = copied(module)
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
