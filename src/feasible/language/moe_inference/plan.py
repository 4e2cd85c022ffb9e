"""Which expert is kept in how many bits, and where: an integer program.

    minimise    sum c[l, e, o] x[l, e, o]
    subject to  sum_o x[l, e, o] = 1                       for each layer l and expert e
                sum bytes x <= memory,  sum of the fast options' bytes x <= fast memory
                sum time x <= latency
                kept experts of each layer >= k

with x binary. A layer may also be replaced as a whole by one whose experts are merged (z[l, a]
binary in the first row of its experts, with a cost, bytes and time of its own). HiGHS solves it to
a gap; the greedy walks down the convex hull of each expert's options by the cost of a byte, and the
linear program bounds both from below.

References:
    Li et al., MC-MoE (arXiv 2410.06270) for the allocation of bits; Liu et al. (arXiv 2412.14219).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from ...core.annotations import Checked, checked
from ...core.checks import floats, real, whole
from ...core.errors import ArgumentError, Infeasible, NotFinite, ShapeError
from .recipe import Recipe

if TYPE_CHECKING:
    from jaxtyping import Float

GAP, SECONDS = 1e-4, 30.0


@dataclass(frozen=True)
class Option(Checked):
    """One way to keep an expert.

    Attributes:
        bits: Of a weight; 0: it is dropped.
        fast: Whether it lies in fast memory.
    """

    bits: int
    fast: bool = True

    def __post_init__(self) -> None:
        whole("bits", self.bits, least=0)

    def __str__(self) -> str:
        if not self.bits:
            return "drop"
        return f"{self.bits}{'' if self.fast else ' slow'}"


@dataclass(frozen=True)
class Merged(Checked):
    """A layer whose experts are merged, in the place of all its experts.

    Attributes:
        layer: Which one.
        groups: (E,) the dominant expert of each.
        bits: Of a weight.
        cost: Loss of quality.
        bytes: Stored, of all its groups.
        time: Expected seconds a token.
    """

    layer: int
    groups: tuple[int, ...]
    bits: int
    cost: float
    bytes: float
    time: float = 0.0


@dataclass
class Choices(Checked):
    """The data of the integer program.

    Attributes:
        options: What each expert may be.
        cost: (L, E, O) loss of quality.
        bytes: (O,) or (L, E, O) stored bytes.
        time: (L, E, O) expected seconds a token, or None.
        rest_bytes: Of what is no expert.
        rest_time: Of what is no expert.
        keep: Experts of each layer that are kept at least.
        merged: Layers that may be replaced; the greedy makes no use of them.
    """

    options: Sequence[Option]
    cost: Any
    bytes: Any
    time: Any = None
    rest_bytes: float = 0.0
    rest_time: float = 0.0
    keep: int = 1
    merged: Sequence[Merged] = ()

    def __post_init__(self) -> None:
        self.options = tuple(self.options)
        if not self.options or not all(isinstance(o, Option) for o in self.options):
            raise ArgumentError("options: expected one Option or more")
        self.cost = floats("cost", self.cost)
        if self.cost.ndim != 3 or self.cost.shape[2] != len(self.options) or not self.cost.size:
            raise ShapeError(
                f"cost has shape {self.cost.shape}, expected (L, E, {len(self.options)}), layers "
                "by experts by options"
            )
        for name in ("bytes", "time"):
            if getattr(self, name) is not None:
                try:
                    wide = np.broadcast_to(floats(name, getattr(self, name)), self.cost.shape)
                except ValueError:
                    raise ShapeError(f"{name}: expected shape {self.cost.shape}") from None
                setattr(self, name, wide)
        for name in ("cost", "bytes", "time"):
            found = getattr(self, name)
            if found is not None and not np.isfinite(found).all():
                raise NotFinite(f"{name}: expected finite numbers, got a NaN or an infinity")
        real("rest_bytes", self.rest_bytes, least=0)
        real("rest_time", self.rest_time, least=0)
        whole("keep", self.keep, least=0, most=self.cost.shape[1])
        for m in self.merged:
            whole("merged: layer", m.layer, least=0, most=self.cost.shape[0] - 1)
            if len(m.groups) != self.cost.shape[1]:
                raise ShapeError(
                    f"merged: groups has {len(m.groups)} entries, expected {self.cost.shape[1]}"
                )

    def flat(self, name: str) -> np.ndarray:
        """A figure of every x, then of every merged layer."""
        return np.concatenate(
            [getattr(self, name).reshape(-1), [getattr(m, name) for m in self.merged]]
        )

    @property
    def kept(self) -> np.ndarray:
        """(O,) whether an option keeps the expert."""
        return np.array([o.bits > 0 for o in self.options])

    @property
    def fast(self) -> np.ndarray:
        """(O,) whether an option takes fast memory."""
        return np.array([o.fast for o in self.options])


@dataclass
class Plan:
    """A choice for every expert.

    Attributes:
        assign: (L, E) number of the option.
        bits: (L, E) bits of a weight, 0 where dropped.
        fast: (L, E) whether it lies in fast memory.
        objective: Its cost.
        bound: No plan costs less.
        bytes: Stored, all of the model.
        seconds: Expected, a token.
        status: How it was found: "optimal", "feasible" (the time was used up), "greedy".
        groups: (L, E) the dominant expert of each where layers are merged; None: none is.
    """

    assign: list[list[int]]
    bits: list[list[int]]
    fast: list[list[bool]]
    objective: float
    bound: float
    bytes: float
    seconds: float
    status: str
    groups: list[list[int]] | None = None

    def recipe(self) -> Recipe:
        """What becomes of each expert."""
        slow = not all(f for row in self.fast for f in row)
        return Recipe(
            self.bits,
            self.groups,
            fast=self.fast if slow else None,
            recover="none" if self.groups is None else "ridge",
        )

    @property
    def gap(self) -> float:
        """(objective - bound) over the objective's size."""
        return (self.objective - self.bound) / max(abs(self.objective), 1e-300)


