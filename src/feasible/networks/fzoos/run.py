"""Federated zeroth-order optimisation as methods: of a run, and called by themselves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.checks import flag, generator, real, whole
from ...core.errors import ArgumentTypeError
from ...core.problem import Method, Problem
from ..federated import FederatedProblem
from ..messages import Client, ClientProcess
from .client import ClientState, LocalDescent
from .server import FederationState, Talk, check, local, play, queries_of, shared
from .settings import DifferenceSettings, FederatedSettings, FZooSSettings

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]


@dataclass(frozen=True)
class Round:
    """What a round left behind.

    Attributes:
        round: Its number, from 1.
        queries: Values asked of each client so far, by label.
        up: Bytes sent to the server so far.
        down: Bytes sent to clients so far.
        value: F at its end, where it was asked for.
        failed: Clients that failed in it, and why.
    """

    round: int
    queries: Mapping[Hashable, int]
    up: int
    down: int
    value: float | None
    failed: Mapping[Hashable, str]


@dataclass(frozen=True)
class FederatedResult:
    """What a federation found.

    Attributes:
        x: (d,).
        history: Round by round.
    """

    x: Vector
    history: Sequence[Round] = field(repr=False)

    def plot(self) -> go.Figure:
        """Return a picture: the queries of each client, round by round, and F where it is known."""
        import plotly.graph_objects as go

        rounds = [r.round for r in self.history]
        figure = go.Figure()
        for label in self.history[-1].queries if self.history else ():
            asked = np.diff([r.queries[label] for r in self.history], prepend=0)
            figure.add_bar(x=rounds, y=asked, name=f"client {label}")
        values = [r.value for r in self.history]
        if any(v is not None for v in values):
            figure.add_scatter(x=rounds, y=values, yaxis="y2", name="F", line_color="black")
        figure.update_layout(
            barmode="group",
            xaxis_title="round",
            yaxis_title="queries",
            yaxis2={"title": "F", "overlaying": "y", "side": "right", "showgrid": False},
        )
        return figure

    def to_frame(self) -> pd.DataFrame:
        """Return the history as a table, a row a round, a column of queries a client."""
        import pandas as pd

        rows = [
            {"round": r.round, "up": r.up, "down": r.down, "value": r.value}
            | {f"queries of {label}": n for label, n in r.queries.items()}
            | {"failed": ", ".join(map(str, r.failed))}
            for r in self.history
        ]
        return pd.DataFrame(rows)


class FederatedMethod(FederatedSettings, Method):
    """A step of a run is a round. Base of FZooS and its baselines."""

    solves: ClassVar[type[Problem]] = FederatedProblem

    def init(self, problem: FederatedProblem, rng: np.random.Generator) -> FederationState:
        """Stand at the start; ask nothing."""
        check(self, problem.d)
        return FederationState.begun(problem.box.unit(problem.x0), len(problem.clients), rng)

    def step(self, problem: FederatedProblem, state: FederationState) -> FederationState:
        """Play a round."""
        features = shared(self, problem.d, state.seed)
        clients: dict[Hashable, Client] = {
            label: local(self, problem.function(label), own, label, features)
            for label, own in zip(problem.labels, state.clients, strict=True)
        }
        talk = Talk(clients, problem.weights, problem.on_failure, problem.least_clients)
        play(self, talk, state)
        return state

    def answer(self, problem: FederatedProblem, state: FederationState) -> Vector:
        """x_r."""
        return problem.box.real(state.x)

    def minimize(
        self,
        clients: Any,
        x0: Any,
        rounds: int,
        max_queries: int | None = None,
        bounds: Any = (0.0, 1.0),
        weights: Any = None,
        seed: Any = 0,
        evaluate: Callable[[Vector], float] | None = None,
        processes: bool = False,
        deadline: float = 60.0,
        on_failure: str = "raise",
        least_clients: int = 1,
    ) -> FederatedResult:
        """Minimise F(x) = sum_i w_i f_i(x) over a box, from values that stay with their clients.

        Args:
            clients: By label, x (d,) -> f_i(x); or a sequence of such functions.
            x0: (d,) the start.
            rounds: Rounds at most.
            max_queries: Values asked of a client at most; a round that would pass it is not begun.
            bounds: (low, high), each a number or (d,).
            weights: w >= 0 by label or in the clients' order, of sum 1; None: all alike.
            seed: A whole number or a generator: of the clients' draws and the shared features.
            evaluate: x -> F(x), called after each round for the history only.
            processes: Each client in a process of its own, so that it may hang or die.
            deadline: Seconds an answer of such a client may take.
            on_failure: "raise" where a client fails; "skip" goes on with the others.
            least_clients: With fewer answers in a round ClientFailed is raised nevertheless.

        Raises:
            ClientFailed: A client raised, gave no finite number, was late or died; it names the
                client and the round.
            ArgumentError: An argument out of range.

        Example:
            >>> from feasible.networks import FZooS
            >>> clients = [lambda x, c=c: ((x - c) ** 2).sum() for c in (0.2, 0.5, 0.8)]
            >>> found = FZooS(features=200).minimize(clients, np.full(4, 0.9), rounds=8)
            >>> bool(np.abs(found.x - 0.5).max() < 0.03)
            True
        """
        problem = FederatedProblem(
            clients, x0, bounds, weights, on_failure=on_failure, least_clients=least_clients
        )
        rounds = whole("rounds", rounds, least=1)
        most = None if max_queries is None else whole("max_queries", max_queries, least=1)
        flag("processes", processes)
        deadline = real("deadline", deadline, above=0)
        if not (evaluate is None or callable(evaluate)):
            raise ArgumentTypeError(f"evaluate={evaluate!r:.60}: expected a function, or None")
        check(self, problem.d)
        x, box = problem.box.unit(problem.x0), problem.box
        state = FederationState.begun(x, len(problem.labels), generator("seed", seed))
        features = shared(self, problem.d, state.seed)

        def made(label: Hashable, own: ClientState) -> LocalDescent:
            f = problem.clients[label]
            return local(self, lambda u: f(box.real(u)), own, label, features)

        there: dict[Hashable, LocalDescent | ClientProcess] = {}
        history: list[Round] = []
        asked = dict.fromkeys(problem.labels, 0)
        try:
            for label, own in zip(problem.labels, state.clients, strict=True):
                there[label] = (
                    ClientProcess(label, partial(made, label, own), deadline)
                    if processes
                    else made(label, own)
                )
            talk = Talk(there, problem.weights, problem.on_failure, problem.least_clients)
            for r in range(rounds):
                cost = queries_of(self, problem.d, first=r == 0)
                if most is not None and max(asked.values()) + cost > most:
                    break
                lost = play(self, talk, state)
                asked = {label: one.queries for label, one in there.items()}
                value = None if evaluate is None else float(evaluate(box.real(state.x)))
                failed = {one.client: one.reason for one in lost}
                history.append(Round(r + 1, dict(asked), state.up, state.down, value, failed))
        finally:
            for one in there.values():
                if isinstance(one, ClientProcess):
                    one.close()
        return FederatedResult(box.real(state.x), history)


@dataclass(frozen=True)
class FZooS(FZooSSettings, FederatedMethod):
    """Federated descent whose gradients come from surrogates of the values along the way.

    The settings are those of `FZooSSettings`; `minimize` needs no run.

    References:
        Shu, Lin, Dai, Low, 2023, arXiv 2308.04077.
    """

    name: ClassVar[str] = "fzoos"


@dataclass(frozen=True)
class FederatedDifferences(DifferenceSettings, FederatedMethod):
    """Federated descent by finite differences: FedZO, FedProx and SCAFFOLD.

    The settings are those of `DifferenceSettings`; `minimize` needs no run.
    """

    name: ClassVar[str] = "fedzo"
