"""The decision process of a coding game: its tables, the paper's grid, and a policy for it.

    maximise  sum_t discount^t (r(s_t) + beta H(pi(.|s_t)))   over policies pi

References:
    Ebrahimi, Chen, Khisti, NeurIPS 2024, arXiv 2410.21666.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from ...core.annotations import Checked, checked
from ...core.checks import fraction, real, whole
from ...core.errors import ArgumentError, ShapeError
from ..arrays import plain

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MOVES = (("up", -1, 0), ("right", 0, 1), ("down", 1, 0), ("left", 0, -1))
DISCOUNT, MAX_STEPS = 0.95, 1000
"""Of the paper's coding games."""


@dataclass(frozen=True)
class World(Checked):
    """A Markov decision process as tables.

    Attributes:
        transitions: (S, A, S) probabilities, each row of sum 1.
        reward: (S,) on arrival.
        terminal: (S,) whether an episode ends there.
        start: The first state.
        actions: Their names.

    Raises:
        ArgumentError: Probabilities that are none.
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities.
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
        whole("start", self.start, least=0, most=len(t) - 1)
        object.__setattr__(self, "transitions", t)
        object.__setattr__(self, "reward", plain(self.reward, "reward"))
        object.__setattr__(self, "terminal", np.asarray(self.terminal, dtype=bool))

    @cached_property
    def cumulated(self) -> Float[np.ndarray, "S A S"]:
        """Cumulative transition probabilities."""
        return np.cumsum(self.transitions, axis=2)


@checked
def grid_world(
    rows: int = 8,
    columns: int = 8,
    goal: tuple[int, int] = (0, 7),
    trap: tuple[int, int] | None = (1, 7),
    obstacles: tuple[tuple[int, int], ...] = tuple((i, i) for i in range(1, 8)),
    start: tuple[int, int] = (5, 4),
    noise: float = 0.1,
) -> World:
    """The paper's grid: +1 at the goal, -1 in the trap, both terminal.

    A move slips to each side with probability `noise`; blocked moves stay. Cells are (row, column)
    from the upper left; state = row * columns + column.

    Args:
        rows: Of the grid; the paper's 8.
        columns: Of the grid; the paper's 8.
        goal: Its cell.
        trap: Its cell; None for none.
        obstacles: Cells that cannot be entered.
        start: The first cell.
        noise: Probability of a slip to each side, at most 0.5; the paper's 0.1.

    Returns:
        A world whose actions are up, right, down and left.

    Raises:
        ArgumentError: A cell outside the grid, or on an obstacle.
    """
    real("noise", noise, least=0, most=0.5, note=", the probability of each side")
    size = whole("rows", rows, least=1) * whole("columns", columns, least=1)
    obstacles = tuple((int(r), int(c)) for r, c in obstacles)
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


@checked
def soft_value_iteration(
    world: World, beta: float, discount: float = DISCOUNT, sweeps: int = 100
) -> tuple[Float[np.ndarray, "S A"], Float[np.ndarray, "S A"]]:
    """Q and the maximum-entropy policy softmax(Q / beta) after `sweeps` sweeps from 0.

        Q(s, a) = r(s) + discount sum_s' T(s'|s, a) V(s')
        V(s)    = beta log sum_a exp(Q(s, a) / beta)

    Q(s, .) = r(s) in a terminal state.

    Args:
        world: Tables of states and actions.
        beta: Temperature, in units of reward; 0: the greedy policy, ties shared.
        discount: In (0, 1].
        sweeps: Over all states.

    Returns:
        (S, A) Q and (S, A) policy.
    """
    real("beta", beta, least=0)
    fraction("discount", discount, zero=False)
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


def discounted(world: World, states: Int[np.ndarray, " n1"], discount: float) -> float:
    """sum_i discount^i r(s_i) over the states after the first."""
    return float(world.reward[states[1:]] @ discount ** np.arange(1, len(states)))
