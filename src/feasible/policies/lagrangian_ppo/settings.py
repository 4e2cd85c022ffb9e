"""How proximal policy optimisation with multipliers goes about it."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import fraction, real, whole
from ...core.errors import ArgumentError


@dataclass(frozen=True)
class LagrangianSettings(Checked):
    """The settings, said once.

    Attributes:
        n_envs: Copies of the environment.
        n_steps: Steps of each copy in a batch.
        epochs: Passes over a batch.
        minibatch: Rows of a gradient step.
        clip: Largest change of the ratio of probabilities that is rewarded.
        lr: Rate of Adam, of policy and values.
        gamma: Discount.
        lam: lambda of the advantage estimates.
        max_grad_norm: Gradients of the policy are cut to this norm.
        multiplier_rate: By how much a multiplier rises in an iteration at most: where the mean cost
            is twice an upper limit, or more.
        proportional: What is added to a multiplier then, as long as the cost is there.
        margin: It aims at costs that are so far within their limits, relative to these: means over
            a batch and over the judge's episodes differ.
        normalize: Observations and rewards by running statistics, which the policy carries with it.
        width: Of the two hidden layers.
    """

    n_envs: int = 8
    n_steps: int = 128
    epochs: int = 10
    minibatch: int = 64
    clip: float = 0.2
    lr: float = 3e-4
    gamma: float = 0.99
    lam: float = 0.95
    max_grad_norm: float = 0.5
    multiplier_rate: float = 0.15
    proportional: float = 1.0
    margin: float = 0.1
    normalize: bool = True
    width: int = 64

    def __post_init__(self) -> None:
        whole("n_envs", self.n_envs, least=1, most=1024)
        whole("n_steps", self.n_steps, least=1, most=1_000_000)
        if self.n_envs * self.n_steps < 2:
            raise ArgumentError(
                f"n_steps={self.n_steps} with n_envs={self.n_envs}: expected a batch of 2 at least"
            )
        whole("epochs", self.epochs, least=1, most=100_000)
        whole("minibatch", self.minibatch, least=1)
        whole("width", self.width, least=1, most=8192)
        for name in ("clip", "lr", "max_grad_norm", "multiplier_rate"):
            real(name, getattr(self, name), above=0)
        real("proportional", self.proportional, least=0)
        fraction("gamma", self.gamma)
        fraction("lam", self.lam)
        fraction("margin", self.margin, one=False)
