"""Clients: what each does with its own function in a round, and what it sends.

A round has up to three exchanges, by the kind of the server's message:

    "move"    x_(r-1), and what corrects gradients  ->  "moved"     x_i (and mean local gradient)
    "value"   x_r                                   ->  "valued"    f_i(x_r)
    "survey"  x_r                                   ->  "surveyed"  nu_i, or a gradient at x_r

References:
    Shu, Lin, Dai, Low, 2023, arXiv 2308.04077; the baselines: FedZO, FedProx, and SCAFFOLD of types
    I and II, with gradients by finite differences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import ArgumentError, StopRun
from ..messages import ClientFailed, Message, said
from .settings import DifferenceSettings, FederatedSettings, FZooSSettings
from .surrogate import FourierFeatures, GradientSurrogate, likeliest, nearest

if TYPE_CHECKING:
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]

MOST_SEARCHED = 5000
"""Last points of the history among which the nearest are looked for."""
BETA = (0.9, 0.999)
EPSILON = 1e-8


@dataclass(slots=True)
class ClientState:
    """What a client keeps to itself.

    Attributes:
        rng: Where its draws come from.
        points: (n, d) where it queried its function, in the unit cube.
        values: (n,) what it found there.
        at: (d,) where its last round ended.
        nu: (M,) the weights it sent last.
        slope: (d,) the gradient it sent last; 0 at first.
        queries: Values asked of it.
    """

    rng: np.random.Generator
    points: Float[np.ndarray, "n d"]
    values: Float[np.ndarray, " n"]
    at: Vector
    nu: Float[np.ndarray, " M"]
    slope: Vector
    queries: int = 0

    @classmethod
    def begun(cls, d: int, rng: np.random.Generator) -> ClientState:
        """Know nothing."""
        empty = np.empty(0)
        return cls(rng, np.empty((0, d)), empty, np.zeros(d), empty.copy(), np.zeros(d))


@dataclass
class LocalDescent(ABC):
    """A client's part of federated descent. Base of `FZooSClient` and `DifferenceClient`.

    Attributes:
        f: x (d,) -> a number, in the unit cube.
        state: What it keeps.
        settings: How it goes on.
        label: For errors.
    """

    f: Callable[[Vector], Any]
    state: ClientState
    settings: FederatedSettings
    label: Any = None
    _round: int = field(default=0, init=False)

    @property
    def queries(self) -> int:
        """Values asked of it so far."""
        return self.state.queries

    def round(self, message: Message) -> Message:
        """Answer a message of the server.

        Args:
            message: Of the kind "move", "value" or "survey", with x.

        Raises:
            ClientFailed: The function raised, or gave no finite number.
        """
        self._round = message.round
        x = np.array(message.arrays["x"], dtype=float)
        if message.kind == "move":
            return Message(message.round, "moved", self.move(x, message))
        if message.kind == "value":
            return Message(message.round, "valued", {"value": np.array([self.query(x)])})
        if message.kind == "survey":
            return Message(message.round, "surveyed", self.survey(x))
        raise ArgumentError(f"message kind={message.kind!r}: expected move, value or survey")

    def query(self, x: Vector) -> float:
        """Ask the function for its value, which counts."""
        self.state.queries += 1
        try:
            value = self.f(x.copy())
        except StopRun:
            raise
        except Exception as error:
            raise ClientFailed(self.label, self._round, said(error)) from error
        number = np.asarray(value)
        if number.size != 1 or number.dtype.kind not in "fiub":
            what = f"shape {number.shape}" if number.dtype.kind in "fiub" else f"{value!r:.40}"
            raise ClientFailed(self.label, self._round, f"its value is {what}: expected a number")
        found = float(number.reshape(()))
        if not np.isfinite(found):
            raise ClientFailed(
                self.label, self._round, f"its value is {found}: expected a finite one"
            )
        return found

    def move(self, x: Vector, message: Message) -> dict[str, np.ndarray]:
        """Take T local steps from x, and say where they lead."""
        z, first, second = x.copy(), np.zeros_like(x), np.zeros_like(x)
        self.begin(x)
        for t in range(1, self.settings.local_steps + 1):
            g = self.gradient(z, x, t, message)
            if self.settings.optimizer == "sgd":
                z = z - self.settings.lr * g
            else:
                first = BETA[0] * first + (1 - BETA[0]) * g
                second = BETA[1] * second + (1 - BETA[1]) * g**2
                mean, spread = first / (1 - BETA[0] ** t), second / (1 - BETA[1] ** t)
                z = z - self.settings.lr * mean / (np.sqrt(spread) + EPSILON)
            z = np.clip(z, 0.0, 1.0)
            self.moved(z, t)
        self.state.at = z
        return self.told(z)

    @abstractmethod
    def begin(self, x: Vector) -> None:
        """Prepare a round at x."""

    @abstractmethod
    def gradient(self, z: Vector, x: Vector, t: int, message: Message) -> Vector:
        """Return the direction of local step t at z, in a round from x."""

    @abstractmethod
    def moved(self, z: Vector, t: int) -> None:
        """Take note of where local step t led."""

    def told(self, z: Vector) -> dict[str, np.ndarray]:
        """Return what leaves the client after its local steps."""
        return {"x": z.copy()}

    @abstractmethod
    def survey(self, x: Vector) -> dict[str, np.ndarray]:
        """Return what leaves the client after the server's step to x."""


