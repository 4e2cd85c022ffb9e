"""The server's part of federated descent: who is asked what, and what is made of the answers.

References:
    Shu, Lin, Dai, Low, 2023, arXiv 2308.04077.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...core.budget import spend
from ...core.checks import fits
from ...core.errors import ArgumentError
from ..messages import HEADER, Client, ClientFailed, Message, exchange
from .client import MOST_SEARCHED, ClientState, DifferenceClient, FZooSClient, LocalDescent
from .settings import DifferenceSettings, FederatedSettings, FZooSSettings
from .surrogate import FourierFeatures

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]


@dataclass(slots=True)
class FederationState:
    """Where a federation stands; clients that are elsewhere keep their own state.

    Attributes:
        x: (d,) x_r, in the unit cube.
        nu: (M,) the weights of the global surrogate; empty before there are any.
        slopes: (n, d) the gradient that each client sent last; 0 at first.
        value: F(x_r), where worse points are rejected; NaN before it is known.
        seed: Of the shared features.
        round: r.
        up: Bytes sent to the server so far.
        down: Bytes sent to clients so far.
        clients: What each client keeps, where it is in this process.
        failed: Row of a client -> rounds of a run that went on without it.
        reasons: Row of a client -> why, the last time.
    """

    x: Vector
    nu: Float[np.ndarray, " M"]
    slopes: Float[np.ndarray, "n d"]
    value: float
    seed: int
    round: int = 0
    up: int = 0
    down: int = 0
    clients: list[ClientState] = field(default_factory=list)
    failed: dict[int, int] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)

    @classmethod
    def begun(cls, x: Vector, n: int, rng: np.random.Generator) -> FederationState:
        """Stand at x, each of n clients with a stream of its own."""
        seed = int(rng.integers(2**31))
        states = [ClientState.begun(len(x), one) for one in rng.spawn(n)]
        nothing = np.empty(0), np.zeros((n, len(x)))
        return cls(x.copy(), *nothing, float("nan"), seed, clients=states)


def local(
    settings: FederatedSettings,
    f: Callable[[Vector], Any],
    state: ClientState,
    label: Hashable,
    features: FourierFeatures | None,
) -> LocalDescent:
    """Return the client of some settings."""
    if isinstance(settings, FZooSSettings):
        assert features is not None
        return FZooSClient(f, state, settings, label, features=features)
    assert isinstance(settings, DifferenceSettings)
    return DifferenceClient(f, state, settings, label)


def shared(settings: FederatedSettings, d: int, seed: int) -> FourierFeatures | None:
    """Return the features that all clients draw from one seed, where they are used."""
    if not isinstance(settings, FZooSSettings):
        return None
    return FourierFeatures.drawn(d, settings.features, settings.feature_lengthscale, seed)


def check(settings: FederatedSettings, d: int) -> None:
    """Raise ArgumentError where settings do not fit so many unknowns."""
    if isinstance(settings, DifferenceSettings) and settings.q > d:
        raise ArgumentError(f"q={settings.q}: expected at most {d} orthonormal directions")
    if isinstance(settings, FZooSSettings):
        for name, each in (
            ("features", d + _kept(settings.feature_window)),
            ("local_candidates", d + 4 * _kept(settings.window)),
            ("server_candidates", d + 4 * _kept(settings.window)),
        ):
            count = getattr(settings, name)
            fits(name, count, f"those of {d} unknowns", count, each)


def _kept(window: int) -> int:
    """Return how many history points a window holds at most."""
    return min(window, MOST_SEARCHED)


def queries_of(settings: FederatedSettings, d: int, first: bool) -> int:
    """Return the values that a round asks of each client, at most.

    Args:
        settings: Of the method.
        d: Unknowns.
        first: Whether it is the first round.
    """
    T, checks = settings.local_steps, settings.reject_worse * (1 + first)
    if isinstance(settings, DifferenceSettings):
        once = settings.q + 1
        return T * once + once * (settings.correction == "difference") + checks
    assert isinstance(settings, FZooSSettings)
    begun = settings.initial + 1 if first else int(settings.again)
    return begun + T + settings.local_queries * (T - 1) + settings.surveyed(d) + 1 + checks


@dataclass(frozen=True)
class Talk:
    """Who takes part, and what is done where somebody fails.

    Attributes:
        clients: By label.
        weights: (n,) in their order.
        on_failure: "raise" or "skip".
        least: Answers that a round needs.
    """

    clients: Mapping[Hashable, Client]
    weights: Float[np.ndarray, " n"]
    on_failure: str = "raise"
    least: int = 1

    def ask(
        self,
        state: FederationState,
        labels: list[Hashable],
        message: Message,
        shapes: Mapping[str, tuple[int, ...]],
        lost: list[ClientFailed],
    ) -> dict[Hashable, Message]:
        """Send a message to clients, and return their answers.

        Args:
            state: Where the bytes are counted.
            labels: Who is asked.
            message: What they are sent.
            shapes: What an answer holds.
            lost: The failures of the round; added to.

        Raises:
            ClientFailed: One failed, or too few answered.
        """
        n, back = len(labels), HEADER + 8 * sum(int(np.prod(s)) for s in shapes.values())
        spend(messages=2 * n, bytes=n * (message.size + back))
        hasty = self.on_failure == "raise"
        answers, failures = exchange(self.clients, dict.fromkeys(labels, message), shapes, hasty)
        state.down += n * message.size
        state.up += sum(answer.size for answer in answers.values())
        lost += failures.values()
        if failures and self.on_failure == "raise":
            raise next(iter(failures.values()))
        if len(answers) < self.least or not self.weights[self.rows(answers)].sum() > 0:
            failed = lost[0]
            said = f"{failed.reason}; {len(answers)} clients are left, expected {self.least}"
            raise ClientFailed(failed.client, message.round, said)
        return answers

    def rows(self, labels: Iterable[Hashable]) -> list[int]:
        """Return where some clients are in the order of all."""
        order = {label: i for i, label in enumerate(self.clients)}
        return [order[label] for label in labels]

    def mean(self, answers: Mapping[Hashable, Message], name: str) -> np.ndarray:
        """Return the weighted mean of an array over the clients that answered."""
        shares = self.weights[self.rows(answers)]
        stacked = np.stack([answer.arrays[name] for answer in answers.values()])
        return shares @ stacked / shares.sum()


def play(settings: FederatedSettings, talk: Talk, state: FederationState) -> list[ClientFailed]:
    """Play a round; the server's state changes only at its end.

    Args:
        settings: Of the method.
        talk: Who takes part.
        state: Changed.

    Returns:
        The clients that failed, where the others went on.

    Raises:
        ClientFailed: A client failed, or too few answered; x, nu, slopes and the round are as they
            were.
    """
    r, x, d = state.round + 1, state.x, len(state.x)
    kind = settings.correction if isinstance(settings, DifferenceSettings) else "surrogate"
    lost: list[ClientFailed] = []
    labels = list(talk.clients)
    sent = {"x": x.copy()}
    if kind == "surrogate" and len(state.nu):
        sent["nu"] = state.nu.copy()
    if kind in ("difference", "average") and r > 1:
        sent["slope"] = talk.weights @ state.slopes
    shapes = {"x": (d,), "slope": (d,)} if kind == "average" else {"x": (d,)}
    moved = talk.ask(state, labels, Message(r, "move", sent), shapes, lost)
    # x_r = x_(r-1) - eta sum_i w_i (x_(r-1) - x_i)
    following = np.clip(x - settings.server_lr * (x - talk.mean(moved, "x")), 0.0, 1.0)
    labels, value = list(moved), state.value
    if settings.reject_worse:
        found = []
        for point in (x, following) if np.isnan(value) else (following,):
            answers = talk.ask(
                state, labels, Message(r, "value", {"x": point.copy()}), {"value": (1,)}, lost
            )
            labels = list(answers)
            found.append(float(talk.mean(answers, "value")[0]))
        value = found[0] if len(found) == 2 else value
        if found[-1] >= value:
            following = x.copy()
        else:
            value = found[-1]
    slopes, nu = state.slopes.copy(), state.nu
    if kind == "average":
        slopes[talk.rows(moved)] = [answer.arrays["slope"] for answer in moved.values()]
    survey = Message(r, "survey", {"x": following.copy()})
    if kind == "difference":
        surveyed = talk.ask(state, labels, survey, {"slope": (d,)}, lost)
        slopes[talk.rows(surveyed)] = [answer.arrays["slope"] for answer in surveyed.values()]
    elif isinstance(settings, FZooSSettings):
        surveyed = talk.ask(state, labels, survey, {"nu": (settings.features,)}, lost)
        nu = talk.mean(surveyed, "nu")
    state.x, state.nu, state.slopes, state.value, state.round = following, nu, slopes, value, r
    return lost
