"""CGPO in the shape of TRL's trainers, with one task or several.

    trainer = CGPOTrainer(model=model, args=CGPOConfig(rule=CRPG(kl_max=5.0)), reward_funcs=reward,
                          judges=[RegexAnswer()], train_dataset=rows, processing_class=tokenizer)
    trainer.train()

Several tasks share the weights, each with its own prompts, rewards, judges, rule and settings:
`CGPOTrainer(model=model, tasks=[CGPOTask(...), CGPOTask(...)], processing_class=tokenizer)`.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.annotations import Checked
from ...core.checkpoint import decode, keep
from ...core.checks import naming, real, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError
from ..problem import LanguageProblem
from ..weights import read_policy, read_tokenizer
from .learning import LearningSettings, TaskState, begin, iterate
from .mixture import MixtureOfJudges
from .rules import CRPG, Rule

Rows = Sequence[Mapping[str, Any]]
"""A dataset: rows with "prompt" and other columns; datasets.Dataset is one."""


@dataclass(frozen=True)
class CGPOConfig(Checked):
    """How a policy learns; names as in TRL's configurations where they are the same.

    Attributes:
        rule: CRPG, CRRAFT, CODPO, or another rule, with its settings.
        num_generations: K, responses a prompt.
        prompts_per_step: Prompts in an iteration.
        max_completion_length: Tokens of a response.
        temperature: At which responses are drawn, and log-probabilities taken.
        missing_eos_penalty: Subtracted from rewards of responses, and baselines, that did not end.
        warm_up: First iterations, which are steps of online DPO.
        baseline: A column with baseline responses; "": one is drawn from the reference.
        learning_rate: Of Adam.
        max_grad_norm: To which the gradient is cut; None: to nothing.
        max_steps: Iterations of `train`.
        timeout: Seconds for one response, of rewards and judges, which are then asked in another
            process; None: no limit.
        seed: Of all that is drawn.
    """

    rule: Rule = field(default_factory=CRPG)
    num_generations: int = LearningSettings.k
    prompts_per_step: int = LearningSettings.prompts
    max_completion_length: int = 64
    temperature: float = 1.0
    missing_eos_penalty: float | None = None
    warm_up: int = 0
    baseline: str = ""
    learning_rate: float = 1e-6
    max_grad_norm: float | None = 1.0
    max_steps: int = 100
    timeout: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.learning()
        whole("max_completion_length", self.max_completion_length, least=1)
        real("temperature", self.temperature, above=0)
        real("learning_rate", self.learning_rate, above=0)
        if self.max_grad_norm is not None:
            real("max_grad_norm", self.max_grad_norm, above=0)
        whole("max_steps", self.max_steps, least=1)
        if self.timeout is not None:
            real("timeout", self.timeout, above=0, most=86_400)
        whole("seed", self.seed, least=0)

    def learning(self) -> LearningSettings:
        """What a task reads of it."""
        whole("num_generations", self.num_generations, least=2)
        whole("prompts_per_step", self.prompts_per_step, least=1)
        return LearningSettings(
            self.num_generations,
            self.prompts_per_step,
            self.baseline,
            self.missing_eos_penalty,
            self.warm_up,
        )


@dataclass(frozen=True)
class CGPOTask(Checked):
    """Prompts with what is asked of responses to them.

    Attributes:
        train_dataset: Rows with "prompt", and columns for rewards and judges.
        reward_funcs: A function as TRL's, or several, which are added.
        judges: Functions as TRL's rewards, that return True, False or None; a list, a mapping from
            names, or a MixtureOfJudges.
        rule: Of this task; None: the trainer's.
        weight: rho, of this task's gradient; 0 leaves it out. None: one over the number of tasks.
        num_generations: Responses a prompt; None: the trainer's.
        prompts_per_step: Prompts in an iteration; None: the trainer's.
        reward_weights: Of the reward functions; None: 1 each.
        paid: Judge -> calls that one response costs; what is in here is asked once for a response.
        name: For reports.
    """

    train_dataset: Any
    reward_funcs: Any
    judges: Any = ()
    rule: Rule | None = None
    weight: float | None = None
    num_generations: int | None = None
    prompts_per_step: int | None = None
    reward_weights: Sequence[float] | None = None
    paid: Mapping[str, int] | None = None
    name: str = "task"

    def __post_init__(self) -> None:
        if self.weight is not None:
            real("weight", self.weight, least=0)
        if self.num_generations is not None:
            whole("num_generations", self.num_generations, least=2)
        if self.prompts_per_step is not None:
            whole("prompts_per_step", self.prompts_per_step, least=1)
        _rewards(self.reward_funcs, self.reward_weights)
        MixtureOfJudges(self.judges)
        _columns(self.train_dataset)


def _columns(rows: Any) -> dict[str, list[Any]]:
    """Read a dataset as columns."""
    if isinstance(rows, (str, bytes, Mapping)) or not hasattr(rows, "__len__"):
        raise ArgumentTypeError(f"train_dataset={shown(rows)}: expected rows with 'prompt'")
    with naming("train_dataset"):
        if not len(rows):
            raise ArgumentError("train_dataset: it has no rows")
    found: dict[str, list[Any]] = {}
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping) or not isinstance(row.get("prompt"), str):
            raise ArgumentTypeError(
                f"train_dataset[{i}]={shown(row)}: expected a mapping with 'prompt', a text"
            )
        for name, value in row.items():
            found.setdefault(str(name), [None] * i).append(value)
        for column in found.values():
            column.extend([None] * (i + 1 - len(column)))
    return found


def _rewards(functions: Any, weights: Sequence[float] | None) -> Callable[..., Any]:
    """Return one reward: the function, or the weighted sum of several, None where none applies."""
    several = [functions] if callable(functions) else functions
    if not isinstance(several, (list, tuple)) or not several or not all(map(callable, several)):
        raise ArgumentTypeError(f"reward_funcs={shown(functions)}: expected functions")
    if weights is None:
        weights = [1.0] * len(several)
    if len(weights) != len(several):
        raise ArgumentError(f"reward_weights: {len(weights)} of them, expected {len(several)}")
    of = [real("reward_weights", w) for w in weights]
    if len(several) == 1 and of == [1.0]:
        found: Callable[..., Any] = several[0]
        return found

    def added(completions: Sequence[str], **columns: Any) -> list[float | None]:
        rows = zip(*(f(completions, **columns) for f in several), strict=True)
        known = [[(w, v) for w, v in zip(of, row, strict=True) if v is not None] for row in rows]
        return [sum(w * v for w, v in row) if row else None for row in known]

    return added


@dataclass
class CGPOState:
    """What changes while a trainer learns.

    Attributes:
        model: The policy.
        optimizer: Of its weights.
        tasks: Where each task stands.
        steps: Iterations.
        ended: Why it cannot go on; "" while it can.
    """

    model: Any
    optimizer: torch.optim.Optimizer
    tasks: list[TaskState]
    steps: int = 0
    ended: str = ""


class CGPOTrainer:
    """Fine-tune a model for rewards under judges.

    Args:
        model: A causal model of transformers, which is changed, or a folder.
        args: Settings.
        reward_funcs: Of a single task.
        judges: Of a single task.
        train_dataset: Of a single task: rows with "prompt".
        processing_class: The tokenizer, or a folder.
        tasks: Several tasks instead of the three before.
        ref_model: The reference; None: a copy of the model as it is.

    Raises:
        ArgumentError: No rows, weights that are all 0, settings out of range, one task and several.
        PromptTooLong: A prompt that does not fit into the context with its response.
    """

    def __init__(
        self,
        model: Any,
        args: CGPOConfig | None = None,
        reward_funcs: Any = None,
        judges: Any = (),
        train_dataset: Any = None,
        processing_class: Any = None,
        tasks: Sequence[CGPOTask] | None = None,
        ref_model: Any = None,
    ) -> None:
        if args is not None and not isinstance(args, CGPOConfig):
            raise ArgumentTypeError(f"args={shown(args)}: expected a CGPOConfig")
        self.args = args or CGPOConfig()
        if tasks is None:
            tasks = [CGPOTask(train_dataset, reward_funcs, judges)]
        elif train_dataset is not None or reward_funcs is not None:
            raise ArgumentError("tasks: expected no train_dataset and reward_funcs beside them")
        if not isinstance(tasks, (list, tuple)) or not tasks:
            raise ArgumentTypeError(f"tasks={shown(tasks)}: expected a list of CGPOTask")
        for i, task in enumerate(tasks):
            if not isinstance(task, CGPOTask):
                raise ArgumentTypeError(f"tasks[{i}]={shown(task)}: expected a CGPOTask")
        weights = [1 / len(tasks) if t.weight is None else t.weight for t in tasks]
        if not any(weights):
            raise ArgumentError("tasks: their weights are all 0")
        with naming("processing_class"):
            self.processing_class = read_tokenizer(processing_class)
        reference = read_policy(model if ref_model is None else ref_model)
        self.model = model if isinstance(model, torch.nn.Module) else copy.deepcopy(reference)
        self.model.requires_grad_(True)
        self.tasks = [t for t, w in zip(tasks, weights, strict=True) if w]
        self.weights = [w for w in weights if w]
        with naming("train_dataset"):
            self.problems = [self._problem(t, reference) for t in self.tasks]
        self.rules = [t.rule or self.args.rule for t in self.tasks]
        self.settings = [self._settings(t) for t in self.tasks]
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.args.learning_rate)
        streams = [
            np.random.default_rng([self.args.seed, i] if i else self.args.seed)
            for i in range(len(self.tasks))
        ]
        begun = [begin(p, rng) for p, rng in zip(self.problems, streams, strict=True)]
        self.state = CGPOState(self.model, optimizer, begun)

    def _problem(self, task: CGPOTask, reference: Any) -> LanguageProblem:
        """Return a task as a problem; all of them share one reference."""
        data = _columns(task.train_dataset)
        prompts = data.pop("prompt")
        return LanguageProblem(
            lambda: reference,
            self.processing_class,
            prompts,
            prompts,
            _rewards(task.reward_funcs, task.reward_weights),
            data,
            data,
            MixtureOfJudges(task.judges).named(),
            paid=task.paid,
            max_tokens=self.args.max_completion_length,
            temperature=self.args.temperature,
            timeout=self.args.timeout,
            name=task.name,
        )

    def _settings(self, task: CGPOTask) -> LearningSettings:
        """Return the settings of a task: its own, else the trainer's."""
        base = self.args.learning()
        return LearningSettings(
            task.num_generations or base.k,
            task.prompts_per_step or base.prompts,
            base.baseline,
            base.missing_eos_penalty,
            base.warm_up,
        )

    def step(self) -> str:
        """One iteration of all tasks; "" or why it could not be made."""
        if not self.state.ended:
            tasks = list(
                zip(
                    self.problems,
                    self.settings,
                    self.rules,
                    self.weights,
                    self.state.tasks,
                    strict=True,
                )
            )
            norm = self.args.max_grad_norm
            self.state.ended = iterate(tasks, self.model, self.state.optimizer, norm)
            self.state.steps += not self.state.ended
        return self.state.ended

    def fit(self, steps: int) -> CGPOTrainer:
        """Make some iterations, fewer where a loss is no number.

        Args:
            steps: How many.
        """
        for _ in range(whole("steps", steps, least=0)):
            if self.step():
                break
        return self

    def train(self, resume_from_checkpoint: str | os.PathLike[str] | None = None) -> CGPOTrainer:
        """Make iterations up to `max_steps`.

        Args:
            resume_from_checkpoint: A file of `save_checkpoint`, to go on from.
        """
        if resume_from_checkpoint is not None:
            self.load_checkpoint(resume_from_checkpoint)
        return self.fit(max(self.args.max_steps - self.state.steps, 0))

    def report(self) -> dict[str, dict[str, float]]:
        """Of each task what its last responses were like: rewards, each judge's satisfaction,
        KL, length, share of prompts without a satisfied response.
        """
        found: dict[str, dict[str, float]] = {}
        for task, state in zip(self.tasks, self.state.tasks, strict=True):
            name, number = task.name, 2
            while name in found:
                name, number = f"{task.name} {number}", number + 1
            found[name] = dict(state.metrics)
        return found

    def save_model(self, folder: str | os.PathLike[str]) -> None:
        """Write model and tokenizer to a folder, as transformers does."""
        self.model.save_pretrained(folder)
        self.processing_class.save_pretrained(folder)

    def save_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write all that changes; training goes on from it to the same end."""
        keep(path, self.state)

    def load_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Go on from a file of `save_checkpoint`.

        Raises:
            ArgumentError: There is no such file.
            CheckpointError: It is damaged, or of other tasks or another model.
        """
        file = Path(path)
        if not file.is_file():
            raise ArgumentError(f"path={str(path)!r:.60}: there is no such file")
        self.state = decode(file.read_bytes(), self.state)
