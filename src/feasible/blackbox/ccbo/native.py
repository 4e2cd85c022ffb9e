"""CCBO asked and told by hand, with experiments by name.

References:
    F. Wang, A. Parhizkar, A. Harker, M. Edirisinghe: Constrained composite Bayesian optimization
    for rational synthesis of polymeric particles (2024, arXiv 2411.10471).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.annotations import checked
from ...core.checks import generator, naming, whole
from ...core.errors import ArgumentError, NotFinite, ShapeError
from ..outcome import Outcome
from ..problem import BlackBox
from ..space import Space
from .acquisition import log_probability
from .ccbo import CompositeBO
from .settings import CompositeSettings, Strategy

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, slots=True)
class Best:
    """The feasible experiment nearest to the target.

    Attributes:
        x: Values by variable.
        y: What was measured.
        distance: From the target, in its unit.
    """

    x: dict[str, Any]
    y: float
    distance: float


class CCBO:
    """Ask for experiments by name, tell what came out: minimise (y(x) - target)^2 where experiments
    may fail.

    Args:
        space: A list of Real, Integer, Categorical, or bounds as a BlackBox takes them.
        target: The value that y should have, in its unit.
        log_output: Model log y, for y > 0.
        strategy: See `CompositeSettings`.
        seed: Of everything random.
        known: Constraints on the inputs alone.
        method: All settings, instead of log_output and strategy.

    Raises:
        ArgumentError: A setting makes no sense, or the target is absent.
        BoundsError: Bounds cross; the error names the variable.

    Examples:
        >>> from feasible.blackbox import Categorical, Real
        >>> space = [Real("flow", 0.01, 60, log=True), Categorical("solvent", ["DMAc", "CHCl3"])]
        >>> opt = CCBO(space, target=18.0)
        >>> experiments = opt.ask(2)
        >>> sorted(experiments[0])
        ['flow', 'solvent']
        >>> opt.tell(experiments, y=[14.2, float("nan")], feasible=[True, False])
        >>> round(opt.best().distance, 1)
        3.8

    References:
        arXiv 2411.10471.
    """

    @checked
    def __init__(
        self,
        space: Any,
        target: float,
        *,
        log_output: bool = CompositeSettings.log_output,
        strategy: Strategy = CompositeSettings.strategy,
        seed: int = 0,
        known: Any = None,
        method: CompositeBO | None = None,
    ):
        whole("seed", seed, least=0)
        if target is None:
            raise ArgumentError("target=None: expected the value that y should have")
        variables = list(Space.of(space).variables)
        self.method = (
            CompositeBO(strategy=strategy, log_output=log_output) if method is None else method
        )
        self.problem = BlackBox(
            None,
            variables=variables,
            objective="y",
            limits={"feasible": "is true"},
            target=target,
            known=known,
            name="ccbo",
        )
        self.state = self.method.init(self.problem, generator("seed", seed))

    @checked
    def ask(self, n: int = 2) -> list[dict[str, Any]]:
        """n experiments by variable name, n >= 1."""
        n = whole("n", n, least=1)
        return [
            self.problem.space.mapping(row)
            for row in self.method.ask(self.problem, self.state, n).x
        ]

    def tell(self, X: Any, y: Any, feasible: Any) -> None:
        """Take results of n experiments, proposed or not; nothing is taken where one row is
        refused.

        Args:
            X: Mappings by variable, or an (n, d) array.
            y: (n,) values, NaN or None where there is none.
            feasible: (n,) yes or no. A value beside no is used by the model of y.

        Raises:
            ArgumentError: feasible is absent or no yes or no, or a value is not positive beside
                log_output.
            ShapeError: The lengths differ.
            NotFinite: A value is infinite, or NaN beside yes.
        """
        x = self._points(X)
        with naming("y"):
            told = np.atleast_1d(np.asarray(y, dtype=object))
            values = np.array([math.nan if v is None else v for v in told], dtype=float)
        if feasible is None:
            raise ArgumentError("feasible is missing: expected yes or no for every experiment")
        flags = np.atleast_1d(np.asarray(feasible))
        if values.shape != (len(x),) or flags.shape != (len(x),):
            raise ShapeError(
                f"y has {values.size} and feasible {flags.size} entries, expected {len(x)}: one "
                "for each experiment"
            )
        if not np.isin(flags, (0, 1)).all():
            raise ArgumentError(
                f"feasible={flags.tolist()!r:.60}: expected True or False for every experiment"
            )
        for i, (value, fine) in enumerate(zip(values.tolist(), flags.tolist(), strict=True)):
            if math.isinf(value) or (math.isnan(value) and fine):
                raise NotFinite(
                    f"y[{i}] = {value:g} beside feasible={bool(fine)}: expected a finite number"
                    + ("" if fine else ", or NaN")
                )
            if self.method.log_output and value <= 0:
                raise ArgumentError(
                    f"y[{i}] = {value:g}: expected a number > 0 beside log_output=True; set "
                    "log_output=False"
                )
        outcomes = [
            Outcome({"feasible": float(bool(c))} | ({} if math.isnan(v) else {"y": v}))
            for v, c in zip(values.tolist(), flags.tolist(), strict=True)
        ]
        none = np.full(len(x), -1)
        self.method.tell(self.problem, self.state, self.problem.batch(x, outcomes, none, none))

    def best(self) -> Best | None:
        """The feasible experiment nearest to the target; None while nothing is feasible."""
        state, t = self.state, self.problem.target
        if t is None or not state.label.any():
            return None
        rows = np.flatnonzero(state.label)
        i = rows[int(np.argmin(np.abs(state.y[rows] - t)))]
        return Best(
            self.problem.space.mapping(state.x[i]), float(state.y[i]), float(abs(state.y[i] - t))
        )

    def predict(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the composite model foresees.

        Args:
            X: Mappings by variable, or an (n, d) array.

        Returns:
            (n,) mean and (n,) standard deviation of y in its unit, and (n,) P(feasible). Where all
            told experiments had one label, P is the prior's 1/2.

        Raises:
            ArgumentError: No value was told yet.
        """
        x = torch.from_numpy(self.problem.space.unit(self._points(X)))
        found = self.method.outcomes(self.problem, self.state)
        if found is None:
            raise ArgumentError("predict: no value of y was told yet")
        kept = self.state.objective, self.state.classifier
        try:
            model, classifier = (
                self.method.objective(self.problem, self.state, found),
                self.method.feasibility(self.problem, self.state),
            )
        finally:
            self.state.objective, self.state.classifier = kept  # looking changes nothing
        with torch.no_grad():
            m, v = (a.numpy() for a in model.marginal(x))
            p = (
                np.full(len(x), 0.5)
                if classifier is None
                else log_probability(classifier, x).exp().numpy()
            )
        m, sd = found.mean + found.sd * m, found.sd * np.sqrt(v)
        if not self.method.log_output:
            return m, sd, p
        mean = np.exp(m + sd**2 / 2)  # of a log-normal variable
        return mean, mean * np.sqrt(np.expm1(sd**2)), p

    def _points(
        self, given: Mapping[str, Any] | Sequence[Any] | Float[np.ndarray, "n d"]
    ) -> Float[np.ndarray, "n d"]:
        """Return experiments as points."""
        with naming("X"):
            rows: list[Any] = [given] if isinstance(given, Mapping) else list(given)
        return np.array(
            [self.problem.space.vector(r, what=f"X[{i}]") for i, r in enumerate(rows)]
        ).reshape(-1, self.problem.space.d)


__all__ = ["CCBO", "Best"]
