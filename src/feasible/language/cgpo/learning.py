"""CGPO on a model of words: Algorithm 1 of Xu et al. (2024), a task at a time.

A task is a `LanguageProblem` with a rule. An iteration draws K responses to n of its prompts, has
them scored and judged, and gives the loss of the rule at the current weights. Several tasks share
the weights: the losses of all are taken at the same ones, weighted, and one step follows. A prompt
belongs to one task, so rewards of different tasks are never mixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ...core.annotations import Checked
from ...core.checks import real, whole
from ...core.errors import ArgumentError
from ...core.warning import warn
from ..policy import Responses, padding, written
from ..problem import LanguageProblem
from .contradiction import budget_warning, contradiction
from .losses import Rollouts
from .rules import DPO, Rule

ENOUGH = 200
"""Responses of the reference after which is said what they say of the judges."""


@dataclass(frozen=True)
class LearningSettings(Checked):
    """How responses of a task are drawn, and what they are compared with.

    Attributes:
        k: Responses a prompt in each iteration.
        prompts: Prompts in each iteration.
        baseline: A column with the baseline response of each prompt; "": one drawn from the
            reference, once.
        missing_eos_penalty: Subtracted from the reward of responses, and of baselines, that did
            not end; None: nothing.
        warm_up: First iterations, which are steps of online DPO instead.
    """

    k: int = 8
    prompts: int = 16
    baseline: str = ""
    missing_eos_penalty: float | None = None
    warm_up: int = 0

    def __post_init__(self) -> None:
        whole("k", self.k, least=2)
        whole("prompts", self.prompts, least=1)
        whole("warm_up", self.warm_up, least=0)
        if self.missing_eos_penalty is not None:
            real("missing_eos_penalty", self.missing_eos_penalty, least=0)


@dataclass
class TaskState:
    """Where learning a task stands.

    Attributes:
        rng: Orders prompts, and seeds what is drawn.
        order: Prompts of this pass.
        at: How many of them were taken.
        baselines: Prompt -> its baseline's tokens, reward, 1 where judges are satisfied, and
            log-probability under the reference.
        known: What paid rewards and judges said.
        multiplier: The Lagrangian's.
        steps: Iterations.
        metrics: Of the last iteration.
        first: What each judge said of the first responses, which are the reference's.
        said: What the result should say of them.
    """

    rng: np.random.Generator
    order: np.ndarray
    at: int = 0
    baselines: dict[int, list[Any]] = field(default_factory=dict)
    known: dict[str, float | None] = field(default_factory=dict)
    multiplier: float = 0.0
    steps: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    first: dict[str, list[bool]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


@dataclass
class Drawn:
    """Responses of an iteration.

    Attributes:
        rows: (n,) prompts.
        responses: (n K), those to one prompt one after the other.
        baselines: (n,) baseline responses.
        fixed: What does not change with the weights, fields of `Rollouts` by name: rewards,
            judgements, log-probabilities of the reference.
        old_logp: (n, K) log-probabilities at the weights before the first step on them; None
            until their loss was taken there.
    """

    rows: list[int]
    responses: Responses
    baselines: Responses
    fixed: dict[str, Any]
    old_logp: torch.Tensor | None = None


def begin(problem: LanguageProblem, rng: np.random.Generator) -> TaskState:
    """The state of a task before the first iteration."""
    return TaskState(rng, rng.permutation(len(problem.prompts)))


def draw(
    problem: LanguageProblem, settings: LearningSettings, rule: Rule, state: TaskState, model: Any
) -> Drawn:
    """Draw, score and judge; charges samples, tokens and calls.

    Args:
        problem: The task.
        settings: How many.
        rule: Whether the policy draws them or the reference.
        state: Of the task.
        model: The policy.
    """
    n, k = settings.prompts, settings.k
    rows = _next(problem, state, n)
    _baselines(problem, settings, state, rows)
    repeated = [row for row in rows for _ in range(k)]
    source = problem.reference if rule.offline else model
    responses = problem.generate(source, repeated, _seed(state))
    scores = problem.score(repeated, responses.texts, state.known)
    reward = torch.tensor(scores.reward).reshape(n, k)
    judged = torch.tensor(scores.all_satisfied).reshape(n, k)
    reward = reward - _penalty(settings, responses.ended(problem.tokenizer)).reshape(n, k)
    known = [state.baselines[row] for row in rows]
    base_reward = torch.tensor([b[1] for b in known], dtype=torch.float64)
    unknown = torch.isnan(reward)  # a reward that failed, or does not apply, teaches nothing
    reward = torch.where(unknown, base_reward[:, None], reward)
    with torch.no_grad():
        ref = problem.logp(problem.reference, responses).logp.sum(1)
    dtype = ref.dtype
    fixed = {
        "ref_logp": ref.reshape(n, k),
        "reward": reward.to(ref.device, dtype),
        "judged": (judged & ~unknown).to(ref.device),
        "base_reward": base_reward.to(ref.device, dtype),
        "lengths": responses.lengths.reshape(n, k).clamp(min=1),
        "base_ref_logp": torch.tensor([b[3] for b in known], dtype=dtype, device=ref.device),
        "base_judged": torch.tensor([bool(b[2]) for b in known], device=ref.device),
    }
    _note(state, scores.satisfied, fixed, responses)
    if len(next(iter(state.first.values()), [])) < ENOUGH:
        for name, values in scores.satisfied.items():
            state.first.setdefault(name, []).extend(bool(v) for v in values != 0)
    return Drawn(rows, responses, _tokens(problem, rows, [b[0] for b in known]), fixed)


def loss_of(
    problem: LanguageProblem, rule: Rule, state: TaskState, model: Any, drawn: Drawn
) -> torch.Tensor:
    """The loss of the rule at the model's weights, with its gradient.

    The policy runs once on the responses: where the loss is taken first, at the weights that drew
    them, its log-probabilities are the old ones too. On baselines it runs where the rule needs it.
    """
    fixed = drawn.fixed
    logp = problem.logp(model, drawn.responses).logp.sum(1).reshape(fixed["reward"].shape)
    if drawn.old_logp is None:
        drawn.old_logp = logp.detach()
        state.metrics["kl"] = float((drawn.old_logp - fixed["ref_logp"]).double().mean())
    seen = Rollouts(logp, **fixed, base_logp=fixed["base_ref_logp"], old_logp=drawn.old_logp)
    rows = rule.falls_back(seen).nonzero()[:, 0]
    if len(rows):
        base = problem.logp(model, drawn.baselines[rows]).logp.sum(1)
        seen.base_logp = fixed["base_ref_logp"].index_put((rows,), base)
    return rule.loss(seen, state.multiplier)


def rule_of(settings: LearningSettings, rule: Rule, state: TaskState) -> Rule:
    """The rule of the next iteration: online DPO while it warms up."""
    if state.steps < settings.warm_up:
        return OnlineDPO(use_judges=rule.judging)
    return rule


class OnlineDPO(DPO):
    """DPO on pairs of the policy's own responses."""

    offline = False


