"""Zero-invariant groups: the parts of a network that can be cut out without changing its output,
once their variables are zero.

A group is one channel, hidden unit or attention head: the rows of every layer that make it (weight
row, bias, normalisation), coupled over residual additions, concatenations and depthwise
convolutions by torch-pruning's dependency graph (G. Fang et al., DepGraph, CVPR 2023). T. Chen et
al. (HESSO, arXiv 2409.09085; OTO, 2107.07467) name the condition: all variables of a group zero
implies that its output is zero.

What the graph proposes is tried before it is believed: on a copy with random weights each set of
groups is zeroed and cut out, and the two outputs are compared. Where they differ (outputs of the
model, sigmoids, normalisation without weights, attention without its heads), the layers are left
out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...core.errors import ArgumentError, UnknownName, nearest

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import Tensor

ROOTS = (nn.modules.conv._ConvNd, nn.Linear)
ACROSS = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LocalResponseNorm,
    nn.Softmax,
    nn.LogSoftmax,
    nn.RMSNorm,
)
"""Modules that mix channels, so that a zero channel changes the others."""


@dataclass(frozen=True)
class ZIG:
    """One group.

    Attributes:
        name: Layer and channel.
        slices: (parameter name, axis, indices along it) of its variables.
    """

    name: str
    slices: tuple[tuple[str, int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Cut:
    """What is deleted of a module with a group.

    Attributes:
        module: Whose it is.
        prune: (module, indices) -> None, deletes in place.
        index: Entries along the axis.
        group: Of the same length, whose they are.
    """

    module: str
    prune: Callable[[nn.Module, list[int]], Any]
    index: Int[Tensor, " n"]
    group: Int[Tensor, " n"]


@dataclass
class Groups:
    """The groups of a network, in order: a sequence of `ZIG`.

    Attributes:
        layers: Names of the coupled structures.
        layer: (n,) which one each group is of.
        rows: Parameter name -> (axis, (size of the axis,) the group of each entry, n for none).
        cuts: What to delete.
        heads: (module, attribute) that counts the heads -> their layer.
        ungrouped: Layer name -> why it is not in a group.
    """

    layers: tuple[str, ...]
    layer: Int[Tensor, " n"]
    rows: dict[str, tuple[int, Tensor]]
    cuts: tuple[Cut, ...] = ()
    heads: dict[tuple[str, str], int] = field(default_factory=dict)
    ungrouped: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.layer)

    def __iter__(self) -> Iterator[ZIG]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> ZIG:
        if not -len(self) <= i < len(self):
            raise IndexError(f"group {i} of {len(self)}")
        i %= len(self)
        layer = int(self.layer[i])
        at = i - int((self.layer[:i] != layer).sum()) if i else 0
        slices = [
            (name, axis, tuple(hit.nonzero()[:, 0].tolist()))
            for name, (axis, ids) in self.rows.items()
            if bool((hit := ids == i).any())
        ]
        return ZIG(f"{self.layers[layer]}[{at}]", tuple(slices))

    def tensors(self, model: nn.Module) -> list[tuple[Tensor, int, Tensor]]:
        """(parameter, axis, group of each entry) of a model.

        Raises:
            UnknownName: A parameter that the model does not have.
            ArgumentError: The groups are another model's.
        """
        known = dict(model.named_parameters())
        found = []
        for name, (axis, ids) in self.rows.items():
            if name not in known:
                raise UnknownName(
                    f"groups: the model has no parameter '{name}': {nearest(name, known)}"
                )
            if known[name].shape[axis] != len(ids):
                raise ArgumentError(
                    f"groups: '{name}' has {known[name].shape[axis]} entries on axis {axis}, "
                    f"expected {len(ids)}"
                )
            found.append((known[name], axis, ids.to(known[name].device)))
        return found

    def norms(self, model: nn.Module) -> Tensor:
        """(n,) Euclidean norm of each group's variables."""
        total = torch.zeros(len(self) + 1, dtype=torch.float64)
        for p, axis, ids in self.tensors(model):
            total.index_add_(0, ids.cpu(), entries(p.detach().double() ** 2, axis).sum(1).cpu())
        return total[:-1].sqrt()

    def zero(self, model: nn.Module) -> Bool[Tensor, " n"]:
        """(n,) whether all variables of a group are exactly zero."""
        alive = torch.zeros(len(self) + 1, dtype=torch.bool)
        for p, axis, ids in self.tensors(model):
            alive[ids[entries(p.detach() != 0, axis).any(1)].cpu()] = True
        return ~alive[:-1]

    def keep(self, layers: Sequence[int]) -> Groups:
        """The groups of these layers only."""
        chosen = torch.isin(self.layer, torch.tensor(list(layers), dtype=torch.long))
        number = torch.full((len(self) + 1,), int(chosen.sum()))
        number[:-1][chosen] = torch.arange(int(chosen.sum()))
        place = {old: new for new, old in enumerate(layers)}
        rows = {
            name: (axis, number[ids])
            for name, (axis, ids) in self.rows.items()
            if bool(chosen[ids[ids < len(self)]].any())
        }
        cuts = tuple(
            Cut(c.module, c.prune, c.index[m], number[c.group[m]])
            for c in self.cuts
            if bool((m := chosen[c.group]).any())
        )
        layer = torch.tensor([place[i] for i in self.layer[chosen].tolist()], dtype=torch.long)
        heads = {key: place[i] for key, i in self.heads.items() if i in place}
        return Groups(
            tuple(self.layers[i] for i in layers), layer, rows, cuts, heads, dict(self.ungrouped)
        )


