"""The Markov coding game as a gymnasium environment, for agents of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.annotations import checked
from ...core.checks import whole
from ...core.errors import ArgumentError, MissingExtra
from .coding_game import Code, CodeSettings, Episode, play
from .world import DISCOUNT, MAX_STEPS, World

try:
    import gymnasium
except ImportError as error:
    raise MissingExtra(
        "MarkovCodingGame needs gymnasium, which is not installed: pip install "
        "'feasible[transport]'"
    ) from error

if TYPE_CHECKING:
    from jaxtyping import Float


class MarkovCodingGame(gymnasium.Env):  # type: ignore[misc]
    """An agent moves through a world and sends a message to whoever watches it.

    Observations: {"state", "message" (blocks,), "coding_policy" (A,)}. An agent that draws its
    actions from coding_policy sends the message; any other is understood as if it did. Rewards are
    r(s'), not discounted. info: {"beliefs": (blocks, M), "guess": (blocks,)} of the receiver.

    Args:
        world: Tables of states and actions.
        policy: (S, A), what the actions follow over all messages.
        prior: (M,) of each of `blocks` symbols.
        rate_bits: Entropy of the code of each step at most, in bits.
        blocks: Symbols of a message.
        encoder: As in `Code`.
        compress: As in `Code`.
        max_steps: Actions of an episode at most.
        discount: Of the rewards that `play` counts.

    Raises:
        ArgumentError: Settings; probabilities that are none.
        ShapeError: Shapes that do not fit.

    Examples:
        >>> from feasible.transport import grid_world, soft_value_iteration
        >>> world = grid_world()
        >>> policy = soft_value_iteration(world, beta=0.05)[1]
        >>> game = MarkovCodingGame(world, policy, [1 / 8] * 8, rate_bits=2.0)
        >>> game.play(message=5, seed=100).decoded.tolist()
        [5]
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    @checked
    def __init__(
        self,
        world: World,
        policy: Any,
        prior: Any,
        rate_bits: float,
        *,
        blocks: int = 1,
        encoder: str = CodeSettings.encoder,
        compress: str = CodeSettings.compress,
        max_steps: int = MAX_STEPS,
        discount: float = DISCOUNT,
    ):
        self.world, self.code = world, Code(policy, prior, rate_bits, blocks, encoder, compress)
        self.max_steps, self.discount = whole("max_steps", max_steps, least=1), discount
        states, actions = world.transitions.shape[:2]
        self.action_space = gymnasium.spaces.Discrete(actions)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "state": gymnasium.spaces.Discrete(states),
                "message": gymnasium.spaces.MultiDiscrete([len(self.code.prior)] * blocks),
                "coding_policy": gymnasium.spaces.Box(0.0, 1.0, (actions,), np.float64),
            }
        )
        self._message = np.zeros(blocks, np.int64)
        self._state, self._steps, self._beliefs = world.start, 0, self.code.beliefs()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Of the chances and of the messages that are drawn.
            options: {"message": (blocks,)} sends that message; else one is drawn from the prior.

        Returns:
            (observation, info).

        Raises:
            ArgumentError: Other options.
        """
        super().reset(seed=seed)
        options = options or {}
        if set(options) - {"message"}:
            raise ArgumentError(f"options {sorted(options)}: expected 'message' only")
        drawn = self.np_random.choice(
            len(self.code.prior), size=self.code.blocks, p=self.code.prior
        )
        self._message = self.code.message(options.get("message", drawn))
        self._state, self._steps, self._beliefs = self.world.start, 0, self.code.beliefs()
        return self._seen(), self._info()

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Make a move: (observation, reward, terminated, truncated, info)."""
        if not self.action_space.contains(action):
            raise ArgumentError(
                f"action={action!r}: expected a whole number below {self.action_space.n}"
            )
        self._beliefs = self.code.update(self._state, int(action), self._beliefs)
        self._state = int(
            self.np_random.choice(
                len(self.world.reward), p=self.world.transitions[self._state, int(action)]
            )
        )
        self._steps += 1
        over = bool(self.world.terminal[self._state])
        return (
            self._seen(),
            float(self.world.reward[self._state]),
            over,
            self._steps >= self.max_steps and not over,
            self._info(),
        )

    def play(self, message: Any, seed: int) -> Episode:
        """Play a whole episode by the coding agent, in compiled code.

        The environment's own episode is left as it is.
        """
        return play(self.world, self.code, message, seed, self.max_steps, self.discount)

    def _coding(self) -> Float[np.ndarray, " A"]:
        """The sender's law of the next action."""
        return np.clip(self.code.coding_policy(self._state, self._beliefs, self._message), 0.0, 1.0)

    def _seen(self) -> dict[str, Any]:
        """The observation."""
        return {
            "state": np.int64(self._state),
            "message": self._message.copy(),
            "coding_policy": self._coding(),
        }

    def _info(self) -> dict[str, Any]:
        """What the receiver believes."""
        return {"beliefs": self._beliefs.copy(), "guess": self.code.guess(self._beliefs)}