def finish(rule: Rule, state: TaskState, drawn: Drawn) -> None:
    """Count the iteration, and raise the multiplier."""
    violated = 1 - float(drawn.fixed["judged"].double().mean())
    state.multiplier = rule.raised(state.multiplier, violated)
    state.steps += 1


def iterate(
    tasks: Sequence[tuple[LanguageProblem, LearningSettings, Rule, float, TaskState]],
    model: Any,
    optimizer: torch.optim.Optimizer,
    max_norm: float | None,
) -> str:
    """An iteration of all tasks: w <- w + sum_l rho_l g_l(w), every g_l at the same weights.

    Args:
        tasks: Problem, settings, rule, weight and state of each.
        model: The policy.
        optimizer: Of its weights.
        max_norm: To which the gradient is cut; None: to nothing.

    Returns:
        Why it cannot go on; "" where it can.
    """
    rules = [rule_of(s, rule, state) for _, s, rule, _, state in tasks]
    drawn = [
        draw(p, s, rule, state, model)
        for (p, s, _, _, state), rule in zip(tasks, rules, strict=True)
    ]
    for problem, _, rule, _, state in tasks:
        _say(problem, rule, state)
    for epoch in range(max(rule.epochs for rule in rules)):
        optimizer.zero_grad()
        for (problem, _, _, weight, state), rule, d in zip(tasks, rules, drawn, strict=True):
            if epoch >= rule.epochs:
                continue
            loss = loss_of(problem, rule, state, model, d)
            if not bool(torch.isfinite(loss)):
                return f"the loss of {problem.name} is {float(loss.detach())}"
            state.metrics["loss"] = float(loss.detach())
            if loss.requires_grad:
                (weight * loss).backward()
        most = math.inf if max_norm is None else max_norm
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), most))
        if not math.isfinite(norm):
            return f"the norm of the gradient is {norm}"
        optimizer.step()
    for (_, _, _, _, state), rule, d in zip(tasks, rules, drawn, strict=True):
        finish(rule, state, d)
    return ""


