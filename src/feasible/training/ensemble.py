"""Many small trainings at once: every (recipe, seed) is a member of one batched model, so that a
step costs about one step, not one a member.

A member sees the batches and starting weights that `Recipe` gives its seed, and ends at the same
weights up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.func import functional_call, grad, stack_module_state, vmap

from ..core.annotations import checked
from ..core.checks import whole
from ..core.errors import ArgumentError
from ..core.registry import split_settings
from .parts import OPTIMIZERS, SCHEDULES, chosen
from .problem import TrainingProblem
from .recipe import CHECKS, Recipe, curves

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

TOGETHER = ("sgd", "adam", "adamw")
"""Optimisers that work entry by entry, and are written here once more over a leading axis of
members.
"""


@dataclass
class Ensemble:
    """What `train_many` found, by (recipe, seed).

    Attributes:
        loss: Held-out loss of the last weights, NaN where it is not finite.
        metrics: The problem's, each of that shape.
        weights: Name -> (recipes, seeds, ...) tensors.
        curve: (recipes, seeds, checks) held-out losses after the steps `at`.
        at: Steps after which `curve` was measured.
    """

    loss: Float[np.ndarray, "recipes seeds"]
    metrics: dict[str, Float[np.ndarray, "recipes seeds"]]
    weights: dict[str, Any]
    curve: Float[np.ndarray, "recipes seeds checks"]
    at: tuple[int, ...]


@checked
def train_many(
    problem: TrainingProblem,
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    steps: int,
    at: Sequence[int] = (),
) -> Ensemble:
    """Train every recipe from every seed for `steps` steps.

    All recipes must use one optimiser of `TOGETHER`, with any rate, decay and schedule. Schedules
    that steer by the held-out loss are told each member's own, as often as `Recipe` tells it.

    Args:
        problem: What is trained.
        recipes: One row of members each.
        seeds: One column of members each.
        steps: Steps that every member makes.
        at: Steps after which the held-out loss is noted.

    Returns:
        Losses, metrics and weights by recipe and seed.

    Raises:
        ArgumentError: Another optimiser, or a model with buffers or random numbers.

    Examples:
        >>> from feasible.training.instances import moons_mlp
        >>> recipes = [Recipe("sgd", "rex", lr=lr) for lr in (0.01, 0.1)]
        >>> train_many(moons_mlp(), recipes, seeds=range(3), steps=20).loss.shape
        (2, 3)
    """
    if not (len(recipes) and len(seeds)):
        raise ArgumentError("recipes, seeds: expected at least one of each")
    kinds = {split_settings(r.optimizer)[0] for r in recipes}
    if len(kinds) != 1 or not kinds <= set(TOGETHER):
        raise ArgumentError(
            f"recipes use {', '.join(sorted(kinds))}: expected one of {', '.join(TOGETHER)} for "
            "all; train others one by one"
        )
    members = [(r, s) for r in recipes for s in seeds]
    steps = whole("steps", steps, least=1)
    for s in seeds:
        whole("seeds", s, least=0)
    begun = {s: problem.begin(np.random.default_rng([s])) for s in seeds}
    models = [begun[s][0] for _, s in members]
    if problem.stochastic or any(True for _ in models[0].buffers()):
        raise ArgumentError(
            "model has buffers or draws random numbers: expected one without BatchNorm and "
            "dropout; train it by itself"
        )
    stacked, _ = stack_module_state(models)
    names = list(stacked)
    params = [stacked[n].detach().clone() for n in names]
    base = models[0]
    update = _Update(kinds.pop(), recipes, len(seeds), steps, params)

    def loss(values: tuple[Tensor, ...], inputs: Tensor, targets: Tensor) -> Tensor:
        return problem.loss(
            functional_call(base, dict(zip(names, values, strict=True)), (inputs,)), targets
        )

    gradients = vmap(grad(loss))
    which = torch.arange(len(seeds)).repeat(len(recipes))
    curve, checks = [], set(at)
    for t in range(steps):
        drawn = [problem.batch(begun[s][1]) for s in seeds]
        inputs, targets = (torch.stack([d[i] for d in drawn])[which] for i in (0, 1))
        update(t, params, gradients(tuple(params), inputs, targets))
        if update.steered and (t + 1) % max(1, steps // CHECKS) == 0:
            update.steer(t + 1, _held_out(problem, base, names, params)["loss"])
        if t + 1 in checks:
            curve.append(_held_out(problem, base, names, params)["loss"])
    shape = (len(recipes), len(seeds))
    found = {
        name: value.reshape(shape)
        for name, value in _held_out(problem, base, names, params).items()
    }
    final = found.pop("loss")
    final[~np.isfinite(final)] = np.nan
    return Ensemble(
        final,
        found,
        {n: p.reshape(*shape, *p.shape[1:]) for n, p in zip(names, params, strict=True)},
        np.array(curve).T.reshape(*shape, len(curve)),
        tuple(sorted(checks)),
    )


class _Update:
    """The optimisers of `TOGETHER` as torch has them (single tensor, no foreach), with a rate for
    each member.
    """

    def __init__(
        self, kind: str, recipes: Sequence[Recipe], seeds: int, steps: int, params: list[Tensor]
    ):
        self.kind = kind
        settings = [_plain(r) for r in recipes]
        if any(
            set(s) - {"lr", "momentum", "nesterov", "betas", "eps", "weight_decay", "dampening"}
            for s in settings
        ):
            raise ArgumentError(
                "recipes use settings of the optimiser that many at once do not know; train them "
                "by themselves"
            )
        found = [curves(r, steps) for r in recipes]
        self.steered = [
            (i * seeds + j, *r.tools([torch.nn.Parameter(torch.zeros(1))], steps))
            for i, r in enumerate(recipes)
            for j in range(seeds)
            if SCHEDULES[split_settings(r.schedule)[0]].steered
        ]

        def column(values: Any) -> Tensor:
            return (
                torch.as_tensor(np.asarray(values, dtype=float))
                .repeat_interleave(seeds, dim=-1)
                .to(params[0].dtype)
            )

        self.rates, self.momenta = (
            column(np.array([f[i] for f in found]).T) for i in (0, 1)
        )  # (steps, members)
        self.decay = column([s["weight_decay"] for s in settings])
        self.beta2 = column([s.get("betas", (0.9, 0.999))[1] for s in settings])
        self.eps = column([s.get("eps", 1e-8) for s in settings])
        self.nesterov = column([float(s.get("nesterov", False)) for s in settings])
        self.dampening = column([s.get("dampening", 0.0) for s in settings])
        self.decays, self.looks_ahead = bool(self.decay.any()), bool(self.nesterov.any())
        self.first = [torch.zeros_like(p) for p in params]
        self.second = [torch.zeros_like(p) for p in params] if kind != "sgd" else []

    def steer(self, t: int, losses: np.ndarray) -> None:
        """Tell the schedules that steer by it the held-out loss of each member, (members,), and
        take their rates from step t on.
        """
        for m, optimizer, scheduler in self.steered:
            scheduler.step(float(losses[m]))
            self.rates[t:, m] = float(optimizer.param_groups[0]["lr"])

    def __call__(self, t: int, params: list[Tensor], gradients: Sequence[Tensor]) -> None:
        for i, (p, g) in enumerate(zip(params, gradients, strict=True)):

            def wide(column: Tensor, p: Tensor = p) -> Tensor:
                return column.view(-1, *[1] * (p.ndim - 1))

            lr, mu = wide(self.rates[t]), wide(self.momenta[t])
            if self.kind == "adamw":
                p.mul_(1 - lr * wide(self.decay))
            elif self.decays:
                g = g + wide(self.decay) * p
            m = self.first[i]
            if self.kind == "sgd":
                m.mul_(mu).add_(g * (1 - wide(self.dampening)) if t else g)
                p.sub_(
                    lr
                    * (
                        torch.where(wide(self.nesterov) > 0, g + mu * m, m)
                        if self.looks_ahead
                        else m
                    )
                )
                continue
            beta2, v = wide(self.beta2), self.second[i]
            m.lerp_(g, 1 - mu)
            v.mul_(beta2).add_((1 - beta2) * g * g)
            p.sub_(
                lr
                / (1 - mu ** (t + 1))
                * m
                / (v.sqrt() / (1 - beta2 ** (t + 1)).sqrt() + wide(self.eps))
            )


def _plain(recipe: Recipe) -> dict[str, Any]:
    """The optimiser's settings, as its first parameter group has them where they tell."""
    part, given = chosen(recipe.optimizer, OPTIMIZERS, "optimizer")
    optimizer = recipe.optimiser([torch.nn.Parameter(torch.zeros(1))])
    known = ("weight_decay", "eps", "betas", "nesterov", "dampening", "momentum")
    asked = {**part.settings, **given}
    return {
        **{k: v for k, v in optimizer.param_groups[0].items() if k in known},
        **{k: v for k, v in asked.items() if k not in known},
    }


def _held_out(
    problem: TrainingProblem, base: torch.nn.Module, names: list[str], params: list[Tensor]
) -> dict[str, np.ndarray]:
    """Held-out loss and metrics of every member, by name."""
    measures = {"loss": problem.loss, **(problem.metrics or {})}
    inputs, targets = problem.valid.take(torch.arange(len(problem.valid)))

    def measure(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        outputs = functional_call(base, dict(zip(names, values, strict=True)), (inputs,))
        return tuple(torch.as_tensor(f(outputs, targets)) for f in measures.values())

    with torch.no_grad():
        found = vmap(measure)(tuple(params))
    return dict(zip(measures, (f.double().numpy().copy() for f in found), strict=True))
