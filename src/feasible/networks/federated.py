"""FederatedProblem: a mean of functions, each known to one client, of which only values are had.

minimise  F(x) = sum_i w_i f_i(x)  over a box
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.budget import Resource, spend
from ..core.checks import floats, one_of, whole
from ..core.errors import ArgumentError, ArgumentTypeError, BoundsError, NotFinite, ShapeError
from ..core.problem import Problem
from ..core.verdict import Verdict

if TYPE_CHECKING:
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]

Resource("queries", "values asked of a client")
ON_FAILURE = ("raise", "skip")


def by_client(name: str, given: Any, part: str | None = None) -> dict[Hashable, Any]:
    """Return clients by label; of a sequence the labels are 0, 1, ...

    Args:
        name: The argument, for errors.
        given: A mapping, or a sequence.
        part: A method that each must have; None: each is a function itself.
    """
    wanted = "function" if part is None else f"client with {part}(message)"
    if isinstance(given, Mapping):
        found = dict(given)
    elif isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        found = dict(enumerate(given))
    else:
        raise ArgumentTypeError(
            f"{name}={given!r:.60}: expected a mapping or a sequence, of a {wanted} each"
        )
    if not found:
        raise ArgumentError(f"{name} is empty: expected one client at least")
    for label, one in found.items():
        if not callable(one if part is None else getattr(one, part, None)):
            raise ArgumentTypeError(
                f"{name}: that of {label!r} is {one!r:.40}, expected a {wanted}"
            )
    return found


def weights_of(given: Any, labels: Sequence[Hashable]) -> Float[np.ndarray, " n"]:
    """Return the clients' weights, which sum to one.

    Args:
        given: A number >= 0 by label, or in the clients' order; None: all alike.
        labels: The clients.

    Raises:
        ArgumentError: One is negative or not finite, or their sum is 0 or not 1.
    """
    n = len(labels)
    if given is None:
        return np.full(n, 1 / n)
    if isinstance(given, Mapping):
        missing = [label for label in labels if label not in given]
        if missing:
            raise ArgumentError(f"weights: client {missing[0]!r} has none")
        given = [given[label] for label in labels]
    found = floats("weights", given)
    if found.shape != (n,):
        raise ShapeError(f"weights have shape {found.shape}: expected ({n},), one a client")
    if not np.isfinite(found).all():
        raise NotFinite("weights have a NaN or an infinity: expected numbers >= 0 that sum to 1")
    if found.min() < 0:
        worst = labels[int(found.argmin())]
        raise ArgumentError(f"weights: that of client {worst!r} is {found.min():g}, expected >= 0")
    if abs(float(found.sum()) - 1) > 1e-9:
        raise ArgumentError(f"weights sum to {found.sum():g}: expected 1")
    return found


@dataclass(frozen=True)
class Box:
    """A box, and the unit cube that methods work in.

    Attributes:
        low: (d,).
        high: (d,).
    """

    low: Vector
    high: Vector

    @classmethod
    def about(cls, x0: Any, bounds: Any) -> tuple[Box, Vector]:
        """Read a start and the bounds about it.

        Args:
            x0: (d,).
            bounds: (low, high), each a number or (d,).

        Raises:
            BoundsError: The bounds cross or are not finite, or the start is outside of them.
            ShapeError: Something does not fit.
        """
        x = floats("x0", x0).copy()
        if x.ndim != 1 or not len(x):
            raise ShapeError(f"x0 has shape {x.shape}: expected (d,), d >= 1")
        box = cls.of(bounds, len(x))
        if not np.isfinite(x).all():
            raise NotFinite("x0 has a NaN or an infinity: expected finite numbers")
        if not ((x >= box.low) & (x <= box.high)).all():
            raise BoundsError("x0 is outside of the bounds")
        return box, x

    @classmethod
    def of(cls, bounds: Any, d: int) -> Box:
        """Read bounds.

        Args:
            bounds: (low, high), each a number or (d,).
            d: Unknowns.

        Raises:
            BoundsError: They cross, or are not finite.
        """
        if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
            raise BoundsError(f"bounds={bounds!r:.60}: expected (low, high)")
        ends = [floats("bounds", end) for end in bounds]
        if any(end.shape not in ((), (d,)) for end in ends):
            raise ShapeError(
                f"bounds have shapes {ends[0].shape}, {ends[1].shape}: expected ({d},)"
            )
        low, high = (np.broadcast_to(end, (d,)).astype(float) for end in ends)
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
            raise BoundsError("bounds: expected finite ones with low < high in every unknown")
        return cls(low, high)

    def unit(self, x: Vector) -> Vector:
        """Return where x is in the unit cube."""
        return (x - self.low) / (self.high - self.low)

    def real(self, u: Vector) -> Vector:
        """Return the point of the box, where u was clipped to the unit cube."""
        return self.low + np.clip(u, 0.0, 1.0) * (self.high - self.low)


@dataclass
class FederatedProblem(Problem):
    """Minimise a weighted mean of functions that stay with their clients, by their values alone.

        minimise  F(x) = sum_i w_i f_i(x)  over  low <= x <= high

    An answer is x, the last one: nobody in a federation sees F. The judge computes F from all
    clients; the metric `worst_client` is the largest f_i. A method is charged for each value asked
    of a client, each message and its bytes.

    Attributes:
        clients: By label, x (d,) -> f_i(x); or a sequence of such functions.
        x0: (d,) the start.
        bounds: (low, high), each a number or (d,).
        weights: w by label, or in the clients' order, >= 0, of sum 1; None: all alike.
        truth: x -> F(x) for the judge, where values are noisy; None: from the clients.
        on_failure: "raise" ends the run at a client that fails; "skip" goes on with the others.
        least_clients: With fewer answers in a round the run ends nevertheless.

    Raises:
        ArgumentError: No client, or weights that do not sum to 1.
        BoundsError: Bounds that cross, or a start outside of them.
        ShapeError: Something does not fit.
    """

    clients: Any
    x0: Any
    bounds: Any = (0.0, 1.0)
    weights: Any = None
    truth: Callable[[Vector], float] | None = None
    on_failure: str = "raise"
    least_clients: int = 1
    name: str = "federated"
    best_known: float | None = None

    last: ClassVar[bool] = True
    example_budget: ClassVar[str] = "queries=2000"
    objective_title: ClassVar[str] = "mean objective"

    def __post_init__(self) -> None:
        self.clients = by_client("clients", self.clients)
        self.weights = weights_of(self.weights, self.labels)
        self.box, self.x0 = Box.about(self.x0, self.bounds)
        one_of("on_failure", self.on_failure, ON_FAILURE)
        self.least_clients = whole(
            "least_clients", self.least_clients, least=1, most=len(self.clients)
        )
        if not (self.truth is None or callable(self.truth)):
            raise ArgumentTypeError(f"truth={self.truth!r:.60}: expected a function, or None")

    @property
    def labels(self) -> list[Hashable]:
        """The clients' labels."""
        return list(self.clients)

    @property
    def d(self) -> int:
        """Unknowns."""
        return len(self.x0)

    def function(self, label: Hashable) -> Callable[[Vector], Any]:
        """Return a client's function of a point in the unit cube; each value is charged."""
        f, box = self.clients[label], self.box

        def asked(u: Vector) -> Any:
            spend(queries=1)
            return f(box.real(u))

        return asked

    def judge(self, answer: Any) -> Verdict:
        """Compute F from all clients, uncharged."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        x = floats("answer", answer)
        if x.shape != self.x0.shape:
            raise ShapeError(f"answer has shape {x.shape}: expected {self.x0.shape}")
        if not np.isfinite(x).all():
            return Verdict(float("nan"), float("inf"))
        out = float(np.maximum(self.box.low - x, x - self.box.high).max(initial=0.0))
        if self.truth is not None:
            return Verdict(float(self.truth(x)), out)
        each = [float(f(x.copy())) for f in self.clients.values()]
        return Verdict(float(self.weights @ each), out, metrics={"worst_client": max(each)})

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value"),
            ("mean objective", f"{verdict.objective:.8g}"),
            *((name, f"{value:.8g}") for name, value in verdict.metrics.items()),
        ]
