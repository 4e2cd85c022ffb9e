"""CodingGame: messages that a receiver should read off an agent's actions.

minimise    the receiver's error rate
subject to  actions follow the policy pi, code words have at most R bits of entropy
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.annotations import Checked
from ...core.budget import active_meter
from ...core.checks import whole
from ...core.errors import ArgumentTypeError, BudgetExhausted, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..arrays import whole_numbers
from .coding_game import Code, Episode, played
from .entropy_coupling import check_rate, entropy_bits, law
from .world import DISCOUNT, MAX_STEPS, World, discounted, soft_value_iteration

if TYPE_CHECKING:
    from jaxtyping import Float, Int

UNREAD = -1
"""What stands for the symbols of a message that was not played."""


@dataclass(slots=True)
class Transcript:
    """An answer: what was received, and what was seen.

    Attributes:
        decoded: (episodes, blocks), -1 where nothing was played.
        states: Of all episodes one after the other, n + 1 of each.
        actions: Likewise, n of each.
        lengths: (episodes,) n of each; 0 where nothing was played.
    """

    decoded: Int[np.ndarray, "episodes blocks"]
    states: Int[np.ndarray, " s"]
    actions: Int[np.ndarray, " a"]
    lengths: Int[np.ndarray, " episodes"]


@dataclass
class CodingGame(Problem, Checked):
    """So many messages are sent through the actions of an agent in a world.

        minimise    the receiver's error rate
        subject to  actions follow the policy pi, code words have at most R bits of entropy

    `transmit` plays one episode and charges its env_steps. An answer is a `Transcript`; symbols
    that were not received count as errors. The reward, the mean over the played episodes,
    discounted, is measured on the states. Moves that the world or the policy cannot make are a
    violation.

    Attributes:
        world: Tables of states and actions.
        beta: Temperature of the maximum-entropy policy that the actions must follow.
        rate_bits: Entropy of the code of each step at most, in bits.
        messages: M, uniform symbols of a block.
        blocks: Symbols of a message.
        episodes: Messages that are sent.
        discount: Of the policy and of the reward.
        max_steps: Actions of an episode at most.
        seed: Of the messages that are sent.
        prior: (M,) a law of the symbols, in place of `messages`.

    Raises:
        ArgumentError: Settings; probabilities that are none.
        ArgumentTypeError: What is no number, or no world.
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities.
    """

    world: World
    beta: float
    rate_bits: float
    messages: int = 50
    blocks: int = 1
    episodes: int = 200
    discount: float = DISCOUNT
    max_steps: int = MAX_STEPS
    seed: int = 0
    prior: Any = None
    name: str = "coding-game"
    tolerance: float = 0.0
    best_known: float | None = None

    answers: ClassVar[tuple[type, ...]] = (Transcript,)
    endings = (".json", ".csv", ".npz")
    example_budget: ClassVar[str] = "env_steps=20000"

    def __post_init__(self) -> None:
        if not isinstance(self.world, World):
            raise ArgumentTypeError(
                f"world: got {type(self.world).__name__}, expected a World, such as grid_world()"
            )
        for name in ("messages", "blocks", "episodes", "max_steps"):
            whole(name, getattr(self, name), least=1)
        self.prior = (
            np.full(self.messages, 1 / self.messages)
            if self.prior is None
            else law(self.prior, "prior")
        )
        self.messages = len(self.prior)
        self.rate_bits = check_rate(self.rate_bits)
        self.policy = soft_value_iteration(self.world, self.beta, self.discount)[1]

    @cached_property
    def sent(self) -> Int[np.ndarray, "episodes blocks"]:
        """The messages."""
        return np.random.default_rng(self.seed).choice(
            self.messages, size=(self.episodes, self.blocks), p=self.prior
        )

    def code(self, encoder: str, compress: str) -> Code:
        """A code that keeps to the rate and the policy."""
        return Code(self.policy, self.prior, self.rate_bits, self.blocks, encoder, compress)

    def transmit(
        self, episode: int, code: Code, uniforms: Float[np.ndarray, "max_steps 2"]
    ) -> Episode:
        """Play an episode; its steps are reserved before and given back after.

        Args:
            episode: Its number, which says its message.
            code: Of sender and receiver.
            uniforms: (max_steps, 2) chances of action and of transition.

        Raises:
            BudgetExhausted: It does not end within the budget.
        """
        whole("episode", episode, least=0, most=self.episodes - 1)
        meter = active_meter.get()
        granted = self.max_steps if meter is None else int(meter.grant("env_steps", self.max_steps))
        found = played(self.world, code, self.sent[episode], uniforms[:granted], self.discount)
        if meter is not None:
            meter.refund("env_steps", granted - len(found.actions))
            if granted < self.max_steps and not found.finished:
                raise BudgetExhausted(
                    "env_steps", meter.limits["env_steps"], meter.spent["env_steps"], 1
                )
        return found

    def judge(self, answer: Any) -> Verdict:
        """The share of symbols that were not received, and the reward.

        Raises:
            ShapeError: A transcript whose parts do not fit.
            ArgumentTypeError: What is no whole number.
            ArgumentError: States or actions that there are not.
        """
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        decoded, lengths = np.asarray(answer.decoded), np.asarray(answer.lengths)
        states = whole_numbers(answer.states, "states", below=self.policy.shape[0])
        actions = whole_numbers(answer.actions, "actions", below=self.policy.shape[1])
        on = int((lengths > 0).sum())
        fit = decoded.shape == self.sent.shape and lengths.shape == (self.episodes,)
        if not fit or len(actions) != lengths.sum() or len(states) != lengths.sum() + on:
            raise ShapeError(
                f"transcript: decoded {decoded.shape}, lengths {lengths.shape}, {len(states)} "
                f"states and {len(actions)} actions do "
                f"not fit {self.episodes} episodes of {self.blocks} blocks"
            )
        wrong = float((decoded != self.sent).mean())
        rewards, impossible, finished = [], 0, 0
        trails = np.split(states, np.cumsum(lengths[lengths > 0] + 1)[:-1])
        moves = np.split(actions, np.cumsum(lengths[lengths > 0])[:-1])
        for trail, made in zip(trails if on else [], moves if on else [], strict=True):
            rewards.append(discounted(self.world, trail, self.discount))
            before, after = trail[:-1], trail[1:]
            possible = (
                (self.world.transitions[before, made, after] > 0)
                & (self.policy[before, made] > 0)
                & ~self.world.terminal[before]
            )
            impossible += int((~possible).sum()) + int(trail[0] != self.world.start)
            finished += bool(self.world.terminal[trail[-1]])
        metrics = {"error_rate": wrong, "accuracy": 1 - wrong, "episodes": float(on)}
        if on:
            metrics |= {
                "reward": float(np.mean(rewards)),
                "reward_error": float(np.std(rewards) / np.sqrt(on)),
                "finished": finished / on,
                "steps": float(lengths.sum() / on),
            }
        return Verdict(
            wrong,
            float(impossible),
            violations={"impossible moves": float(impossible)},
            metrics=metrics,
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        notes = {
            "reward": "mean, discounted",
            "reward_error": "standard error",
            "steps": "mean",
            "finished": "share",
            "episodes": f"of {self.episodes}, {self.blocks * entropy_bits(self.prior):.3g} bits "
            "each",
        }
        return [
            ("metric", "value", ""),
            *(
                (k.replace("_", " "), f"{v:.6g}", notes.get(k, ""))
                for k, v in verdict.metrics.items()
            ),
        ]