def _limits(
    c: Choices, memory: float, fast: float | None, latency: float | None
) -> tuple[Any, np.ndarray, np.ndarray]:
    """The rows of the program over the flat x, with lower and upper limits."""
    L, E, many = c.cost.shape
    of = np.array([m.layer for m in c.merged], dtype=int)
    layers = sparse.csr_matrix((np.ones(len(of)), (of, np.arange(len(of)))), (L, len(of)))
    one = sparse.kron(sparse.eye(L * E), np.ones((1, many)))
    rows = [sparse.hstack([one, sparse.kron(layers, np.ones((E, 1)))])]
    low, high = [np.ones(L * E)], [np.ones(L * E)]

    def add(values: np.ndarray, most: float) -> None:
        rows.append(sparse.csr_matrix(values[None]))
        low.append(np.array([-np.inf]))
        high.append(np.array([most]))

    size = max(float(c.bytes.max()), 1.0)  # rows of about 1
    add(c.flat("bytes") / size, (memory - c.rest_bytes) / size)
    if fast is not None:
        near = np.concatenate([np.tile(c.fast, L * E), np.ones(len(of), bool)])
        add(c.flat("bytes") * near / size, (fast - c.rest_bytes) / size)
    if latency is not None and c.time is not None:
        unit = max(float(c.time.max()), 1e-300)
        add(c.flat("time") / unit, (latency - c.rest_time) / unit)
    if not c.kept.all():
        kept = sparse.kron(sparse.eye(L), np.tile(c.kept.astype(float), E)[None])
        rows.append(sparse.hstack([kept, c.keep * layers]))
        low.append(np.full(L, float(c.keep)))
        high.append(np.full(L, np.inf))
    return sparse.vstack(rows).tocsr(), np.concatenate(low), np.concatenate(high)


