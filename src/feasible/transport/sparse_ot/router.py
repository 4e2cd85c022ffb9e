"""Routing of tokens to experts with a capacity, by sparsity-constrained transport.

    maximise    <T, P> - gamma/2 |T|^2,   P = softmax(logits) over the experts
    subject to  T >= 0,  T 1 = 1,  T' 1 = N/E

with at most `capacity` tokens in every column of T (items-per-expert), or at most `num_selected`
experts in every row (experts-per-item), by some steps of Adam on the semi-dual. T says which token
goes where; the softmax says with which weight, so that gradients reach the gate through it. The
transport itself is not differentiated, and no balancing loss is needed.

`TopKRouter` and `SinkhornRouter` are the routers that the paper compares with.

References:
    Liu, Puigcerver, Blondel, ICLR 2023, arXiv 2209.15466, section 6 and appendix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ...core.annotations import checked
from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, ShapeError
from .settings import MOST, SparseOTSettings

VARIANTS = ("items-per-expert", "experts-per-item")


@dataclass
class Routing:
    """Where the tokens of each group go: G groups of N tokens, E experts of C places.

    Attributes:
        dispatch: (G, N, E) whether a token goes to an expert.
        combine: (G, N, E) weights, 0 where a token does not go; the gate's gradient comes through
            them.
        slots: (G, E, C) tokens of each expert, heaviest first, -1 where a place is empty.
        plan: (G, N, E) that decided, without gradient.
    """

    dispatch: Bool[Tensor, "G N E"]
    combine: Float[Tensor, "G N E"]
    slots: Int[Tensor, "G E C"]
    plan: Float[Tensor, "G N E"]

    @property
    def load(self) -> Int[Tensor, "G E"]:
        """Tokens of each expert."""
        return self.dispatch.sum(1)

    @property
    def stats(self) -> dict[str, Tensor]:
        """Figures of the routing.

        Returns:
            "dropped": share of the tokens that no expert gets; "several": share that more than one
            gets; "max_load": of the fullest expert, over capacity; "imbalance": L1 distance of the
            loads from equal ones, over their sum.
        """
        times, load = self.dispatch.sum(2), self.load.to(torch.float32)
        total = load.sum().clamp(min=1)
        return {
            "dropped": (times == 0).to(torch.float32).mean(),
            "several": (times > 1).to(torch.float32).mean(),
            "max_load": load.max() / self.slots.shape[2],
            "imbalance": (load - load.mean(1, keepdim=True)).abs().sum() / total,
        }

    def gather(self, tokens: Float[Tensor, "G N D"]) -> Float[Tensor, "G E C D"]:
        """What each expert gets; zeros in empty places.

        Args:
            tokens: (G, N, D).

        Returns:
            (G, E, C, D).
        """
        g, e, c = self.slots.shape
        index = self.slots.clamp(min=0).reshape(g, e * c, 1).expand(-1, -1, tokens.shape[2])
        return torch.gather(tokens, 1, index).reshape(g, e, c, -1) * (self.slots >= 0).unsqueeze(3)

    def scatter(self, outputs: Float[Tensor, "G E C D"]) -> Float[Tensor, "G N D"]:
        """Outputs of the experts back at their tokens, weighted by `combine` and summed.

        Args:
            outputs: (G, E, C, D).

        Returns:
            (G, N, D); zeros for dropped tokens.
        """
        g, e, c = self.slots.shape
        at = self.slots.clamp(min=0)
        weight = torch.gather(self.combine.transpose(1, 2), 2, at) * (self.slots >= 0)
        out = outputs.new_zeros(g, self.combine.shape[1], outputs.shape[3])
        index = at.reshape(g, e * c, 1).expand(-1, -1, outputs.shape[3])
        return out.scatter_add(
            1, index, (outputs * weight.unsqueeze(3).to(outputs.dtype)).reshape(g, e * c, -1)
        )


class Router(nn.Module):  # type: ignore[misc, unused-ignore]
    """logits (G, N, E) -> `Routing`.

    A subclass says by `plan` which tokens go where; each expert takes the heaviest of its column.
    capacity = ceil(capacity_factor num_selected N / E), rounded up to a multiple of `multiple_of`.
    Logits that are NaN make weights that are NaN, so they reach the loss.

    Args:
        num_selected: Experts of a token.
        capacity_factor: Places per token that must be placed; the authors' 1.
        multiple_of: Places of an expert are a multiple of it; the authors' 4.

    Raises:
        ArgumentError: Settings; more experts a token than there are.
        ArgumentTypeError: Logits that are no tensor of floats.
        ShapeError: Logits of other than three axes.
    """

    def __init__(
        self, num_selected: int = 1, capacity_factor: float = 1.0, multiple_of: int = 4
    ) -> None:
        super().__init__()
        self.num_selected, self.multiple_of = (
            whole("num_selected", num_selected, least=1),
            whole("multiple_of", multiple_of, least=1),
        )
        self.capacity_factor = real("capacity_factor", capacity_factor, above=0)

    def capacity(self, tokens: int, experts: int) -> int:
        """Places of each expert."""
        least = math.ceil(self.capacity_factor * self.num_selected * tokens / experts)
        return min(-(-least // self.multiple_of) * self.multiple_of, tokens)

    def plan(
        self, logits: Float[Tensor, "G N E"], probabilities: Float[Tensor, "G N E"]
    ) -> Float[Tensor, "G N E"]:
        """Where tokens want to go: positive entries, the largest first.

        Args:
            logits: (G, N, E).
            probabilities: (G, N, E) their softmax over the experts.

        Returns:
            (G, N, E).
        """
        raise TypeError(f"{type(self).__name__} does not define plan(logits, probabilities)")

    def forward(self, logits: Float[Tensor, "G N E"]) -> Routing:
        """Route each group by itself."""
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            raise ArgumentTypeError(
                f"logits: got {getattr(logits, 'dtype', type(logits).__name__)}, expected a tensor "
                "of floats"
            )
        if logits.ndim != 3 or 0 in logits.shape:
            raise ShapeError(
                f"logits has shape {tuple(logits.shape)}, expected (groups, tokens, experts), none "
                "of them 0"
            )
        if self.num_selected > logits.shape[2]:
            raise ArgumentError(
                f"num_selected={self.num_selected}: there are {logits.shape[2]} experts only"
            )
        probabilities = torch.softmax(logits, 2)
        with torch.no_grad():
            plan = self.plan(logits.detach().float(), probabilities.detach().float())
            capacity = self.capacity(*logits.shape[1:])
            weights, slots = plan.transpose(1, 2).topk(capacity, 2)
            taken = weights > 0
            dispatch = (
                torch.zeros_like(plan, dtype=torch.bool)
                .transpose(1, 2)
                .scatter(2, slots, taken)
                .transpose(1, 2)
            )
            slots = torch.where(taken, slots, -1)
        return Routing(dispatch, probabilities * dispatch, slots, plan)

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"num_selected={self.num_selected}, capacity_factor={self.capacity_factor:g}, "
            f"multiple_of={self.multiple_of}"
        )


class SparseRouter(Router):
    """Tokens to experts by sparsity-constrained transport.

    Args:
        variant: "items-per-expert": an expert gets at most `capacity` tokens, by the plan itself.
            "experts-per-item": a token goes to at most `num_selected` experts; where an expert is
            wanted by more tokens than it has places, those with the least mass are dropped.
        num_selected: As in `Router`.
        capacity_factor: As in `Router`.
        multiple_of: As in `Router`.
        gamma: Strength of the transport's quadratic term; the authors' 1.
        iterations: Steps of Adam on the semi-dual, from zero potentials; the authors' 20.
        learning_rate: Of Adam; the authors' 1e-2.

    Examples:
        >>> draw = torch.Generator().manual_seed(0)
        >>> routing = SparseRouter()(torch.randn(2, 16, 4, generator=draw))
        >>> routing.dispatch.shape, int(routing.load.max())
        (torch.Size([2, 16, 4]), 4)
    """

    @checked
    def __init__(
        self,
        variant: str = "items-per-expert",
        num_selected: int = 1,
        capacity_factor: float = 1.0,
        multiple_of: int = 4,
        gamma: float = 1.0,
        iterations: int = MOST["adam"],
        learning_rate: float = SparseOTSettings.learning_rate,
    ) -> None:
        super().__init__(num_selected, capacity_factor, multiple_of)
        self.variant = one_of("variant", variant, VARIANTS)
        self.gamma, self.learning_rate = (
            real("gamma", gamma, above=0),
            real("learning_rate", learning_rate, above=0),
        )
        self.iterations = whole("iterations", iterations, least=1)

    def plan(
        self, logits: Float[Tensor, "G N E"], probabilities: Float[Tensor, "G N E"]
    ) -> Float[Tensor, "G N E"]:
        """The capped plan."""
        _, tokens, experts = logits.shape
        share = tokens / experts
        if self.variant == "items-per-expert":
            wanted, cap = self.num_selected, self.capacity(tokens, experts)
            return capped_plan(
                probabilities.mT,
                wanted,
                wanted * share,
                cap,
                self.gamma,
                self.iterations,
                self.learning_rate,
            ).mT
        return capped_plan(
            probabilities,
            share,
            1.0,
            self.num_selected,
            self.gamma,
            self.iterations,
            self.learning_rate,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"{self.variant!r}, {super().extra_repr()}, gamma={self.gamma:g}, "
            f"iterations={self.iterations}, learning_rate={self.learning_rate:g}"
        )


def capped_plan(
    similarity: Float[Tensor, "G n m"],
    a: float,
    b: float,
    k: int,
    gamma: float,
    iterations: int,
    learning_rate: float,
) -> Float[Tensor, "G n m"]:
    """Plans of at most k nonzeros a row, by Adam on the semi-dual from zero.

    Args:
        similarity: (G, n, m) minus the costs.
        a: Mass of each of the m columns, met approximately.
        b: Mass of each of the n rows, met exactly.
        k: Nonzeros of a row at most.
        gamma: Strength of the quadratic term.
        iterations: Steps.
        learning_rate: Of Adam.

    Returns:
        (G, n, m).
    """
    g, _, m = similarity.shape
    alpha, first, second = (similarity.new_zeros(g, m) for _ in range(3))
    count = torch.arange(1, k + 1, device=similarity.device, dtype=similarity.dtype)
    index, masses = _k_sparse(similarity, b, k, gamma, count)
    for t in range(1, iterations + 1):
        slope = similarity.new_full((g, m), -a).scatter_add_(
            1, index.reshape(g, -1), masses.reshape(g, -1)
        )
        first.mul_(0.9).add_(slope, alpha=0.1)
        second.mul_(0.999).addcmul_(slope, slope, value=0.001)
        alpha.addcdiv_(
            first / (1 - 0.9**t), (second / (1 - 0.999**t)).sqrt_().add_(1e-8), value=-learning_rate
        )
        index, masses = _k_sparse(similarity + alpha.unsqueeze(1), b, k, gamma, count)
    return torch.zeros_like(similarity).scatter_(2, index, masses)


def _k_sparse(
    x: Float[Tensor, "G n m"], b: float, k: int, gamma: float, count: Float[Tensor, " k"]
) -> tuple[Int[Tensor, "G n k"], Float[Tensor, "G n k"]]:
    """The k-sparse maxima of rows on the simplex: where the masses are, and the masses.

    argmax <x, t> - gamma/2 |t|^2   over t >= 0,  sum t = b,  at most k nonzeros
    """
    top, index = x.topk(k, 2)
    below = top - top[..., :1]
    excess = (below.cumsum(2) - gamma * b) / count
    size = (below > excess).sum(2, keepdim=True).clamp_(min=1)
    return index, (below - excess.gather(2, size - 1)).clamp_(min=0).div_(gamma)


class TopKRouter(Router):
    """Each token goes to its `num_selected` likeliest experts; a full one drops the rest.

    Args:
        num_selected: As in `Router`.
        capacity_factor: As in `Router`.
        multiple_of: As in `Router`.
        priority: True: the least likely tokens are dropped (batch prioritised routing); False: the
            last ones of the group.

    References:
        Shazeer et al., ICLR 2017; Riquelme et al. (V-MoE), NeurIPS 2021.
    """

    @checked
    def __init__(
        self,
        num_selected: int = 1,
        capacity_factor: float = 1.0,
        multiple_of: int = 4,
        priority: bool = False,
    ) -> None:
        super().__init__(num_selected, capacity_factor, multiple_of)
        self.priority = priority

    def plan(
        self, logits: Float[Tensor, "G N E"], probabilities: Float[Tensor, "G N E"]
    ) -> Float[Tensor, "G N E"]:
        """The likeliest experts of each token."""
        best, index = probabilities.topk(self.num_selected, 2)
        if not self.priority:
            tokens = logits.shape[1]
            best = torch.arange(tokens, 0, -1, device=logits.device, dtype=logits.dtype)[
                :, None
            ].expand_as(best)
        return torch.zeros_like(logits).scatter(2, index, best)


class SinkhornRouter(Router):
    """S-BASE: each token goes to the `num_selected` heaviest experts of an entropic plan.

    A full expert drops those of least mass.

    Args:
        num_selected: As in `Router`.
        capacity_factor: As in `Router`.
        multiple_of: As in `Router`.
        reg: Weight of the entropy, in the logits' unit; the paper's 1.
        iterations: Of Sinkhorn's algorithm; the paper's 20.

    References:
        Clark et al., ICML 2022.
    """

    @checked
    def __init__(
        self,
        num_selected: int = 1,
        capacity_factor: float = 1.0,
        multiple_of: int = 4,
        reg: float = 1.0,
        iterations: int = 20,
    ) -> None:
        super().__init__(num_selected, capacity_factor, multiple_of)
        self.reg, self.iterations = (
            real("reg", reg, above=0),
            whole("iterations", iterations, least=1),
        )

    def plan(
        self, logits: Float[Tensor, "G N E"], probabilities: Float[Tensor, "G N E"]
    ) -> Float[Tensor, "G N E"]:
        """The heaviest experts of each token."""
        log = logits / self.reg
        share = math.log(logits.shape[1] / logits.shape[2])
        for _ in range(self.iterations):
            log = log - log.logsumexp(1, keepdim=True) + share
            log = log - log.logsumexp(2, keepdim=True)
        mass = log.exp()
        best, index = mass.topk(self.num_selected, 2)
        return torch.zeros_like(logits).scatter(2, index, best)
