"""Zero-invariant groups: the parts of a network that can be cut out without changing its output,
once their variables are zero.

A group is one channel, hidden unit or attention head: the rows of every layer that make it (weight
  row, bias, normalisation), coupled over residual
additions, concatenations and depthwise convolutions by torch-pruning's dependency graph (G. Fang et
al., DepGraph, CVPR 2023). T. Chen et al. (HESSO,
arXiv 2409.09085; OTO, 2107.07467) name the condition: all variables of a group zero implies that
its output is zero.

What the graph proposes is tried before it is believed: on a copy with random weights each set of
  groups is zeroed and cut out, and the two outputs
are compared. Where they differ (outputs of the model, sigmoids, normalisation without weights,
attention without its heads), the layers are left out,
with the reason.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...core.errors import ArgumentError, ArgumentTypeError, MissingExtra, UnknownName, nearest
from .groups_fx import coupled

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import Tensor

BACKENDS = ("torch-pruning", "fx")
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
    """One group. slices: (parameter name, axis, indices along it) of its variables."""

    name: str
    slices: tuple[tuple[str, int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Cut:
    """What is deleted of a module with a group. prune: (module, indices), in place.  index: entries
    along the axis.  group: (same) whose they are.
    """

    module: str
    prune: Callable[[nn.Module, list[int]], Any]
    index: Int[Tensor, " n"]
    group: Int[Tensor, " n"]


@dataclass
class Groups:
    """The groups of a network, in order: a sequence of `ZIG`.

    layers: names of the coupled structures.  layer: (n,) which one each group is of.
    rows: parameter name -> (axis, (size of the axis,) the group of each entry, n for none).
    cuts: what to delete.  heads: (module, attribute) that counts the heads -> their layer.
      ungrouped: layer name -> why it is not in a group.
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
        """(parameter, axis, group of each entry) of a model. Raises UnknownName, ArgumentError
        where it is another model.
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
    """Groups from {name: [(parameter name, axis, index or indices)]}; all are of one layer. They
    can be trained to zero, not cut out.

    Raises UnknownName, ArgumentError (an index outside, groups that overlap, one parameter on two
    axes, no group).
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


def find_zero_invariant_groups(
    model: nn.Module,
    example_input: Any,
    ignore: Sequence[nn.Module | str] = (),
    *,
    heads: Mapping[str, str] | None = None,
    backend: str = "torch-pruning",
) -> Groups:
    """The groups of any network that can be traced: by torch-pruning, or with backend="fx" by
    torch.fx, which knows fewer layers (`groups_fx`).

    example_input: a tensor, or a tuple of the model's inputs.  ignore: layers that stay whole; the
      layers that make the outputs always do.
    heads: name of an attention layer's projection -> dotted name of the attribute that counts the
      heads, such as
    {"blocks.0.query": "blocks.0.n_heads"}; then heads are cut as a whole. Without, attention stays
    whole.

    `Groups.ungrouped` says why other layers are left out.
    Raises MissingExtra, UnknownName, ArgumentTypeError, ArgumentError (nothing can be cut; the
    model cannot be traced).
    """
    if backend not in BACKENDS:
        raise ArgumentError(f"backend={backend!r}: expected {' or '.join(map(repr, BACKENDS))}")
    names = {m: n for n, m in model.named_modules()}
    ignored: set[str] = set()
    for item in ignore:
        name = item if isinstance(item, str) else names.get(item, "")
        if name not in names.values() or not name:
            raise UnknownName(
                f"ignore: the model has no layer {item!r}: {nearest(name, names.values())}"
            )
        ignored.add(name)
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    if not all(isinstance(x, torch.Tensor) for x in inputs):
        raise ArgumentTypeError("example_input: expected a tensor, or a tuple of tensors")
    work = _quiet_copy(model)
    uses = _uses(work, inputs)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    found = _propose(work, inputs, backend, ignored, heads or {}, uses, frozen)
    safe = [] if not found.layers else _safe(work, inputs, found, list(range(len(found.layers))))
    for name, module in work.named_modules():
        inside = any(c.module == name and hasattr(module, "weight") for c in found.cuts)
        if (
            isinstance(module, ROOTS)
            and not inside
            and not any(n == name for layer in found.layers for n in layer.split("+"))
        ):
            found.ungrouped.setdefault(name, "the dependency graph does not reach it")
    groups = found.keep(safe)
    if not len(groups):
        reasons = "; ".join(f"'{n}': {why}" for n, why in found.ungrouped.items())
        raise ArgumentError(
            "no layer of the model can be cut: "
            f"{reasons or 'it has no linear or convolutional ones'}"
        )
    return groups


# -- what the graph proposes -----------------------------------------------------------------------


