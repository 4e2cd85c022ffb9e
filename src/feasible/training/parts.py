"""Optimisers and schedules by name, as recipes use them: one row each, plain data.

A text such as ``sgd[momentum=0.5]`` names a row and changes its settings; `chosen` reads it and
`configured` builds the torch class that the row's target names. Nothing is imported before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import ArgumentError, UnknownName, nearest
from ..core.registry import Entry, resolve_target, split_settings


@dataclass(frozen=True)
class Part(Entry):
    """An optimiser or a schedule by name.

    Attributes:
        target: "module:attribute", called as ``(parameters, lr=..., **settings)`` for an optimiser
            and ``(optimizer, total_steps=..., **settings)`` for a schedule.
        settings: What it is called with where the text says nothing else. An optimiser's "lr" is
            the peak rate of a recipe that names none.
        needs_loss: The optimiser's step takes the loss: ``step(loss=loss)``.
        steered: The schedule's step takes the held-out loss: ``step(loss)``.
        package: Module of another library that it needs; empty for none.
    """

    needs_loss: bool = False
    steered: bool = False
    package: str = ""


_FREE = "feasible.training.hyperparameter_free"
_PROFILE = "feasible.training.schedule:ProfileLR"
_TORCH = "feasible.training.peers.torch_schedules"

OPTIMIZERS: dict[str, Part] = {
    part.name: part
    for part in (
        Part("sgd", "torch.optim:SGD", settings={"lr": 0.1, "momentum": 0.9}),
        Part("adam", "torch.optim:Adam", settings={"lr": 1e-2}),
        Part("adamw", "torch.optim:AdamW", settings={"lr": 1e-2}),
        Part("nadamw", f"{_FREE}:NAdamW", settings={"lr": 3e-3}),
        Part("lion", "feasible.training.lion_k:LionK", settings={"lr": 1e-3, "weight_decay": 1.0}),
        Part(
            "lion-pytorch",
            "lion_pytorch:Lion",
            settings={"lr": 1e-3, "weight_decay": 1.0},
            package="lion_pytorch",
        ),
        Part(
            "pytorch-optimizer-lion",
            "pytorch_optimizer:Lion",
            settings={"lr": 1e-3, "weight_decay": 1.0},
            package="pytorch_optimizer",
        ),
        Part("prodigy", f"{_FREE}:Prodigy", settings={"lr": 1.0}, package="prodigyopt"),
        Part("dadapt-adam", f"{_FREE}:DAdaptAdam", settings={"lr": 1.0}),
        Part("dadapt-sgd", f"{_FREE}:DAdaptSGD", settings={"lr": 1.0}),
        Part("cocob", f"{_FREE}:COCOB", settings={"lr": 1.0}),
        Part("dog", f"{_FREE}.named:averaged_dog", settings={"lr": 1.0}),
        Part("ldog", f"{_FREE}.named:averaged_ldog", settings={"lr": 1.0}),
        Part("dowg", f"{_FREE}.named:averaged_dowg", settings={"lr": 1.0}),
        Part("mechanic-adamw", f"{_FREE}.named:mechanic_adamw", settings={"lr": 1.0}),
        Part("mechanic-sgd", f"{_FREE}.named:mechanic_sgd", settings={"lr": 1.0}),
        Part("mfac", "feasible.training.mfac:MFAC", settings={"lr": 1e-3}),
        Part("momo", f"{_FREE}:MoMo", settings={"lr": 1.0}, needs_loss=True),
        Part("momo-adam", f"{_FREE}:MoMoAdam", settings={"lr": 1e-2}, needs_loss=True),
        Part(
            "schedulefree-adamw",
            "feasible.training.peers.packages:schedule_free_adamw",
            settings={"lr": 2.5e-3},
            package="schedulefree",
        ),
    )
}

SCHEDULES: dict[str, Part] = {
    part.name: part
    for part in (
        Part("constant", f"{_TORCH}:constant"),
        Part("torch-cosine", f"{_TORCH}:cosine"),
        Part("torch-linear", f"{_TORCH}:linear"),
        Part("torch-step", f"{_TORCH}:step"),
        Part("torch-halved", f"{_TORCH}:halved"),
        Part("torch-exponential", f"{_TORCH}:exponential"),
        Part("torch-onecycle", f"{_TORCH}:onecycle"),
        Part("torch-plateau", f"{_TORCH}:plateau", steered=True),
        Part("linear", "feasible.training.refined_schedule:LinearDecay"),
        Part("rex", "feasible.training.rex:REX"),
        Part("uba", "feasible.training.uba:UBA"),
        Part("cosine", _PROFILE, settings={"profile": "cosine"}),
        Part("step", _PROFILE, settings={"profile": "step"}),
        Part(
            "exponential",
            "feasible.training.schedule:ProfileLR",
            settings={"profile": "exponential"},
        ),
        Part("onecycle", "feasible.training.baselines:OneCycle"),
        Part("inverse-sqrt", "feasible.training.baselines:InverseSqrt"),
        Part("plateau", "feasible.training.baselines:Plateau", steered=True),
        Part(
            "pytorch-optimizer-rex",
            "feasible.training.peers.packages:rex",
            package="pytorch_optimizer",
        ),
        Part("warmup-cosine", f"{_FREE}.calibration:warmup_cosine"),
    )
}


def chosen(text: str, known: Mapping[str, Part], what: str) -> tuple[Part, dict[str, Any]]:
    """The row that a text names, and the settings in its brackets.

    Args:
        text: A name with or without settings, such as ``"sgd[momentum=0.5]"``. ``beta1`` and
            ``beta2`` are put together as Adam's ``betas``.
        known: OPTIMIZERS or SCHEDULES.
        what: The argument, for the error.

    Raises:
        UnknownName: No row has this name.

    Examples:
        >>> part, settings = chosen("adam[beta2=0.95]", OPTIMIZERS, "optimizer")
        >>> part.target, settings
        ('torch.optim:Adam', {'betas': (0.9, 0.95)})
    """
    base, settings = split_settings(text)
    if base not in known:
        raise UnknownName(f"{what}='{base}': {nearest(base, known)}")
    if "beta1" in settings or "beta2" in settings:
        settings["betas"] = (settings.pop("beta1", 0.9), settings.pop("beta2", 0.999))
    return known[base], settings


def configured(part: Part, what: str, *args: Any, **settings: Any) -> Any:
    """Build the optimiser or schedule of a row.

    Args:
        part: The row.
        what: The argument and its text, for the error.
        *args: What the target takes first: parameters, or an optimiser.
        **settings: Change the row's own.

    Raises:
        ArgumentError: A setting that the target does not have.
    """
    try:
        return resolve_target(part.target)(*args, **{**part.settings, **settings})
    except TypeError as error:
        raise ArgumentError(f"{what}: {error}") from error
