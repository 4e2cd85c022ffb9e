"""Coupled channels by torch.fx: the proposal of `find_zero_invariant_groups(backend="fx")`, for
installations without torch-pruning.

Every channel that a layer makes gets a number; additions join numbers, concatenations and
flattening carry them along. Known are linear layers, convolutions (depthwise ones too), batch
normalisation, activations, pooling, dropout, additions, concatenations and flattening; channels
that reach anything else stay whole, and so do the model's inputs and outputs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from ...core.errors import ArgumentError

CONV, NORM = nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm
SAME: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.Hardswish,
    nn.Softplus,
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
)
SAME_NAMES = {
    "relu",
    "relu_",
    "relu6",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "hardswish",
    "softplus",
    "dropout",
    "max_pool1d",
    "max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "contiguous",
    "boolean_dispatch",
}
ADDED = {operator.add, operator.iadd, torch.add}


def cut_out(layer: Any, entries: list[int]) -> None:
    """Delete output channels of a linear layer, a convolution (both sides of a depthwise one) or a
    batch normalisation, in place.
    """
    kept = torch.tensor(sorted(set(range(layer.weight.shape[0])) - set(entries)))
    for name, tensor in (*list(layer.named_parameters()), *list(layer.named_buffers())):
        if tensor.ndim:
            part = tensor.detach().index_select(0, kept)
            setattr(
                layer,
                name,
                nn.Parameter(part, tensor.requires_grad)
                if isinstance(tensor, nn.Parameter)
                else part,
            )
    if isinstance(layer, NORM):
        layer.num_features = len(kept)
    elif isinstance(layer, nn.Linear):
        layer.out_features = len(kept)
    else:
        layer.out_channels = len(kept)
        if layer.groups > 1:
            layer.in_channels = layer.groups = len(kept)


def cut_in(layer: Any, entries: list[int]) -> None:
    """Delete input channels of a linear layer or a convolution, in place."""
    kept = torch.tensor(sorted(set(range(layer.weight.shape[1])) - set(entries)))
    layer.weight = nn.Parameter(
        layer.weight.detach().index_select(1, kept), layer.weight.requires_grad
    )
    setattr(layer, "in_features" if isinstance(layer, nn.Linear) else "in_channels", len(kept))


class _Channels:
    """Numbers of channels, which are joined; some are fixed, with the reason."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.fixed: dict[int, str] = {}
        self.rows: list[tuple[str, Callable[..., None], bool, int, int]] = []
        """(module, prune, out, entry, channel)."""

    def new(self, n: int, fixed: str | None = None) -> list[int]:
        """Numbers for n new channels, perhaps fixed for a reason."""
        made = list(range(len(self.parent), len(self.parent) + n))
        self.parent += made
        if fixed is not None:
            self.fixed.update(dict.fromkeys(made, fixed))
        return made

    def root(self, c: int) -> int:
        """The channel that stands for all that c is joined with."""
        while self.parent[c] != c:
            self.parent[c] = self.parent[self.parent[c]]
            c = self.parent[c]
        return c

    def join(self, a: int, b: int) -> None:
        """Join two channels: they go or stay together."""
        a, b = self.root(a), self.root(b)
        self.parent[b] = a

    def fix(self, channels: list[int] | None, why: str) -> None:
        """Keep channels, for a reason."""
        for c in channels or ():
            self.fixed.setdefault(c, why)

    def layer(self, name: str, module: nn.Module, given: list[int]) -> list[int] | None:
        """What a module of parameters makes of its input channels; None where it is not known."""
        if isinstance(module, NORM) and len(given) == module.num_features:
            if module.affine:
                self.rows += [(name, cut_out, True, i, c) for i, c in enumerate(given)]
            else:
                self.fix(given, f"'{name}' normalises without weights")
            return given
        if not isinstance(module, (nn.Linear, CONV)) or getattr(module, "transposed", False):
            return None
        groups = getattr(module, "groups", 1)
        if groups > 1 and not groups == module.in_channels == module.out_channels:
            return None
        if groups > 1:
            self.rows += [(name, cut_out, True, i, c) for i, c in enumerate(given)]
            return given
        if len(given) != module.weight.shape[1]:
            return None
        self.rows += [(name, cut_in, False, i, c) for i, c in enumerate(given)]
        made = self.new(module.weight.shape[0])
        self.rows += [(name, cut_out, True, i, c) for i, c in enumerate(made)]
        return made


