"""RLVRTrainer: the losses on a model, a tokenizer and a reward of one's own, without a run."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.annotations import checked
from ...core.budget import Budget, Meter, active_meter
from ...core.checkpoint import decode, keep
from ...core.checks import shown, whole
from ...core.errors import ArgumentTypeError, BudgetExhausted, Diverged
from ..problem import LanguageProblem
from ..weights import read_tokenizer
from .settings import RLVRSettings
from .training import begin, iterate


class RLVRTrainer:
    """Learn from rewards that can be checked, by DisCO or one of its rivals.

    A copy of the policy at the beginning is kept, from which the KL divergence is reported.

    Args:
        model: A causal model of transformers; it is changed.
        tokenizer: Its tokenizer, or a folder.
        reward: f(completions, prompts=..., **columns) -> a number or None for each.
        settings: The loss, and how is learnt.
        max_tokens: Of a response.
        temperature: At which responses are drawn.
        timeout: Seconds that the reward may take for one response, in another process then.
        seed: Of all that is drawn.

    Attributes:
        history: Raw figures of every step.

    Raises:
        ArgumentTypeError: No causal model, or no tokenizer.
        ArgumentError: A setting out of range.
    """

    @checked
    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        reward: Callable[..., Any],
        settings: RLVRSettings | None = None,
        max_tokens: int = 64,
        temperature: float = 1.0,
        timeout: float | None = None,
        seed: int = 0,
    ):
        self.settings = settings or RLVRSettings()
        if not hasattr(model, "generate"):
            raise ArgumentTypeError(
                f"model={shown(model)}: expected a causal model of transformers"
            )
        self.model, self.tokenizer, self.reward = model, read_tokenizer(tokenizer), reward
        self.max_tokens, self.temperature, self.timeout = max_tokens, temperature, timeout
        whole("seed", seed, least=0)
        self._reference = copy.deepcopy(model)
        model.requires_grad_(True)
        self.state = begin(self.settings, model, np.random.default_rng(seed))
        self.history: list[dict[str, float]] = []

    def _problem(
        self, prompts: Sequence[str], data: Mapping[str, Sequence[Any]] | None
    ) -> LanguageProblem:
        """Return prompts as a problem."""
        return LanguageProblem(
            lambda: self._reference,
            self.tokenizer,
            prompts,
            prompts,
            self.reward,
            data,
            data,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            timeout=self.timeout,
        )

    @checked
    def projected(self, prompts: Sequence[str], steps: int) -> dict[str, int]:
        """What steps can cost at most, by resource: every response as long as it may be, after the
        longest prompt.

        Args:
            prompts: To learn from.
            steps: How many.
        """
        whole("steps", steps, least=0)
        s, problem = self.settings, self._problem(prompts, None)
        longest = max(problem.projected([i])["tokens"] for i in range(len(problem.prompts)))
        drawn = s.group * s.questions * (s.rounds if s.loss == "dapo" and s.dynamic else 1)
        learnt = s.group * s.questions
        tokens = longest * (drawn + s.passes * learnt)
        return {"samples": steps * drawn, "tokens": steps * tokens}

    @checked
    def fit(
        self,
        prompts: Sequence[str],
        steps: int,
        data: Mapping[str, Sequence[Any]] | None = None,
        budget: Budget | Mapping[str, float] | None = None,
    ) -> list[dict[str, float]]:
        """Make steps, each a sampling and the optimiser steps on it.

        Args:
            prompts: To learn from.
            steps: How many.
            data: Name -> an entry for each prompt, handed to the reward.
            budget: Of samples, tokens, calls, seconds; where it ends, steps end. Outside a run
                only: inside one its budget holds.

        Returns:
            The raw figures of these steps.

        Raises:
            Diverged: A loss or a gradient was NaN; the policy is as it was before it.
            EvaluationFailed: No response could be scored.
        """
        whole("steps", steps, least=0)
        problem, begun = self._problem(prompts, data), len(self.history)
        if len(self.state.order) not in (0, len(problem.prompts)):
            self.state.order, self.state.at = np.zeros(0, dtype=np.int64), 0
        token = None
        if budget is not None and active_meter.get() is None:
            token = active_meter.set(Meter(Budget.of(budget)))
        try:
            for _ in range(steps):
                iterate(self.settings, problem, self.state)
                if self.state.stopped:
                    raise Diverged(self.state.stopped)
                self.history.append(dict(self.state.metrics))
        except BudgetExhausted:
            pass
        finally:
            if token is not None:
                active_meter.reset(token)
        return self.history[begun:]

    @checked
    def evaluate(
        self, prompts: Sequence[str], data: Mapping[str, Sequence[Any]] | None = None
    ) -> dict[str, float]:
        """Figures of the policy's responses to prompts: mean rewards of the most likely and of
        drawn ones, entropy, KL to the policy at the beginning, lengths.

        Args:
            prompts: To be answered.
            data: Name -> an entry for each prompt.
        """
        problem = self._problem(prompts, data)
        return problem.measured(problem.examine(self.model, range(len(problem.prompts))))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Keep where learning stands: a file of tensors and plain data.

        Args:
            path: The file, replaced as a whole.
        """
        keep(path, {"state": self.state, "history": self.history})

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Go on where `save` kept it, to the same end.

        Args:
            path: The file.

        Raises:
            CheckpointError: It is damaged, or of another model.
        """
        blob = Path(path).read_bytes()
        found = decode(blob, {"state": self.state, "history": self.history})
        self.state, self.history = found["state"], found["history"]
        self.model = self.state.model
