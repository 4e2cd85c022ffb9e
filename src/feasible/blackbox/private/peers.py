"""The graphical-model baseline: Gaussian measurements of marginals, and `mbi`'s estimation of a Markov random field from them (PGM).

McKenna, Sheldon, Miklau, "Graphical-model based estimation and inference for differential privacy" (ICML 2019).
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from ..peers_common import require, seed_from
from .accounting import Noise, noise_key, warn_not_private
from .gsd import check_privacy, rho_total
from .problem import PrivateTable, Synthetic

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MOST_CELLS = 20_000_000
"""Joint cells of all columns that a workload may link; a larger graphical model would not fit."""


@dataclass(slots=True)
class PGMState:
    """rows: (n, d) of the answer, empty at first.  rho: spent.  run: names the noise.  seed: of the sampling."""

    rows: Float[np.ndarray, "n d"]
    rho: float
    run: int
    seed: int


@dataclass(frozen=True)
class PGM(Method):
    """Every marginal of the workload measured once with noise, a graphical model by mirror descent (`mbi`), and a table drawn from it.

    epsilon, delta, rho, noise_seed: as for `private-gsd`.  iterations: of mirror descent.  rows: of the answer; None, as many as the private table.
    """

    solves: ClassVar[type[Problem]] = PrivateTable
    name: ClassVar[str] = "pgm"

    epsilon: float | None = None
    delta: float | None = None
    rho: float | None = None
    iterations: int = 1000
    rows: int | None = None
    noise_seed: int | None = None

    def __post_init__(self) -> None:
        check_privacy(self.epsilon, self.delta, self.rho, self.noise_seed)

    def init(self, problem: PrivateTable, rng: np.random.Generator) -> PGMState:
        """Raises ArgumentError where the workload is not of marginals, or the model would be too large."""
        run = int(rng.integers(2**62))
        _shape(problem)
        warn_not_private(self.noise_seed)
        return PGMState(np.zeros((0, problem.domain.d)), 0.0, run, seed_from(rng))

    def step(self, problem: PrivateTable, state: PGMState) -> PGMState:
        """Measure, estimate, sample."""
        mbi = _mbi()
        bins = _shape(problem)
        w = problem.queries.w
        state.rho = rho_total(problem, self.epsilon, self.delta, self.rho)
        found = problem.measure(range(w), state.rho / w, Noise(noise_key(self.noise_seed, state.run, 0)))
        a, names = problem.queries.arrays, problem.domain.names
        measurements = [mbi.LinearMeasurement(problem.n * found.answers[a.base[i]:a.base[i + 1]],
                                              tuple(names[j] for j in a.ax_col[a.ax_ptr[i]:a.ax_ptr[i + 1]]), float(problem.n * found.sigma[i]))
                        for i in range(w)]
        used = [j for j in range(len(names)) if bins[j]]
        domain = mbi.Domain([names[j] for j in used], [int(bins[j]) for j in used])
        model = mbi.estimation.MirrorDescent().estimate(domain, measurements, known_total=float(problem.n), iters=self.iterations)
        before = np.random.get_state()  # mbi draws from NumPy's global stream
        np.random.seed(state.seed)
        try:
            drawn = model.synthetic_data(rows=self.rows or problem.n).to_dict()
        finally:
            np.random.set_state(before)
        state.rows = self._table(problem, drawn, bins, np.random.default_rng(state.seed))
        return state

    @staticmethod
    def _table(problem: PrivateTable, drawn: dict[str, Any], bins: Int[np.ndarray, " d"], rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
        """Codes as they are, numbers uniform in their bin; columns that no query names are uniform."""
        n = len(next(iter(drawn.values())))
        columns = []
        for name, size, b in zip(problem.domain.names, problem.domain.sizes, bins.tolist(), strict=True):
            code = np.asarray(drawn[name], dtype=float) if b else rng.integers(max(size, 1), size=n).astype(float)
            columns.append(code if size else (code + rng.random(n)) / max(b, 1))
        return np.stack(columns, axis=1)

    def answer(self, problem: PrivateTable, state: PGMState) -> Synthetic:
        """The sampled table."""
        return Synthetic(state.rows.copy())

    def done(self, problem: PrivateTable, state: PGMState) -> str | None:
        """After the one estimate."""
        return f"a graphical model was estimated from {problem.queries.w} noisy marginals" if len(state.rows) else None


def _shape(problem: PrivateTable) -> Int[np.ndarray, " d"]:
    """Bins by column, 0 where no query names it."""
    a = problem.queries.arrays
    if len(a.th_col) or (a.half >= 0).any():
        raise ArgumentError(f"method 'pgm' estimates from marginals; the workload of '{problem.name}' has prefixes or halfspaces")
    bins = np.zeros(problem.domain.d, dtype=np.int64)
    for j, size in zip(a.ax_col.tolist(), a.ax_size.tolist(), strict=True):
        if bins[j] not in (0, size):
            raise ArgumentError(f"method 'pgm' needs one number of bins for a column; '{problem.domain.names[j]}' has {bins[j]} and {size}")
        bins[j] = size
    cells = float(np.prod(np.maximum(bins, 1).astype(float)))
    if cells > MOST_CELLS:
        raise ArgumentError(f"method 'pgm': the marginals of '{problem.name}' link columns with {cells:.3g} joint cells, expected at most "
                            f"{MOST_CELLS:.0e}; leave columns out of the workload or take fewer bins")
    return bins


def _mbi() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what mbi says of JAX's settings on import does not matter for counts this small
        logging.getLogger("jax").setLevel(logging.ERROR)
        return require("mbi", "pgm")
