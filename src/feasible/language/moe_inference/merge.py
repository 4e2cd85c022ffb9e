"""Experts that are alike become one.

How many each layer keeps follows from how evenly its experts are used (`group_counts`); the most
used are dominant, and each other joins the one that it is most alike (`group_experts`), or the
experts are clustered by their mean outputs (`cluster_experts`). The weights of a group are averaged
by use (`merge_group`), after the neurons of each were put in the dominant's order: a permutation P
of the hidden units that maximises

    <gate_a, P gate_b> + <up_a, P up_b> + <down_a, down_b P^T>

which is a linear assignment. The router keeps all its rows; a map leads each to its group, so that
the weights of members add up.

References:
    Li et al., MC-SMoE (arXiv 2310.01334); Chen et al., HC-SMoE (arXiv 2410.08589).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from ...core.annotations import checked
from ...core.checks import floats, one_of, whole
from ...core.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SIMILARITIES = ("router-logits", "router-weights", "weights")


@checked
def group_counts(usage: Any, groups: int) -> list[int]:
    """How many groups each layer keeps, so many a layer on average.

    The most used expert of each layer counts as 1; of all uses the `groups` times layers largest
    are dominant.

    Args:
        usage: (L, E) share of the tokens that use each expert.
        groups: A layer, on average.

    Raises:
        ArgumentError: Fewer groups than layers, or more than experts.

    Examples:
        >>> group_counts([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]], 2)
        [1, 3]
    """
    used = floats("usage", usage)
    if used.ndim != 2 or not used.size:
        raise ShapeError(f"usage has shape {used.shape}, expected (L, E)")
    layers, many = used.shape
    whole("groups", groups, least=1, most=many)
    used = used / np.maximum(used.sum(1, keepdims=True), 1e-300)
    used[np.arange(layers), used.argmax(1)] = 1.0
    order = np.argsort(-used, axis=None, kind="stable")[: groups * layers]
    return [int(n) for n in np.bincount(order // many, minlength=layers)]


@checked
def similarity(
    kind: Literal["router-logits", "router-weights", "weights"],
    logits: Float[Tensor, "n E"],
    router: Float[Tensor, "E d"],
    gate_up: Float[Tensor, "E F2 d"],
    down: Float[Tensor, "E d F"],
) -> Float[np.ndarray, "E E"]:
    """(cosine + 1) / 2 of each two experts.

    Args:
        kind: Of their logits over the tokens, of their rows of the router, or of their weights.
        logits: Of the router.
        router: Its rows.
        gate_up: Of every expert.
        down: Of every expert.
    """
    one_of("kind", kind, SIMILARITIES)
    rows = {
        "router-logits": lambda: logits.T,
        "router-weights": lambda: router,
        "weights": lambda: torch.cat([gate_up.flatten(1), down.flatten(1)], 1),
    }[kind]().detach()
    unit = torch.nn.functional.normalize(rows.double(), dim=1)
    found: np.ndarray = ((unit @ unit.T + 1) / 2).numpy()
    return found


@checked
def group_experts(usage: Any, alike: Any, groups: int) -> list[int]:
    """The dominant expert of each: the most used are dominant, others join the most alike.

    Args:
        usage: (E,) share of the tokens that use each expert.
        alike: (E, E) similarity.
        groups: How many are dominant.

    Returns:
        (E,) the dominant one of each expert's group; a dominant one has itself.
    """
    used, close = floats("usage", usage), floats("alike", alike)
    if used.ndim != 1 or close.shape != (len(used), len(used)):
        raise ShapeError(f"alike has shape {close.shape}, expected {(len(used), len(used))}")
    whole("groups", groups, least=1, most=len(used))
    dominant = np.sort(np.argsort(-used, kind="stable")[:groups])
    found = dominant[close[:, dominant].argmax(1)]
    found[dominant] = dominant
    return [int(e) for e in found]


@checked
def cluster_experts(usage: Any, made: Float[Tensor, "E n d"], groups: int) -> list[int]:
    """Groups by hierarchical clustering (average linkage) of the experts' mean outputs.

    Args:
        usage: (E,) share of the tokens that use each expert.
        made: What every expert makes of every input.
        groups: How many.

    Returns:
        (E,) the most used expert of each expert's group.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    used = floats("usage", usage)
    if made.dim() != 3 or used.shape != (len(made),):
        raise ShapeError(f"usage has shape {used.shape}, expected ({len(made)},)")
    whole("groups", groups, least=1, most=len(used))
    if len(used) == 1:
        return [0]
    tree = linkage(made.detach().double().mean(1).numpy(), "average")
    label = fcluster(tree, groups, "maxclust")
    dominant = {
        c: int(max(np.flatnonzero(label == c), key=lambda e: (used[e], -e))) for c in set(label)
    }
    return [dominant[c] for c in label]


@checked
def align(
    gate_up_a: Float[Tensor, "F2 d"],
    down_a: Float[Tensor, "d F"],
    gate_up_b: Float[Tensor, "F2 d"],
    down_b: Float[Tensor, "d F"],
) -> tuple[Tensor, Tensor]:
    """The second expert with its hidden units in the order of the first's.

    Args:
        gate_up_a: Of the first: the gate's rows, then up's.
        down_a: Of the first.
        gate_up_b: Of the second.
        down_b: Of the second.
    """
    if gate_up_a.shape != gate_up_b.shape or down_a.shape != down_b.shape:
        raise ShapeError(
            f"gate_up_b has shape {tuple(gate_up_b.shape)}, expected {tuple(gate_up_a.shape)}"
        )
    (gate_a, up_a), (gate_b, up_b) = gate_up_a.chunk(2), gate_up_b.chunk(2)
    gain = gate_a @ gate_b.T + up_a @ up_b.T + down_a.T @ down_b
    _, order = linear_sum_assignment(gain.detach().double().numpy(), maximize=True)
    return torch.cat([gate_b[order], up_b[order]]), down_b[:, order]


@checked
def merge_group(
    gate_up: Float[Tensor, "E F2 d"],
    down: Float[Tensor, "E d F"],
    members: Sequence[int],
    usage: Any,
    aligned: bool = True,
) -> tuple[Tensor, Tensor]:
    """One expert of several: the mean of their weights by use.

    Args:
        gate_up: Of every expert.
        down: Of every expert.
        members: The group, the dominant one first.
        usage: (E,) share of the tokens that use each expert; where no member has any, all count
            alike.
        aligned: Whether hidden units are put in the dominant's order first.

    Raises:
        ArgumentError: An empty group.
    """
    members = [whole("members", e, least=0, most=len(gate_up) - 1) for e in members]
    if not members:
        raise ArgumentError("members: expected one expert or more")
    used = floats("usage", usage)[members]
    used = used / used.sum() if used.sum() > 0 else np.full(len(members), 1 / len(members))
    first, last = gate_up[members[0]], down[members[0]]
    wide, narrow = torch.zeros_like(first), torch.zeros_like(last)
    for e, share in zip(members, used, strict=True):
        pair = (gate_up[e], down[e])
        if aligned and e != members[0]:
            pair = align(first, last, *pair)
        wide += float(share) * pair[0]
        narrow += float(share) * pair[1]
    return wide, narrow


def members_of(groups: Sequence[int]) -> dict[int, list[int]]:
    """Dominant expert -> its group, itself first; in the order of the dominant ones."""
    return {
        d: [d, *(e for e, g in enumerate(groups) if g == d and e != d)] for d in sorted(set(groups))
    }
