"""How sparse parameters are eliminated."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import fraction, one_of, real, whole
from ...core.errors import ArgumentError


@dataclass(frozen=True)
class EliminationSettings(Checked):
    """What is assumed of the rewards, and in which order arms are queried.

    Attributes:
        sparsity: s, features that matter, 1 to 4 in practice; None: 1, 2, ... in turn until one is
            not refuted, of which nothing is guaranteed.
        eps: What a linear function misses of the rewards at most; None: 0.05, doubled each time
            that it is refuted, of which nothing is guaranteed either.
        net: "ball", or "sphere" where |theta| = 1 is known.
        radius: Of the net, so that each parameter has a candidate so near; None for eps.
        order: "optimistic" queries the best arm of the best candidate; "disagreement" the arm that
            the candidates disagree on most, which predicts all arms well and takes more queries.
        p: Probability that noise misleads it.
        max_candidates: More are refused, before memory is taken.
    """

    sparsity: int | None = 2
    eps: float | None = 0.1
    net: str = "ball"
    radius: float | None = None
    order: str = "optimistic"
    p: float = 0.05
    max_candidates: int = 5_000_000

    def __post_init__(self) -> None:
        if self.sparsity is not None:
            whole("sparsity", self.sparsity, least=1)
        for name in ("eps", "radius"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), above=0)
        if self.sparsity is None and self.eps is None:
            raise ArgumentError(
                "sparsity and eps: expected one of them at least: both unknown fit any replies"
            )
        one_of("net", self.net, ("ball", "sphere"))
        one_of("order", self.order, ("optimistic", "disagreement"))
        fraction("p", self.p, zero=False, one=False)
        whole("max_candidates", self.max_candidates, least=1)
