"""The methods of runs: each profiles the model on calibration text and allots bits in a step."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from ...core.budget import spend
from ...core.checks import real, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, Infeasible
from ...core.problem import Method, Problem
from .compress import merged_units
from .layout import blocks, expert, mixed, outputs
from .merge import group_experts, members_of, similarity
from .plan import Choices, Merged, Option, Plan, greedy_moe, plan_moe
from .problem import CompressedModel
from .profile import Cost, Profile, gradients, observe, quantised
from .quantise import BITS
from .recipe import Recipe


@dataclass
class AllotmentState:
    """What was decided.

    Attributes:
        rng: The run's random stream.
        recipe: Plain data of the recipe; None before.
        remarks: Of the decision.
        least: The least width of the plan that was taken.
        rounds: Rounds of refining that are left.
    """

    rng: np.random.Generator
    recipe: Any = None
    remarks: list[str] = field(default_factory=list)
    least: int = 0
    rounds: int = 0


@dataclass(frozen=True)
class Allotment(Method, ABC):
    """Profile, and decide what becomes of every expert, in a step."""

    solves: ClassVar[type[Problem]] = CompressedModel
    requires: ClassVar[tuple[str, ...]] = ("transformers",)

    def init(self, problem: CompressedModel, rng: np.random.Generator) -> AllotmentState:
        """Nothing yet."""
        return AllotmentState(rng)

    def step(self, problem: CompressedModel, state: AllotmentState) -> AllotmentState:
        """Decide."""
        state.recipe = self.allot(problem, state).plain()
        return state

    @abstractmethod
    def allot(self, problem: CompressedModel, state: AllotmentState) -> Recipe:
        """What becomes of every expert."""

    def answer(self, problem: CompressedModel, state: AllotmentState) -> Any:
        """The recipe as plain data; None before it is decided."""
        return copy.deepcopy(state.recipe)

    def done(self, problem: CompressedModel, state: AllotmentState) -> str | None:
        """After its one step."""
        return "the bits are allotted" if state.recipe is not None else None

    def remarks(self, problem: CompressedModel, state: AllotmentState) -> list[str]:
        """What there is to say of the decision."""
        return list(state.remarks)


@dataclass(frozen=True)
class PlanExperts(Allotment):
    """The integer program on the profile's costs; see `plan_moe`. Costs of single experts do not
    quite add up, so a few plans are measured on the calibration text and the best is taken: the
    plan itself, and those that make no use of the widths below 2 and below 3.

    Attributes:
        bits: Widths that an expert may have, 0 for dropped.
        cost: "nats": what a width adds to the log perplexity; "output": the squared loss of the
            block's output; "pmq": share^alpha weight^beta loss^gamma.
        alpha: Of the share.
        beta: Of the weight.
        gamma: Of the loss.
        gap: Relative gap at which the solver ends.
        solver: "milp" or "greedy", which knows memory alone.
        measure: Whether several plans are measured.
        rounds: Most rounds of refining: profiled again with what enters the experts in the
            compressed model, planned again, and the better on the calibration text kept; it ends
            where that is the plan before.
        merge: Numbers of groups into which a layer's experts may be merged instead, as MC-SMoE does
            it, with the last matrices fitted anew; for the cost "nats".
    """

    name: ClassVar[str] = "plan-experts"
    bits: tuple[int, ...] = (0, 1, 2, 3, 4, 8, 16)
    cost: Cost = "nats"
    alpha: float = 1.0
    beta: float = 1.5
    gamma: float = 2.0
    gap: float = 1e-4
    solver: Literal["milp", "greedy"] = "milp"
    measure: bool = True
    rounds: int = 0
    merge: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.merge, tuple):
            raise ArgumentTypeError(f"merge={shown(self.merge)}: expected a tuple of whole numbers")
        for many in self.merge:
            whole("merge", many, least=1)
        if self.merge and (self.cost != "nats" or self.solver != "milp"):
            raise ArgumentError(
                f"merge={self.merge}: expected cost 'nats' and solver 'milp' with it"
            )
        if not isinstance(self.bits, tuple) or not {*self.bits} <= {0, *BITS} or not self.bits:
            raise ArgumentError(f"bits={self.bits!r:.60}: expected widths of {(0, *BITS)}")
        for name in ("alpha", "beta", "gamma"):
            real(name, getattr(self, name), least=0, most=20)
        real("gap", self.gap, least=0)
        whole("rounds", self.rounds, least=0)

    def choices(self, problem: CompressedModel, profile: Profile, least: int = 0) -> Choices:
        """The integer program's data, of the widths from `least` bits on."""
        kept = [k for k, b in enumerate(self.bits) if b >= least]
        near = (True,) if problem.fast is None else (True, False)
        options = [Option(self.bits[k], f) for f in near for k in kept if f or self.bits[k]]
        where = [self.bits.index(o.bits) for o in options]
        time = None
        if problem.latency is not None:
            each = [problem.expert_seconds(o.bits, o.fast) if o.bits else 0.0 for o in options]
            time = profile.share[:, :, None] * np.array(each)
        return Choices(
            options,
            profile.cost(self.cost, self.alpha, self.beta, self.gamma)[:, :, where],
            profile.bytes[where],
            time,
            problem.rest_bytes,
            problem.rest_seconds(),
            problem.top_k,
            [m for m in self.alternatives(problem, profile) if m.bits >= least],
        )

    def alternatives(self, problem: CompressedModel, profile: Profile) -> list[Merged]:
        """Every layer merged into each number of groups, in each width."""
        if not self.merge:
            return []
        spend(tokens=2 * problem.calibration.numel())
        key = ("alternatives", self.merge, self.bits, str(problem.machine))
        found: list[Merged] = problem.cached(
            key, lambda: merged_layers(problem, profile, self.merge, self.bits)
        )
        return found

    def allot(self, problem: CompressedModel, state: AllotmentState) -> Recipe:
        """By the program; the best by the calibration text of several."""
        profile = problem.profile(self.bits)
        plans = {0: self.solved(problem, self.choices(problem, profile))}
        for least in (2, 3) if self.measure else ():
            if min(self.bits) < least <= max(self.bits):
                with contextlib.suppress(Infeasible):
                    plans[least] = self.solved(problem, self.choices(problem, profile, least))
        best = 0
        if len(plans) > 1:
            best = min(plans, key=lambda least: problem.calibrated(plans[least].recipe()))
            state.remarks.append(
                f"of {len(plans)} plans, number {1 + list(plans).index(best)} is best on the "
                "calibration text"
            )
        found, state.least, state.rounds = plans[best], best, self.rounds
        state.remarks.append(
            f"{found.status}: cost {found.objective:.4g}, no plan below {found.bound:.4g}; "
            f"{found.bytes:.0f} of {problem.memory:.0f} bytes"
        )
        return found.recipe()

    def step(self, problem: CompressedModel, state: AllotmentState) -> AllotmentState:
        """Plan; from then on refine, a round a step."""
        if state.recipe is None:
            return super().step(problem, state)
        plan = problem.read(state.recipe)
        profile = problem.profile(self.bits, plan)
        again = self.solved(problem, self.choices(problem, profile, state.least)).recipe()
        before, after = problem.calibrated(plan), problem.calibrated(again)
        better = after < before
        state.remarks.append(
            f"refined: perplexity on the calibration text {math.exp(before):.6g}, of the new plan "
            f"{math.exp(after):.6g}; the {'new' if better else 'old'} one is kept"
        )
        state.rounds = state.rounds - 1 if better else 0
        state.recipe = again.plain() if better else state.recipe
        return state

    def done(self, problem: CompressedModel, state: AllotmentState) -> str | None:
        """After the last round."""
        return None if state.rounds else super().done(problem, state)

    def solved(self, problem: CompressedModel, choices: Choices) -> Plan:
        """The plan of the program."""
        if self.solver == "greedy":
            return greedy_moe(choices, problem.memory)
        return plan_moe(choices, problem.memory, problem.fast, problem.latency, self.gap)


