"""The graphical-model baseline: Gaussian measurements of marginals, and `mbi`'s estimation of a
Markov random field from them (PGM).

References:
    McKenna, Sheldon, Miklau, Graphical-model based estimation and inference for differential
    privacy (ICML 2019).
"""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.checks import whole
from ...core.errors import ArgumentError, EvaluationFailed
from ...core.problem import Method, Problem
from ..peers.frame import require
from ..sampling import seed_from
from .accounting import Noise, noise_key, warn_not_private
from .privacy import PrivacySettings
from .problem import PrivateTable, Synthetic

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MOST_CELLS = 1_000_000
"""Joint cells of all columns that a workload may link; mirror descent takes about a minute with so
many, and longer in proportion.
"""


@dataclass(slots=True)
class PGMState:
    """Where a run stands.

    Attributes:
        rows: (n, d) of the answer, empty at first.
        rho: Spent.
        run: Names the noise.
        seed: Of the sampling.
    """

    rows: Float[np.ndarray, "n d"]
    rho: float
    run: int
    seed: int


@dataclass(frozen=True)
class PGM(PrivacySettings, Method):
    """Every marginal of the workload measured once with noise, a graphical model by mirror descent
    (`mbi`), and a table drawn from it. The privacy is in `PrivacySettings`.

    Attributes:
        iterations: Of mirror descent.
        rows: Of the answer; None: as many as the private table.
    """

    solves: ClassVar[type[Problem]] = PrivateTable
    requires: ClassVar[tuple[str, ...]] = ("mbi",)
    name: ClassVar[str] = "pgm"

    iterations: int = 1000
    rows: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("iterations", self.iterations, least=1)
        if self.rows is not None:
            whole("rows", self.rows, least=1, note=", or None")

    def init(self, problem: PrivateTable, rng: np.random.Generator) -> PGMState:
        """Nothing measured yet.

        Raises:
            ArgumentError: The workload is not of marginals, or the model would be too large.
        """
        run = int(rng.integers(2**62))
        _shape(problem)
        warn_not_private(self.noise_seed)
        return PGMState(np.zeros((0, problem.domain.d)), 0.0, run, seed_from(rng))

    def step(self, problem: PrivateTable, state: PGMState) -> PGMState:
        """Measure, estimate, sample."""
        if find_spec("mbi") is None:
            require("mbi", self.name)
        bins = _shape(problem)
        w = problem.queries.w
        state.rho = self.rho_total(problem)
        found = problem.measure(
            range(w), state.rho / w, Noise(noise_key(self.noise_seed, state.run, 0))
        )
        a, names = problem.queries.arrays, problem.domain.names
        used = [j for j in range(len(names)) if bins[j]]
        marginals = [
            (
                [names[j] for j in a.axes.col[a.axes.ptr[i] : a.axes.ptr[i + 1]]],
                problem.n * found.answers[a.base[i] : a.base[i + 1]],
                float(problem.n * found.sigma[i]),
            )
            for i in range(w)
        ]
        drawn = apart(
            marginals,
            [names[j] for j in used],
            [int(bins[j]) for j in used],
            problem.n,
            self.iterations,
            self.rows or problem.n,
            state.seed,
        )
        state.rows = self._table(problem, drawn, bins, np.random.default_rng(state.seed))
        return state

    @staticmethod
    def _table(
        problem: PrivateTable,
        drawn: dict[str, Any],
        bins: Int[np.ndarray, " d"],
        rng: np.random.Generator,
    ) -> Float[np.ndarray, "n d"]:
        """Return codes as they are, numbers uniform in their bin; columns that no query names are
        uniform."""
        n = len(next(iter(drawn.values())))
        columns = []
        for name, size, b in zip(
            problem.domain.names, problem.domain.sizes, bins.tolist(), strict=True
        ):
            code = (
                np.asarray(drawn[name], dtype=float)
                if b
                else rng.integers(max(size, 1), size=n).astype(float)
            )
            columns.append(code if size else (code + rng.random(n)) / max(b, 1))
        return np.stack(columns, axis=1)

    def answer(self, problem: PrivateTable, state: PGMState) -> Synthetic:
        """The sampled table."""
        return Synthetic(state.rows.copy())

    def done(self, problem: PrivateTable, state: PGMState) -> str | None:
        """After the one estimate."""
        return (
            f"a graphical model was estimated from {problem.queries.w} noisy marginals"
            if len(state.rows)
            else None
        )


