"""Settings of variance-reduced Halpern iteration: the same for the function and for runs."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.checks import flag, one_of, real

METHODS = ("auto", "page", "resolvent", "halpern")
MOST_STEPS = 10_000_000


@dataclass(frozen=True)
class HalpernSettings:
    """How an inclusion is solved.

    Attributes:
        method: "page" is Algorithm 1, for operators that are cocoercive on average; "resolvent" is
            Algorithm 2 with Algorithm 3 inside, for monotone ones; "halpern" is Algorithm 1 with
            full evaluations only; "auto": page where the operator is known to be cocoercive, else
            resolvent.
        eta: Step of Algorithm 1, or of Algorithm 2's resolvent; None: from the operator's constant
            L, 1 / (4 L) or 3 sqrt(n) / L, halved where the residual grows tenfold.
        inner: Inner steps of Algorithm 2 in units of n log(1.252 (k + 2)); 56 in its theory.
        boost: Inner step of Algorithm 3 over that of its theory.
        restart: Begin anew from where it is when the residual has fallen to a quarter.
        tol: Residual at step 1 at which it ends.
    """

    method: str = "auto"
    eta: float | None = None
    inner: float = 0.5
    boost: float = 2.0
    restart: bool = False
    tol: float = 1e-4

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        if self.eta is not None:
            real("eta", self.eta, above=0, note=", or None")
        real("inner", self.inner, above=0, most=1e6)
        real("boost", self.boost, above=0)
        flag("restart", self.restart)
        real("tol", self.tol, least=0)
