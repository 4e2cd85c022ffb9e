"""What the settings of methods that learn from batches of transitions have in common."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.annotations import Checked
from ..core.checks import fraction, real, whole
from ..core.errors import ArgumentError


@dataclass(frozen=True)
class BatchSettings(Checked):
    """Of a method that collects a batch by its policy, learns from it and collects the next.

    Attributes:
        n_envs: Copies of the environment.
        n_steps: Steps of each copy in a batch.
        lr: Rate of Adam, of policy and values.
        gamma: Discount.
        lam: lambda of the advantage estimates.
        max_grad_norm: The policy's gradient is cut to this norm.
        normalize: Observations and rewards by running statistics, which the policy carries with it.
        width: Of the two hidden layers.
    """

    n_envs: int = 8
    n_steps: int = 128
    lr: float = 3e-4
    gamma: float = 0.99
    lam: float = 0.95
    max_grad_norm: float = 0.5
    normalize: bool = True
    width: int = 64

    def __post_init__(self) -> None:
        whole("n_envs", self.n_envs, least=1, most=1024)
        whole("n_steps", self.n_steps, least=1, most=1_000_000)
        if self.n_envs * self.n_steps < 2:
            raise ArgumentError(
                f"n_steps={self.n_steps} with n_envs={self.n_envs}: expected a batch of 2 at least"
            )
        whole("width", self.width, least=1, most=8192)
        for name in ("lr", "max_grad_norm"):
            real(name, getattr(self, name), above=0)
        fraction("gamma", self.gamma)
        fraction("lam", self.lam)
