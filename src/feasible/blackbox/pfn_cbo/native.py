"""Constrained Bayesian optimisation asked and told by hand: `ConstrainedBO`.

References:
    R. T.-Y. Yu, C. Picard, F. Ahmed: Fast and Accurate Bayesian Optimization with Pre-trained
    Transformers for Constrained Engineering Problems (2024, arXiv 2404.04495).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import Checked
from ...core.checks import floats, generator, one_of, real, whole
from ...core.errors import NotFinite, ShapeError
from ..space import Space, known_constraint
from .candidates import to_box
from .columns import feasible_rows
from .search import (
    ConstrainedSearch,
    NetworkSearch,
    ProcessSearch,
    Searching,
    begin,
    propose,
    record,
)
from .settings import ConstrainedSettings

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(eq=False)
class ConstrainedBO(Checked):
    """Constrained Bayesian optimisation outside a run: minimise f(x) subject to g_j(x) <= 0.

    Args:
        bounds: As `BlackBox` takes them.
        n_constraints: Length of g in tell.
        surrogate: "pfn" or "gp".
        acq: "cei", "cei+" or "penalty".
        seed: Of everything random.
        n_initial: Random points at the start.
        known: Constraints on the inputs alone.
        method: All settings, instead of acq and n_initial.

    Raises:
        ArgumentError: A setting makes no sense.
        WrongProblem: There are more inputs than the network takes.
        BoundsError: The bounds cross or are infinite.

    Examples:
        >>> opt = ConstrainedBO([(0, 1), (0, 1)], n_constraints=1, n_initial=2, seed=0)
        >>> for _ in range(4):
        ...     x = opt.ask()
        ...     opt.tell(x, (x[0] - 0.5) ** 2 + x[1], [0.3 - x[1]])
        >>> len(opt.f), opt.ask().shape
        (4, (2,))

    References:
        arXiv 2404.04495.
    """

    bounds: Any
    n_constraints: int = 0
    surrogate: str = "pfn"
    acq: str = ConstrainedSettings.acq
    seed: int = 0
    n_initial: int = ConstrainedSettings.n_initial
    known: Any = None
    method: ConstrainedSearch | None = None
    state: Searching = field(init=False, repr=False)

    def __post_init__(self) -> None:
        searches: dict[str, type[ConstrainedSearch]] = {"pfn": NetworkSearch, "gp": ProcessSearch}
        one_of("surrogate", self.surrogate, searches)
        whole("n_constraints", self.n_constraints, least=0)
        self.space = Space.of(self.bounds)
        self.space.needs_bounds("ConstrainedBO")
        self.method = self.method or searches[self.surrogate](self.acq, n_initial=self.n_initial)
        self.method.check_inputs(self.space.d)
        self._known = None if self.known is None else known_constraint(self.known, self.space.d)
        self.state = begin(self.space.d, self.n_constraints, generator("seed", self.seed), None)

    @property
    def f(self) -> Float[np.ndarray, " n"]:
        """Objectives told so far."""
        return self.state.f

    @property
    def best(self) -> tuple[np.ndarray, float] | None:
        """The best feasible point told, and its objective; None while there is none."""
        good = feasible_rows(self.state.f, self.state.g)
        if not good.any():
            return None
        i = int(np.argmin(np.where(good, self.state.f, np.inf)))
        return to_box(self.space, self.state.u[i : i + 1])[0], float(self.state.f[i])

    def ask(self) -> Float[np.ndarray, " d"]:
        """The next point to evaluate. Asking again before telling takes the model's mean for the
        open ones.
        """
        assert self.method is not None
        return propose(self.method, self.space, self._known, self.state)

    def tell(self, x: Any, f: float, g: Any = ()) -> None:
        """Tell the outcome at a point of the box, proposed or not.

        Args:
            x: (d,) the point.
            f: Its objective.
            g: (n_constraints,) its constraints.

        Raises:
            ShapeError: g has another length.
            NotFinite: A value is NaN or infinite.
        """
        assert self.method is not None
        point = self.space.vector(x, what="x")
        f = real("f", f, infinite=True)
        values = np.atleast_1d(floats("g", g))
        if values.shape != (self.n_constraints,):
            raise ShapeError(f"g has shape {values.shape}, expected ({self.n_constraints},)")
        if not (math.isfinite(f) and np.isfinite(values).all()):
            raise NotFinite(
                f"f={f!r}, g={values.tolist()}: got NaN or an infinity, expected finite numbers"
            )
        u = self.space.unit(point[None])
        same = np.flatnonzero(np.abs(self.state.out - u).max(axis=1, initial=0.0) < 1e-12)
        tag = self.state.tags[same[:1]] if len(same) else np.array([-1])
        record(
            self.method, self.state, u, np.array([float(f)]), values[None], np.array([False]), tag
        )


__all__ = ["ConstrainedBO"]