def _quiet_copy(model: nn.Module) -> nn.Module:
    """A copy in eval mode, without hooks' memory of the old one."""
    return copy.deepcopy(model).eval().requires_grad_(True)


def _uses(model: nn.Module, inputs: tuple[Any, ...]) -> dict[str, int]:
    """How often each leaf module is called in a forward pass."""
    count: dict[str, int] = {}
    hooks = []
    for name, module in model.named_modules():
        if next(module.children(), None) is None:
            count[name] = 0

            def called(_m: nn.Module, _i: Any, _o: Any, name: str = name) -> None:
                count[name] += 1

            hooks.append(module.register_forward_hook(called))
    try:
        with torch.no_grad():
            model(*inputs)
    except Exception as error:
        raise ArgumentError(
            f"example_input: the model raised {type(error).__name__}: {error}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    return count


def _by_torch_pruning(
    model: nn.Module, inputs: tuple[Any, ...], owners: Mapping[int, list[str]]
) -> list[tuple[list[Any], str | None]]:
    """Per set of coupled layers the members (name, module, prune, out, entries, channels), and the
    bare parameter among them.
    """
    try:
        import torch_pruning as tp
    except ImportError:
        raise MissingExtra(
            "backend='torch-pruning' needs the package torch-pruning: pip install "
            "'feasible[training]', or backend='fx'"
        ) from None
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")
            graph = tp.DependencyGraph().build_dependency(
                model, example_inputs=inputs if len(inputs) > 1 else inputs[0]
            )
            proposed = list(graph.get_all_groups(root_module_types=ROOTS))
    except Exception as error:
        raise ArgumentError(
            f"the model cannot be traced by torch-pruning: {type(error).__name__}: {error}"
        ) from error
    names = {m: n for n, m in model.named_modules()}
    found = []
    for group in proposed:
        members, bare = [], None
        for item in group.items:
            dep, module = item.dep, item.dep.target.module
            if isinstance(module, nn.Parameter):
                bare = next(iter(owners.get(id(module), ["?"])))
            elif module in names:
                out = graph.is_out_channel_pruning_fn(dep.handler)
                members.append(
                    (names[module], module, dep.handler, out, list(item.idxs), list(item.root_idxs))
                )
        found.append((members, bare))
    return found


def _propose(
    model: nn.Module,
    inputs: tuple[Any, ...],
    backend: str,
    ignored: set[str],
    heads: Mapping[str, str],
    uses: Mapping[str, int],
    frozen: set[str],
) -> Groups:
    owners: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(p), []).append(name)
    layers: list[str] = []
    layer: list[int] = []
    rows: dict[str, tuple[int, Tensor]] = {}
    cuts: list[Cut] = []
    counted: dict[tuple[str, str], int] = {}
    ungrouped: dict[str, str] = {}
    if backend == "fx":
        sets, ungrouped = coupled(model, inputs)
        proposed: list[tuple[list[Any], str | None]] = [(members, None) for members in sets]
    else:
        proposed = _by_torch_pruning(model, inputs, owners)
    sizes = {name: p.shape for name, p in model.named_parameters()}
    for members, bare in proposed:
        makers = [name for name, module, _, out, *_ in members if out and isinstance(module, ROOTS)]
        why = _unfit(members, bare, ignored, uses, owners, frozen)
        if why is not None:
            ungrouped.update(dict.fromkeys(makers, why))
            continue
        channels = max(max(roots) for *_, roots in members) + 1
        split = next(((name, heads[name]) for name in makers if name in heads), None)
        per = 1 if split is None else _per_head(model, split, channels)
        first, count = len(layer), channels // per
        for name, module, prune, out, index, root in members:
            ids = torch.tensor(root) // per + first
            cuts.append(Cut(name, prune, torch.tensor(index), ids))
            if not out:
                continue
            for parameter, axis in _rows_of(module, prune):
                full = f"{name}.{parameter}" if name else parameter
                _, mine = rows.setdefault(full, (axis, torch.full((sizes[full][axis],), -1)))
                mine[torch.tensor(index)] = ids
        if split is not None:
            path, _, attribute = split[1].rpartition(".")
            counted[path, attribute] = len(layers)
        layers.append("+".join(makers))
        layer += [len(layers) - 1] * count
    total = len(layer)
    rows = {name: (axis, torch.where(ids < 0, total, ids)) for name, (axis, ids) in rows.items()}
    return Groups(
        tuple(layers), torch.tensor(layer, dtype=torch.long), rows, tuple(cuts), counted, ungrouped
    )