def _seed(state: TaskState) -> int:
    """Return a seed of what is drawn next."""
    return int(state.rng.integers(2**62))


def _next(problem: LanguageProblem, state: TaskState, n: int) -> list[int]:
    """Return the next prompts: all once, then all again in another order."""
    if n > (of := len(problem.prompts)):
        return [*state.rng.permutation(of).tolist(), *_next(problem, state, n - of)]
    if state.at + n > len(state.order):
        state.order, state.at = state.rng.permutation(of), 0
    rows = state.order[state.at : state.at + n].tolist()
    state.at += n
    return [int(row) for row in rows]


def _penalty(settings: LearningSettings, ended: torch.Tensor) -> torch.Tensor:
    """Return what is subtracted from rewards of responses that did not end."""
    return (~ended).double().cpu() * (settings.missing_eos_penalty or 0.0)


def _baselines(
    problem: LanguageProblem, settings: LearningSettings, state: TaskState, rows: Sequence[int]
) -> None:
    """Make the baseline responses of prompts that have none yet, and score them."""
    missing = [row for row in dict.fromkeys(rows) if row not in state.baselines]
    if not missing:
        return
    if settings.baseline:
        if settings.baseline not in (problem.data or {}):
            raise ArgumentError(
                f"baseline={settings.baseline!r:.60}: expected a column of the data, or ''"
            )
        assert problem.data is not None
        texts = [str(problem.data[settings.baseline][row]) for row in missing]
        found = written(problem.tokenizer, [problem.prompts[row] for row in missing], texts)
    else:
        found = problem.generate(problem.reference, missing, _seed(state))
    scores = problem.score(missing, found.texts, state.known)
    reward = torch.tensor(scores.reward) - _penalty(settings, found.ended(problem.tokenizer))
    with torch.no_grad():
        ref = problem.logp(problem.reference, found).logp.sum(1)
    for i, row in enumerate(missing):
        value = float(reward[i])
        state.baselines[row] = [
            found.ids[i][found.mask[i]].tolist(),
            0.0 if math.isnan(value) else value,
            int(scores.all_satisfied[i] and not math.isnan(value)),
            float(ref[i]),
        ]


def _tokens(
    problem: LanguageProblem, rows: Sequence[int], ids: Sequence[Sequence[int]]
) -> Responses:
    """Return stored tokens as responses."""
    device = next(problem.reference.parameters()).device
    begun = written(problem.tokenizer, [problem.prompts[row] for row in rows], [""] * len(rows))
    width = max(map(len, ids))
    pad = padding(problem.tokenizer)
    filled = [[*row, *[pad] * (width - len(row))] for row in ids]
    size = torch.tensor([[len(row)] for row in ids], device=device)
    return Responses(
        begun.prompt_ids.to(device),
        begun.prompt_mask.to(device),
        torch.tensor(filled, dtype=torch.long, device=device),
        torch.arange(width, device=device) < size,
        [""] * len(rows),
    )


def _note(
    state: TaskState, judged: dict[str, np.ndarray], fixed: dict[str, Any], responses: Responses
) -> None:
    """Keep what the last responses were like, every judge on its own."""
    state.metrics = {
        "reward": float(fixed["reward"].double().mean()),
        "satisfied": float(fixed["judged"].double().mean()),
        "length": float(responses.lengths.double().mean()),
        "skipped": float((~fixed["judged"].any(1)).double().mean()),
    }
    for name, values in judged.items():
        known = values[~np.isnan(values)]
        state.metrics[f"satisfied, {name}"] = float(known.mean()) if len(known) else math.nan


def remarks(state: TaskState) -> list[str]:
    """What the first responses say of the constraints, however few of them there were."""
    if state.said:
        return list(state.said)
    found = contradiction({name: np.array(values) for name, values in state.first.items()})
    return [found] if found else []


def _say(problem: LanguageProblem, rule: Rule, state: TaskState) -> None:
    """Warn of what the first responses say of the constraints, once."""
    if state.said or not state.first:
        return
    table = {name: np.array(values) for name, values in state.first.items()}
    enough = len(next(iter(table.values()))) >= ENOUGH
    found = [contradiction(table)] if enough else []
    kl_max = getattr(rule, "kl_max", None)
    if state.steps == 0 and kl_max is not None and rule.judging:
        found.append(budget_warning(kl_max, np.logical_and.reduce(list(table.values()))))
    state.said = [text for text in found if text]
    for text in state.said:
        warn(f"{problem.name}: {text}")
