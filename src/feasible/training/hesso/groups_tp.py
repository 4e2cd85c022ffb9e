"""Coupled channels by torch-pruning's dependency graph: the proposal of
`find_zero_invariant_groups`.

The graph says which layers are coupled and how their channels map; what follows from one layer is
collected here, each channel once, as the library's own search does not end in good time where
channels are cut in halves and joined again, as rotary embeddings do.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn

from ...core.errors import ArgumentError, MissingExtra
from .groups import ROOTS


class Channel(NamedTuple):
    """A channel of a layer, and that of the first layer which it is coupled to."""

    idx: int
    root_idx: int


class Item(NamedTuple):
    """What one layer loses: its module, the handler that cuts, and (channel, first) pairs."""

    module: Any
    prune: Any
    channels: list[Channel]


def transposed() -> tuple[type[nn.Module], ...]:
    """Linear layers whose weight is (in, out): transformers' Conv1D, where it has been imported."""
    known = getattr(sys.modules.get("transformers.pytorch_utils"), "Conv1D", None)
    return () if known is None else (known,)


def roots() -> tuple[type[nn.Module], ...]:
    """Layers that make channels."""
    return (*ROOTS, *transposed())


def by_torch_pruning(
    model: nn.Module, inputs: tuple[Any, ...], owners: Mapping[int, list[str]]
) -> tuple[list[tuple[list[Any], str | None]], dict[str, str]]:
    """Per set of coupled layers the members (name, module, prune, out, entries, channels), and the
    bare parameter among them; and why a layer, by name, is in no set.
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
                model,
                example_inputs=inputs if len(inputs) > 1 else inputs[0],
                customized_pruners={kind: _pruner() for kind in transposed()},
            )
            proposed, refused = each(graph)
    except Exception as error:
        raise ArgumentError(
            f"the model cannot be traced by torch-pruning: {type(error).__name__}: {error}"
        ) from error
    names = {m: n for n, m in model.named_modules()}
    found = []
    for items in proposed:
        members, bare = [], None
        for module, prune, channels in items:
            if isinstance(module, nn.Parameter):
                bare = next(iter(owners.get(id(module), ["?"])))
            elif module in names:
                out = graph.is_out_channel_pruning_fn(prune)
                index, root = zip(*channels, strict=True)
                members.append((names[module], module, prune, out, list(index), list(root)))
        found.append((members, bare))
    return found, {names[module]: why for module, why in refused.items() if module in names}


def each(graph: Any) -> tuple[list[list[Item]], dict[nn.Module, str]]:
    """Return the graph's sets of coupled layers, and why a layer has none: torch-pruning raises
    errors of any kind on networks that it does not know.
    """
    found: list[list[Item]] = []
    refused: dict[nn.Module, str] = {}
    seen: set[Any] = set()
    layers = [module for module in graph.module2node if isinstance(module, roots())]
    widest = max((n for m in layers for p in m.parameters() for n in p.shape), default=0)
    for module in layers:
        if module in seen:
            continue
        try:
            found.append(coupled(graph, module, widest))
        except Exception as error:
            refused[module] = f"torch-pruning cannot couple it: {error!r}"
            continue
        seen.update(i.module for i in found[-1] if graph.is_out_channel_pruning_fn(i.prune))
    return found, {m: why for m, why in refused.items() if m not in seen}


def coupled(graph: Any, module: nn.Module, widest: int) -> list[Item]:
    """What must be cut with the channels of a layer; a channel that is reached twice belongs to
    the one that reached it first. Where channels pass the widest layer's, as they do without end
    where the graph goes in a circle, it raises ArgumentError.
    """
    pruner = graph.get_pruner_of_module(module)
    first = [Channel(i, i) for i in range(pruner.get_out_channels(module))]
    found: dict[tuple[Any, Any], dict[int, Channel]] = {}
    waiting = [(graph.module2node[module], pruner.prune_out_channels, first)]
    while waiting:
        node, prune, channels = waiting.pop()
        known = found.setdefault((node, prune), {})
        new = []
        for c in channels:
            if not 0 <= c.idx < widest:
                raise ArgumentError(f"its channels lead to entry {c.idx}, which no layer has")
            if c.idx not in known:
                known[c.idx] = c
                new.append(c)
        if not new:
            continue
        for dependency in node.dependencies:
            if not dependency.is_triggered_by(prune):
                continue
            mapped: list[Any] = new
            for mapping in dependency.index_mapping:
                mapped = mapped if mapping is None else mapping(mapped)
            if mapped:
                found.setdefault((dependency.target, dependency.handler), {})
                waiting.append((dependency.target, dependency.handler, mapped))
    return [
        Item(node.module, prune, list(known.values())) for (node, prune), known in found.items()
    ]


@cache
def _pruner() -> Any:
    """How a `transposed` layer is cut."""
    from torch_pruning.pruner.function import BasePruningFunc

    class TransposedPruner(BasePruningFunc):  # type: ignore[misc]
        """Of a weight (in, out)."""

        def prune_out_channels(self, layer: Any, idxs: Any) -> nn.Module:
            gone = set(idxs)
            keep = [i for i in range(layer.nf) if i not in gone]
            layer.nf = len(keep)
            layer.weight = self._prune_parameter_and_grad(layer.weight, keep, 1)
            layer.bias = self._prune_parameter_and_grad(layer.bias, keep, 0)
            return layer  # type: ignore[no-any-return]

        def prune_in_channels(self, layer: Any, idxs: Any) -> nn.Module:
            gone = set(idxs)
            keep = [i for i in range(layer.nx) if i not in gone]
            layer.nx = len(keep)
            layer.weight = self._prune_parameter_and_grad(layer.weight, keep, 0)
            return layer  # type: ignore[no-any-return]

        def get_out_channels(self, layer: Any) -> int:
            return int(layer.nf)

        def get_in_channels(self, layer: Any) -> int:
            return int(layer.nx)

    return TransposedPruner()