def _solved(
    cost: Float[np.ndarray, " n"],
    limits: tuple[Any, np.ndarray, np.ndarray],
    binary: bool = True,
    **options: float,
) -> Any:
    """HiGHS's answer to the program, or to its linear relaxation."""
    return milp(
        cost,
        constraints=LinearConstraint(*limits),
        integrality=np.full(cost.size, int(binary)),
        bounds=Bounds(0, 1),
        options=options,
    )


@checked
def plan_moe(
    choices: Choices,
    memory: float,
    fast: float | None = None,
    latency: float | None = None,
    gap: float = GAP,
    seconds: float = SECONDS,
) -> Plan:
    """The best plan within memory and latency, to a gap.

    Args:
        choices: Costs, bytes and times.
        memory: Bytes in all.
        fast: Bytes of fast memory; None for all of it.
        latency: Seconds a token; None for no limit.
        gap: Relative gap at which it ends.
        seconds: After which the best plan so far is taken.

    Raises:
        Infeasible: No plan keeps to the limits; names the smallest memory that one can.
        ArgumentError: A limit out of range.
    """
    real("memory", memory, above=0)
    if fast is not None:
        real("fast", fast, above=0)
    if latency is not None:
        real("latency", latency, above=0)
    real("gap", gap, least=0)
    real("seconds", seconds, above=0)
    scale = max(float(np.abs(choices.cost).max()), 1e-300)
    limits = _limits(choices, memory, fast, latency)
    found = _solved(choices.flat("cost") / scale, limits, mip_rel_gap=gap, time_limit=seconds)
    if found.x is None:
        raise _refused(choices, memory, fast, latency, seconds)
    n = choices.cost.size
    assign = found.x[:n].reshape(choices.cost.shape).argmax(2)
    merged = [m for m, z in zip(choices.merged, found.x[n:], strict=True) if z > 0.5]
    bound = getattr(found, "mip_dual_bound", None)
    return _made(
        choices,
        assign,
        scale * float(found.fun if bound is None else bound),
        "optimal" if found.status == 0 else "feasible",
        merged,
    )


def _made(
    c: Choices, assign: np.ndarray, bound: float, status: str, merged: Sequence[Merged] = ()
) -> Plan:
    """A plan with its figures."""
    where = (*np.indices(assign.shape), assign)
    bits, near = np.array([o.bits for o in c.options])[assign], c.fast[assign]
    alone = np.ones(len(assign), bool)
    groups = [list(range(assign.shape[1])) for _ in assign]
    for m in merged:
        alone[m.layer], bits[m.layer], near[m.layer] = False, m.bits, True
        groups[m.layer] = list(m.groups)
    time = 0.0 if c.time is None else float(c.time[where][alone].sum())
    time += sum(m.time for m in merged)
    cost = float(c.cost[where][alone].sum()) + sum(m.cost for m in merged)
    size = float(c.bytes[where][alone].sum()) + sum(m.bytes for m in merged)
    return Plan(
        assign.tolist(), bits.tolist(), near.tolist(), cost, min(bound, cost),
        c.rest_bytes + size, c.rest_time + time, status, groups if merged else None,
    )  # fmt: skip


def _refused(
    c: Choices, memory: float, fast: float | None, latency: float | None, seconds: float
) -> ArgumentError:
    """The error of limits that no plan keeps to, with the smallest memory by a second program."""
    size = max(float(c.bytes.max()), 1.0)
    limits = _limits(c, math.inf, fast, latency)
    found = _solved(c.flat("bytes") / size, limits, time_limit=seconds)
    if found.x is None:
        return Infeasible("no plan keeps to the fast memory and the latency, whatever the memory")
    least = c.rest_bytes + size * float(found.fun)
    if least <= memory * (1 + 1e-12):
        return Infeasible(f"no plan was found within {seconds:g} s: give it more seconds")
    return Infeasible(f"memory={memory:g}: the smallest plan takes {math.ceil(least - 1e-6)} bytes")


