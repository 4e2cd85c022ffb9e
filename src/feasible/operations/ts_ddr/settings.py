"""How TS-DDR is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.annotations import Checked
from ...core.checks import fraction, real, whole
from ...core.errors import ArgumentError
from ..window import Penalty

MARGIN = 1.2
"""Penalty of a missed target when the policy acts, as a multiple of the largest cost."""


@dataclass(frozen=True)
class TSDDRSettings(Checked):
    """The settings, said once.

    Attributes:
        net: "mlp", "linear" (TS-LDR, without a sigmoid), or "lstm": a recurrent encoder of the
            noise whose output is joined by the state before.
        hidden: Width of each hidden layer.
        mode: "de": one program over all stages of a path, the network fed with its own targets;
            "stagewise": a program a stage, fed with the states that were reached; "shooting":
            programs of `window` stages, each from the state that the one before reached.
        window: Stages of a program in the mode "shooting".
        iterations: Steps of Adam; the schedules of penalty and rate are cut to them.
        batch: Paths of a step.
        lr: Adam's rate.
        decay: Factor of the rate in the last quarter.
        clip: Largest norm of a step's gradient; 0: no limit.
        penalty: C, of a unit by which a target is missed; "auto": the largest cost of the problem.
        norm: "l1": C |x|; "l2": C |x|^2; "both": their sum.
        multipliers: Of C, one after the other.
        shares: Of the iterations, how long each of them holds; their sum is 1.
        act_penalty: C when the policy acts; "auto": 1.2 times the largest cost.
        strict: Without slack: the network points within what a stage can reach.
        stretch: The sigmoid is stretched beyond [0, 1] by this share and cut, so that a reservoir
            can be full or empty.
        period: Stages of a season.
        alpha: Weight of the duals' gradient against the score function's; 1: duals alone.
        sigma: Standard deviation of the score function's perturbations, as a share of a state's
            range.
        samples: Perturbations of each path.
        warmup: Steps before the score function's weight begins to grow.
        ramp: Steps over which it grows.
        solver: "highs", or "clarabel" (interior points: its duals are smoother at kinks; the mode
            "de" only, and no coefficients that depend on the state).
    """

    net: Literal["mlp", "linear", "lstm"] = "mlp"
    hidden: tuple[int, ...] = (32, 32)
    mode: Literal["de", "stagewise", "shooting"] = "de"
    window: int = 12
    iterations: int = 400
    batch: int = 4
    lr: float = 1e-2
    decay: float = 0.1
    clip: float = 1.0
    penalty: float | Literal["auto"] = "auto"
    norm: Literal["l1", "l2", "both"] = "l1"
    multipliers: tuple[float, ...] = (0.1, 1.0, 10.0, 30.0)
    shares: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)
    act_penalty: float | Literal["auto"] = "auto"
    strict: bool = False
    stretch: float = 0.05
    period: float = 12.0
    alpha: float = 1.0
    sigma: float = 0.05
    samples: int = 4
    warmup: int = 0
    ramp: int = 1
    solver: Literal["highs", "clarabel"] = "highs"

    def __post_init__(self) -> None:
        for name in ("window", "iterations", "batch", "samples", "ramp"):
            whole(name, getattr(self, name), least=1)
        whole("warmup", self.warmup, least=0)
        for i, n in enumerate(self.hidden):
            whole(f"hidden[{i}]", n, least=1, most=4096)
        if not len(self.hidden) and self.net != "linear":
            raise ArgumentError(f"hidden=(): net='{self.net}' needs at least one layer")
        for name in ("lr", "period", "sigma"):
            real(name, getattr(self, name), above=0)
        for name in ("decay", "clip", "stretch"):
            real(name, getattr(self, name), least=0)
        for name in ("penalty", "act_penalty"):
            if not isinstance(getattr(self, name), str):
                real(name, getattr(self, name), above=0)
        fraction("alpha", self.alpha)
        for i, value in enumerate(self.multipliers):
            real(f"multipliers[{i}]", value, above=0)
        for i, value in enumerate(self.shares):
            real(f"shares[{i}]", value, least=0)
        if len(self.shares) != len(self.multipliers) or not len(self.shares):
            raise ArgumentError(
                f"shares={self.shares}: expected {len(self.multipliers)} numbers, as of multipliers"
            )
        if abs(sum(self.shares) - 1.0) > 1e-9:
            raise ArgumentError(f"shares={self.shares}: expected numbers whose sum is 1")
        if self.strict and (self.net == "linear" or self.norm != "l1"):
            raise ArgumentError("strict=True: expected net='mlp' or 'lstm' and norm='l1'")
        if self.norm != "l1" and self.mode != "de":
            raise ArgumentError(f"norm='{self.norm}': expected 'l1' in mode='{self.mode}'")
        if self.solver == "clarabel" and (self.mode != "de" or self.strict):
            raise ArgumentError("solver='clarabel': expected mode='de' and strict=False")

    def rate(self, step: int) -> float:
        """Return Adam's rate in a step."""
        return self.lr * (self.decay if step >= 0.75 * self.iterations else 1.0)

    def multiplier(self, step: int) -> float:
        """Return the factor of C in a step."""
        ends = np.cumsum(self.shares)
        at = int(np.searchsorted(ends, (step + 0.5) / self.iterations))
        return self.multipliers[min(at, len(self.multipliers) - 1)]

    def cost(self, step: int, largest: float) -> Penalty:
        """Return what a missed target costs in a step of training.

        Args:
            step: The step's number.
            largest: The largest cost of the problem.
        """
        C = largest if isinstance(self.penalty, str) else float(self.penalty)
        C *= self.multiplier(step)
        return Penalty(
            0.0 if self.norm == "l2" else C, 0.0 if self.norm == "l1" else C, self.strict
        )

    def acting(self, largest: float) -> float:
        """Return what a missed target costs when the policy acts."""
        return MARGIN * largest if isinstance(self.act_penalty, str) else float(self.act_penalty)

    def dual_weight(self, step: int) -> float:
        """Return the weight of the duals' gradient in a step; the score function has the rest.

        The score function's is rho (1 - alpha), rho = clip((k - k0) / r, 0, 1).
        """
        rho = min(max((step - self.warmup) / self.ramp, 0.0), 1.0)
        return 1.0 - rho * (1.0 - self.alpha)