def _shape(problem: PrivateTable) -> Int[np.ndarray, " d"]:
    """Return the bins by column, 0 where no query names it."""
    a = problem.queries.arrays
    if len(a.conditions.col) or (a.planes.of >= 0).any():
        raise ArgumentError(
            f"method 'pgm' estimates from marginals; the workload of '{problem.name}' has prefixes "
            "or halfspaces"
        )
    bins = np.zeros(problem.domain.d, dtype=np.int64)
    for j, size in zip(a.axes.col.tolist(), a.axes.size.tolist(), strict=True):
        if bins[j] not in (0, size):
            raise ArgumentError(
                f"method 'pgm' needs one number of bins for a column; '{problem.domain.names[j]}' "
                f"has {bins[j]} and {size}"
            )
        bins[j] = size
    cells = float(np.prod(np.maximum(bins, 1).astype(float)))
    if cells > MOST_CELLS:
        raise ArgumentError(
            f"method 'pgm': the marginals of '{problem.name}' link columns with {cells:.3g} joint "
            "cells, expected at most "
            f"{MOST_CELLS:.0e}; leave columns out of the workload or take fewer bins"
        )
    return bins


def apart(
    marginals: Sequence[tuple[list[str], Float[np.ndarray, " k"], float]],
    names: Sequence[str],
    sizes: Sequence[int],
    total: int,
    iterations: int,
    rows: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """`estimated` in a Python process of its own: JAX's threads do not survive a process that
    forks, as races and workers do.

    Args:
        marginals: Columns, noisy counts (k,), and standard deviation of each.
        names: Columns of the model.
        sizes: Their bins.
        total: Rows of the private table.
        iterations: Of mirror descent.
        rows: To be drawn.
        seed: Of the sampling.

    Returns:
        The columns drawn, by name.

    Raises:
        EvaluationFailed: mbi failed.
    """
    plan = {
        "marginals": [[columns, sigma] for columns, _, sigma in marginals],
        "names": list(names),
        "sizes": list(sizes),
        "total": total,
        "iterations": iterations,
        "rows": rows,
        "seed": seed,
    }
    sent = io.BytesIO()
    counts: dict[str, Any] = {f"counts{i}": c for i, (_, c, _) in enumerate(marginals)}
    np.savez(sent, plan=np.frombuffer(json.dumps(plan).encode(), dtype=np.uint8), **counts)
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import serve; serve()"],
        input=sent.getvalue(),
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONHASHSEED": "0"},
    )  # mbi draws in the order of sets
    if done.returncode:
        raise EvaluationFailed(
            "method 'pgm': mbi failed: "
            f"{done.stderr.decode(errors='replace').strip().splitlines()[-1:]}"
        )
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as found:
        return {name: found[f"c{j}"] for j, name in enumerate(names)}


def serve() -> None:
    """Read a plan from standard input, write the columns drawn to standard output."""
    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as sent:
        plan = json.loads(sent["plan"].tobytes())
        marginals = [
            (of, sent[f"counts{i}"], sigma) for i, (of, sigma) in enumerate(plan.pop("marginals"))
        ]
    out, sys.stdout = sys.stdout, sys.stderr
    drawn = estimated(marginals, **plan)
    made = io.BytesIO()
    columns: dict[str, Any] = {
        f"c{j}": np.asarray(drawn[name]) for j, name in enumerate(plan["names"])
    }
    np.savez(made, **columns)
    out.buffer.write(made.getvalue())


def estimated(
    marginals: Sequence[tuple[Sequence[str], Float[np.ndarray, " k"], float]],
    names: Sequence[str],
    sizes: Sequence[int],
    total: int,
    iterations: int,
    rows: int,
    seed: int,
) -> dict[str, Any]:
    """Columns drawn from the graphical model that mirror descent finds; arguments as of `apart`."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # what mbi says of JAX's settings on import does not matter for counts this small
        logging.getLogger("jax").setLevel(logging.ERROR)
        mbi = require("mbi", "pgm")
    measurements = [
        mbi.LinearMeasurement(counts, tuple(columns), sigma) for columns, counts, sigma in marginals
    ]
    model = mbi.estimation.MirrorDescent().estimate(
        mbi.Domain(list(names), list(sizes)),
        measurements,
        known_total=float(total),
        iters=iterations,
    )
    before = np.random.get_state()  # mbi draws from NumPy's global stream
    np.random.seed(seed)
    try:
        return dict(model.synthetic_data(rows=rows).to_dict())
    finally:
        np.random.set_state(before)