def merged_layers(
    problem: CompressedModel, profile: Profile, groups: tuple[int, ...], bits: tuple[int, ...]
) -> list[Merged]:
    """What each layer costs where its experts are merged and kept in some width, to second order.

    Args:
        problem: Gives model and calibration text.
        profile: Of the model.
        groups: Numbers of groups.
        bits: Widths; 0 is left out.
    """
    found = []
    slopes = gradients(problem.model, problem.calibration)
    pairs = zip(blocks(problem.model), observe(problem.model, problem.calibration), strict=True)
    for layer, (block, seen) in enumerate(pairs):
        experts, usage = block.experts, profile.share[layer]
        matrices = (block.gate.weight, experts.gate_up_proj, experts.down_proj)
        alike = similarity("router-logits", seen.logits, *(m.detach() for m in matrices))
        with torch.no_grad():
            target = mixed(seen.chosen, outputs(block, seen.x))
            for many in groups:
                group = group_experts(usage, alike, many)
                units = list(members_of(group).values())
                recipe = Recipe([], recover="ridge")
                wide, narrow, chosen = merged_units(
                    block, units, list(range(len(group))), seen, recipe
                )
                for b in bits:
                    if b == 0 or chosen is None:
                        continue
                    x = [seen.x[chosen[:, i] > 0] for i in range(len(units))]
                    stored = [
                        quantised(w, n, b, problem.quantiser, problem.group, mine)
                        for w, n, mine in zip(wide, narrow, x, strict=True)
                    ]
                    made = torch.stack([expert(w.weight(), n.weight(), seen.x) for w, n in stored])
                    slope = ((mixed(chosen, made) - target) * slopes[layer]).sum(1)
                    calls = float((chosen > 0).sum(1).float().mean())
                    found.append(
                        Merged(
                            layer,
                            tuple(group),
                            b,
                            0.5 * float((slope**2).mean()),
                            float(len(units) * problem.size()[b]),
                            calls * problem.expert_seconds(b),
                        )
                    )
    return found


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
        least = problem.rest_bytes + size[self.low] * problem.layers * problem.experts
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

    def allot(self, problem: CompressedModel, state: AllotmentState) -> Recipe:
        """Width by width, in the order."""
        size = problem.size()
        left = self.left(problem, size)
        bits = np.full(problem.layers * problem.experts, self.low)
        order = self.order(problem, state)
        for before, after in itertools.pairwise(self.widths):
            for i in order:
                if bits[i] == before and size[after] - size[before] <= left:
                    bits[i] = after
                    left -= size[after] - size[before]
        return Recipe(bits.reshape(problem.layers, problem.experts).tolist())


@dataclass(frozen=True)
class UniformBits(Between):
    """The same bits for every expert, as many as fit."""

    name: ClassVar[str] = "uniform-bits"

    def allot(self, problem: CompressedModel, state: AllotmentState) -> Recipe:
        """The largest width that fits for all."""
        size = problem.size()
        many = problem.layers * problem.experts
        left = self.left(problem, size)
        width = max(b for b in self.widths if many * (size[b] - size[self.low]) <= left)
        return Recipe([[width] * problem.experts for _ in range(problem.layers)])


@dataclass(frozen=True)
class FrequencyBits(Raised):
    """More bits for the experts that are chosen most often."""

    name: ClassVar[str] = "frequency-bits"

    def order(self, problem: CompressedModel, state: AllotmentState) -> np.ndarray:
        """By their share of the calibration text's tokens."""
        return np.argsort(-problem.profile(()).share.reshape(-1), kind="stable")


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
    size = problem.size()
    low = max(b for b in BITS if b <= bits)
    high = min(b for b in BITS if b >= bits)
    share = 0.0 if low == high else (bits - low) / (high - low)
    return problem.rest_bytes + problem.layers * problem.experts * (
        (1 - share) * size[low] + share * size[high]
    )
