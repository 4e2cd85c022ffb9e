"""Federated zeroth-order optimisation as methods: of a run, and called by themselves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.checks import fits, flag, generator, one_of, real, whole
from ...core.errors import ArgumentTypeError
from ...core.problem import Method, Problem
from ..federated import ON_FAILURE, Box, FederatedProblem, by_client, weights_of
from ..messages import Client, ClientProcess
from .client import ClientState, LocalDescent
from .server import FederationState, Talk, check, local, play, queries_of, shared
from .settings import DifferenceSettings, FederatedSettings, FZooSSettings

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]

SHOWN = 10
"""Clients that are named one by one."""


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
        for one in play(self, talk, state):
            (row,) = talk.rows([one.client])
            state.failed[row] = state.failed.get(row, 0) + 1
            state.reasons[row] = one.reason
        return state

    def answer(self, problem: FederatedProblem, state: FederationState) -> Vector:
        """x_r."""
        return problem.box.real(state.x)

    def remarks(self, problem: FederatedProblem, state: FederationState) -> list[str]:
        """Values that were asked of each client (of many the least and the most), who failed."""
        asked = {
            label: own.queries for label, own in zip(problem.labels, state.clients, strict=True)
        }
        if len(asked) > SHOWN:
            said = [f"queries of each client: {min(asked.values())} to {max(asked.values())}"]
        else:
            said = ["queries by client: " + ", ".join(f"{k!r} {n}" for k, n in asked.items())]
        for row, count in sorted(state.failed.items())[:SHOWN]:
            said.append(
                f"client {problem.labels[row]!r} failed in {count} of {state.round} rounds, which "
                f"went on without it: {state.reasons[row]}"
            )
        return said

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
        limits = self._limits(rounds, max_queries, evaluate)
        flag("processes", processes)
        deadline = real("deadline", deadline, above=0)
        check(self, problem.d)
        x, box = problem.box.unit(problem.x0), problem.box
        state = FederationState.begun(x, len(problem.labels), generator("seed", seed))
        features = shared(self, problem.d, state.seed)

        def made(label: Hashable, own: ClientState) -> LocalDescent:
            f = problem.clients[label]
            return local(self, lambda u: f(box.real(u)), own, label, features)

        there: dict[Hashable, LocalDescent | ClientProcess] = {}
        try:
            for label, own in zip(problem.labels, state.clients, strict=True):
                there[label] = (
                    ClientProcess(label, partial(made, label, own), deadline)
                    if processes
                    else made(label, own)
                )
            talk = Talk(there, problem.weights, problem.on_failure, problem.least_clients)
            return self._rounds(talk, state, box, *limits)
        finally:
            for one in there.values():
                if isinstance(one, ClientProcess):
                    one.close()

    def client(
        self,
        f: Callable[[Vector], Any],
        d: int,
        seed: Any = 0,
        shared_seed: int = 0,
        bounds: Any = (0.0, 1.0),
        label: Hashable = None,
    ) -> LocalDescent:
        """Return a client that answers messages where its function is; `coordinate` talks to it.

        Args:
            f: x (d,) -> a number.
            d: Unknowns.
            seed: Of its own draws; another one for each client.
            shared_seed: Of the random features, the same for all clients of a federation.
            bounds: (low, high), each a number or (d,); the same for all.
            label: For errors.
        """
        if not callable(f):
            raise ArgumentTypeError(f"f={f!r:.60}: expected a function of x")
        fits("d", whole("d", d, least=1), "the vectors of a client", 7, d)
        check(self, d)
        box = Box.of(bounds, d)
        features = shared(self, d, whole("shared_seed", shared_seed, least=0))
        state = ClientState.begun(d, generator("seed", seed))
        return local(self, lambda u: f(box.real(u)), state, label, features)

    def coordinate(
        self,
        clients: Any,
        x0: Any,
        rounds: int,
        max_queries: int | None = None,
        bounds: Any = (0.0, 1.0),
        weights: Any = None,
        evaluate: Callable[[Vector], float] | None = None,
        on_failure: str = "raise",
        least_clients: int = 1,
    ) -> FederatedResult:
        """Be the server of clients that are elsewhere: the same as `minimize`, over any transport.

        Args:
            clients: By label, or a sequence: anything with `round(message) -> Message` that hands
                messages to what `client` returned there. Where it has no `queries`, each round
                counts as many as it asks for at most.
            x0: See `minimize`, as for what follows.
            rounds: Rounds at most.
            max_queries: Values asked of a client at most.
            bounds: (low, high).
            weights: w, of sum 1.
            evaluate: x -> F(x), for the history.
            on_failure: "raise" or "skip".
            least_clients: Answers that a round needs.

        Raises:
            ClientFailed: A client raised, or gave no valid answer; names it and the round.
            ArgumentError: An argument out of range.

        Example:
            >>> from feasible.networks import FederatedDifferences
            >>> method = FederatedDifferences(q=2)
            >>> held = (0.2, 0.5, 0.8)  # what each client knows
            >>> there = [method.client(lambda x, c=c: ((x - c) ** 2).sum(), 2) for c in held]
            >>> found = method.coordinate(there, [0.9, 0.9], rounds=12)
            >>> bool(np.abs(found.x - 0.5).max() < 0.03)
            True
        """
        there = by_client("clients", clients, "round")
        box, start = Box.about(x0, bounds)
        limits = self._limits(rounds, max_queries, evaluate)
        one_of("on_failure", on_failure, ON_FAILURE)
        least = whole("least_clients", least_clients, least=1, most=len(there))
        check(self, start.size)
        x = box.unit(start)
        state = FederationState(x, np.empty(0), np.zeros((len(there), len(x))), float("nan"), 0)
        talk = Talk(there, weights_of(weights, list(there)), on_failure, least)
        return self._rounds(talk, state, box, *limits)

    @staticmethod
    def _limits(
        rounds: int, max_queries: int | None, evaluate: Callable[[Vector], float] | None
    ) -> tuple[int, int | None, Callable[[Vector], float] | None]:
        """Check how far a federation goes."""
        if not (evaluate is None or callable(evaluate)):
            raise ArgumentTypeError(f"evaluate={evaluate!r:.60}: expected a function, or None")
        most = None if max_queries is None else whole("max_queries", max_queries, least=1)
        return whole("rounds", rounds, least=1), most, evaluate

    def _rounds(
        self,
        talk: Talk,
        state: FederationState,
        box: Box,
        rounds: int,
        most: int | None,
        evaluate: Callable[[Vector], float] | None,
    ) -> FederatedResult:
        """Play rounds until one would pass a limit."""
        history: list[Round] = []
        asked = dict.fromkeys(talk.clients, 0)
        for r in range(rounds):
            cost = queries_of(self, len(state.x), first=r == 0)
            if most is not None and max(asked.values()) + cost > most:
                break
            lost = play(self, talk, state)
            asked = {
                label: getattr(one, "queries", asked[label] + cost)
                for label, one in talk.clients.items()
            }
            value = None if evaluate is None else float(evaluate(box.real(state.x)))
            failed = {one.client: one.reason for one in lost}
            history.append(Round(r + 1, asked, state.up, state.down, value, failed))
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