@dataclass
class FZooSClient(LocalDescent):
    """A client whose gradients come from a surrogate of its own queries, corrected by a global one.

    Attributes:
        features: The features that all clients share.
    """

    settings: FZooSSettings = field(default_factory=FZooSSettings)
    features: FourierFeatures = field(kw_only=True)
    _lengthscale: float = field(default=1.0, init=False)

    def record(self, x: Vector) -> None:
        """Query, and keep the value."""
        value = self.query(x)
        s = self.state
        s.points = np.concatenate([s.points, x[None]])
        s.values = np.append(s.values, value)

    def knows(self, x: Vector) -> bool:
        """True if the value at x is known."""
        return bool((self.state.points == x).all(axis=1).any())

    def near(self, z: Vector, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the points nearest to z, and their values."""
        points = self.state.points[-MOST_SEARCHED:]
        rows = nearest(points, z, most)
        return points[rows], self.state.values[-MOST_SEARCHED:][rows]

    def surrogate(self, z: Vector) -> GradientSurrogate:
        """Return the surrogate about z."""
        s = self.settings
        points, values = self.near(z, s.window)
        return GradientSurrogate.of(points, values, self._lengthscale, s.noise, s.kernel)

    def begin(self, x: Vector) -> None:
        """Query about x_0 at first, and at x; fit the lengthscale, once a round."""
        s = self.settings
        if not len(self.state.values):
            draws = self.state.rng.uniform(-s.radius, s.radius, (s.initial, len(x)))
            for point in np.clip(x + draws, 0, 1):
                self.record(point)
        if s.again or not self.knows(x):
            self.record(x)
        self._lengthscale = likeliest(*self.near(x, s.window), s.noise, s.kernel)

    def gradient(self, z: Vector, x: Vector, t: int, message: Message) -> Vector:
        """Return grad mu_i(z) + (1 / t) (grad nu(z) - grad nu_i(z))."""
        g = self.surrogate(z).gradient(z)
        nu = message.arrays.get("nu")
        if nu is not None and self.settings.corrected and len(self.state.nu):
            g = g + self.features.gradient(nu - self.state.nu, z) / t  # gamma_t = 1 / t
        return g

    def moved(self, z: Vector, t: int) -> None:
        """Query there and, after each step but the last, where gradients are least known."""
        self.record(z)
        s = self.settings
        if t < s.local_steps:
            self.explore(z, s.radius, s.local_queries, s.local_candidates)

    def explore(self, z: Vector, radius: Vector | float, queries: int, candidates: int) -> None:
        """Query the candidates about z whose gradients are least known."""
        if not queries:
            return
        draws = self.state.rng.uniform(-1, 1, (candidates, len(z))) * radius
        at = np.clip(z + draws, 0, 1)
        unknown = self.surrogate(z).uncertainty(at)
        for row in np.argsort(-unknown, kind="stable")[:queries]:
            self.record(at[row])

    def survey(self, x: Vector) -> dict[str, np.ndarray]:
        """Query at x and about it, and return the weights of the shared features."""
        s = self.settings
        self.record(x)
        half = np.abs(x - self.state.at).mean() / 2  # rad_i
        self.explore(x, half, s.surveyed(len(x)), s.server_candidates)
        self.state.nu = self.features.fit(*self.near(x, s.feature_window), s.noise)
        return {"nu": self.state.nu.copy()}


@dataclass
class DifferenceClient(LocalDescent):
    """A client whose gradients are finite differences: FedZO, FedProx, SCAFFOLD."""

    settings: DifferenceSettings = field(default_factory=DifferenceSettings)
    _total: Vector = field(init=False)

    def begin(self, x: Vector) -> None:
        """Begin the sum of the round's local gradients."""
        self._total = np.zeros_like(x)

    def differences(self, z: Vector) -> Vector:
        """Return (1/q) sum_k (f(z + mu u_k) - f(z)) / mu u_k, for q + 1 queries."""
        s = self.settings
        frame, triangle = np.linalg.qr(self.state.rng.standard_normal((len(z), s.q)))
        directions = (frame * np.sign(np.diag(triangle))).T
        here = self.query(z)
        change = [(self.query(z + s.mu * u) - here) / s.mu for u in directions]
        return np.array(change) @ directions / s.q

    def gradient(self, z: Vector, x: Vector, t: int, message: Message) -> Vector:
        """Return the estimate, corrected."""
        s, g = self.settings, self.differences(z)
        self._total += g
        if s.correction == "proximal":
            return g + s.proximal * (z - x)
        if "slope" in message.arrays:
            return g + message.arrays["slope"] - self.state.slope
        return g

    def moved(self, z: Vector, t: int) -> None:
        """Keep nothing: the next estimate queries anew."""

    def told(self, z: Vector) -> dict[str, np.ndarray]:
        """Return the point, and of type II the mean local gradient."""
        found = super().told(z)
        if self.settings.correction == "average":
            self.state.slope = self._total / self.settings.local_steps
            found["slope"] = self.state.slope.copy()
        return found

    def survey(self, x: Vector) -> dict[str, np.ndarray]:
        """Return an estimate at x, of type I."""
        self.state.slope = self.differences(x)
        return {"slope": self.state.slope.copy()}
