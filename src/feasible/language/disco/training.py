"""Reinforcement learning with verifiable rewards: draw, score, learn, again.

A step draws a group of responses to each of some questions, asks for their rewards, and makes a few
optimiser steps, each on other whole groups, by any of the losses. It asks for responses, their
log-probabilities and their scores by three functions, as `LanguageProblem` has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from ...core.errors import EvaluationFailed
from ..judged import Scores
from ..policy import Responses, TokenLogps, joined
from .batch import LossOutput
from .losses import disco_loss
from .rivals import dapo_loss, dr_grpo_loss, grpo_loss, overlong_penalty, rloo_loss, trpa_loss
from .settings import RLVRSettings


class Oracles(Protocol):
    """What learning asks for."""

    prompts: Sequence[str]
    tokenizer: Any
    max_tokens: int

    @property
    def reference(self) -> Any:
        """The policy at the beginning."""

    def generate(self, model: Any, rows: Sequence[int], seed: int) -> Responses:
        """Responses to prompts."""

    def logp(self, model: Any, responses: Responses, entropy_gradient: bool = False) -> TokenLogps:
        """Log-probabilities of their tokens."""

    def score(
        self,
        rows: Sequence[int],
        texts: Sequence[str],
        known: dict[str, float | None] | None = None,
    ) -> Scores:
        """What reward and judges say of them."""


@dataclass
class RLVRState:
    """Where learning stands.

    Attributes:
        model: The policy.
        optimizer: Of its weights.
        rng: Orders questions and groups, and seeds what is drawn.
        order: Questions of this pass, in the order in which they come.
        at: How many of them were asked.
        known: What paid rewards and judges said.
        metrics: Of the last step, raw: rewards, judges, groups without anything to learn, KL.
        updates: Optimiser steps.
        above: Of these, how many began beyond the bound on the KL.
        stopped: Why it cannot go on.
    """

    model: Any
    optimizer: Any
    rng: np.random.Generator
    order: np.ndarray
    at: int = 0
    known: dict[str, float | None] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    updates: int = 0
    above: int = 0
    stopped: str | None = None


@dataclass
class Drawn:
    """Responses of a step: group by group.

    Attributes:
        responses: (B,) of `group` each to `rows` questions.
        reward: (B,) as scored, with what dapo takes off for length.
        raw: The scores.
        asked: Groups that were drawn for these.
    """

    responses: Responses
    reward: np.ndarray
    raw: Scores
    asked: int


def begin(settings: RLVRSettings, model: Any, rng: np.random.Generator) -> RLVRState:
    """The state before the first step.

    Args:
        settings: The loss, and how is learnt.
        model: The policy; it is changed.
        rng: Of everything that is drawn.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    rate = settings.rate_for(sum(p.numel() for p in weights))
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    return RLVRState(model, optimizer, rng, np.zeros(0, dtype=np.int64))


def next_questions(state: RLVRState, n: int, of: int) -> list[int]:
    """The next questions, every one once before any comes again.

    Args:
        state: Is moved on.
        n: How many.
        of: Questions in all.
    """
    found: list[int] = []
    while len(found) < n:
        if state.at >= len(state.order):
            state.order, state.at = state.rng.permutation(of), 0
        some = state.order[state.at : state.at + n - len(found)].tolist()
        found += some
        state.at += len(some)
    return found


