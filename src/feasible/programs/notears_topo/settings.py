"""The settings of the swap search, said once."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError

MODELS = ("linear", "logistic", "neural")
STARTS = ("eqvar", "sortnregress", "random")
LOSSES = ("l2", "logl2")
OPTIMIZERS = ("lbfgs", "adam")
PENALTY = {"linear": 0.0, "logistic": 1e-3, "neural": 0.01}
"""l1 penalty of each model where none is named; the networks' is the authors'."""
MOST_STARTS, MOST_UNITS = 100_000, 100_000
"""First orders are drawn, and networks made, before a search begins: more would not fit memory."""
ALL_PAIRS = 300
"""Variables up to which "auto" takes every pair of a linear model into the small set."""


def check_score(model: str, loss: str) -> None:
    """Raise ArgumentError for an unknown model or loss, or a loss that the model has not."""
    one_of("model", model, MODELS)
    one_of("loss", loss, LOSSES)
    if loss == "logl2" and model != "neural":
        raise ArgumentError(f"loss='logl2' is for model='neural', got model={model!r}")


@dataclass(frozen=True)
class SearchSettings:
    """The settings of TOPO, whatever the score.

    Attributes:
        size_small: Pairs of the small set, at least 1 and at most d (d - 1) / 2; "auto": all pairs
            of a linear model up to 300 variables, d of a neural one, else 3 d.
        size_large: Pairs of the large set, which is tried when the small one has no improvement;
            "auto": 4 d of a neural model, else all pairs.
        n_large: How often a large set may be searched.
        xi: Least |dQ/dW_ij| of a candidate pair; 0 takes all, as the published code does.
        start: The first order: "eqvar" (least variance given those taken), "sortnregress"
            (ascending variances) or "random".
        n_starts: Random orders that are searched from besides; the best end is kept.
        l1: Weight of ||W||_1, or of the networks' first layer; None: 0 for linear, 1e-3 for
            logistic, 0.01 for neural.
        ridge: Added to the covariance's diagonal, times its mean (linear without l1 only): for
            fewer rows than columns.
    """

    size_small: int | str = "auto"
    size_large: int | str = "auto"
    n_large: int = 1
    xi: float = 0.0
    start: str = "eqvar"
    n_starts: int = 5
    l1: float | None = None
    ridge: float = 0.0

    def __post_init__(self) -> None:
        one_of("start", self.start, STARTS)
        for name in ("size_small", "size_large"):
            size = getattr(self, name)
            if isinstance(size, str):
                one_of(name, size, ("auto",), note="or a whole number of pairs")
            else:
                whole(name, size, least=1)
        whole("n_large", self.n_large, least=0)
        whole("n_starts", self.n_starts, least=0, most=MOST_STARTS)
        real("xi", self.xi, least=0.0)
        real("ridge", self.ridge, least=0.0)
        if self.l1 is not None:
            real("l1", self.l1, least=0.0)


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of the networks.

    Attributes:
        l2: Weight of half the squared parameters.
        optimizer: "lbfgs" or "adam", of the networks.
        rate: Its rate; None: 1 for lbfgs, 0.01 for adam.
        train_steps: Its steps at most, each time that networks are trained.
        tol: Relative fall of the loss over a check below which training ends.
    """

    l2: float = 0.01
    optimizer: str = "lbfgs"
    rate: float | None = None
    train_steps: int = 200
    tol: float = 1e-3

    def __post_init__(self) -> None:
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        whole("train_steps", self.train_steps, least=1)
        real("l2", self.l2, least=0.0)
        real("tol", self.tol, least=0.0)
        if self.rate is not None:
            real("rate", self.rate, above=0.0)


@dataclass(frozen=True)
class TopoSettings(SearchSettings, TrainingSettings):
    """The settings of TOPO, and its score; see SearchSettings and TrainingSettings.

    Attributes:
        model: "linear" (least squares), "logistic" (binary columns) or "neural" (one network with
            one hidden layer a variable).
        loss: "l2", or "logl2" for (d/2) log of the squared loss (neural only).
        hidden: m, width of the networks' hidden layer.
    """

    model: str = "linear"
    loss: str = "l2"
    hidden: int = 40

    def __post_init__(self) -> None:
        SearchSettings.__post_init__(self)
        TrainingSettings.__post_init__(self)
        check_score(self.model, self.loss)
        whole("hidden", self.hidden, least=1, most=MOST_UNITS)
        if self.xi > 0.0 and self.model == "neural":
            raise ArgumentError(f"xi={self.xi:g} is for linear and logistic models, expected 0")

    @property
    def penalty(self) -> float:
        """The weight of the l1 term."""
        return PENALTY[self.model] if self.l1 is None else self.l1

    def sizes(self, d: int) -> tuple[int, int]:
        """Pairs of the small and of the large set for d variables.

        Raises:
            ArgumentError: A size above d (d - 1) / 2, or a small set larger than the large one.
        """
        pairs = d * (d - 1) // 2
        every = self.model == "linear" and not self.penalty and d <= ALL_PAIRS
        neural = self.model == "neural"
        small, large = (d, min(4 * d, pairs)) if neural else (pairs if every else 3 * d, pairs)
        small = min(small, pairs) if self.size_small == "auto" else 0
        small = small or int(self.size_small)
        large = max(large, small) if self.size_large == "auto" else int(self.size_large)
        for name, size in (("size_small", small), ("size_large", large)):
            if size > pairs:
                raise ArgumentError(
                    f"{name}={size}: {d} variables have {pairs} pairs, expected at most that"
                )
        if small > large:
            raise ArgumentError(f"size_small={small} is above size_large={large}")
        return small, large
