"""The methods of runs: each profiles the model on calibration text and allots bits in a step."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ...core.checks import real, whole
from ...core.errors import ArgumentError, Infeasible
from ...core.problem import Method, Problem
from .plan import Choices, Option, greedy_moe, plan_moe
from .problem import CompressedModel
from .profile import Profile, expert_bytes, rest_bytes
from .quantise import BITS


@dataclass
class AllotmentState:
    """What was decided.

    Attributes:
        rng: The run's random stream.
        bits: Of every expert; none before.
        remark: Of the decision.
    """

    rng: np.random.Generator
    bits: list[list[int]] = field(default_factory=list)
    remark: str = ""


@dataclass(frozen=True)
class Allotment(Method, ABC):
    """Profile, and allot bits."""

    solves: ClassVar[type[Problem]] = CompressedModel
    requires: ClassVar[tuple[str, ...]] = ("transformers",)

    def init(self, problem: CompressedModel, rng: np.random.Generator) -> AllotmentState:
        """Nothing yet."""
        return AllotmentState(rng)

    def step(self, problem: CompressedModel, state: AllotmentState) -> AllotmentState:
        """Decide."""
        state.bits = self.allot(problem, state)
        return state

    @abstractmethod
    def allot(self, problem: CompressedModel, state: AllotmentState) -> list[list[int]]:
        """The bits of every expert."""

    def answer(self, problem: CompressedModel, state: AllotmentState) -> list[list[int]] | None:
        """The bits; none before they are decided."""
        return [list(row) for row in state.bits] or None

    def done(self, problem: CompressedModel, state: AllotmentState) -> str | None:
        """After its one step."""
        return "the bits are allotted" if state.bits else None

    def remarks(self, problem: CompressedModel, state: AllotmentState) -> list[str]:
        """What there is to say of the decision."""
        return [state.remark] if state.remark else []


@dataclass(frozen=True)
class PlanExperts(Allotment):
    """The integer program on the profile's costs; see `plan_moe`.

    Attributes:
        bits: Widths that an expert may have, 0 for dropped.
        alpha: Of the share in the cost share^alpha weight^beta loss^gamma; None: the squared loss
            of the block's output alone.
        beta: Of the weight.
        gamma: Of the loss.
        gap: Relative gap at which the solver ends.
        solver: "milp" or "greedy".
    """

    name: ClassVar[str] = "plan-experts"
    bits: tuple[int, ...] = (0, 1, 2, 3, 4, 8, 16)
    alpha: float | None = None
    beta: float = 1.5
    gamma: float = 2.0
    gap: float = 1e-4
    solver: str = "milp"

    def __post_init__(self) -> None:
        if not isinstance(self.bits, tuple) or not {*self.bits} <= {0, *BITS} or not self.bits:
            raise ArgumentError(f"bits={self.bits!r:.60}: expected widths of {(0, *BITS)}")
        if self.solver not in ("milp", "greedy"):
            raise ArgumentError(f"solver={self.solver!r:.40}: expected 'milp' or 'greedy'")
        for name in ("alpha", "beta", "gamma"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), least=0, most=20)
        real("gap", self.gap, least=0)

    def choices(self, problem: CompressedModel, profile: Profile) -> Choices:
        """The integer program's data."""
        return Choices(
            [Option(b) for b in self.bits],
            profile.cost(self.alpha, self.beta, self.gamma),
            profile.bytes,
            rest_bytes=profile.rest_bytes,
            keep=problem.top_k,
        )

    def allot(self, problem: CompressedModel, state: AllotmentState) -> list[list[int]]:
        """By the program."""
        choices = self.choices(problem, problem.profile(self.bits))
        if self.solver == "greedy":
            found = greedy_moe(choices, problem.memory)
        else:
            found = plan_moe(choices, problem.memory, gap=self.gap)
        state.remark = (
            f"{found.status}: cost {found.objective:.4g}, no plan below {found.bound:.4g}; "
            f"{found.bytes:.0f} of {problem.memory:.0f} bytes"
        )
        return found.bits


