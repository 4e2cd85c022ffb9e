"""BIB: designs that the data predict to be good, and that predict the data.

Each design is a matrix of logits X (L, A), which begins at one of the best known sequences and
moves by Adam on gamma L_f + (1 - gamma) L_b; gamma, and if wanted the step size, follow an
auxiliary model. Every scalar belongs to one design, so all of them move at once.

References:
    Chen, Zhang, Liu, Coates, "Bidirectional Learning for Offline Model-based Biological Sequence
    Design", ICML 2023, arXiv 2301.02931.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...core.budget import spend
from .adaptive import adapted
from .letters import SequenceRules, keys, new_designs
from .models import Auxiliary, Offline, looked_at
from .settings import BIBSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BETA1, BETA2, TINY = 0.9, 0.999, 1e-8


@dataclass(slots=True)
class DesignState:
    """Where designs stand.

    Attributes:
        rng: Where noise is drawn from.
        found: (k, L) designs of earlier rounds.
        used: Starts that were used so far.
        round: Number of the round, from 1.
        gammas: (steps,) mean of gamma at each step.
        X: (n, L, A) logits of the designs of this round.
        mean: (n, L, A) Adam's mean of gradients.
        square: (n, L, A) Adam's mean of their squares.
        gamma: (n,) weight of the forward loss.
        gamma_mean: (n,) Adam's mean of what moves gamma.
        gamma_square: (n,) Adam's mean of its square.
        eta: (n,) step size of the last step.
        t: Steps of this round.
        path: (t, n, L) what each design read before each step of this round.
        starts: (n, L) where the designs of this round began.
    """

    rng: np.random.Generator
    found: Int[np.ndarray, "k L"]
    used: int = 0
    round: int = 0
    gammas: Float[np.ndarray, " steps"] = field(default_factory=lambda: np.zeros(0))
    X: Tensor = field(init=False)
    mean: Tensor = field(init=False)
    square: Tensor = field(init=False)
    gamma: Tensor = field(init=False)
    gamma_mean: Tensor = field(init=False)
    gamma_square: Tensor = field(init=False)
    eta: Tensor = field(init=False)
    t: int = field(init=False)
    path: Int[np.ndarray, "t n L"] = field(init=False)
    starts: Int[np.ndarray, "n L"] = field(init=False)


def first_logits(
    codes: Int[np.ndarray, "n L"], letters: int, noise: float, rng: np.random.Generator
) -> Float[Tensor, "n L A"]:
    """Return noise, shared by all designs, whose largest entry of a row is at the start's letter.

    Args:
        codes: (n, L) starts.
        letters: A.
        noise: Its standard deviation.
        rng: Where it is drawn from.
    """
    drawn = rng.normal(0.0, 1.0, (codes.shape[1], letters)) * max(noise, 1e-6)
    X = np.broadcast_to(drawn, (len(codes), *drawn.shape)).copy()
    top = drawn.argmax(axis=1)
    rows, places = np.indices(codes.shape)
    X[rows, places, np.broadcast_to(top, codes.shape)] = drawn[places, codes]
    X[rows, places, codes] = drawn.max(axis=1)[places]
    return torch.as_tensor(X).float()


def begin(
    offline: Offline,
    alphabet: str,
    n: int,
    settings: BIBSettings,
    rng: np.random.Generator,
    rules: SequenceRules,
) -> DesignState:
    """Stand at the n best sequences."""
    state = DesignState(rng, offline.codes[:0])
    open_round(offline, alphabet, n, settings, state, rules)
    return state


def open_round(
    offline: Offline,
    alphabet: str,
    n: int,
    settings: BIBSettings,
    state: DesignState,
    rules: SequenceRules,
) -> None:
    """Begin n designs at the best starts that were not used yet, in place."""
    starts = offline.codes[state.used : state.used + n].copy()
    for place, letter in rules.fixed.items():
        starts[:, place] = alphabet.index(letter)
    state.starts = starts
    state.X = first_logits(starts, len(alphabet), settings.noise, state.rng)
    state.mean, state.square = torch.zeros_like(state.X), torch.zeros_like(state.X)
    state.gamma = torch.full((len(starts),), settings.first_gamma, dtype=torch.float64)
    state.gamma_mean = torch.zeros_like(state.gamma)
    state.gamma_square = torch.zeros_like(state.gamma)
    state.eta = torch.full_like(state.gamma, settings.lr)
    state.path = np.zeros((0, *starts.shape), dtype=np.int16)
    state.t, state.used, state.round = 0, state.used + len(starts), state.round + 1


def advance(
    offline: Offline,
    aux: Auxiliary | None,
    settings: BIBSettings,
    state: DesignState,
    rules: SequenceRules,
) -> None:
    """Make one step of all designs of the round in place, charging a gradient each."""
    spend(gradients=len(state.X))
    state.path = np.concatenate([state.path, reading(state, rules)[None]])
    forward, backward, helped = gradients(offline, aux, settings, state)
    state.t += 1
    if settings.mode == "bib":
        assert helped is not None
        move_gamma(settings, state, inner(helped, forward - backward))
    weight = state.gamma.float()[:, None, None]
    slope = weight * forward + (1 - weight) * backward
    slope[:, list(rules.fixed)] = 0.0
    state.mean, state.square, direction = adam(state.mean, state.square, slope, state.t)
    if settings.adaptive_lr and state.t > 1:
        assert helped is not None
        # the step is X - eta direction
        state.eta = adapted(helped, -direction, settings.lr, settings.eta_rate, settings.eta_bounds)
    state.X = state.X - state.eta.float()[:, None, None] * direction
    state.gammas = np.append(state.gammas, float(state.gamma.mean()))


def gradients(
    offline: Offline, aux: Auxiliary | None, settings: BIBSettings, state: DesignState
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return gradients of L_f, L_b and f_aux by the logits; 0 of a loss that does not count."""
    X = state.X.detach().requires_grad_()
    x, phi = looked_at(offline, X)
    zero = torch.zeros_like(X)
    forward = backward = zero
    if settings.mode != "backward":
        forward = torch.autograd.grad(offline.both.forward(phi).sum(), X, retain_graph=True)[0]
    if settings.mode != "forward":
        backward = torch.autograd.grad(offline.both.backward(phi).sum(), X, retain_graph=True)[0]
    if aux is None:
        return forward, backward, None
    (helped,) = torch.autograd.grad(aux.each(x, phi).mean(dim=1).sum() * offline.std, X)
    return forward, backward, helped


