"""TargetProblem: train a model where the loss's gradient in the model's outputs is what costs.

    minimise  h(w) = (1/N) sum_i l_i(f_i(w))   over the weights w

One gradient is charged for each batch whose d l / d f is asked for. Passes through the model are
free. Judged by h on all points, and its gradient's norm.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...core.annotations import Checked
from ...core.budget import spend
from ...core.checks import naming, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..problem import Arrays, Batches
from ..trained import Trained

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class TargetProblem(Problem, Checked):
    """A model of fixed data, where the loss's gradient in the model's outputs is what costs.

    Minimises h(w) = (1/N) sum_i l_i(f_i(w)). An answer is `Trained`.

    Attributes:
        model: A function without arguments that makes it; called under a seed of the run.
        data: (inputs, targets), arrays or tensors of N points.
        loss: (outputs, targets) -> scalar tensor, a SUM over the points.
        smooth: L, its smoothness in the outputs.
        batch_size: Points of a gradient; None: all.
        delay: Seconds that a gradient is made to take, to stand for a simulator or an expert.
        name: For tables.
        best_known: Lowest known h.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        ShapeError: An array of another shape.
        NotFinite: A NaN or an infinity.
    """

    model: Callable[[], nn.Module]
    data: Any
    loss: Callable[[Tensor, Tensor], Tensor]
    smooth: float = 1.0
    batch_size: int | None = None
    delay: float = 0.0
    name: str = "target"
    best_known: float | None = None

    answers: ClassVar[tuple[type, ...]] = (Trained,)
    endings = (".json", ".csv", ".safetensors")
    last: ClassVar[bool] = True
    example_budget: ClassVar[str] = "gradients=100"
    objective_title: ClassVar[str] = "training loss"

    def __post_init__(self) -> None:
        if not callable(self.model) or isinstance(self.model, nn.Module):
            raise ArgumentTypeError(
                f"model: got {type(self.model).__name__}, expected a function that makes a new "
                "module, such as `lambda: Net()`"
            )
        if not isinstance(self.data, Arrays):
            with naming("data"):
                self.data = Arrays(self.data, "data", "cpu")
        self.smooth, self.delay = (
            real("smooth", self.smooth, above=0),
            real("delay", self.delay, least=0),
        )
        if self.batch_size is not None and whole("batch_size", self.batch_size, least=1) > len(
            self.data
        ):
            raise ArgumentError(
                f"batch_size={self.batch_size}: expected at most the {len(self.data)} points, or "
                "None for all"
            )
        self._judge_model: nn.Module | None = None

    def begin(self, rng: np.random.Generator) -> tuple[nn.Module, Batches]:
        """A new model and the order of the points, drawn from `rng`."""
        seed, order = (int(s) for s in rng.integers(2**62, size=2))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.model()
        generator = torch.Generator().manual_seed(order)
        return model, Batches(generator, torch.randperm(len(self.data), generator=generator))

    def rows(self, batches: Batches) -> Tensor:
        """(B,) numbers of the next batch's points."""
        return (
            torch.arange(len(self.data))
            if self.batch_size is None
            else batches.next(self.batch_size)
        )

    def outputs(self, model: nn.Module, rows: Tensor | None = None) -> Tensor:
        """f of these points (of all); free.

        Args:
            model: The network.
            rows: Numbers of the points; None: all.
        """
        found: Tensor = model(self.data.inputs if rows is None else self.data.inputs[rows])
        return found

    def target_loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Sum of l_i over these points.

        Charges one gradient where one can be taken, and nothing for a value.

        Args:
            outputs: (B, ...) of the model.
            rows: (B,) numbers of the points.
        """
        if torch.is_grad_enabled() and outputs.requires_grad:
            spend(gradients=1)
            if self.delay:
                time.sleep(self.delay)
        return self._summed(outputs, self.data.targets[rows])

    def _summed(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss as a scalar; a ShapeError where it is none."""
        loss = self.loss(outputs, targets)
        if loss.ndim:
            raise ShapeError(
                f"loss has shape {tuple(loss.shape)}, expected a scalar: a sum over the points"
            )
        return loss

    def judge(self, answer: Any) -> Verdict:
        """h on all points; its gradient's norm as residual."""
        if answer is None:
            return Verdict(math.nan, math.inf)
        if self._judge_model is None:
            with torch.random.fork_rng(devices=[]):  # its weights are replaced: no draw is owed
                self._judge_model = self.model()
        model = answer.into(self._judge_model)
        with torch.enable_grad():
            h = self._summed(self.outputs(model), self.data.targets) / len(self.data)
            slope = torch.autograd.grad(
                h, [p for p in model.parameters() if p.requires_grad], allow_unused=True
            )
        size = math.sqrt(sum(float(g.double().square().sum()) for g in slope if g is not None))
        return Verdict(float(h.detach()), 0.0, residual=size, metrics={"gradient_norm": size})

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value", "limit"),
            ("training loss", f"{verdict.objective:.6g}", ""),
            ("gradient norm", f"{verdict.residual:.6g}", ""),
        ]

    def outline(self) -> list[str]:
        """Sizes of model and data."""
        return [
            f"parameters: {sum(p.numel() for p in self.model().parameters()):,}",
            f"points: {len(self.data):,}, of a gradient: {self.batch_size or len(self.data):,}",
            f"smoothness of the loss in the outputs: {self.smooth:g}",
        ]

    def write(self, answer: Trained, path: str) -> None:
        """Write the weights as a safetensors file."""
        answer.save(path)
