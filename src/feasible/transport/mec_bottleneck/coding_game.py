"""Markov coding games: messages sent through what an agent does, with the rate limit of MEC-B.

An agent acts in a Markov decision process by a fixed stochastic policy pi; a receiver watches
states and actions. Sender and receiver keep the same belief over the message. In each step the
belief is compressed to `rate_bits` bits, the code is coupled with pi(.|state), the action is drawn
from that joint law given the message, and the belief becomes the joint law given the action. Over
messages the actions follow pi exactly, so reward is not paid for communication: only the entropy of
pi is. `rate_bits=inf` is the game without a bottleneck.

References:
    Sokota, de Witt, Igl, Zintgraf, Torr, Strohmeier, Kolter, Whiteson, Foerster, ICML 2022.
    Ebrahimi, Chen, Khisti, NeurIPS 2024, arXiv 2410.21666.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import Checked, checked
from ...core.checks import generator, one_of, real, whole
from ...core.compiled import compiled
from ...core.errors import ArgumentError, ShapeError
from ..arrays import plain, whole_numbers
from .compiled_coupling import couple, entropy
from .compiled_encoders import column_masses, encode, mixed_rows
from .entropy_coupling import check_rate, law
from .mec_bottleneck import ENCODERS, BottleneckSettings
from .world import DISCOUNT, MAX_STEPS, World, discounted

if TYPE_CHECKING:
    from jaxtyping import Float, Int

COMPRESSED = ("belief", "policy")


# -- the code --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CodeSettings(Checked):
    """How an agent codes.

    Attributes:
        encoder: "greedy+interp", "greedy" (the paper's), "quantizer" (its baseline), or
            "quantizer-identity".
        compress: "belief", or "policy" (the paper's reverse variant: the action's law is coded, and
            the code coupled with the belief).
    """

    encoder: str = BottleneckSettings.encoder
    compress: str = "belief"

    def __post_init__(self) -> None:
        one_of("encoder", self.encoder, ENCODERS)
        one_of("compress", self.compress, COMPRESSED)


@compiled
def _joint(belief, policy, rate, kind, reverse, out):  # type: ignore[no-untyped-def]
    """out (M, A) = the joint law of message and action by MEC-B.

    Of the belief compressed, or (reverse) of the policy.
    """
    source, target = (policy, belief) if reverse else (belief, policy)
    n, m = len(source), len(target)
    labels = np.zeros(n, np.int64)
    columns, row, to, moved = encode(source, rate, kind, labels)
    masses = column_masses(source, labels, columns, row, to, moved)
    first, second, mass = (
        np.empty(columns + m, np.int64),
        np.empty(columns + m, np.int64),
        np.empty(columns + m),
    )
    count = couple(masses, target, first, second, mass)
    both = np.empty((n, m))
    mixed_rows(source, labels, row, to, moved, masses, first, second, mass, count, both)
    out[:] = both.T if reverse else both


@compiled
def _block(beliefs):  # type: ignore[no-untyped-def]
    """The block whose belief has most entropy, the first of equals."""
    best, most = 0, -1.0
    for b in range(len(beliefs)):
        h = entropy(beliefs[b])
        if h > most:
            best, most = b, h
    return best


@compiled
def _told(joint, action, belief):  # type: ignore[no-untyped-def]
    """The belief after an action; as it was where no message makes the action."""
    total = 0.0
    for m in range(len(belief)):
        total += joint[m, action]
    if total > 0.0:
        for m in range(len(belief)):
            belief[m] = joint[m, action] / total


@compiled
def _drawn(cumulated, u):  # type: ignore[no-untyped-def]
    """The first index whose cumulated mass exceeds u of the whole, never one without mass."""
    level = u * cumulated[-1]
    last = 0
    for i in range(len(cumulated)):
        if cumulated[i] > (cumulated[i - 1] if i else 0.0):
            last = i
            if cumulated[i] > level:
                break
    return last


@compiled
def _episode(  # type: ignore[no-untyped-def]
    cumulated,
    terminal,
    policy,
    start,
    rate,
    kind,
    reverse,
    message,
    uniforms,
    beliefs,
    states,
    actions,
):  # type: ignore[no-untyped-def]
    """Play one episode; fills beliefs, states and actions. Returns its steps."""
    joint = np.empty((beliefs.shape[1], policy.shape[1]))
    state = start
    states[0] = state
    step = 0
    while step < len(actions) and not terminal[state]:
        block = _block(beliefs)
        _joint(beliefs[block], policy[state], rate, kind, reverse, joint)
        own = np.cumsum(joint[message[block]])
        if own[-1] <= 0.0:
            own = np.cumsum(policy[state])
        action = _drawn(own, uniforms[step, 0])
        _told(joint, action, beliefs[block])
        state = _drawn(cumulated[state, action], uniforms[step, 1])
        actions[step] = action
        step += 1
        states[step] = state
    return step


@compiled
def _received(  # type: ignore[no-untyped-def]
    policy, rate, kind, reverse, states, actions, beliefs
):
    """The receiver's beliefs from states and actions alone."""
    joint = np.empty((beliefs.shape[1], policy.shape[1]))
    for step in range(len(actions)):
        block = _block(beliefs)
        _joint(beliefs[block], policy[states[step]], rate, kind, reverse, joint)
        _told(joint, actions[step], beliefs[block])


@dataclass(frozen=True)
class Code(Checked):
    """What sender and receiver agreed on.

    Attributes:
        policy: (S, A), rows of sum 1.
        prior: (M,) of each block of a message.
        rate_bits: Entropy of the code of each step at most, in bits; inf: no bottleneck.
        blocks: Symbols of a message; each step speaks of the one whose belief has most entropy.
        encoder: As in `CodeSettings`.
        compress: As in `CodeSettings`.

    Raises:
        ArgumentError: Probabilities that are none; settings.
        ArgumentTypeError: What is no number.
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities.
    """

    policy: Float[np.ndarray, "S A"]
    prior: Float[np.ndarray, " M"]
    rate_bits: float
    blocks: int = 1
    encoder: str = CodeSettings.encoder
    compress: str = CodeSettings.compress

    def __post_init__(self) -> None:
        policy = plain(self.policy, "policy")
        if policy.ndim != 2 or not policy.size:
            raise ShapeError(f"policy has shape {policy.shape}, expected (states, actions)")
        if policy.min() < 0 or np.abs(policy.sum(1) - 1).max() > 1e-8:
            raise ArgumentError("policy: expected probabilities, of sum 1 in each row")
        object.__setattr__(self, "policy", policy / policy.sum(1, keepdims=True))
        object.__setattr__(self, "prior", law(self.prior, "prior"))
        object.__setattr__(self, "rate_bits", check_rate(self.rate_bits))
        whole("blocks", self.blocks, least=1)
        CodeSettings(self.encoder, self.compress)

    @property
    def rules(self) -> tuple[float, int, bool]:
        """Rate, encoder and direction as the compiled loops take them."""
        return self.rate_bits, ENCODERS[self.encoder], self.compress == "policy"

    def beliefs(self) -> Float[np.ndarray, "blocks M"]:
        """What the receiver believes before the first action."""
        return np.tile(self.prior, (self.blocks, 1))

    def joint(
        self, state: int, beliefs: Float[np.ndarray, "blocks M"]
    ) -> tuple[int, Float[np.ndarray, "M A"]]:
        """The block that is spoken of, and the joint law of its symbol and the action.

        Args:
            state: Of the world.
            beliefs: (blocks, M) that sender and receiver share.

        Returns:
            The block, and (M, A) probabilities.
        """
        block = int(_block(beliefs))
        out = np.empty((len(self.prior), self.policy.shape[1]))
        _joint(beliefs[block], self.policy[state], *self.rules, out)
        return block, out

    def coding_policy(
        self,
        state: int,
        beliefs: Float[np.ndarray, "blocks M"],
        message: Int[np.ndarray, " blocks"],
    ) -> Float[np.ndarray, " A"]:
        """The sender's law of the next action.

        Args:
            state: Of the world.
            beliefs: (blocks, M) that sender and receiver share.
            message: (blocks,) symbols.

        Returns:
            (A,) probabilities.
        """
        block, joint = self.joint(state, beliefs)
        own = joint[message[block]]
        return own / own.sum() if own.sum() > 0 else self.policy[state].copy()

    def update(
        self, state: int, action: int, beliefs: Float[np.ndarray, "blocks M"]
    ) -> Float[np.ndarray, "blocks M"]:
        """The beliefs after an action in a state.

        Args:
            state: Before the action.
            action: What was done.
            beliefs: (blocks, M) before it.

        Returns:
            (blocks, M).
        """
        block, joint = self.joint(state, beliefs)
        out = beliefs.copy()
        _told(joint, action, out[block])
        return out

    def receive(self, states: Any, actions: Any) -> Float[np.ndarray, "blocks M"]:
        """The receiver's beliefs after the actions in the states.

        Args:
            states: (n,) or (n + 1,), of which the last is not needed.
            actions: (n,).

        Returns:
            (blocks, M).

        Raises:
            ArgumentTypeError: What is no whole number.
            ShapeError: Lengths that do not fit.
            ArgumentError: A state or an action that the policy does not have.
        """
        seen = whole_numbers(states, "states", below=self.policy.shape[0])
        made = whole_numbers(actions, "actions", below=self.policy.shape[1])
        if len(seen) not in (len(made), len(made) + 1):
            raise ShapeError(
                f"states has {len(seen)} entries, expected {len(made)} or {len(made) + 1}, for "
                f"{len(made)} actions"
            )
        beliefs = self.beliefs()
        _received(self.policy, *self.rules, seen, made, beliefs)
        return beliefs

    def guess(self, beliefs: Float[np.ndarray, "blocks M"]) -> Int[np.ndarray, " blocks"]:
        """The likeliest symbol of each block, the lowest of equals."""
        return beliefs.argmax(1)

    def message(self, message: Any) -> Int[np.ndarray, " blocks"]:
        """A message as (blocks,) whole numbers below M.

        Raises:
            ShapeError: Another length, or no whole numbers.
            ArgumentError: A symbol that the prior does not have.
        """
        given = np.atleast_1d(np.asarray(message))
        if given.dtype.kind not in "iu" or given.shape != (self.blocks,):
            raise ShapeError(
                f"message: got shape {given.shape} of {given.dtype}, expected {self.blocks} whole "
                "numbers"
            )
        if given.min() < 0 or given.max() >= len(self.prior):
            raise ArgumentError(
                f"message {given.tolist()}: expected symbols from 0 to {len(self.prior) - 1}"
            )
        return given.astype(np.int64)


@dataclass(frozen=True)
class Episode:
    """What happened.

    Attributes:
        states: (n + 1,).
        actions: (n,).
        beliefs: (blocks, M) of the receiver at the end.
        decoded: (blocks,) the likeliest symbols then.
        reward: Discounted.
        finished: A terminal state was reached.
    """

    states: Int[np.ndarray, " n1"]
    actions: Int[np.ndarray, " n"]
    beliefs: Float[np.ndarray, "blocks M"]
    decoded: Int[np.ndarray, " blocks"]
    reward: float
    finished: bool


@checked
def play(
    world: World,
    code: Code,
    message: Any,
    rng: np.random.Generator | int | Sequence[int],
    max_steps: int = MAX_STEPS,
    discount: float = DISCOUNT,
) -> Episode:
    """Play one episode: the agent sends the message by its actions.

    Two uniforms a step are drawn, all of them at the start: with one seed every code meets the same
    chances.

    Args:
        world: Tables of states and actions.
        code: What sender and receiver agreed on.
        message: (blocks,) symbols.
        rng: A generator or a seed.
        max_steps: Actions at most; it ends before in a terminal state.
        discount: Of the rewards.

    Raises:
        ShapeError: A policy of another world; a message of another length.
        ArgumentError: A symbol that the prior does not have; settings.

    Examples:
        >>> from feasible.transport import grid_world, soft_value_iteration
        >>> world = grid_world()
        >>> policy = soft_value_iteration(world, beta=0.05)[1]
        >>> code = Code(policy, [1 / 8] * 8, rate_bits=2.0)
        >>> play(world, code, message=5, rng=100).decoded.tolist()
        [5]
    """
    if len(code.policy) != len(world.reward) or code.policy.shape[1] != world.transitions.shape[1]:
        raise ShapeError(
            f"policy has shape {code.policy.shape}, the world has {world.transitions.shape[:2]} "
            "states and actions"
        )
    real("discount", discount, above=0)
    uniforms = generator("rng", rng).random((whole("max_steps", max_steps, least=1), 2))
    return played(world, code, code.message(message), uniforms, discount)


def played(
    world: World,
    code: Code,
    message: Int[np.ndarray, " blocks"],
    uniforms: Float[np.ndarray, "n 2"],
    discount: float,
) -> Episode:
    """Play an episode of at most len(uniforms) steps, all chances given."""
    beliefs = code.beliefs()
    states, actions = np.empty(len(uniforms) + 1, np.int64), np.empty(len(uniforms), np.int64)
    n = _episode(
        world.cumulated,
        world.terminal,
        code.policy,
        world.start,
        *code.rules,
        message,
        uniforms,
        beliefs,
        states,
        actions,
    )
    states, actions = states[: n + 1].copy(), actions[:n].copy()
    return Episode(
        states,
        actions,
        beliefs,
        code.guess(beliefs),
        discounted(world, states, discount),
        bool(world.terminal[states[-1]]),
    )