def move_gamma(settings: BIBSettings, state: DesignState, along: Float[Tensor, " n"]) -> None:
    """Make an Adam step of gamma up the auxiliary score after a virtual step, in place.

    d f_aux(X - eta (gamma g_f + (1 - gamma) g_b)) / d gamma = -eta <g_a, g_f - g_b>

    Args:
        settings: Its step.
        state: Its state.
        along: (n,) <g_a, g_f - g_b>.
    """
    q = state.eta * along
    state.gamma_mean, state.gamma_square, step = adam(
        state.gamma_mean, state.gamma_square, q, state.t
    )
    state.gamma = (state.gamma - settings.gamma_lr * step).clamp(0.0, 1.0)


def adam(mean: Tensor, square: Tensor, slope: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return Adam's means after step t, from 1 on, and its direction."""
    mean = BETA1 * mean + (1 - BETA1) * slope
    square = BETA2 * square + (1 - BETA2) * slope**2
    return mean, square, mean / (1 - BETA1**t) / ((square / (1 - BETA2**t)).sqrt() + TINY)


def inner(a: Float[Tensor, "n L A"], b: Float[Tensor, "n L A"]) -> Float[Tensor, " n"]:
    """Return the inner product of each pair."""
    return (a * b).flatten(1).sum(dim=1).double()


# -- designs ---------------------------------------------------------------------------------------


def letters_of(X: Float[Tensor, "n L A"]) -> Int[np.ndarray, "n L"]:
    """Return the sequence that each design reads."""
    return X.argmax(dim=2).numpy().astype(np.int16)


def reading(state: DesignState, rules: SequenceRules) -> Int[np.ndarray, "n L"]:
    """Return the sequence that each design reads, of whose changes of its start only as many count
    as the rules let through: those of the largest difference of logits.
    """
    codes = letters_of(state.X)
    if rules.most_changes is None:
        return codes
    logits, starts = state.X.numpy(), state.starts.astype(np.int16)
    rows, places = np.indices(codes.shape)
    ahead = logits[rows, places, codes] - logits[rows, places, starts]
    order = np.argsort(-ahead, axis=1, kind="stable")
    few = order[:, : rules.most_changes]
    found = starts.copy()
    np.put_along_axis(found, few, np.take_along_axis(codes, few, axis=1), axis=1)
    return found


def harvest(
    offline: Offline, state: DesignState, rules: SequenceRules, alphabet: str, n: int
) -> Int[np.ndarray, "k L"]:
    """Return up to n designs so far: those of earlier rounds, and the new ones of this round.

    Many designs end alike. Of those that end in a sequence that is known, taken, or against the
    rules, the last one on their way that is not counts; where there are still too few, so do
    earlier ones, the latest first.
    """
    taken = set(keys(offline.codes)) | set(keys(state.found))
    waiting = np.arange(len(state.X))
    kept, count = [state.found], len(state.found)
    way = [reading(state, rules), *state.path[::-1]]
    for codes in way:
        rows = codes[waiting].astype(np.int64)
        fresh = new_designs(rows, taken, rules, offline.codes, alphabet)
        waiting = np.delete(waiting, fresh)
        kept.append(rows[fresh])
        count += len(fresh)
        if count >= n or not len(waiting):
            break
    for codes in way if count < n else ():
        rows = codes.astype(np.int64)
        fresh = new_designs(rows, taken, rules, offline.codes, alphabet)
        kept.append(rows[fresh])
        count += len(fresh)
        if count >= n:
            break
    return np.concatenate(kept)[:n]


def close_round(
    offline: Offline,
    n: int,
    settings: BIBSettings,
    state: DesignState,
    rules: SequenceRules,
    alphabet: str,
) -> str | None:
    """Take the round's designs; open another where some are missing. Return why it is over."""
    state.found = harvest(offline, state, rules, alphabet, n)
    missing = n - len(state.found)
    if not missing:
        return f"{n} new designs"
    left = len(offline.codes) - state.used
    if state.round >= settings.rounds or not left:
        return f"{len(state.found)} new designs of {n}, after {state.round} rounds"
    open_round(offline, alphabet, min(n, left), settings, state, rules)
    return None