def _unfit(
    members: Sequence[Any],
    bare: str | None,
    ignored: set[str],
    uses: Mapping[str, int],
    owners: Mapping[int, list[str]],
    frozen: set[str],
) -> str | None:
    """Why these coupled layers cannot be cut, where their kinds say so already."""
    if bare is not None:
        return f"the parameter '{bare}' is added to its channels"
    for name, module, _, out, *_ in members:
        if out and name in ignored:
            return f"'{name}' is ignored"
        if isinstance(module, ACROSS):
            return f"'{name}' normalises across its channels"
        if uses.get(name, 1) > 1 and next(module.parameters(), None) is not None:
            return f"'{name}' is used {uses[name]} times in a forward pass"
        for p in module.parameters():
            shared = owners.get(id(p), [])
            if len(shared) > 1:
                return f"the parameter '{shared[0]}' is shared with '{shared[1]}'"
            if out and frozen.intersection(shared):
                return f"the parameter '{shared[0]}' is frozen"
    return None


def _per_head(model: nn.Module, split: tuple[str, str], channels: int) -> int:
    """Channels of a head."""
    layer, target = split
    path, _, attribute = target.rpartition(".")
    try:
        count = getattr(model.get_submodule(path), attribute)
    except AttributeError:
        raise UnknownName(f"heads: the model has no attribute '{target}'") from None
    if not isinstance(count, int) or count < 1 or channels % count:
        raise ArgumentError(
            f"heads: '{target}' is {count!r}, expected a divisor of the {channels} channels of "
            f"'{layer}'"
        )
    return channels // count


def _rows_of(
    module: nn.Module, prune: Callable[[nn.Module, list[int]], Any]
) -> list[tuple[str, int]]:
    """(parameter, axis) that lose an entry when a channel is cut."""
    other = copy.deepcopy(module)
    before = {name: p.shape for name, p in other.named_parameters()}
    prune(other, [0])
    return [
        (
            name,
            next(i for i, (a, b) in enumerate(zip(before[name], p.shape, strict=True)) if a != b),
        )
        for name, p in other.named_parameters()
        if before[name] != p.shape
    ]


# -- and what survives a trial ---------------------------------------------------------------------


def _safe(
    model: nn.Module, inputs: tuple[Any, ...], groups: Groups, layers: list[int]
) -> list[int]:
    """Those of the layers whose groups can be cut without a change of the output, by halving: all
    at once first.
    """
    why = _changes(model, inputs, groups.keep(layers))
    if why is None:
        return layers
    if len(layers) == 1:
        groups.ungrouped.update(dict.fromkeys(groups.layers[layers[0]].split("+"), why))
        return []
    half = len(layers) // 2
    return _safe(model, inputs, groups, layers[:half]) + _safe(model, inputs, groups, layers[half:])


def _changes(model: nn.Module, inputs: tuple[Any, ...], groups: Groups) -> str | None:
    """What goes wrong when half of each layer's groups are zeroed and cut, with random weights in
    float64; None where nothing does.
    """
    from .subnet import cutting_plan, shrink

    trial = copy.deepcopy(model).double()
    draw = torch.Generator().manual_seed(len(groups))
    cut = torch.zeros(len(groups), dtype=torch.bool)
    for layer in range(len(groups.layers)):
        own = (groups.layer == layer).nonzero()[:, 0]
        cut[own[torch.randperm(len(own), generator=draw)[: len(own) // 2]]] = True
    with torch.no_grad():
        for p in trial.parameters():
            spread = float(p.std()) if p.numel() > 1 else 0.0
            p += (0.1 + 0.5 * spread) * torch.randn(p.shape, generator=draw, dtype=torch.float64)
        for name, b in trial.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(torch.randn(b.shape, generator=draw, dtype=torch.float64))
        for p, axis, ids in groups.tensors(trial):
            p.movedim(axis, 0)[torch.cat([cut, cut.new_zeros(1)])[ids]] = 0
        given = tuple(x.double() if x.is_floating_point() else x for x in inputs)
        whole = tensors_of(trial(*given))
        try:
            small = tensors_of(shrink(trial, cutting_plan(trial, groups, cut))(*given))
        except Exception as error:
            return (
                "the network does not run without half of its channels "
                f"({type(error).__name__}: {str(error).splitlines()[0]:.80})"
            )
    if [t.shape for t in whole] != [t.shape for t in small]:
        return "its channels are outputs of the model"
    apart = max(
        (float((a - b).abs().max()) for a, b in zip(whole, small, strict=True) if a.numel()),
        default=0.0,
    )
    scale = max((float(a.abs().max()) for a in whole if a.numel()), default=0.0)
    return (
        None
        if apart <= 1e-8 * max(scale, 1.0)
        else f"the output changes by {apart:.2g} when channels whose variables are zero are cut"
    )


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