def iterate(settings: RLVRSettings, oracles: Oracles, state: RLVRState) -> None:
    """One step: a sampling and what is learnt of it.

    Raises:
        BudgetExhausted: Before what would pass a limit.
        EvaluationFailed: No response could be scored.
    """
    drawn = _draw(settings, oracles, state)
    G = settings.group
    groups = state.rng.permutation(len(drawn.responses) // G)
    reference = None
    if settings.refers:
        with torch.no_grad():
            reference = oracles.logp(oracles.reference, drawn.responses).logp
    parts = [
        (np.sort(part)[:, None] * G + np.arange(G)).reshape(-1)
        for part in np.array_split(groups, min(settings.minibatches, len(groups)))
    ]
    # of the first part, the old probabilities are those that its own pass gives
    later = np.concatenate(parts[1:]) if len(parts) > 1 else np.zeros(0, dtype=np.int64)
    old = torch.zeros(0)
    if len(later):
        with torch.no_grad():
            old = oracles.logp(state.model, drawn.responses[later]).logp
    seen: dict[str, list[float]] = {}
    place = 0
    for k, part in enumerate(parts):
        responses = drawn.responses[part]
        width = responses.ids.shape[1]
        now = oracles.logp(state.model, responses, settings.loss == "grpo-er")
        if k:
            before = old[place : place + len(part), :width]
            place += len(part)
        else:
            before = now.logp.detach()
        output = _loss(
            settings,
            oracles,
            now,
            before,
            responses,
            torch.as_tensor(drawn.reward[part], device=now.logp.device),
            torch.as_tensor(part // G, device=now.logp.device),
            None if reference is None else reference[part, :width],
        )
        loss = float(output.loss.detach())
        if not math.isfinite(loss):
            state.stopped = f"the loss of update {state.updates + 1} is {loss:g}"
            return
        norm = _update(settings, state, output.loss)
        if state.stopped:
            return
        state.updates += 1
        state.above += int(float(output.kl) > settings.delta)
        seen.setdefault("loss", []).append(loss)
        seen.setdefault("objective", []).append(float(output.objective))
        seen.setdefault("kl", []).append(float(output.kl))
        seen.setdefault("penalty", []).append(float(output.penalty))
        seen.setdefault("valid_fraction", []).append(float(output.valid_fraction))
        seen.setdefault("gradient_norm", []).append(norm)
        tokens = float(responses.mask.sum())
        seen.setdefault("entropy", []).append(float(now.entropy.detach().sum()) / tokens)
    state.metrics = {name: float(np.mean(values)) for name, values in seen.items()}
    state.metrics |= _raw(settings, oracles, drawn)
    state.metrics["above_delta"] = state.above / max(state.updates, 1)


def _update(settings: RLVRSettings, state: RLVRState, loss: Any) -> float:
    """Make an optimiser step; return the gradient's norm before it is cut."""
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    weights = state.optimizer.param_groups[0]["params"]
    most = settings.clip_norm or math.inf
    norm = float(torch.nn.utils.clip_grad_norm_(weights, most))
    if math.isfinite(norm):
        state.optimizer.step()
    else:
        state.stopped = f"the gradient of update {state.updates + 1} is {norm:g}"
    return norm


def _draw(settings: RLVRSettings, oracles: Oracles, state: RLVRState) -> Drawn:
    """Draw groups of responses and score them; dapo draws until all groups teach something."""
    G, Q = settings.group, settings.questions
    dynamic = settings.loss == "dapo" and settings.dynamic
    kept: list[tuple[Responses, np.ndarray, Scores, np.ndarray]] = []
    have = asked = 0
    for round_ in range(settings.rounds if dynamic else 1):
        rows = [i for i in next_questions(state, Q, len(oracles.prompts)) for _ in range(G)]
        seed = int(state.rng.integers(2**62))
        responses = oracles.generate(state.model, rows, seed)
        scores = oracles.score(rows, responses.texts, state.known)
        asked += Q
        reward = scores.reward.copy()
        if settings.loss == "dapo" and settings.overlong:
            fall = overlong_penalty(
                responses.lengths.cpu(),
                oracles.max_tokens,
                min(settings.overlong, oracles.max_tokens),
                responses.ended(oracles.tokenizer).cpu(),
            )
            reward = reward + fall.numpy()
        useful = np.arange(Q)
        if dynamic:
            table = scores.reward.reshape(Q, G)
            with np.errstate(all="ignore"):
                useful = np.flatnonzero(_spread(table) > 0)
        taken = useful[: Q - have]
        kept.append((responses, reward, scores, taken))
        have += len(taken)
        if have >= Q:
            break
        if round_ + 1 == settings.rounds and not have:
            kept[-1] = (responses, reward, scores, np.arange(Q))  # nothing to learn, and no error
    return _together(kept, G, asked, oracles.tokenizer)


def _spread(table: np.ndarray) -> np.ndarray:
    """Return how far the rewards of each group that apply are apart."""
    high = np.where(np.isnan(table), -np.inf, table).max(axis=1)
    low = np.where(np.isnan(table), np.inf, table).min(axis=1)
    return np.where(np.isfinite(high), high - low, 0.0)


def _together(
    kept: list[tuple[Responses, np.ndarray, Scores, np.ndarray]],
    G: int,
    asked: int,
    tokenizer: Any,
) -> Drawn:
    """Return the groups that were kept, one after the other."""
    parts, rewards, raw = [], [], []
    satisfied: dict[str, list[np.ndarray]] = {}
    for responses, reward, scores, groups in kept:
        if not len(groups):
            continue
        rows = (groups[:, None] * G + np.arange(G)).reshape(-1)
        parts.append(responses[rows])
        rewards.append(reward[rows])
        raw.append(scores.reward[rows])
        for name, values in scores.satisfied.items():
            satisfied.setdefault(name, []).append(values[rows])
    every = np.concatenate(raw)
    if np.isnan(every).all():
        raise EvaluationFailed("reward: it does not apply to any response of a sampling")
    scores = Scores(every, {name: np.concatenate(v) for name, v in satisfied.items()})
    responses = parts[0] if len(parts) == 1 else joined(parts, tokenizer)
    return Drawn(responses, np.concatenate(rewards), scores, asked)


def _loss(
    settings: RLVRSettings,
    oracles: Oracles,
    now: TokenLogps,
    old: Any,
    responses: Responses,
    reward: Any,
    group: Any,
    reference: Any,
) -> LossOutput:
    """Return the loss of a mini-batch."""
    s, given = settings, (now.logp, old, responses.mask.to(now.logp.dtype), reward, group)
    if s.loss in ("disco", "disco-b"):
        return disco_loss(
            *given, s.score, s.tau, s.delta, s.beta, s.kl, s.threshold, s.loss == "disco"
        )
    if s.loss in ("grpo", "grpo-er"):
        entropy = now.entropy if s.loss == "grpo-er" else None
        return grpo_loss(
            *given, reference, entropy, s.epsilon, s.reference, s.entropy, s.advantage_eps
        )
    if s.loss == "dr-grpo":
        return dr_grpo_loss(*given, oracles.max_tokens, s.epsilon)
    if s.loss == "dapo":
        return dapo_loss(*given, s.epsilon, s.epsilon_high, s.advantage_eps)
    if s.loss == "rloo":
        return rloo_loss(*given, s.epsilon)
    return trpa_loss(*given, reference, s.preference, s.trust)


def _raw(settings: RLVRSettings, oracles: Oracles, drawn: Drawn) -> dict[str, float]:
    """Return figures of what was drawn, without weights."""
    table = drawn.raw.reward.reshape(-1, settings.group)
    found = {
        "reward": float(np.nanmean(drawn.raw.reward)),
        "frac_reward_zero_std": float((_spread(table) == 0).mean()),
        "length": float(drawn.responses.lengths.float().mean()),
        "ended": float(drawn.responses.ended(oracles.tokenizer).float().mean()),
        "tokens": float(drawn.responses.tokens),
        "groups_asked": float(drawn.asked),
    }
    for name, values in drawn.raw.satisfied.items():
        known = values[~np.isnan(values)]
        found[name] = float(known.mean()) if len(known) else math.nan
    return found
