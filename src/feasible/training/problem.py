"""TrainingProblem: a model, data, a loss and a number of steps.

    minimise  loss of the model on held-out data   over its weights, within limits on its size
    (sparsity, parameters, multiply-adds)

A method sees batches of the training data. The held-out data are for the judge, so a run's answer
is its last weights, not its luckiest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..core.annotations import Checked
from ..core.budget import spend
from ..core.checks import naming
from ..core.errors import (
    ArgumentError,
    ArgumentTypeError,
    LimitError,
    NotFinite,
    ShapeError,
    nearest,
)
from ..core.limits import Limits, read_limits
from ..core.problem import Problem
from ..core.run import active_run
from ..core.verdict import Verdict
from .trained import Trained, multiply_adds, sparsity

if TYPE_CHECKING:
    from torch import Tensor

SIZES = ("sparsity", "parameters", "macs")
BLOCK = 1024
"""Examples that are judged at once."""


def error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of wrong classes.

    Args:
        outputs: (..., K) scores or, as `cross_entropy` has it, (B, K, ...).
        targets: Class numbers.
    """
    axis = 1 if outputs.ndim > 2 and outputs.shape[:1] + outputs.shape[2:] == targets.shape else -1
    return (outputs.argmax(axis) != targets).double().mean()


# -- data ------------------------------------------------------------------------------------------


class Arrays:
    """Inputs (N, ...) and targets (N, ...) in memory."""

    def __init__(self, given: tuple[Any, Any], name: str, device: str):
        if len(given) != 2:
            raise ShapeError(f"{name} has {len(given)} parts, expected (inputs, targets)")
        parts = [
            torch.as_tensor(p if isinstance(p, torch.Tensor) else np.asarray(p)) for p in given
        ]
        for part, what in zip(parts, ("inputs", "targets"), strict=True):
            if part.is_floating_point() and not bool(torch.isfinite(part).all()):
                raise NotFinite(
                    f"{name}: {what} hold a NaN or an infinity, expected finite numbers"
                )
        if parts[0].ndim == 0 or not len(parts[0]) or len(parts[0]) != len(parts[1]):
            raise ShapeError(
                f"{name} has inputs of shape {tuple(parts[0].shape)} and targets of shape "
                f"{tuple(parts[1].shape)}, expected as many, at "
                "least one"
            )
        with naming("device"):
            self.inputs, self.targets = (p.to(device) for p in parts)

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: Tensor) -> tuple[Any, Any]:
        """The examples of these rows."""
        return self.inputs[rows], self.targets[rows]


class Mapped:
    """A `torch.utils.data.Dataset` of (input, target) pairs."""

    def __init__(self, dataset: Any, device: str):
        self.dataset, self.device = dataset, device

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, rows: Tensor) -> tuple[Any, Any]:
        """The examples of these rows, collated."""
        inputs, targets = torch.utils.data.default_collate([self.dataset[i] for i in rows.tolist()])
        return inputs.to(self.device), targets.to(self.device)


@dataclass
class Batches:
    """Where a run stands in its data: a new order each epoch, the last examples that fill no batch
    left out.

    Attributes:
        generator: Draws the orders.
        order: (N,) rows of this epoch.
        at: Where in the order the next batch begins.
    """

    generator: torch.Generator
    order: Tensor
    at: int = 0

    def next(self, size: int) -> Tensor:
        """(size,) rows of the next batch."""
        if self.at + size > len(self.order):
            self.order, self.at = torch.randperm(len(self.order), generator=self.generator), 0
        self.at += size
        return self.order[self.at - size : self.at]


# -- the problem -----------------------------------------------------------------------------------