@dataclass(frozen=True)
class Between(Allotment):
    """Every expert has a width between two.

    Attributes:
        low: The least width.
        high: The largest.
    """

    low: int = 2
    high: int = 8

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if getattr(self, name) not in BITS:
                raise ArgumentError(f"{name}={getattr(self, name)!r:.40}: expected one of {BITS}")
        if self.low > self.high:
            raise ArgumentError(f"low={self.low} is above high={self.high}")

    @property
    def widths(self) -> list[int]:
        """The widths, the least first."""
        return [b for b in BITS if self.low <= b <= self.high]

    def left(self, problem: CompressedModel, size: dict[int, int]) -> float:
        """Bytes that are left with every expert at the least width.

        Raises:
            Infeasible: None are.
        """
        least = rest_bytes(problem.model) + size[self.low] * problem.layers * problem.experts
        if least > problem.memory:
            raise Infeasible(
                f"memory={problem.memory:g}: all experts in {self.low} bits take "
                f"{math.ceil(least)} bytes"
            )
        return problem.memory - least


@dataclass(frozen=True)
class Raised(Between):
    """All experts begin at the least width; one is raised a width at a time, while it fits."""

    @abstractmethod
    def order(self, problem: CompressedModel, state: AllotmentState) -> np.ndarray:
        """(L E,) the experts, first those that are raised first."""

    def allot(self, problem: CompressedModel, state: AllotmentState) -> list[list[int]]:
        """Width by width, in the order."""
        size = expert_bytes(problem.model, problem.group)
        left = self.left(problem, size)
        bits = np.full(problem.layers * problem.experts, self.low)
        order = self.order(problem, state)
        for before, after in itertools.pairwise(self.widths):
            for i in order:
                if bits[i] == before and size[after] - size[before] <= left:
                    bits[i] = after
                    left -= size[after] - size[before]
        found: list[list[int]] = bits.reshape(problem.layers, problem.experts).tolist()
        return found


@dataclass(frozen=True)
class UniformBits(Between):
    """The same bits for every expert, as many as fit."""

    name: ClassVar[str] = "uniform-bits"

    def allot(self, problem: CompressedModel, state: AllotmentState) -> list[list[int]]:
        """The largest width that fits for all."""
        size = expert_bytes(problem.model, problem.group)
        many = problem.layers * problem.experts
        left = self.left(problem, size)
        width = max(b for b in self.widths if many * (size[b] - size[self.low]) <= left)
        return [[width] * problem.experts for _ in range(problem.layers)]


@dataclass(frozen=True)
class FrequencyBits(Raised):
    """More bits for the experts that are chosen most often."""

    name: ClassVar[str] = "frequency-bits"

    def order(self, problem: CompressedModel, state: AllotmentState) -> np.ndarray:
        """By their share of the calibration text's tokens."""
        return np.argsort(-problem.profile((16,)).share.reshape(-1), kind="stable")


@dataclass(frozen=True)
class RandomBits(Raised):
    """More bits for random experts."""

    name: ClassVar[str] = "random-bits"

    def order(self, problem: CompressedModel, state: AllotmentState) -> np.ndarray:
        """At random."""
        return state.rng.permutation(problem.layers * problem.experts)


def memory_for(problem: CompressedModel, bits: float) -> float:
    """Bytes with which every expert has so many bits on average, between two widths in proportion.

    Args:
        problem: Gives the sizes.
        bits: The average.
    """
    real("bits", bits, least=1, most=16)
    whole("experts", problem.experts, least=1)
    size = expert_bytes(problem.model, problem.group)
    low = max(b for b in BITS if b <= bits)
    high = min(b for b in BITS if b >= bits)
    share = 0.0 if low == high else (bits - low) / (high - low)
    return rest_bytes(problem.model) + problem.layers * problem.experts * (
        (1 - share) * size[low] + share * size[high]
    )
