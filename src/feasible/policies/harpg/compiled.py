"""The methods on a table of logits, compiled: one loop over all steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core.compiled import compiled
from ..walking import Cumulated, drawn

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Trajectory(NamedTuple):
    """Where a trajectory is written; its first steps count.

    Attributes:
        states: (H,).
        actions: (H,).
        policy: (H, A) probabilities of the actions at each step.
        weights: (H,) C_h = sum_(k >= h) gamma^k r_k - b_h.
        to_go: (H,) the sum alone.
    """

    states: Int[np.ndarray, " H"]
    actions: Int[np.ndarray, " H"]
    policy: Float[np.ndarray, "H A"]
    weights: Float[np.ndarray, " H"]
    to_go: Float[np.ndarray, " H"]


def _softmax(row: Float[np.ndarray, " A"], out: Float[np.ndarray, " A"]) -> None:
    """Write the softmax of a row."""
    top, total = row[0], 0.0
    for a in range(1, len(row)):
        top = max(top, row[a])
    for a in range(len(row)):
        out[a] = np.exp(row[a] - top)
        total += out[a]
    for a in range(len(row)):
        out[a] /= total


softmax = compiled(_softmax)


def _trajectory(
    logits: Float[np.ndarray, "S A"],
    process: Cumulated,
    gamma: float,
    baseline: Float[np.ndarray, " H"],
    u: Float[np.ndarray, " width"],
    out: Trajectory,
) -> int:
    """Draw a trajectory. Return its length."""
    start, moves, rewards, terminal = process
    states, actions, policy, weights, to_go = out
    horizon = len(states)
    s = drawn(start, u[0])
    length, discount = 0, 1.0
    for h in range(horizon):
        if terminal[s]:
            break
        softmax(logits[s], policy[h])
        a, left = len(policy[h]) - 1, u[2 * h + 1]
        for b in range(len(policy[h]) - 1):
            left -= policy[h, b]
            if left < 0.0:
                a = b
                break
        states[h], actions[h] = s, a
        to_go[h] = discount * rewards[min(h, len(rewards) - 1), s, a]
        s = drawn(moves[min(h, len(moves) - 1), s, a], u[2 * h + 2])
        discount *= gamma
        length += 1
    later = 0.0
    for h in range(length - 1, -1, -1):
        later += to_go[h]
        to_go[h] = later
        weights[h] = later - baseline[h]
    return length


trajectory = compiled(_trajectory)


def _add_gradient(
    path: Trajectory,
    length: int,
    scale: float,
    out: Float[np.ndarray, "S A"],
) -> None:
    """Add scale g(tau, theta), g = sum_h C_h grad log pi(a_h | s_h)."""
    states, actions, policy, weights, _ = path
    for h in range(length):
        s, c = states[h], scale * weights[h]
        for a in range(policy.shape[1]):
            out[s, a] -= c * policy[h, a]
        out[s, actions[h]] += c


def _add_product(
    path: Trajectory,
    length: int,
    scale: float,
    u: Float[np.ndarray, "S A"],
    out: Float[np.ndarray, "S A"],
) -> None:
    """Add scale B(tau, theta) u, B u = grad^2 Phi u + grad Phi <grad log p(tau), u>."""
    states, actions, policy, weights, _ = path
    along = 0.0
    for h in range(length):
        along += u[states[h], actions[h]]
        for a in range(policy.shape[1]):
            along -= policy[h, a] * u[states[h], a]
    for h in range(length):
        s, c, mean = states[h], scale * weights[h], 0.0
        for a in range(policy.shape[1]):
            mean += policy[h, a] * u[s, a]
        for a in range(policy.shape[1]):
            out[s, a] -= c * policy[h, a] * (u[s, a] - mean + along)
        out[s, actions[h]] += c * along


add_gradient = compiled(_add_gradient)
add_product = compiled(_add_product)


def _ascend(
    first: int,
    steps: int,
    rule: tuple[bool, bool, bool, bool],
    schedules: Float[np.ndarray, "steps 2"],
    batches: tuple[int, int],
    baseline: bool,
    theta: Float[np.ndarray, "S A"],
    before: Float[np.ndarray, "S A"],
    d: Float[np.ndarray, "S A"],
    mean: Float[np.ndarray, " H"],
    counts: Float[np.ndarray, " H"],
    process: Cumulated,
    gamma: float,
    u: Float[np.ndarray, "steps width"],
    returns: Float[np.ndarray, " steps"],
) -> int:
    """Make steps in place from step `first` on; return the transitions that were made."""
    momentum, transported, corrected, normalised = rule
    horizon, made = len(mean), 0
    path = Trajectory(
        np.empty(horizon, np.int64), np.empty(horizon, np.int64),
        np.empty((horizon, theta.shape[1])), np.empty(horizon), np.empty(horizon),
    )  # fmt: skip
    g, v, at, move = (
        np.empty_like(theta), np.empty_like(theta), np.empty_like(theta), np.empty_like(theta)
    )  # fmt: skip
    known, fresh, number = np.empty(horizon), np.empty(horizon), np.empty(horizon)
    wide = 2 * horizon + 1
    for i in range(steps):
        step, eta = schedules[i, 0], schedules[i, 1]
        ahead = (1.0 - eta) / eta if transported else 0.0
        for s in range(theta.shape[0]):
            for a in range(theta.shape[1]):
                move[s, a] = theta[s, a] - before[s, a]
                at[s, a] = theta[s, a] + ahead * move[s, a]
                g[s, a] = 0.0
                v[s, a] = 0.0
        for h in range(horizon):
            known[h] = mean[h] if baseline else 0.0
            fresh[h] = 0.0
            number[h] = 0.0
        returns[i] = 0.0
        for b in range(batches[0]):
            row = u[i, b * wide : (b + 1) * wide]
            length = trajectory(at, process, gamma, known, row, path)
            add_gradient(path, length, 1.0 / batches[0], g)
            made += length
            for h in range(length):
                fresh[h] += path.to_go[h]
                number[h] += 1.0
            if length:
                returns[i] += path.to_go[0] / batches[0]
        if corrected and first + i > 0:
            q = u[i, -1]
            for s in range(theta.shape[0]):
                for a in range(theta.shape[1]):
                    at[s, a] = before[s, a] + q * move[s, a]
            for b in range(batches[0], batches[0] + batches[1]):
                row = u[i, b * wide : (b + 1) * wide]
                length = trajectory(at, process, gamma, known, row, path)
                add_product(path, length, 1.0 / batches[1], move, v)
                made += length
        size = 0.0
        for s in range(theta.shape[0]):
            for a in range(theta.shape[1]):
                if first + i == 0 or not momentum:
                    d[s, a] = g[s, a]
                else:
                    d[s, a] = (1.0 - eta) * (d[s, a] + v[s, a]) + eta * g[s, a]
                size += d[s, a] * d[s, a]
        size = np.sqrt(size)
        scale = step
        if normalised:
            scale = step / size if size > 0.0 else 0.0
        for s in range(theta.shape[0]):
            for a in range(theta.shape[1]):
                before[s, a] = theta[s, a]
                theta[s, a] += scale * d[s, a]
        for h in range(horizon):  # after its use, so that it never saw this step's trajectories
            if number[h] > 0.0:
                counts[h] += number[h]
                mean[h] += (fresh[h] - number[h] * mean[h]) / counts[h]
    return made


ascend = compiled(_ascend)
