"""A cache of experts, simulated on a trace of which token used which experts.

Experts of a layer lie in slow memory, a few of them in a cache too. A policy says which one makes
room: LRU the one that was used longest ago; LFU the one with the fewest uses, old ones ageing;
"activation" the one that this request, and requests before it, used least; Belady's the one that
is needed again last, which no policy can beat and none that works knows. A prefetch loads what the
next layer will probably need while this one computes. All seconds here are simulated.

References:
    Xue et al., MoE-Infinity (arXiv 2401.14361) for the activation-aware score; Eliseev and Mazur
    (arXiv 2312.17238) for the prefetch; Belady (1966) for the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from ...core.annotations import Checked, checked
from ...core.checks import fraction, one_of, real, whole
from ...core.errors import ShapeError

if TYPE_CHECKING:
    from jaxtyping import Int

PolicyName = Literal["lru", "lfu", "activation", "belady"]
POLICIES: tuple[PolicyName, ...] = ("lru", "lfu", "activation", "belady")
AGEING = 0.99
"""Of LFU: what a use is worth one token later."""
PRIOR = 0.1
"""Of the activation-aware score: what earlier requests are worth beside this one."""


@dataclass(frozen=True)
class CacheTimes(Checked):
    """Seconds of one layer and token.

    Attributes:
        attention: Of what is no expert.
        expert: Of one expert.
        load: To bring one expert from slow memory.
    """

    attention: float = 1e-4
    expert: float = 1e-4
    load: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("attention", "expert", "load"):
            real(name, getattr(self, name), least=0)


@dataclass
class CacheReport:
    """What a simulated cache did.

    Attributes:
        hits: Uses of an expert that was in the cache, or on its way to it.
        misses: Uses of one that was not.
        prefetched: Experts that were loaded before they were asked for.
        seconds: Simulated, for the whole trace.
    """

    hits: int
    misses: int
    prefetched: int
    seconds: float

    @property
    def rate(self) -> float:
        """Share of hits."""
        return self.hits / max(self.hits + self.misses, 1)


@checked
def simulate_cache(
    trace: Any,
    capacity: int,
    policy: Literal["lru", "lfu", "activation", "belady"] = "lru",
    shared: bool = False,
    requests: Any = None,
    predicted: Any = None,
    times: CacheTimes | None = None,
    ageing: float = AGEING,
    prior: float = PRIOR,
) -> CacheReport:
    """Run a trace through a cache.

    Args:
        trace: (tokens, layers, k) experts of each token, in the order of their use; below 0: none.
        capacity: Experts in the cache of each layer, or of all layers where it is shared.
        policy: Which expert makes room.
        shared: One cache for all layers.
        requests: (tokens,) number of the request that a token is of, which the activation-aware
            score begins anew with; None: one request.
        predicted: (tokens, layers, m) experts to be loaded while the layer before computes; below
            0: none. None: no prefetch.
        times: Of a layer.
        ageing: Of LFU.
        prior: Of the activation-aware score.

    Raises:
        ShapeError: A trace that is no table of tokens, layers and experts.
        ArgumentError: A cache that holds fewer experts than a token uses.

    Examples:
        >>> simulate_cache([[[0]], [[1]], [[2]], [[0]], [[1]], [[3]]], 2, "belady").misses
        5
    """
    one_of("policy", policy, POLICIES)
    fraction("ageing", ageing, zero=False)
    real("prior", prior, least=0)
    uses = _table("trace", trace)
    most = int((uses >= 0).sum(2).max(initial=0))
    whole("capacity", capacity, least=max(most, 1), note=", the experts of a token")
    many = int(uses.max(initial=0)) + 1
    ahead = None if predicted is None else _table("predicted", predicted)
    if ahead is not None:
        if ahead.shape[:2] != uses.shape[:2]:
            raise ShapeError(
                f"predicted has shape {ahead.shape}, expected {(*uses.shape[:2], 'm')}"
            )
        many = max(many, int(ahead.max(initial=0)) + 1)
    request = np.zeros(len(uses), int) if requests is None else np.asarray(requests)
    if request.shape != (len(uses),):
        raise ShapeError(f"requests has shape {request.shape}, expected ({len(uses)},)")
    caches = _Caches(uses, many, capacity, shared, _policy(policy, uses, many, ageing, prior))
    return _run(caches, uses, request, ahead, times or CacheTimes())


def _table(name: str, values: Any) -> Int[np.ndarray, "tokens layers k"]:
    """A table of experts, checked."""
    try:
        found = np.asarray(values)
    except ValueError:
        found = np.empty(0)
    if found.ndim != 3 or not np.issubdtype(found.dtype, np.integer):
        raise ShapeError(
            f"{name} has shape {found.shape}, expected whole numbers (tokens, layers, experts)"
        )
    return found


class Policy(Protocol):
    """How much an expert is worth keeping; the least is evicted. Keys are (layer, expert)."""

    def begin(self, token: int, request: int) -> None:
        """A token begins."""
        return

    def used(self, token: int, layer: int, e: int) -> None:
        """An expert is used."""
        return

    def worth(self, token: int, layer: int, e: int) -> float:
        """What it is worth."""


class _Recent(Policy):
    """LRU."""

    def __init__(self, layers: int, many: int):
        self.clock, self.last = 0, np.full((layers, many), -1)

    def used(self, token: int, layer: int, e: int) -> None:
        self.clock += 1
        self.last[layer, e] = self.clock

    def worth(self, token: int, layer: int, e: int) -> float:
        return float(self.last[layer, e])


class _Frequent(Policy):
    """LFU with ageing: a use is worth ageing^(tokens since)."""

    def __init__(self, layers: int, many: int, ageing: float):
        self.ageing, self.count = ageing, np.zeros((layers, many))

    def begin(self, token: int, request: int) -> None:
        self.count *= self.ageing

    def used(self, token: int, layer: int, e: int) -> None:
        self.count[layer, e] += 1

    def worth(self, token: int, layer: int, e: int) -> float:
        return float(self.count[layer, e])


class _Active(Policy):
    """Share of the layer's uses in this request, plus a prior of the requests before."""

    def __init__(self, layers: int, many: int, prior: float):
        self.prior, self.request = prior, -1
        self.now, self.before = np.zeros((layers, many)), np.zeros((layers, many))

    def begin(self, token: int, request: int) -> None:
        if request != self.request:
            self.before += self.now
            self.now[:] = 0
            self.request = request

    def used(self, token: int, layer: int, e: int) -> None:
        self.now[layer, e] += 1

    def worth(self, token: int, layer: int, e: int) -> float:
        now, before = self.now[layer], self.before[layer]
        return float(now[e] / max(now.sum(), 1.0) + self.prior * before[e] / max(before.sum(), 1.0))


