"""Settings of federated zeroth-order optimisation, said once for the classes and for runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.checks import flag, fraction, one_of, real, whole
from .entries import PAPER

if TYPE_CHECKING:
    from typing import Self

OPTIMIZERS = ("adam", "sgd")
KERNELS = ("matern", "rbf")
CORRECTIONS = ("none", "proximal", "difference", "average")
MOST = 1_000_000


@dataclass(frozen=True)
class FederatedSettings:
    """What all methods here share.

    Attributes:
        local_steps: T, steps of a client in a round.
        lr: Step size of the client's optimiser.
        optimizer: "adam" (beta 0.9 and 0.999), begun anew in each round, or "sgd".
        server_lr: eta of x_r = x_(r-1) - eta sum_i w_i (x_(r-1) - x_i).
        reject_worse: Keep x_(r-1) where F(x_r) is not below F(x_(r-1)); every client is asked for
            its value at x_r, which counts.
    """

    local_steps: int = 10
    lr: float = 0.01
    optimizer: str = "adam"
    server_lr: float = 1.0
    reject_worse: bool = False

    def __post_init__(self) -> None:
        whole("local_steps", self.local_steps, least=1, most=MOST)
        real("lr", self.lr, above=0)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        real("server_lr", self.server_lr, above=0)
        flag("reject_worse", self.reject_worse)


@dataclass(frozen=True)
class FZooSSettings(FederatedSettings):
    """How FZooS estimates gradients and where it queries. The defaults spend fewer queries on
    exploration than the paper, whose own are `FZooSSettings.paper()`.

    Attributes:
        window: History points nearest to the point where a gradient is estimated.
        noise: Variance of the values' noise, after they were scaled to [0, 1].
        kernel: "matern" (5/2) or "rbf".
        features: M, random Fourier features; what a client sends in a round, in numbers.
        feature_window: History points nearest to x_r from which the features' weights are fitted.
        feature_lengthscale: Of the features' kernel, in units of the box.
        initial: Random points about x_0 that each client queries first.
        radius: Half the side of the box of local candidates, in units of the box.
        local_queries: Active queries after each local step but the last.
        local_candidates: Of so many candidates.
        server_queries: Active queries about x_r; None: a third of the unknowns, between 5 and 50.
        server_candidates: Of so many candidates.
        corrected: Correct local gradients by the global surrogate, with the factor 1 / t.
        again: Query x_r at the start of a round too, though it was at the end of the last; where
            values are noisy that is another value.
    """

    window: int = 150
    noise: float = 1e-6
    kernel: str = "matern"
    features: int = 2000
    feature_window: int = 500
    feature_lengthscale: float = 1.0
    initial: int = 10
    radius: float = 0.01
    local_queries: int = 1
    local_candidates: int = 50
    server_queries: int | None = None
    server_candidates: int = 60
    corrected: bool = True
    again: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("window", self.window, least=1, most=10_000)
        real("noise", self.noise, least=1e-12, most=1)
        one_of("kernel", self.kernel, KERNELS)
        whole("features", self.features, least=1, most=MOST)
        whole("feature_window", self.feature_window, least=1, most=10_000)
        real("feature_lengthscale", self.feature_lengthscale, above=0)
        whole("initial", self.initial, least=0, most=MOST)
        fraction("radius", self.radius, zero=False)
        whole("local_queries", self.local_queries, least=0, most=MOST)
        whole("local_candidates", self.local_candidates, least=self.local_queries, most=MOST)
        if self.server_queries is not None:
            whole("server_queries", self.server_queries, least=0, most=MOST, note=", or None")
        whole(
            "server_candidates", self.server_candidates, least=self.server_queries or 1, most=MOST
        )
        flag("corrected", self.corrected)
        flag("again", self.again)

    def surveyed(self, d: int) -> int:
        """Active queries about x_r, of d unknowns."""
        if self.server_queries is not None:
            return self.server_queries
        return min(max(-(-d // 3), 5), 50, self.server_candidates)

    @classmethod
    def paper(cls) -> Self:
        """The paper's own: 5 of 100 local candidates, 50 of 200 about x_r, 10,000 features."""
        return cls(**PAPER)


@dataclass(frozen=True)
class DifferenceSettings(FederatedSettings):
    """How the baselines estimate gradients, by finite differences.

        g(z) = (1/q) sum_k (f(z + mu u_k) - f(z)) / mu  u_k,  u_k orthonormal

    Attributes:
        q: Directions of an estimate, which costs q + 1 queries; at most the number of unknowns.
        mu: Step of the differences, in units of the box.
        correction: "none" (FedZO); "proximal" (FedProx: + proximal (z - x_(r-1))); "difference"
            (SCAFFOLD, type I: by an estimate at x_r, which costs q + 1 queries more); "average"
            (SCAFFOLD, type II: by the averages of the last round's local gradients).
        proximal: Factor of FedProx.
    """

    q: int = 20
    mu: float = 0.01
    correction: str = "none"
    proximal: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("q", self.q, least=1, most=MOST)
        real("mu", self.mu, above=0, most=1)
        one_of("correction", self.correction, CORRECTIONS)
        real("proximal", self.proximal, least=0)
