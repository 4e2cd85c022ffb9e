"""Markov coding games: messages sent through what an agent does (Sokota et al., ICML 2022), with
the rate limit of MEC-B (arXiv 2410.21666).

An agent acts in a Markov decision process by a fixed stochastic policy pi; a receiver watches
states and actions. Sender and receiver keep the same
belief over the message. In each step the belief is compressed to `rate_bits` bits, the code is
coupled with pi(.|state), the action is drawn from
that joint law given the message, and the belief becomes the joint law given the action. Over
messages the actions follow pi exactly, so reward is not
paid for communication: only the entropy of pi is. `rate_bits=inf` is the game without a bottleneck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from ...core.checks import real, whole
from ...core.compiled import compiled
from ...core.errors import ArgumentError, ShapeError, is_number
from ..arrays import plain, whole_numbers
from .compiled_coupling import couple, entropy
from .compiled_encoders import column_masses, encode, mixed_rows
from .entropy_coupling import check_rate, law
from .mec_bottleneck import ENCODERS, check_method

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MOVES = (("up", -1, 0), ("right", 0, 1), ("down", 1, 0), ("left", 0, -1))
COMPRESSED = ("belief", "policy")


# -- the decision process --------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A Markov decision process as tables. transitions: (S, A, S), each row of sum 1.  reward: (S,)
    on arrival.  terminal: (S,).  start: a state.

    Raises ShapeError, NotFinite, ArgumentError.
    """

    transitions: Float[np.ndarray, "S A S"]
    reward: Float[np.ndarray, " S"]
    terminal: Bool[np.ndarray, " S"]
    start: int = 0
    actions: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        t = plain(self.transitions, "transitions")
        if t.ndim != 3 or t.shape[0] != t.shape[2] or not t.size:
            raise ShapeError(f"transitions has shape {t.shape}, expected (states, actions, states)")
        if t.min() < 0 or np.abs(t.sum(2) - 1).max() > 1e-8:
            raise ArgumentError("transitions: expected probabilities, of sum 1 over the last axis")
        for name in ("reward", "terminal"):
            if np.shape(getattr(self, name)) != t.shape[:1]:
                raise ShapeError(
                    f"{name} has shape {np.shape(getattr(self, name))}, expected ({t.shape[0]},)"
                )
        if not 0 <= whole("start", self.start, least=0) < t.shape[0]:
            raise ArgumentError(f"start={self.start}: expected a state below {t.shape[0]}")
        object.__setattr__(self, "transitions", t)
        object.__setattr__(self, "reward", plain(self.reward, "reward"))
        object.__setattr__(self, "terminal", np.asarray(self.terminal, dtype=bool))

    @cached_property
    def cumulated(self) -> Float[np.ndarray, "S A S"]:
        """Cumulative transition probabilities."""
        return np.cumsum(self.transitions, axis=2)


def grid_world(
    rows: int = 8,
    columns: int = 8,
    goal: tuple[int, int] = (0, 7),
    trap: tuple[int, int] | None = (1, 7),
    obstacles: tuple[tuple[int, int], ...] = tuple((i, i) for i in range(1, 8)),
    start: tuple[int, int] = (5, 4),
    noise: float = 0.1,
) -> World:
    """The paper's grid: +1 at the goal, -1 in the trap, both terminal; a move slips to each side
    with probability `noise`; blocked moves stay.

    Cells are (row, column) from the upper left; state = row * columns + column.
    """
    if not (is_number(noise) and 0 <= noise <= 0.5):
        raise ArgumentError(f"noise={noise!r}: expected a probability of at most 0.5 to each side")
    size = whole("rows", rows, least=1) * whole("columns", columns, least=1)
    named = [
        ("goal", goal),
        ("start", start),
        *([("trap", trap)] if trap is not None else []),
        *(("obstacle", cell) for cell in obstacles),
    ]
    for name, cell in named:
        if not (0 <= cell[0] < rows and 0 <= cell[1] < columns):
            raise ArgumentError(f"{name} {cell} is outside the grid of {rows} x {columns}")
    for name, cell in named[: 3 if trap is not None else 2]:
        if cell in obstacles:
            raise ArgumentError(f"{name} {cell} is an obstacle")
    transitions = np.zeros((size, 4, size))
    for state in range(size):
        r, c = divmod(state, columns)
        ends = []
        for _, down, right in MOVES:
            there = (r + down, c + right)
            free = 0 <= there[0] < rows and 0 <= there[1] < columns and there not in obstacles
            ends.append(there[0] * columns + there[1] if free else state)
        for a in range(4):
            for side, probability in (
                (a, 1 - 2 * noise),
                ((a + 1) % 4, noise),
                ((a - 1) % 4, noise),
            ):
                transitions[state, a, ends[side]] += probability
    reward, terminal = np.zeros(size), np.zeros(size, bool)
    for end, value in ((goal, 1.0), (trap, -1.0)):
        if end is not None:
            reward[end[0] * columns + end[1]], terminal[end[0] * columns + end[1]] = value, True
    return World(
        transitions,
        reward,
        terminal,
        start[0] * columns + start[1],
        tuple(name for name, _, _ in MOVES),
    )


