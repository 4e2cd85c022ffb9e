"""Zero-invariant groups found in a network: layers that are coupled are proposed by
torch-pruning's graph or by torch.fx, and those stay whose cutting changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...core.annotations import checked
from ...core.errors import ArgumentError, ArgumentTypeError, UnknownName, nearest
from .cutting import copied, cutting_plan
from .groups import ACROSS, Cut, Groups, tensors_of
from .groups_fx import coupled
from .groups_tp import by_torch_pruning, roots

if TYPE_CHECKING:
    from torch import Tensor


BACKENDS = ("torch-pruning", "fx")


@checked
def find_zero_invariant_groups(
    model: nn.Module,
    example_input: Any,
    ignore: Sequence[nn.Module | str] = (),
    *,
    heads: Mapping[str, str] | None = None,
    backend: str = "torch-pruning",
) -> Groups:
    """The groups of any network that can be traced.

    A group is a set of variables that can be zero together without any effect on what other layers
    get, such as the weights and the bias into one channel and its normalisation. `Groups.ungrouped`
    says why other layers are left out.

    Args:
        model: The network.
        example_input: A tensor, or a tuple of the model's inputs.
        ignore: Layers that stay whole; the layers that make the outputs always do.
        heads: Name of an attention layer's projection -> dotted name of the attribute that counts
            the heads, such as {"blocks.0.query": "blocks.0.n_heads"}; then heads are cut as a
            whole. Without, attention stays whole.
        backend: "torch-pruning", or "fx" for torch.fx, which knows fewer layers (`groups_fx`).

    Returns:
        The groups, in order of the layers.

    Raises:
        MissingExtra: torch-pruning is not installed.
        UnknownName: `ignore` or `heads` names what the model does not have.
        ArgumentTypeError: `model` is no module.
        ArgumentError: Nothing can be cut; the model cannot be traced.

    References:
        T. Chen et al., arXiv 2409.09085, zero-invariant groups.
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
    work, computed = _quiet_copy(model)
    uses = _uses(work, inputs)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    found = _propose(work, inputs, backend, ignored, heads or {}, uses, frozen, computed)
    safe = [] if not found.layers else _safe(work, inputs, found, list(range(len(found.layers))))
    for name, module in work.named_modules():
        inside = any(c.module == name and hasattr(module, "weight") for c in found.cuts)
        if (
            isinstance(module, roots())
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


def _quiet_copy(model: nn.Module) -> tuple[nn.Module, dict[str, str]]:
    """A copy in eval mode whose weights are all parameters, and the modules that compute theirs
    from others (weight_norm, spectral_norm and the like), with the reason to leave them whole.
    """
    try:
        work = copied(model).eval().requires_grad_(True)
    except Exception as error:
        raise ArgumentError(
            f"the model cannot be copied: {type(error).__name__}: {_short(error)}"
        ) from error
    computed = {}
    for name, module in work.named_modules():
        names = list(getattr(module, "parametrizations", {}))
        if names:  # by hand: remove_parametrizations changes the class, which the original has too
            values = {tensor: getattr(module, tensor).detach().clone() for tensor in names}
            module.__class__ = nn.utils.parametrize.type_before_parametrizations(module)
            del module._modules["parametrizations"]
            for tensor, value in values.items():
                module.register_parameter(tensor, nn.Parameter(value))
        for key, hook in list(module._forward_pre_hooks.items()):
            tensor = getattr(hook, "name", None)
            if isinstance(tensor, str) and f"{tensor}_orig" in module._parameters:
                names.append(tensor)  # spectral_norm, pruning
            elif isinstance(tensor, str) and f"{tensor}_g" in module._parameters:
                names.append(tensor)  # weight_norm
            else:
                continue
            value = getattr(module, tensor).detach().clone()
            del module._forward_pre_hooks[key]
            for end in ("_orig", "_g", "_v"):
                module._parameters.pop(tensor + end, None)
            vars(module).pop(tensor, None)
            module._buffers.pop(tensor, None)
            module.register_parameter(tensor, nn.Parameter(value))
        if names:
            computed[name] = f"the {names[0]} of '{name}' is computed from other parameters"
    return work, computed


def _short(error: BaseException) -> str:
    """The first line of an error's text."""
    return f"{(str(error).splitlines() or [''])[0]:.80}"


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


def _propose(
    model: nn.Module,
    inputs: tuple[Any, ...],
    backend: str,
    ignored: set[str],
    heads: Mapping[str, str],
    uses: Mapping[str, int],
    frozen: set[str],
    computed: Mapping[str, str],
) -> Groups:
    """The groups of the layers that a backend found."""
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
        proposed, ungrouped = by_torch_pruning(model, inputs, owners)
    sizes = {name: p.shape for name, p in model.named_parameters()}
    for members, bare in proposed:
        makers = [
            name for name, module, _, out, *_ in members if out and isinstance(module, roots())
        ]
        why = _unfit(members, bare, ignored, uses, owners, frozen) or next(
            (computed[name] for name, *_ in members if name in computed), None
        )
        if why is None:
            channels = max((max(roots, default=-1) for *_, roots in members), default=-1) + 1
            split = next(((name, heads[name]) for name in makers if name in heads), None)
            per = 1 if split is None else _per_head(model, split, channels)
            first, count = len(layer), channels // per
            taken, why = _taken(members, sizes, rows)
            if count < 2:
                why = "it has one channel, which cannot be cut"
        if why is not None:
            ungrouped.update(dict.fromkeys(makers, why))
            continue
        for name, _, prune, _, index, root in members:
            cuts.append(Cut(name, prune, torch.tensor(index), torch.tensor(root) // per + first))
        for full, axis, index, root in taken:
            _, mine = rows.setdefault(full, (axis, torch.full((sizes[full][axis],), -1)))
            mine[torch.tensor(index)] = torch.tensor(root) // per + first
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
    for name, module, _, out, _, channels in members:
        if None in channels:
            return f"the graph loses the channels on their way to '{name}'"
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


def _taken(
    members: Sequence[Any], sizes: Mapping[str, torch.Size], rows: Mapping[str, Any]
) -> tuple[list[tuple[str, int, list[int], list[int]]], str | None]:
    """(parameter, axis, entries, channels) of what layers make, or why the set does not fit."""
    taken = []
    for name, module, prune, out, index, root in members:
        try:
            found = _rows_of(module, prune)
        except Exception as error:
            return [], f"'{name}' cannot be cut ({type(error).__name__}: {_short(error)})"
        for parameter, axis in found:
            full = f"{name}.{parameter}" if name else parameter
            if not index or len(index) != len(root) or max(index) >= sizes[full][axis]:
                return [], f"the graph's channels do not fit '{full}'"
            if out and full in rows and rows[full][0] != axis:
                return [], f"'{full}' is cut on axis {axis} and on another"
            if out:
                taken.append((full, axis, index, root))
    return taken, None


def _rows_of(
    module: nn.Module, prune: Callable[[nn.Module, list[int]], Any]
) -> list[tuple[str, int]]:
    """(parameter, axis) that lose an entry when a channel is cut."""
    other = copied(module)
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
    from ..trained import shrink

    draw = torch.Generator().manual_seed(len(groups))
    cut = torch.zeros(len(groups), dtype=torch.bool)
    for layer in range(len(groups.layers)):
        own = (groups.layer == layer).nonzero()[:, 0]
        cut[own[torch.randperm(len(own), generator=draw)[: len(own) // 2]]] = True
    trial = copied(model).double()
    given = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    with torch.no_grad():
        for p in trial.parameters():
            spread = float(p.std()) if p.numel() > 1 else 0.0
            p += (0.1 + 0.5 * spread) * torch.randn(p.shape, generator=draw, dtype=torch.float64)
        for name, b in trial.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(torch.randn(b.shape, generator=draw, dtype=torch.float64))
        for p, axis, ids in groups.tensors(trial):
            p.movedim(axis, 0)[torch.cat([cut, cut.new_zeros(1)])[ids]] = 0
        try:
            whole = tensors_of(trial(*given))
        except Exception as error:
            return f"the network does not run in float64 ({type(error).__name__}: {_short(error)})"
        try:
            small = tensors_of(shrink(trial, cutting_plan(trial, groups, cut))(*given))
        except Exception as error:
            return (
                "the network does not run without half of its channels "
                f"({type(error).__name__}: {_short(error)})"
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
