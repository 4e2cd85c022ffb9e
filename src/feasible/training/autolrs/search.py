"""Which learning rate to try next: Bayesian optimisation of log(rate) by a Gaussian process and its
lower confidence bound. Ask and tell.

The search of a stage of AutoLRS (Jin et al., ICLR 2021, arXiv 2105.10762). Values are standardised,
so kappa has no unit. On small networks rates drawn at random did as well as either kappa.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import Checked, checked
from ...core.checks import naming, one_of, real, seed as roots, whole
from ...core.errors import ArgumentError

if TYPE_CHECKING:
    from jaxtyping import Float

PROPOSALS = ("gp", "random")
GRID = 1001
"""Rates among which the bound is minimised."""
FAR = 3.0
"""Values are cut where they are this many times as far above the median as the median is above the
least.
"""


@dataclass(frozen=True)
class LRSearchSettings(Checked):
    """How a stage's rates are searched; kappa, k and the interval are the paper's.

    Attributes:
        lr_min: Least rate of the interval, > 0.
        lr_max: Largest rate, above lr_min.
        k: Candidates of a stage, >= 2.
        kappa: Weight of the deviation in the lower confidence bound, >= 0, in standard deviations
            of the told values. With the paper's 1000 the rates all but fill the log interval
            evenly, whatever was told; 2 weighs what was told.
        proposals: "gp", or "random" for rates drawn log-uniformly, the baseline.
    """

    lr_min: float
    lr_max: float
    k: int = 10
    kappa: float = 1000.0
    proposals: str = "gp"

    def __post_init__(self) -> None:
        real("lr_min", self.lr_min, above=0)
        real("lr_max", self.lr_max, above=0)
        if self.lr_min >= self.lr_max:
            raise ArgumentError(
                f"lr_min={self.lr_min:g}, lr_max={self.lr_max:g}: expected lr_min < lr_max"
            )
        whole("k", self.k, least=2)
        real("kappa", self.kappa, least=0)
        one_of("proposals", self.proposals, PROPOSALS)


class LRSearch:
    """Propose `k` rates in [lr_min, lr_max]: the first at random, then where mu(x) - kappa sigma(x)
    is least, x = log rate, mu and sigma of a Gaussian process with a Matern 5/2 kernel.

    A rate that was tried is not asked for again. Told values: the lower the better; one that is not
    finite is a rate that diverged, and counts as the worst seen.

    Args:
        lr_min: As in `LRSearchSettings`, and so the next four.
        lr_max: Largest rate.
        k: Candidates.
        kappa: Weight of the deviation.
        proposals: "gp" or "random".
        seed: One whole number or several, from which what is drawn derives.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting that is no number.

    Examples:
        >>> search = LRSearch(1e-4, 1.0, k=8, kappa=2.0)
        >>> while not search.done:
        ...     rate = search.ask()
        ...     search.tell(rate, (math.log10(rate) + 2) ** 2)
        >>> 3e-3 < search.best[0] < 3e-2
        True

    References:
        Jin et al., arXiv 2105.10762, the search of a stage.
    """

    @checked
    def __init__(
        self,
        lr_min: float,
        lr_max: float,
        k: int = LRSearchSettings.k,
        kappa: float = LRSearchSettings.kappa,
        proposals: str = LRSearchSettings.proposals,
        seed: int | Sequence[int] = 0,
    ):
        self.root = roots("seed", seed)
        LRSearchSettings(lr_min, lr_max, k, kappa, proposals)  # refuses settings without sense
        self.lr_min, self.lr_max, self.k = float(lr_min), float(lr_max), int(k)
        self.kappa, self.proposals, self.seed = float(kappa), proposals, seed
        self.rates: list[float] = []
        self.values: list[float] = []

    @property
    def done(self) -> bool:
        """Whether `k` rates have been told."""
        return len(self.values) >= self.k

    @property
    def best(self) -> tuple[float, float]:
        """The rate with the smallest told value, and that value; infinite where every rate
        diverged.

        Raises:
            ArgumentError: No rate was told.
        """
        if not self.values:
            raise ArgumentError("best: no rate has been told yet")
        i = int(np.argmin(self.values))
        return self.rates[i], self.values[i]

    def ask(self) -> float:
        """The next rate. Asking again without telling gives the same one."""
        rng = np.random.default_rng([*self.root, len(self.values)])
        low, high = math.log(self.lr_min), math.log(self.lr_max)
        if self.proposals == "random" or not self.values:
            return min(max(math.exp(rng.uniform(low, high)), self.lr_min), self.lr_max)
        grid = np.linspace(low, high, GRID)
        grid = grid[~np.isin(grid, np.log(self.rates))]
        mean, deviation = self._posterior(grid, int(rng.integers(2**31)))
        x = float(grid[np.argmin(mean - self.kappa * deviation)])
        return min(max(math.exp(x), self.lr_min), self.lr_max)

    def tell(self, rate: float, value: float) -> None:
        """Say what a rate gave.

        Args:
            rate: Any rate of the interval, asked for or not.
            value: Its loss; infinite or NaN where it diverged.

        Raises:
            ArgumentError: A rate outside the interval.
        """
        real("rate", rate, least=self.lr_min, most=self.lr_max)
        self.rates.append(float(rate))
        with naming("value"):
            self.values.append(float(value) if math.isfinite(value) else math.inf)

    def _posterior(
        self, grid: Float[np.ndarray, " g"], seed: int
    ) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
        """Mean and standard deviation at log rates, of standardised values."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import Matern, WhiteKernel

        low, high = math.log(self.lr_min), math.log(self.lr_max)
        values = np.array(self.values)
        finite = values[np.isfinite(values)]
        y = np.where(np.isfinite(values), values, finite.max() if len(finite) else 0.0)
        middle = np.sort(y)[(len(y) - 1) // 2]
        if middle > y.min():  # one rate that all but diverged must not make the others look alike
            y = np.minimum(y, middle + FAR * (middle - y.min()))
        y = (y - y.mean()) / (y.std() or 1.0)
        model = GaussianProcessRegressor(
            Matern(0.3, (0.05, 3.0), nu=2.5) + WhiteKernel(0.1, (1e-6, 1.0)), random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # few points: a lengthscale at its bound is as good as any
            model.fit((np.log(self.rates)[:, None] - low) / (high - low), y)
        mean, deviation = model.predict((grid[:, None] - low) / (high - low), return_std=True)
        noise = float(np.exp(model.kernel_.theta[-1]))
        return mean, np.sqrt(np.maximum(deviation**2 - noise, 1e-12))

    def state_dict(self) -> dict[str, Any]:
        """What was told, as plain data; the settings are the constructor's."""
        return {"rates": list(self.rates), "values": list(self.values)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.rates, self.values = list(state_dict["rates"]), list(state_dict["values"])
