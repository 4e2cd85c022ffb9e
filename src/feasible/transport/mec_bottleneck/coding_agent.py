"""The coding agent of MEC-B (arXiv 2410.21666) in a run.

It sends the messages of a Markov coding game, and reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.problem import Method, Problem
from .coding_game import CodeSettings
from .coding_problem import UNREAD, CodingGame, Transcript

if TYPE_CHECKING:
    from jaxtyping import Int


@dataclass(slots=True)
class CodingState:
    """Where a run stands.

    Attributes:
        run: Seeds the chances of each episode, with its number.
        decoded: (episodes, blocks) of the episodes before `episode`; -1 for the others.
        lengths: (episodes,) actions of each.
        states: Those of each episode.
        actions: Those of each episode.
        episode: The next one.
    """

    run: int
    decoded: Int[np.ndarray, "episodes blocks"]
    lengths: Int[np.ndarray, " episodes"]
    states: list[Int[np.ndarray, " n1"]]
    actions: list[Int[np.ndarray, " n"]]
    episode: int = 0


@dataclass(frozen=True)
class CodingAgent(CodeSettings, Method):
    """Sends each message by the joint law of its belief and the policy's action.

    The receiver reads the states and actions alone. A step is an episode. With one seed every agent
    meets the same chances. The settings are those of `coding_game.CodeSettings`.

    References:
        Ebrahimi, Chen, Khisti, NeurIPS 2024, arXiv 2410.21666.
    """

    solves: ClassVar[type[Problem]] = CodingGame
    name: ClassVar[str] = "coding-agent"

    def init(self, problem: CodingGame, rng: np.random.Generator) -> CodingState:
        """Nothing is sent yet."""
        run = int(rng.integers(2**62))
        return CodingState(
            run,
            np.full((problem.episodes, problem.blocks), UNREAD),
            np.zeros(problem.episodes, np.int64),
            [],
            [],
        )

    def step(self, problem: CodingGame, state: CodingState) -> CodingState:
        """Send the next message, and read it."""
        code = problem.code(self.encoder, self.compress)
        uniforms = np.random.default_rng([state.run, state.episode]).random((problem.max_steps, 2))
        found = problem.transmit(state.episode, code, uniforms)
        state.decoded[state.episode] = code.guess(code.receive(found.states, found.actions))
        state.lengths[state.episode] = len(found.actions)
        state.states.append(found.states)
        state.actions.append(found.actions)
        state.episode += 1
        return state

    def answer(self, problem: CodingGame, state: CodingState) -> Transcript:
        """What was received so far."""
        join = [
            np.concatenate([np.zeros(0, np.int64), *parts])
            for parts in (state.states, state.actions)
        ]
        return Transcript(state.decoded.copy(), join[0], join[1], state.lengths.copy())

    def done(self, problem: CodingGame, state: CodingState) -> str | None:
        """When all messages were sent."""
        return (
            f"all {problem.episodes} messages were sent"
            if state.episode >= problem.episodes
            else None
        )