def soft_value_iteration(
    world: World, beta: float, discount: float = 0.95, sweeps: int = 100
) -> tuple[Float[np.ndarray, "S A"], Float[np.ndarray, "S A"]]:
    """Q and the maximum-entropy policy softmax(Q / beta) after `sweeps` sweeps from 0; beta = 0:
    the greedy policy, ties shared.

    Q(s, a) = r(s) + discount sum_s' T(s'|s, a) V(s'),   V(s) = beta log sum_a exp(Q(s, a) / beta);
    Q(s, .) = r(s) in a terminal state
    """
    if not (is_number(beta) and 0 <= beta < math.inf):
        raise ArgumentError(f"beta={beta!r}: expected a finite temperature >= 0")
    if not (is_number(discount) and 0 < discount <= 1):
        raise ArgumentError(f"discount={discount!r}: expected a number in (0, 1]")
    value = np.zeros(len(world.reward))
    q = np.zeros(world.transitions.shape[:2])
    for _ in range(whole("sweeps", sweeps, least=1)):
        q = world.reward[:, None] + discount * np.where(
            world.terminal[:, None], 0.0, world.transitions @ value
        )
        value = beta * logsumexp(q / beta, axis=1) if beta > 0 else q.max(1)
    if beta > 0:
        policy = np.exp(q / beta - logsumexp(q / beta, axis=1, keepdims=True))
    else:
        policy = (q == q.max(1, keepdims=True)).astype(float)
    return q, policy / policy.sum(1, keepdims=True)


# -- the code --------------------------------------------------------------------------------------


@compiled
def _joint(belief, policy, rate, kind, reverse, out):  # type: ignore[no-untyped-def]
    """out (M, A): joint law of message and action by MEC-B, of the belief compressed, or (reverse)
    of the policy.
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
class Code:
    """What sender and receiver agreed on.

    policy: (S, A), rows of sum 1.  prior: (M,) of each block of a message.  rate_bits: of the code
      in each step; inf: no bottleneck.
    blocks: a message is so many symbols; each step speaks of the one whose belief has most entropy.
    encoder: "greedy+interp", "greedy", "quantizer", "quantizer-identity".  compress: "belief", or
      "policy" (the paper's reverse variant).

    Raises ShapeError, NotFinite, ArgumentError, ArgumentTypeError.
    """

    policy: Float[np.ndarray, "S A"]
    prior: Float[np.ndarray, " M"]
    rate_bits: float
    blocks: int = 1
    encoder: str = "greedy+interp"
    compress: str = "belief"

    def __post_init__(self) -> None:
        policy = plain(self.policy, "policy")
        if policy.ndim != 2 or not policy.size:
            raise ShapeError(f"policy has shape {policy.shape}, expected (states, actions)")
        if policy.min() < 0 or np.abs(policy.sum(1) - 1).max() > 1e-8:
            raise ArgumentError("policy: expected probabilities, of sum 1 in each row")
        if self.compress not in COMPRESSED:
            raise ArgumentError(f"compress={self.compress!r}: expected 'belief' or 'policy'")
        object.__setattr__(self, "policy", policy / policy.sum(1, keepdims=True))
        object.__setattr__(self, "prior", law(self.prior, "prior"))
        object.__setattr__(self, "rate_bits", check_rate(self.rate_bits))
        whole("blocks", self.blocks, least=1)
        check_method(self.encoder, tuple(ENCODERS), "encoder")

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
        """The block that is spoken of, and the joint law of its symbol and the action."""
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
        """The sender's law of the next action."""
        block, joint = self.joint(state, beliefs)
        own = joint[message[block]]
        return own / own.sum() if own.sum() > 0 else self.policy[state].copy()

    def update(
        self, state: int, action: int, beliefs: Float[np.ndarray, "blocks M"]
    ) -> Float[np.ndarray, "blocks M"]:
        """The beliefs after an action in a state."""
        block, joint = self.joint(state, beliefs)
        out = beliefs.copy()
        _told(joint, action, out[block])
        return out

    def receive(self, states: Any, actions: Any) -> Float[np.ndarray, "blocks M"]:
        """The receiver's beliefs after the actions (n,) in the states (n,) or (n + 1,), of which
        the last is not needed.

        Raises ArgumentTypeError, ShapeError, ArgumentError (a state or action that the policy does
        not have).
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
        """A message as (blocks,) whole numbers below M. Raises ShapeError, ArgumentError."""
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
    """states: (n + 1,).  actions: (n,).  beliefs: (blocks, M) at the end.  decoded: (blocks,).
    finished: a terminal state was reached.
    """

    states: Int[np.ndarray, " n1"]
    actions: Int[np.ndarray, " n"]
    beliefs: Float[np.ndarray, "blocks M"]
    decoded: Int[np.ndarray, " blocks"]
    reward: float
    finished: bool


def discounted(world: World, states: Int[np.ndarray, " n1"], discount: float) -> float:
    """sum_i discount^i r(s_i) over the states after the first."""
    return float(world.reward[states[1:]] @ discount ** np.arange(1, len(states)))


def play(
    world: World,
    code: Code,
    message: Any,
    rng: np.random.Generator | int,
    max_steps: int = 1000,
    discount: float = 0.95,
) -> Episode:
    """One episode: the agent sends the message (blocks,) by its actions until a terminal state or
    max_steps. rng: a generator or a seed.

    Draws two uniforms a step, all of them at the start: with one seed every code meets the same
      chances.
    """
    if len(code.policy) != len(world.reward) or code.policy.shape[1] != world.transitions.shape[1]:
        raise ShapeError(
            f"policy has shape {code.policy.shape}, the world has {world.transitions.shape[:2]} "
            "states and actions"
        )
    real("discount", discount, above=0)
    uniforms = np.random.default_rng(rng).random((whole("max_steps", max_steps, least=1), 2))
    return played(world, code, code.message(message), uniforms, discount)


def played(
    world: World,
    code: Code,
    message: Int[np.ndarray, " blocks"],
    uniforms: Float[np.ndarray, "n 2"],
    discount: float,
) -> Episode:
    """An episode of at most len(uniforms) steps, all chances given."""
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