def coupled(model: nn.Module, inputs: tuple[Any, ...]) -> tuple[list[list[Any]], dict[str, str]]:
    """Per set of coupled layers the members (name, module, prune, out, entries, channels), and the
    layers that stay whole, with the reason.

    Raises:
        ArgumentError: torch.fx cannot trace the model.
    """
    try:
        traced = fx.symbolic_trace(model)
        ShapeProp(traced).propagate(*inputs)
    except Exception as error:
        raise ArgumentError(
            f"the model cannot be traced by torch.fx: {type(error).__name__}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    channels = _Channels()
    of: dict[fx.Node, list[int] | None] = {}
    for node in traced.graph.nodes:
        of[node] = _made(node, of, channels, dict(model.named_modules()))
    return _collected(channels, dict(model.named_modules()))


def _shape(node: Any) -> tuple[int, ...]:
    """The shape that a node of the graph gave."""
    meta = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    return tuple(getattr(meta, "shape", ()))


def _made(
    node: fx.Node,
    of: dict[fx.Node, list[int] | None],
    channels: _Channels,
    modules: dict[str, nn.Module],
) -> list[int] | None:
    """Channels of a node's output; on axis 1, or on the last where there are two axes."""
    shape, sources = _shape(node), node.all_input_nodes
    first = of.get(sources[0]) if sources else None
    name = getattr(node.target, "__name__", str(node.target)).removeprefix("_")
    if node.op not in ("call_module", "call_function", "call_method", "get_attr", "output"):
        return channels.new(shape[1] if len(shape) > 1 else 0, "they are inputs of the model")
    if node.op == "call_module":
        module = modules[str(node.target)]
        if first is not None and isinstance(module, SAME):
            return first
        if (
            first is not None
            and isinstance(module, nn.Flatten)
            and module.start_dim == 1
            and module.end_dim == -1
        ):
            return _flat(first, shape)
        three = isinstance(module, nn.Linear) and len(shape) > 2
        made = None if first is None or three else channels.layer(str(node.target), module, first)
        if made is not None:
            return made
    elif node.op in ("call_function", "call_method") and first is not None:
        if name in SAME_NAMES:
            return first
        if name == "flatten" and (node.args[1:2] == (1,) or node.kwargs.get("start_dim") == 1):
            return _flat(first, shape)
        if name == "mean" and len(shape) == 2 and len(first) == shape[1]:
            return first
        if (
            name == "cat"
            and (node.args[1:2] == (1,) or node.kwargs.get("dim") == 1)
            and all(of[s] is not None for s in sources)
        ):
            return [c for s in sources for c in of[s] or ()]
        second = of.get(sources[-1])
        if (
            node.target in ADDED
            and len(sources) == 2
            and second is not None
            and len(first) == len(second)
        ):
            for a, b in zip(first, second, strict=True):
                channels.join(a, b)
            return first
    why = (
        "its channels are outputs of the model"
        if node.op == "output"
        else f"its channels go into '{node.name}', which is not known"
    )
    for source in sources:
        channels.fix(of.get(source), why)
    return channels.new(shape[1], why) if len(shape) > 1 else None


def _flat(given: list[int], shape: tuple[int, ...]) -> list[int]:
    """The tensors in nested arguments."""
    return [c for c in given for _ in range(shape[1] // len(given))]


def _collected(
    channels: _Channels, modules: dict[str, nn.Module]
) -> tuple[list[list[Any]], dict[str, str]]:
    """Layers that share a channel together, their free channels counted from 0."""
    fixed = {channels.root(c): why for c, why in channels.fixed.items()}
    makers: dict[str, str] = {}

    def top(name: str) -> str:
        while makers.setdefault(name, name) != name:
            name = makers[name]
        return name

    owner: dict[int, str] = {}
    for name, _, out, _, c in channels.rows:
        if out and not isinstance(modules[name], NORM):
            makers[top(name)] = top(owner.setdefault(channels.root(c), name))
    sets: dict[str, list[int]] = {}
    whole: dict[str, str] = {}
    for c, name in owner.items():
        if c in fixed:
            whole.setdefault(name, fixed[c])
        else:
            sets.setdefault(top(name), []).append(c)
    found = []
    for free in sets.values():
        place = {c: i for i, c in enumerate(sorted(free))}
        members: dict[tuple[str, Callable[..., None], bool], tuple[list[int], list[int]]] = {}
        for name, prune, out, entry, c in channels.rows:
            if channels.root(c) in place:
                entries, numbers = members.setdefault((name, prune, out), ([], []))
                entries.append(entry)
                numbers.append(place[channels.root(c)])
        ordered = sorted(members.items(), key=lambda item: not item[0][2])
        found.append(
            [(name, modules[name], prune, out, *lists) for (name, prune, out), lists in ordered]
        )
    return found, whole
