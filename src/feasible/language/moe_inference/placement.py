"""Experts on several devices: who is where, so that no device waits and few tokens travel.

    minimise max_d sum of the loads on device d        (`place_experts`)
    minimise the tokens that change device between layers     (`place_by_affinity`)

Loads are shares of tokens. The first is by the longest-processing-time rule, with room for as many
experts on each device or without; a hot expert may have replicas, which share its load. The second
is an integer program where it is small and a search by swaps where it is not.

References:
    Graham (1969): without equal counts the rule is within 4/3 - 1/(3 D) of the best. Yao et al.,
    ExFlow (arXiv 2401.08383) for affinity between layers; DeepSeek's load balancer for replicas.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from ...core.annotations import checked
from ...core.checks import floats, whole
from ...core.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SMALL = 2_000
"""Variables up to which affinity is an integer program."""
SECONDS = 10.0


@dataclass
class Placement:
    """Where the experts of a layer are.

    Attributes:
        expert: (S,) expert of each slot; one with replicas has several.
        device: (S,) device of each slot.
        load: (D,) load of each device.
    """

    expert: Int[np.ndarray, " S"]
    device: Int[np.ndarray, " S"]
    load: Float[np.ndarray, " D"]

    @property
    def imbalance(self) -> float:
        """Largest load over the mean load."""
        return float(self.load.max() / max(self.load.mean(), 1e-300))


@checked
def place_experts(load: Any, devices: int, replicas: int = 0, equal: bool = True) -> Placement:
    """Place a layer's experts by the longest-processing-time rule.

    Args:
        load: (E,) load of each expert, at least 0.
        devices: How many.
        replicas: Slots beside one for each expert; each goes to the expert with the largest load a
            replica.
        equal: Every device has as many slots (as nearly as they can be divided).

    Raises:
        ArgumentError: A load below 0, or more devices than slots where counts are equal.

    Examples:
        >>> place_experts((5.0, 4.0, 3.0, 3.0, 3.0), 2, equal=False).load.tolist()
        [8.0, 10.0]
    """
    loads = floats("load", load)
    if loads.ndim != 1 or not loads.size:
        raise ShapeError(f"load has shape {loads.shape}, expected (E,)")
    if not (np.isfinite(loads).all() and (loads >= 0).all()):
        raise ArgumentError("load: expected finite numbers >= 0")
    whole("devices", devices, least=1, most=len(loads) + replicas if equal else None)
    whole("replicas", replicas, least=0)
    copies = np.ones(len(loads), int)
    heap = [(-float(v), e) for e, v in enumerate(loads)]
    heapq.heapify(heap)
    for _ in range(replicas):
        _, e = heapq.heappop(heap)
        copies[e] += 1
        heapq.heappush(heap, (-float(loads[e] / copies[e]), e))
    expert = np.repeat(np.arange(len(loads)), copies)
    each = (loads / copies)[expert]
    order = np.argsort(-each, kind="stable")
    room = np.full(devices, len(expert))
    if equal:
        room = len(expert) // devices + (np.arange(devices) < len(expert) % devices)
    total, device = np.zeros(devices), np.zeros(len(expert), int)
    has = np.zeros((len(loads), devices), bool)
    for s in order:
        free = np.flatnonzero(room > 0)
        apart = free[~has[expert[s], free]]  # a second replica on a device is of no use
        free = apart if len(apart) else free
        d = free[np.argmin(total[free])]
        device[s], has[expert[s], d] = d, True
        total[d] += each[s]
        room[d] -= 1
    return Placement(expert, device, total)


@checked
def transitions(trace: Any) -> Float[np.ndarray, "layers-1 E E"]:
    """How many tokens use expert i in a layer and expert j in the next.

    Args:
        trace: (tokens, layers, k) experts of each token; below 0: none.
    """
    uses = np.asarray(trace)
    if uses.ndim != 3 or uses.shape[1] < 2:
        raise ShapeError(f"trace has shape {uses.shape}, expected (tokens, layers >= 2, k)")
    many = int(uses.max(initial=0)) + 1
    found = np.zeros((uses.shape[1] - 1, many, many))
    for layer in range(uses.shape[1] - 1):
        a = np.repeat(uses[:, layer], uses.shape[2], 1).reshape(-1)
        b = np.tile(uses[:, layer + 1], uses.shape[2]).reshape(-1)
        both = (a >= 0) & (b >= 0)
        np.add.at(found[layer], (a[both], b[both]), 1.0)
    return found


def crossing(flow: Any, device: Any) -> float:
    """Tokens that change device between two layers.

    Args:
        flow: (layers-1, E, E) of `transitions`.
        device: (layers, E) device of each expert.
    """
    flow, device = np.asarray(flow), np.asarray(device)
    apart = device[:-1, :, None] != device[1:, None, :]
    return float((flow * apart).sum())


@checked
def place_by_affinity(flow: Any, devices: int, small: int = SMALL) -> Int[np.ndarray, "layers E"]:
    """Place the experts of all layers, as many on each device in each layer, so that few tokens
    change device between layers.

    Args:
        flow: (layers-1, E, E) of `transitions`.
        devices: How many; they divide the experts.
        small: Variables up to which it is solved as an integer program; above it, swaps of two
            experts of a layer from a greedy start until none helps.

    Raises:
        ArgumentError: Devices that do not divide the experts.
    """
    flow = floats("flow", flow)
    if flow.ndim != 3 or flow.shape[1] != flow.shape[2] or not flow.size:
        raise ShapeError(f"flow has shape {flow.shape}, expected (layers-1, E, E)")
    many = flow.shape[1]
    whole("devices", devices, least=1, most=many)
    if many % devices:
        raise ArgumentError(f"devices={devices}: expected a divisor of the {many} experts")
    found = _swapped(flow, devices)
    variables = (len(flow) + 1) * many * devices + len(flow) * many * many
    if variables > small:
        return found
    exact = _solved(flow, devices)
    if exact is not None and crossing(flow, exact) <= crossing(flow, found):
        return exact
    return found


def _swapped(flow: np.ndarray, devices: int) -> Int[np.ndarray, "layers E"]:
    """Layer by layer by the tokens that come from each device; then swaps until none helps."""
    steps, many, _ = flow.shape
    each = many // devices
    device = np.zeros((steps + 1, many), int)
    device[0] = np.arange(many) // each
    for layer in range(1, steps + 1):
        gain = np.stack([flow[layer - 1][device[layer - 1] == d].sum(0) for d in range(devices)], 1)
        room, placed = np.full(devices, each), np.full(many, -1)
        for flat in np.argsort(-gain, axis=None, kind="stable"):
            e, d = divmod(int(flat), devices)
            if placed[e] < 0 and room[d]:
                placed[e] = d
                room[d] -= 1
        device[layer] = placed
    better = True
    while better:
        better = False
        for layer in range(steps + 1):
            for a in range(many):
                for b in range(a):
                    better |= _try(flow, device, layer, a, b)
    return device


def _try(flow: np.ndarray, device: np.ndarray, layer: int, a: int, b: int) -> bool:
    """Swap two experts of a layer where fewer tokens travel then."""
    if device[layer, a] == device[layer, b]:
        return False
    near = slice(max(layer - 1, 0), layer + 1)
    about = slice(max(layer - 1, 0), layer + 2)
    before = crossing(flow[near], device[about])
    device[layer, [a, b]] = device[layer, [b, a]]
    if crossing(flow[near], device[about]) < before - 1e-9:
        return True
    device[layer, [a, b]] = device[layer, [b, a]]
    return False


def _solved(flow: np.ndarray, devices: int) -> Int[np.ndarray, "layers E"] | None:
    """The integer program: x[l, e, d] places, y[l, i, j] >= x[l, i, d] - x[l+1, j, d] travels."""
    steps, many, _ = flow.shape
    places = (steps + 1) * many * devices
    at = np.arange(places).reshape(steps + 1, many, devices)
    travel = places + np.arange(steps * many * many).reshape(steps, many, many)
    n = places + travel.size
    rows: list[tuple[list[int], list[float], float, float]] = []
    for layer in range(steps + 1):
        rows += [([*at[layer, e]], [1.0] * devices, 1.0, 1.0) for e in range(many)]
        each = many // devices
        rows += [([*at[layer, :, d]], [1.0] * many, each, each) for d in range(devices)]
    for layer, i, j in np.argwhere(flow > 0):
        for d in range(devices):
            columns = [travel[layer, i, j], at[layer, i, d], at[layer + 1, j, d]]
            rows.append((columns, [1.0, -1.0, 1.0], 0.0, np.inf))
    where = np.repeat(np.arange(len(rows)), [len(r[0]) for r in rows])
    data = ([v for r in rows for v in r[1]], (where, [c for r in rows for c in r[0]]))
    matrix = sparse.csr_matrix(data, shape=(len(rows), n))
    found = milp(
        np.concatenate([np.zeros(places), flow.reshape(-1)]),
        constraints=LinearConstraint(matrix, [r[2] for r in rows], [r[3] for r in rows]),
        integrality=np.concatenate([np.ones(places), np.zeros(travel.size)]),
        bounds=Bounds(0, 1),
        options={"time_limit": SECONDS},
    )
    return None if found.x is None else found.x[:places].reshape(at.shape).argmax(2)