def entries(t: Tensor, axis: int) -> Tensor:
    """(size of the axis, rest) of a tensor."""
    return t.movedim(axis, 0).reshape(t.shape[axis], -1)


def by_hand(model: nn.Module, groups: Mapping[str, Sequence[tuple[str, int, Any]]]) -> Groups:
    """Groups from {name: [(parameter name, axis, index or indices)]}; all are of one layer.

    They can be trained to zero, not cut out.

    Args:
        model: The network.
        groups: Name -> [(parameter name, axis, index or indices)].

    Raises:
        UnknownName: A parameter that the model does not have.
        ArgumentError: An index outside, groups that overlap, one parameter on two axes, no group.
    """
    if not groups:
        raise ArgumentError("groups is empty: expected at least one")
    known = dict(model.named_parameters())
    rows: dict[str, tuple[int, Tensor]] = {}
    for i, (name, slices) in enumerate(groups.items()):
        if not slices:
            raise ArgumentError(f"groups: '{name}' has no variables")
        for parameter, axis, index in slices:
            if parameter not in known:
                raise UnknownName(
                    f"groups: '{name}' names the parameter '{parameter}': "
                    f"{nearest(parameter, known)}"
                )
            shape = known[parameter].shape
            if not 0 <= axis < len(shape):
                raise ArgumentError(
                    f"groups: '{name}' takes axis {axis} of '{parameter}', which has shape "
                    f"{tuple(shape)}"
                )
            at, ids = rows.setdefault(parameter, (axis, torch.full((shape[axis],), len(groups))))
            if at != axis:
                raise ArgumentError(
                    f"groups: '{parameter}' is divided on axis {at} and on axis {axis}, expected "
                    "one axis"
                )
            for j in torch.as_tensor(index).reshape(-1).tolist():
                if not 0 <= j < len(ids):
                    raise ArgumentError(
                        f"groups: '{name}' takes entry {j} of '{parameter}', which has {len(ids)} "
                        f"on axis {axis}"
                    )
                if int(ids[j]) != len(groups):
                    raise ArgumentError(
                        f"groups: '{name}' and '{list(groups)[int(ids[j])]}' overlap in entry {j} "
                        f"of '{parameter}'"
                    )
                ids[j] = i
    return Groups(("by hand",), torch.zeros(len(groups), dtype=torch.long), rows)


# -- what the graph proposes -----------------------------------------------------------------------


# -- and what survives a trial ---------------------------------------------------------------------


def tensors_of(output: Any) -> list[Tensor]:
    """The tensors of an output that may be a tensor, a sequence or a mapping of such, in order."""
    if isinstance(output, torch.Tensor):
        return [output]
    values = (
        output.values()
        if isinstance(output, Mapping)
        else output
        if isinstance(output, (list, tuple))
        else []
    )
    return [t for value in values for t in tensors_of(value)]