class _Clairvoyant(Policy):
    """Belady: minus the time of the next use."""

    def __init__(self, uses: Int[np.ndarray, "tokens layers k"], many: int):
        tokens, layers, _ = uses.shape
        self.next = np.full((tokens, layers, many), np.inf)
        coming = np.full((layers, many), np.inf)
        for t in range(tokens - 1, -1, -1):
            self.next[t] = coming
            for layer in range(layers):
                used = uses[t, layer]
                coming[layer, used[used >= 0]] = t * layers + layer
        self.first = coming

    def worth(self, token: int, layer: int, e: int) -> float:
        return -float(self.next[token, layer, e])


def _policy(
    name: str, uses: Int[np.ndarray, "tokens layers k"], many: int, ageing: float, prior: float
) -> Policy:
    layers = uses.shape[1]
    made: dict[str, Callable[[], Policy]] = {
        "lru": lambda: _Recent(layers, many),
        "lfu": lambda: _Frequent(layers, many, ageing),
        "activation": lambda: _Active(layers, many, prior),
        "belady": lambda: _Clairvoyant(uses, many),
    }
    return made[name]()


class _Caches:
    """What lies in the cache of each layer, or of all; and when it is there."""

    def __init__(
        self, uses: np.ndarray, many: int, capacity: int, shared: bool, policy: Policy
    ) -> None:
        self.capacity, self.shared, self.policy = capacity, shared, policy
        self.there: list[dict[tuple[int, int], float]] = [
            {} for _ in range(1 if shared else uses.shape[1])
        ]

    def of(self, layer: int) -> dict[tuple[int, int], float]:
        """The cache that a layer uses: key -> time when it is there."""
        return self.there[0 if self.shared else layer]

    def load(self, token: int, key: tuple[int, int], ready: float, held: set[Any]) -> bool:
        """Bring an expert in; one that is not held makes room. False where none can."""
        cache = self.of(key[0])
        if len(cache) >= self.capacity:
            free = [k for k in cache if k not in held]
            if not free:
                return False
            worth = {k: self.policy.worth(token, *k) for k in free}
            del cache[min(free, key=lambda k: (worth[k], k))]
        cache[key] = ready
        return True


def _run(
    caches: _Caches,
    uses: np.ndarray,
    requests: np.ndarray,
    ahead: np.ndarray | None,
    times: CacheTimes,
) -> CacheReport:
    """Token by token, layer by layer: attention, loads one at a time, experts."""
    report = CacheReport(0, 0, 0, 0.0)
    clock = channel = 0.0
    layers = uses.shape[1]
    for t in range(len(uses)):
        caches.policy.begin(t, requests[t])
        for layer in range(layers):
            clock += times.attention
            needed = [(layer, int(e)) for e in uses[t, layer] if e >= 0]
            ready = clock
            for key in needed:
                cache = caches.of(layer)
                if key in cache:
                    report.hits += 1
                else:
                    report.misses += 1
                    channel = max(clock, channel) + times.load
                    caches.load(t, key, channel, set(needed[: needed.index(key)]))
                ready = max(ready, cache[key])
                caches.policy.used(t, *key)
            if ahead is not None and layer + 1 < layers:
                channel = _prefetch(caches, report, t, layer + 1, ahead, needed, clock, channel,
                                    times)  # fmt: skip
            clock = ready + times.expert * len(needed)
    report.seconds = clock
    return report


def _prefetch(
    caches: _Caches,
    report: CacheReport,
    t: int,
    layer: int,
    ahead: np.ndarray,
    needed: Sequence[tuple[int, int]],
    clock: float,
    channel: float,
    times: CacheTimes,
) -> float:
    """Load what a layer will probably need; the time when the channel is free again."""
    wanted = [(layer, int(e)) for e in ahead[t, layer] if e >= 0]
    held = {*needed, *wanted}
    for key in wanted:
        if key not in caches.of(layer):
            begun = max(clock, channel)
            if caches.load(t, key, begun + times.load, held):
                channel = begun + times.load
                report.prefetched += 1
    return channel