@dataclass
class TrainingProblem(Problem, Checked):
    """Train a model for a number of steps.

    Minimises the mean loss over the training data; judged by the loss on `valid`. An answer is
    `Trained`, the last weights. One gradient is one pass over a batch.

    Attributes:
        model: A function without arguments that makes it; it is called under a seed of the run.
        train: (inputs, targets), arrays or tensors with N examples each, or a
            `torch.utils.data.Dataset` of such pairs.
        valid: The same, held out.
        loss: (outputs, targets) -> scalar tensor, a mean over the examples.
        batch_size: Examples of a gradient.
        steps: Optimiser steps that schedules plan for; a budget of steps takes its place.
        name: For tables.
        metrics: Name -> (outputs, targets) -> scalar, a mean over the examples; None: "error" where
            the loss is cross-entropy.
        limits: On "sparsity" (share of zeros in weights of two axes or more), "parameters" or
            "macs" (multiply-adds for one example), as ">= 0.9".
        initial: Weights to start from.
        device: Of model and batches.
        stochastic: The forward pass draws random numbers, and each step is given a seed of its own;
            None: looked for (dropout).
        best_known: Lowest known held-out loss, or a target.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        ShapeError: Data whose lengths differ.
        NotFinite: Data with a NaN or an infinity.
    """

    model: Callable[[], nn.Module]
    train: Any
    valid: Any
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    batch_size: int = 64
    steps: int = 1000
    name: str = "training"
    metrics: Mapping[str, Callable[[Tensor, Tensor], Any]] | None = None
    limits: Any = None
    initial: Trained | None = None
    device: str = "cpu"
    stochastic: bool | None = None
    best_known: float | None = None

    answers: ClassVar[tuple[type, ...]] = (Trained,)
    endings = (".json", ".csv", ".safetensors")
    last: ClassVar[bool] = True
    example_budget: ClassVar[str] = "steps=200"
    objective_title: ClassVar[str] = "held-out loss"

    def __post_init__(self) -> None:
        if not callable(self.model) or isinstance(self.model, nn.Module):
            raise ArgumentTypeError(
                f"model: got {type(self.model).__name__}, expected a function that makes a new "
                "module, such as `lambda: Net()`"
            )
        self.train, self.valid = self._data(self.train, "train"), self._data(self.valid, "valid")
        for name, value, most in (
            ("batch_size", self.batch_size, len(self.train)),
            ("steps", self.steps, math.inf),
        ):
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, np.integer))
                or not 1 <= value <= most
            ):
                up = f" and at most the {most} training examples" if most < math.inf else ""
                raise ArgumentError(f"{name}={value!r}: expected a whole number >= 1{up}")
        if self.metrics is None:
            self.metrics = {"error": error} if self.loss is F.cross_entropy else {}
        named = read_limits(self.limits)
        for q in named:
            if q.name not in SIZES:
                raise LimitError(f"limits: '{q.name}' is not measured: {nearest(q.name, SIZES)}")
        self.limits = Limits(named)
        self._judge_model: nn.Module | None = None

    def _data(self, given: Any, name: str) -> Arrays | Mapped:
        """Data as this room reads it."""
        if isinstance(given, (tuple, list)):
            return Arrays(tuple(given), name, self.device)
        if isinstance(given, torch.utils.data.TensorDataset):
            return Arrays(given.tensors, name, self.device)
        if (
            hasattr(given, "__getitem__")
            and hasattr(given, "__len__")
            and getattr(given, "shape", None) != ()
        ):
            return Mapped(given, self.device)
        raise ArgumentTypeError(
            f"{name}: got {type(given).__name__}, expected (inputs, targets) or a torch Dataset"
        )

    # -- what methods call -------------------------------------------------------------------------

    def horizon(self) -> int:
        """Steps to plan for: those that the active run may make, else `steps`."""
        run = active_run.get()
        limits = {} if run is None else run.budget
        return int(
            min((limits[r] for r in ("steps", "gradients") if r in limits), default=self.steps)
        )

    def begin(self, rng: np.random.Generator) -> tuple[nn.Module, Batches]:
        """A new model and the start of the data, drawn from `rng`."""
        seed, order = (int(s) for s in rng.integers(2**62, size=2))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.model()
        if not isinstance(model, nn.Module):
            raise ArgumentTypeError(
                f"model made a {type(model).__name__}, expected a torch.nn.Module"
            )
        if self.initial is not None:
            model = self.initial.into(model)
        if self.stochastic is None:
            self.stochastic = any(
                _positive(getattr(m, what, 0))
                for m in model.modules()
                for what in ("p", "dropout", "drop_prob")
            )
        generator = torch.Generator().manual_seed(order)
        return model.to(self.device), Batches(
            generator, torch.randperm(len(self.train), generator=generator)
        )

    def batch(self, batches: Batches) -> tuple[Any, Any]:
        """The next (inputs, targets)."""
        return self.train.take(batches.next(self.batch_size))

    def gradient(self, model: nn.Module, batch: tuple[Any, Any]) -> Tensor:
        """Loss of a batch, its gradient left in the parameters. Charges one gradient.

        Args:
            model: Its parameters get the gradients.
            batch: Of `batch`.
        """
        spend(gradients=1)
        for p in model.parameters():
            p.grad = None
        loss = self.loss_of(model, batch)
        loss.backward()
        return loss.detach()

    def loss_of(self, model: nn.Module, batch: tuple[Any, Any]) -> Tensor:
        """Loss of a batch as a scalar tensor. Charges nothing."""
        if not self.stochastic:
            return self._loss(model(batch[0]), batch[1])
        run = active_run.get()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0 if run is None else int(run.rng(run.step).integers(2**62)))
            return self._loss(model(batch[0]), batch[1])

    def _loss(self, outputs: Any, targets: Any) -> Tensor:
        """The loss as a scalar; a ShapeError where it is none."""
        loss = self.loss(outputs, targets)
        if loss.ndim:
            raise ShapeError(
                f"loss has shape {tuple(loss.shape)}, expected a scalar: a mean over the examples"
            )
        return loss

    def held_out(self, model: nn.Module) -> float:
        """Loss on the held-out data, for methods that steer by it. Charges one evaluation."""
        spend(evaluations=1)
        return self._measure(model)["loss"]

    # -- judging -----------------------------------------------------------------------------------

    def _measure(self, model: nn.Module) -> dict[str, float]:
        """Mean loss and metrics of a model on the held-out data."""
        training = model.training
        model.eval()
        totals = dict.fromkeys(("loss", *(self.metrics or {})), 0.0)
        with torch.no_grad():
            for rows in _blocks(len(self.valid)):
                inputs, targets = self.valid.take(rows)
                outputs = model(inputs)
                totals["loss"] += float(self._loss(outputs, targets)) * len(rows)
                for name, metric in (self.metrics or {}).items():
                    totals[name] += float(metric(outputs, targets)) * len(rows)
        model.train(training)
        return {name: total / len(self.valid) for name, total in totals.items()}

    def sizes(self, model: nn.Module) -> dict[str, float]:
        """Of the limits' sizes those that are limited, measured on the model."""
        found = {}
        for name in self.limits.names:
            if name == "sparsity":
                found[name] = sparsity(model)
            elif name == "parameters":
                found[name] = float(sum(p.numel() for p in model.parameters()))
            else:
                found[name] = float(multiply_adds(model, self.valid.take(torch.arange(1))[0]))
        return found

    def judge(self, answer: Any) -> Verdict:
        """Held-out loss and metrics of the weights, and the limits."""
        if answer is None:
            return Verdict(math.nan, math.inf)
        if self._judge_model is None or answer.plan is not None:
            with torch.random.fork_rng(devices=[]):  # its weights are replaced: no draw is owed
                self._judge_model = self.model().to(self.device)
        model = answer.into(self._judge_model)
        if answer.plan is not None:
            self._judge_model = None
        found = self._measure(model)
        sizes = self.sizes(model)
        violations = (
            self.limits.violations(self.limits.signed(np.array([list(sizes.values())]))[0])
            if sizes
            else {}
        )
        loss = found.pop("loss")
        return Verdict(
            loss if math.isfinite(loss) else math.nan,
            max(violations.values(), default=0.0),
            1e-9,
            violations=violations,
            metrics={**found, **sizes},
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        rows: list[tuple[str, ...]] = [
            ("metric", "value", "limit"),
            ("held-out loss", f"{verdict.objective:.6g}", ""),
        ]
        limits = {q.name: q.text for q in self.limits.limits}
        return rows + [
            (name, f"{value:.6g}", limits.get(name, "")) for name, value in verdict.metrics.items()
        ]

    def outline(self) -> list[str]:
        """Sizes of model and data."""
        model = self.model()
        lines = [
            f"parameters: {sum(p.numel() for p in model.parameters()):,}",
            f"training examples: {len(self.train):,}, held out: {len(self.valid):,}",
            f"batch size: {self.batch_size}, steps: {self.steps:,}",
        ]
        return lines + [f"limit: {q.name} {q.text}" for q in self.limits.limits]

    def write(self, answer: Trained, path: str) -> None:
        """Write the weights (and the pruning plan) as a safetensors file."""
        answer.save(Path(path))


def _positive(value: Any) -> bool:
    """Whether this is a number above 0."""
    return isinstance(value, (int, float)) and value > 0


def _blocks(n: int) -> Iterator[Tensor]:
    """Rows 0 to n - 1 in blocks for judging."""
    return iter(torch.arange(n).split(BLOCK))
