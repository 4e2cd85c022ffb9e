"""Reads the transitions of a gymnasium environment that has them (`toy_text`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from jaxtyping import Float


class Transitions(NamedTuple):
    """What an environment says of itself, with a state added, the last, in which an episode has
    ended.

    Attributes:
        P: (S, A, S) probabilities of the next state.
        R: (S, A) expected rewards.
        start: (S,) probabilities of the first state.
        limit: Steps after which it cuts an episode; None: it does not.
        name: Its name.
    """

    P: Float[np.ndarray, "S A S"]
    R: Float[np.ndarray, "S A"]
    start: Float[np.ndarray, " S"]
    limit: int | None
    name: str


def transitions(env: Any) -> Transitions:
    """The transitions of an environment.

    Args:
        env: An environment, or the name of one.

    Raises:
        ArgumentTypeError: It has no transitions.
        ArgumentError: There is no environment of that name.
    """
    if isinstance(env, str):
        import gymnasium

        try:
            env = gymnasium.make(env)
        except gymnasium.error.Error as error:
            raise ArgumentError(f"env={env!r}: {error}") from error
    bare = getattr(env, "unwrapped", env)
    moves, first = getattr(bare, "P", None), getattr(bare, "initial_state_distrib", None)
    if not isinstance(moves, dict) or first is None:
        raise ArgumentTypeError(
            f"env={type(bare).__name__}: expected an environment with its transitions as P "
            "and initial_state_distrib, such as FrozenLake-v1 or CliffWalking-v1"
        )
    spec = getattr(env, "spec", None)
    S, A = len(moves), len(next(iter(moves.values())))
    P, R = np.zeros((S + 1, A, S + 1)), np.zeros((S + 1, A))
    P[S, :, S] = 1.0
    for s, by_action in moves.items():
        for a, outcomes in by_action.items():
            for p, after, reward, over in outcomes:
                P[s, a, S if over else after] += p
                R[s, a] += p * reward
    name = getattr(spec, "id", None) or type(bare).__name__
    limit = getattr(spec, "max_episode_steps", None)
    return Transitions(P, R, np.append(first, 0.0), limit, name)
