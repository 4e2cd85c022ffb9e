"""The methods of runs that are published: bits by a program in each layer, fewer experts by pruning
and by merging, and experts that are skipped.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ...core.budget import spend
from ...core.checks import real
from ...core.errors import ArgumentError, Infeasible
from .layout import blocks, outputs
from .merge import cluster_experts, group_counts, group_experts, similarity
from .plan import Choices, Option, plan_moe
from .problem import CompressedModel
from .profile import observe
from .prune import prune_moe
from .quantise import BITS
from .recipe import Recipe
from .run import Allotment, AllotmentState, UniformBits


@dataclass(frozen=True)
class PMQ(Allotment):
    """MC-MoE's allotment: an integer program in each layer, each with its share of the memory, with
    widths 1, 2 and 3, of which at least one expert has 3 and one has 2.

    Attributes:
        rule: "declared": share^alpha weight^beta loss^gamma; "code": share weight^beta loss^alpha,
            as the authors' program has it.
        alpha: In the cost.
        beta: In the cost.
        gamma: In the cost.

    References:
        Li et al. (arXiv 2410.06270), equation 6.
    """

    name: ClassVar[str] = "pmq-experts"
    rule: Literal["declared", "code"] = "declared"
    alpha: float = 1.0
    beta: float = 1.5
    gamma: float = 2.0

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            real(name, getattr(self, name), least=0, most=20)

    def allot(self, problem: CompressedModel, state: AllotmentState) -> Recipe:
        """Layer by layer."""
        widths = (1, 2, 3)
        profile = problem.profile(widths)
        powers = (1.0, self.beta, self.alpha)
        if self.rule == "declared":
            powers = (self.alpha, self.beta, self.gamma)
        cost = profile.cost("pmq", *powers)
        each = (problem.memory - problem.rest_bytes) / problem.layers
        if each <= 0:
            raise Infeasible(
                f"memory={problem.memory:g}: what is no expert takes {problem.rest_bytes} bytes"
            )
        rows = []
        for layer in range(problem.layers):
            choices = Choices([Option(b) for b in widths], cost[layer : layer + 1], profile.bytes)
            rows.append(_with_each(choices, each, widths))
        return Recipe(rows)


def _with_each(choices: Choices, memory: float, widths: tuple[int, ...]) -> list[int]:
    """The best plan of a layer in which one expert has 3 bits and one has 2, over all pairs whose
    widths are fixed; where the memory is too small for that, the best plan.
    """
    experts, best = choices.cost.shape[1], None
    base = plan_moe(choices, memory, gap=0.0)
    if {2, 3} <= {*base.bits[0]} or experts < 2:
        return base.bits[0]
    dear = 10 * float(choices.cost.sum()) + 1.0
    for a in range(experts):
        for b in range(experts):
            if a == b:
                continue
            cost = choices.cost.copy()
            for e, width in ((a, 3), (b, 2)):
                cost[0, e, [k for k, w in enumerate(widths) if w != width]] += dear
            plan = plan_moe(Choices(choices.options, cost, choices.bytes), memory, gap=0.0)
            if plan.objective < dear and (best is None or plan.objective < best.objective):
                best = plan
    return (best or base).bits[0]


@dataclass(frozen=True)
class Fewer(Allotment):
    """As many experts as fit in some width; the same number in each layer, or on average.

    Attributes:
        bits: Of a weight of an expert; None: the widest in which half of the experts fit.
        recover: "ridge": the last matrices are fitted anew to the calibration text.
    """

    bits: int | None = None
    recover: Literal["none", "ridge"] = "none"

    def __post_init__(self) -> None:
        if self.bits is not None and self.bits not in BITS:
            raise ArgumentError(f"bits={self.bits!r:.40}: expected None or one of {BITS}")

    def fits(self, problem: CompressedModel, least: int) -> tuple[int, int]:
        """Experts of a layer that fit, and their bits.

        Raises:
            Infeasible: Fewer than `least`.
        """
        half = max(least, problem.experts // 2)
        for bits in (self.bits,) if self.bits else BITS[::-1]:
            each = problem.layers * problem.size()[bits]
            many = min(int((problem.memory - problem.rest_bytes) // each), problem.experts)
            if many >= (least if self.bits else half):
                return many, bits
        raise Infeasible(
            f"memory={problem.memory:g}: {least if self.bits else half} experts of each layer in "
            f"{bits} bits take {problem.rest_bytes + (least if self.bits else half) * each} bytes"
        )

    @abstractmethod
    def allot(self, problem: CompressedModel, state: AllotmentState) -> Recipe:
        """Which ones."""


@dataclass(frozen=True)
class PruneExperts(Fewer):
    """As many experts of each layer as fit stay.

    Attributes:
        by: "loss": those without which the block's output changes least, over all subsets where
            they are few enough; "frequency": those that are chosen most; "random".
        how: "layerwise", or "progressive": a layer sees what the pruned layers before it make.

    References:
        Lu et al. (arXiv 2402.14800).
    """

    name: ClassVar[str] = "prune-experts"
    by: Literal["loss", "frequency", "random"] = "loss"
    how: Literal["layerwise", "progressive"] = "layerwise"

    def allot(self, problem: CompressedModel, state: AllotmentState) -> Recipe:
        """Layer by layer."""
        keep, width = self.fits(problem, problem.top_k)
        L, E = problem.layers, problem.experts
        if self.by == "loss":
            spend(tokens=problem.calibration.numel() * (1 if self.how == "layerwise" else L))
            pruned = prune_moe(problem.model, problem.calibration, keep, self.how)
            gone = [set(p.dropped) for p in pruned]
        elif self.by == "frequency":
            order = np.argsort(problem.profile(()).share, axis=1, kind="stable")
            gone = [set(row[: E - keep].tolist()) for row in order]
        else:
            gone = [set(state.rng.permutation(E)[: E - keep].tolist()) for _ in range(L)]
        bits = [[0 if e in row else width for e in range(E)] for row in gone]
        return Recipe(bits, recover=self.recover)


@dataclass(frozen=True)
class MergeExperts(Fewer):
    """As many groups as fit; experts of a group become one.

    Attributes:
        by: "usage": the most used are dominant, and layers that are used evenly keep more;
            "clusters": of the mean outputs, as many in each layer.
        alike: What the dominant expert of others is found by.
        aligned: Whether hidden units are put in the dominant expert's order first.

    References:
        Li et al., MC-SMoE (arXiv 2310.01334); Chen et al., HC-SMoE (arXiv 2410.08589).
    """

    name: ClassVar[str] = "merge-experts"
    by: Literal["usage", "clusters"] = "usage"
    alike: Literal["router-logits", "router-weights", "weights"] = "router-logits"
    aligned: bool = True

    def allot(self, problem: CompressedModel, state: AllotmentState) -> Recipe:
        """Layer by layer."""
        many, width = self.fits(problem, 1)
        usage = problem.profile(()).share
        counts = [many] * problem.layers if self.by == "clusters" else group_counts(usage, many)
        spend(tokens=problem.calibration.numel())
        groups = []
        pairs = zip(blocks(problem.model), observe(problem.model, problem.calibration), strict=True)
        for layer, (block, seen) in enumerate(pairs):
            groups.append(self.grouped(block, seen, usage[layer], counts[layer]))
        bits = [[width] * problem.experts for _ in range(problem.layers)]
        return Recipe(bits, groups, recover=self.recover, aligned=self.aligned)

    def grouped(self, block: Any, seen: Any, usage: np.ndarray, many: int) -> list[int]:
        """The groups of a layer."""
        if self.by == "clusters":
            return cluster_experts(usage, outputs(block, seen.x).detach(), many)
        experts = block.experts
        matrices = (block.gate.weight, experts.gate_up_proj, experts.down_proj)
        alike = similarity(self.alike, seen.logits, *(m.detach() for m in matrices))
        return group_experts(usage, alike, many)


@dataclass(frozen=True)
class SkipExperts(UniformBits):
    """The same bits for every expert, and an expert of a token whose weight is below beta times the
    largest is skipped; beta is the median of the calibration text, by layer.

    References:
        Lu et al. (arXiv 2402.14800), section 3.3.
    """

    name: ClassVar[str] = "skip-experts"
    high: int = 16

    def allot(self, problem: CompressedModel, state: AllotmentState) -> Recipe:
        """Bits that fit, and the thresholds."""
        uniform = super().allot(problem, state)
        return Recipe(uniform.bits, beta=problem.profile(()).beta.tolist())
