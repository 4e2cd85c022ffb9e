"""Which learning rate to try next: Bayesian optimisation of log(rate) by a Gaussian process and its
lower confidence bound. Ask and tell.

Steps 1 and 2 of AutoLRS (Jin et al., ICLR 2021, arXiv 2105.10762). Values are standardised, so
kappa has no unit. With the paper's kappa of 1000 the
rates all but fill the log interval evenly, whatever was told; 2 weighs what was told. On small
networks rates drawn at random did as well as either.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import ArgumentError, ArgumentTypeError, is_number

if TYPE_CHECKING:
    from jaxtyping import Float

PROPOSALS = ("gp", "random")
GRID = 1001
"""Rates among which the bound is minimised."""
FAR = 3.0
"""Values are cut where they are this many times as far above the median as the median is above the
least.
"""


class LRSearch:
    """Propose `k` rates in [lr_min, lr_max]: the first at random, then where mu(x) - kappa sigma(x)
    is least, x = log rate, Matern 5/2.

    proposals: "gp", or "random" for rates drawn log-uniformly, the baseline.  A rate that was tried
      is not asked for again.
    told values: the lower the better; one that is not finite is a rate that diverged, and counts as
      the worst seen.

    >>> search = LRSearch(1e-4, 1.0, k=8, kappa=2.0)
    >>> while not search.done:
    ...     rate = search.ask()
    ...     search.tell(rate, (math.log10(rate) + 2) ** 2)
    >>> 3e-3 < search.best[0] < 3e-2
    True

    Raises ArgumentError, ArgumentTypeError.
    """

    def __init__(
        self,
        lr_min: float,
        lr_max: float,
        k: int = 10,
        kappa: float = 1000.0,
        proposals: str = "gp",
        seed: int | Sequence[int] = 0,
    ):
        for name, value in (("lr_min", lr_min), ("lr_max", lr_max), ("kappa", kappa)):
            if not is_number(value):
                raise ArgumentTypeError(f"{name}: got {type(value).__name__}, expected a number")
        if not 0 < lr_min < lr_max < math.inf:
            raise ArgumentError(
                f"lr_min={lr_min:g}, lr_max={lr_max:g}: expected 0 < lr_min < lr_max, finite"
            )
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 2:
            raise ArgumentError(f"k={k!r}: expected a whole number of candidates >= 2")
        if not 0 <= kappa < math.inf:
            raise ArgumentError(f"kappa={kappa:g}: expected a finite number >= 0")
        if proposals not in PROPOSALS:
            raise ArgumentError(
                f"proposals={proposals!r}: expected {' or '.join(repr(p) for p in PROPOSALS)}"
            )
        self.lr_min, self.lr_max, self.k, self.kappa, self.proposals, self.seed = (
            float(lr_min),
            float(lr_max),
            int(k),
            float(kappa),
            proposals,
            seed,
        )
        self.rates: list[float] = []
        self.values: list[float] = []

    @property
    def done(self) -> bool:
        """Whether `k` rates have been told."""
        return len(self.values) >= self.k

    @property
    def best(self) -> tuple[float, float]:
        """The rate with the smallest told value, and that value; infinite where every rate
        diverged. Raises ArgumentError where none was told.
        """
        if not self.values:
            raise ArgumentError("best: no rate has been told yet")
        i = int(np.argmin(self.values))
        return self.rates[i], self.values[i]

    def ask(self) -> float:
        """The next rate. Asking again without telling gives the same one."""
        root = [self.seed] if isinstance(self.seed, (int, np.integer)) else list(self.seed)
        rng = np.random.default_rng([*root, len(self.values)])
        low, high = math.log(self.lr_min), math.log(self.lr_max)
        if self.proposals == "random" or not self.values:
            return min(max(math.exp(rng.uniform(low, high)), self.lr_min), self.lr_max)
        grid = np.linspace(low, high, GRID)
        grid = grid[~np.isin(grid, np.log(self.rates))]
        mean, deviation = self._posterior(grid, int(rng.integers(2**31)))
        x = float(grid[np.argmin(mean - self.kappa * deviation)])
        return min(max(math.exp(x), self.lr_min), self.lr_max)

    def tell(self, rate: float, value: float) -> None:
        """What a rate gave: any rate of the interval, asked for or not."""
        if not is_number(rate) or not self.lr_min <= rate <= self.lr_max:
            raise ArgumentError(
                f"rate={rate!r}: expected a number in [{self.lr_min:g}, {self.lr_max:g}]"
            )
        self.rates.append(float(rate))
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
        """Go on where `state_dict` was made."""
        self.rates, self.values = list(state_dict["rates"]), list(state_dict["values"])
