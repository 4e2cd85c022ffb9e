"""Bayesian optimisation asked and told by hand: `BayesOpt`, the native form of the methods in `bo`.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import floats, generator, naming, whole
from ...core.errors import ArgumentError, BoundsError, NotFinite, ShapeError
from ...core.warning import warn
from ..space import Space, known_constraint
from .belief import BeliefData, Surrogate
from .bo import BO, remember
from .learning import learn
from .search import AcquisitionSearch

if TYPE_CHECKING:
    from jaxtyping import Float


class BayesOpt:
    """Bayesian optimisation, asked and told: minimise f(x) over a box, subject to g(x) <= 0 where
    constraints are told.

    Args:
        bounds: [(low, high), ...], scipy Bounds, {name: (low, high)} or Variables.
        acq: The acquisition, a key of `settings.ACQUISITIONS`.
        noise: 0.0 exact, a standard deviation in the unit of y, or "learn".
        maximize: Maximise f instead.
        n_init: First points; None: 2 (d + 1), at least 5.
        seed: Of everything random.
        known: Constraints on the inputs alone: a function (n, d) -> (n,) bool, or SciPy's objects.
        settings: All settings, instead of acq and n_init.
        tolerance: Violation that counts as feasible.

    Raises:
        ArgumentError: A setting makes no sense.
        BoundsError: The bounds cross or are infinite.

    Examples:
        >>> import numpy as np
        >>> opt = BayesOpt([(0, 1)] * 2, noise=0.0, n_init=4)
        >>> for _ in range(6):
        ...     X = opt.ask()
        ...     opt.tell(X, ((X - 0.3) ** 2).sum(axis=1))
        >>> opt.x.shape
        (6, 2)
        >>> bool(opt.y.min() < 0.1)
        True

    References:
        P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), sections 3
        to 5.
    """

    @checked
    def __init__(
        self,
        bounds: Any,
        acq: str = BO.acq,
        noise: float | str = "learn",
        maximize: bool = False,
        n_init: int | None = None,
        seed: int = 0,
        known: Any = None,
        settings: BO | None = None,
        tolerance: float = 1e-6,
    ):
        self.settings = BO(acq=acq, n_init=n_init, noise=noise) if settings is None else settings
        self.space = Space.of(bounds)
        self.sign = -1.0 if maximize else 1.0
        self.noise = None if noise == "learn" else float(noise)
        self.tolerance = tolerance
        self._domain = self.settings.domain(
            self.space, None if known is None else known_constraint(known, self.space.d)
        )
        self._seed = seed
        self._memory = self.settings.begin(self._domain, 0, generator("seed", seed))

    @property
    def x(self) -> Float[np.ndarray, "n d"]:
        """What was evaluated."""
        return self._memory.x.copy()

    @property
    def y(self) -> Float[np.ndarray, " n"]:
        """The values told."""
        return self.sign * self._memory.f

    @checked
    def ask(self, n: int = 1) -> Float[np.ndarray, "n d"]:
        """n points to evaluate next; asking again before telling is legal."""
        n = whole("n", n, least=1)
        x = self.settings.propose(self._domain, self._memory, n, self.noise, self.tolerance)
        memory = self._memory
        memory.out = np.concatenate([memory.out, x])
        return x.copy()

    def tell(self, X: Any, y: Any, constraints: Any = None, grad: Any = None) -> None:
        """Take values at points, proposed or not.

        Args:
            X: (n, d) points.
            y: (n,) values.
            constraints: (n, m), feasible where <= 0.
            grad: (n, d) gradients of y.

        Raises:
            ShapeError: The shapes do not fit.
            BoundsError: A point lies outside the box.
            NotFinite: A point or a value is NaN or infinite; failed evaluations are left out.
            ArgumentError: Repeats have different values although noise=0.
        """
        if getattr(X, "dtype", None) in (np.dtype("float32"), torch.float32):
            warn(
                "tell: X is float32; Gaussian processes need float64, seven digits are too few "
                "near the optimum"
            )
        x, f = np.atleast_2d(floats("X", X)), self.sign * np.atleast_1d(floats("y", y))
        n, d = len(x), self.space.d
        if x.ndim != 2 or x.shape[1] != d or f.shape != (n,):
            raise ShapeError(
                f"tell: X has shape {x.shape} and y {f.shape}, expected (n, {d}) and (n,)"
            )
        if not (np.isfinite(x).all() and np.isfinite(f).all()):
            raise NotFinite(
                "tell: X or y holds a NaN or an infinity, expected finite numbers; leave failed "
                "evaluations out"
            )
        slack = 1e-9 * np.maximum(1.0, np.abs(self.space.high - self.space.low))
        if (x < self.space.low - slack).any() or (x > self.space.high + slack).any():
            i, j = np.argwhere((x < self.space.low - slack) | (x > self.space.high + slack))[
                0
            ].tolist()
            raise BoundsError(
                f"tell: {self.space.names[j]} = {x[i, j]:g} in row {i} of X is outside "
                f"[{self.space.low[j]:g}, {self.space.high[j]:g}]"
            )
        x = self.space.snap(x)
        memory = self._memory
        with naming("constraints"):
            g = (
                np.empty((n, memory.g.shape[1]))
                if constraints is None
                else floats("constraints", constraints).reshape(n, -1)
            )
        if constraints is None and g.shape[1]:
            raise ShapeError(
                f"tell: constraints are absent, expected ({n}, {g.shape[1]}) as before"
            )
        slope = np.full((n, d), np.nan) if grad is None else self.sign * floats("grad", grad)
        if slope.shape != (n, d):
            raise ShapeError(f"tell: grad has shape {slope.shape}, expected ({n}, {d})")
        if self.noise == 0:
            every, values = np.concatenate([memory.x, x]), np.concatenate([memory.f, f])
            _, inverse = np.unique(every, axis=0, return_inverse=True)
            for k in range(len(memory.x), len(every)):
                twins = values[inverse.ravel() == inverse.ravel()[k]]
                if twins.max() - twins.min() > 1e-9 * max(1.0, float(np.abs(twins).max())):
                    raise ArgumentError(
                        f"tell: the point {every[k].tolist()} has the values {twins.min():g} and "
                        f"{twins.max():g}, but noise=0 says "
                        "that repeats agree; use noise='learn' or a standard deviation"
                    )
        if len(memory.out):
            memory.out = memory.out[~np.isin(_rows(memory.out), _rows(x))]
        remember(memory, x, f, g, slope)

    def recommend(
        self, rule: Literal["evaluated", "anywhere"] | None = None
    ) -> tuple[Float[np.ndarray, " d"], float, float]:
        """The answer.

        Args:
            rule: "evaluated", the evaluated point of best posterior mean among the feasible ones,
                or "anywhere"; None: what the acquisition is meant for (anywhere for knowledge
                gradients and entropy searches).

        Returns:
            x (d,), its posterior mean and its standard deviation, in the unit of y. With an
            environment, fidelity or task, x has that variable at a value that counts, and the mean
            is over all of them.

        Raises:
            ArgumentError: Nothing was told yet, or the rule is none of the two.
        """
        memory, domain = self._memory, self._domain
        if not len(memory.f):
            raise ArgumentError("recommend: nothing was told yet")
        rng = np.random.default_rng([memory.seed, memory.asked, 1])
        belief = self._learn(rng)
        told, context = belief.told, self.settings.context(domain)
        rule = rule or ("anywhere" if self.settings.kind.anywhere else "evaluated")
        if rule == "evaluated" and context is None:
            rows = told.x[told.feasible] if told.feasible.any() else told.ranked[:1]
            with torch.no_grad():
                mean, _ = belief.predict(torch.as_tensor(domain.z(rows)))
            x = rows[int(mean[:, 0].argmax())]
        elif rule in ("evaluated", "anywhere"):
            search = AcquisitionSearch(
                domain, rng, max(self.settings.raw, 256), self.settings.restarts
            )
            if context is not None:
                search.held = {context.index: float(context.values[0])}
            x = self.settings.argmax_mean(belief, search)
        else:
            raise ArgumentError(f"rule={rule!r}: expected 'evaluated' or 'anywhere'")
        return x, *self.posterior(x, belief)

    def posterior(self, x: Any, belief: Surrogate | None = None) -> tuple[float, float]:
        """Posterior mean and standard deviation at x, over the contexts where there are some.

        Args:
            x: (d,) a point.
            belief: The fitted models; None: fit them now.

        Returns:
            Both in the unit of y.
        """
        domain, context = self._domain, self.settings.context(self._domain)
        belief = belief or self._learn(np.random.default_rng([self._memory.seed, 2]))
        values, weights = (
            (np.zeros(1), np.ones(1)) if context is None else (context.values, context.weights)
        )
        rows = np.tile(np.asarray(x, dtype=float), (len(values), 1))
        if context is not None:
            rows[:, context.index] = values
        z = torch.as_tensor(domain.z(rows))
        with torch.no_grad():
            if belief.gradients is not None:
                slopes = belief.slopes()
                mean, var = float(slopes.mean(z)[0]), float(slopes.var(z)[0])
            else:
                w = torch.as_tensor(weights)
                lines = belief.lines()
                mean, var = float(lines.mean(z) @ w), float(w @ lines.cov(z, z) @ w)
        value = -float(belief.y.undo(np.array([[mean]]))[0, 0])
        upper = -float(belief.y.undo(np.array([[mean + math.sqrt(max(var, 0.0))]]))[0, 0])
        return self.sign * value, abs(upper - value)

    def _learn(self, rng: np.random.Generator) -> Surrogate:
        """Fit the models to what was told."""
        memory = self._memory
        return learn(
            self.settings,
            self._domain,
            BeliefData(memory.x, memory.f, memory.g, memory.grad, self.noise, self.tolerance),
            memory.warm,
            np.empty((0, self.space.d)),
            rng,
            gradients=self.settings.kind.gradients,
        )


def _rows(x: np.ndarray) -> np.ndarray:
    """Return the points as text, by which repeats are known."""
    return np.array([(row + 0.0).tobytes().hex() for row in x])


__all__ = ["BayesOpt"]