@checked
def bound_moe(
    choices: Choices, memory: float, fast: float | None = None, latency: float | None = None
) -> float:
    """The linear program's bound: no plan costs less.

    Raises:
        Infeasible: Not even a fractional plan keeps to the limits.
    """
    real("memory", memory, above=0)
    scale = max(float(np.abs(choices.cost).max()), 1e-300)
    limits = _limits(choices, memory, fast, latency)
    found = _solved(choices.flat("cost") / scale, limits, binary=False)
    if found.x is None:
        raise _refused(choices, memory, fast, latency, SECONDS)
    return scale * float(found.fun)


@checked
def greedy_moe(choices: Choices, memory: float) -> Plan:
    """From the dearest option of each expert down its convex hull, at each time the step that costs
    least for the bytes that it saves, until the memory is kept to. `keep` experts of a layer
    stay at least. For programs too large for `plan_moe`; it knows no latency.

    Raises:
        Infeasible: The smallest plan is too large; names it.
    """
    real("memory", memory, above=0)
    c, (L, E, _) = choices, choices.cost.shape
    steps: list[tuple[float, int, int, int, int]] = []
    assign = np.zeros((L, E), dtype=int)
    hulls = {}
    for layer in range(L):
        for e in range(E):
            hull = _hull(c.bytes[layer, e], c.cost[layer, e])
            hulls[layer, e] = hull
            assign[layer, e] = hull[0]
            _push(steps, c, layer, e, hull, 0)
    total = c.rest_bytes + float(c.bytes[(*np.indices(assign.shape), assign)].sum())
    dropped, drops = np.zeros(L, dtype=int), ~c.kept
    while total > memory and steps:
        _, layer, e, k, o = heapq.heappop(steps)
        if drops[o] and dropped[layer] >= E - c.keep:
            continue
        dropped[layer] += drops[o]
        total += float(c.bytes[layer, e, o] - c.bytes[layer, e, assign[layer, e]])
        assign[layer, e] = o
        _push(steps, c, layer, e, hulls[layer, e], k)
    if total > memory:
        raise Infeasible(
            f"memory={memory:g}: the greedy's smallest plan takes {math.ceil(total)} bytes"
        )
    return _made(c, assign, bound_moe(c, memory), "greedy")


def _push(
    steps: list[tuple[float, int, int, int, int]], c: Choices, layer: int, e: int, hull: list[int],
    k: int,
) -> None:  # fmt: skip
    """Note the next step down an expert's hull."""
    if k + 1 < len(hull):
        a, b = hull[k], hull[k + 1]
        saved = c.bytes[layer, e, a] - c.bytes[layer, e, b]
        slope = float((c.cost[layer, e, b] - c.cost[layer, e, a]) / saved)
        heapq.heappush(steps, (slope, layer, e, k + 1, b))


def _hull(size: Float[np.ndarray, " O"], cost: Float[np.ndarray, " O"]) -> list[int]:
    """Options on the lower convex hull of cost over bytes, from the best to the smallest."""
    order = sorted(range(len(size)), key=lambda o: (cost[o], size[o]))
    hull = [order[0]]
    smaller = sorted(
        (o for o in order if size[o] < size[hull[0]]), key=lambda o: (-size[o], cost[o])
    )
    for o in smaller:
        if size[o] == size[hull[-1]]:
            continue
        while len(hull) > 1 and _slope(size, cost, hull[-2], hull[-1]) >= _slope(
            size, cost, hull[-2], o
        ):
            hull.pop()
        hull.append(o)
    return hull


def _slope(size: np.ndarray, cost: np.ndarray, a: int, b: int) -> float:
    """Cost of a byte that is saved from one option to another."""
    return float((cost[b] - cost[a]) / (size[a] - size[b]))
