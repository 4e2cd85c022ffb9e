"""Real experiments: nine tables that laboratories measured, as menus of possible experiments and as
emulators.

A menu's experiments are the table's rows, replicates averaged. An emulator is the mean of a
Gaussian process (Matern 5/2, a length for each input) on all rows of the table, over the whole box
or mixture; its lengths and its optimum are in `olymp_tables/models.json`, and
`python -m benchmarks.experiments tables WHEEL` makes both from the wheel. The tables are those that
the package `olymp` 0.0.1b0 ships (MIT licence, see `olymp_tables/LICENSE`), rounded to six digits.
The columns of alkox are misnamed there and have the names of the package's later versions here; the
rows of colors, amounts, are made shares.

References:
    F. Häse et al., Olympus: a benchmarking framework for noisy optimization and experiment
    planning, Machine Learning: Science and Technology 2 (2021) 035021; C. E. Rasmussen, C. K. I.
    Williams, Gaussian Processes for Machine Learning (2006), equation (2.25).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

from ...core.checks import one_of
from ..problem import BlackBox
from ..space import Real

if TYPE_CHECKING:
    from jaxtyping import Float

FOLDER = Path(__file__).parent / "olymp_tables"
Form = Literal["emulator", "noisy", "table"]
NOISE = 0.1
"""Standard deviation of the noisy form, in standard deviations of the table's results."""


@dataclass(frozen=True)
class Published:
    """What a table's columns are.

    Attributes:
        inputs: (name, low, high, unit) of each, in the table's order.
        result: Name of the measured quantity.
        maximize: True if large values of it are good.
        source: Who measured it.
        mixture: True if the inputs are shares, which sum to 1.
    """

    inputs: tuple[tuple[str, float, float, str], ...]
    result: str
    maximize: bool
    source: str
    mixture: bool = False


def _shares(*names: str) -> tuple[tuple[str, float, float, str], ...]:
    return tuple((name, 0.0, 1.0, "") for name in names)


FLOW = "A. M. Schweidtmann et al., Chemical Engineering Journal 352 (2018) 277-282"
BLENDS = "S. Langner et al., Advanced Materials (2020) 1907801"
OLYMPUS = "F. Häse et al., Machine Learning: Science and Technology 2 (2021) 035021"
TABLES = {
    "alkox": Published(
        (
            ("catalase", 0.05, 1.0, ""),
            ("peroxidase", 0.5, 10.0, ""),
            ("alcohol_oxidase", 2.0, 8.0, ""),
            ("ph", 6.0, 8.0, ""),
        ),
        "conversion",
        True,
        OLYMPUS,
    ),
    "benzylation": Published(
        (
            ("flow_rate", 0.2, 0.4, ""),
            ("ratio", 1.0, 5.0, ""),
            ("solvent", 0.5, 1.0, ""),
            ("temperature", 110.0, 150.0, "degC"),
        ),
        "impurity",
        False,
        OLYMPUS,
    ),
    "snar": Published(
        (
            ("residence_time", 0.5, 2.0, "min"),
            ("ratio", 1.0, 5.0, ""),
            ("concentration", 0.1, 0.5, "mol/L"),
            ("temperature", 60.0, 140.0, "degC"),
        ),
        "e_factor",
        False,
        FLOW,
    ),
    "suzuki": Published(
        (
            ("temperature", 75.0, 90.0, "degC"),
            ("pd_mol", 0.5, 5.0, ""),
            ("arbpin", 1.0, 1.8, ""),
            ("k3po4", 1.5, 3.0, ""),
        ),
        "yield",
        True,
        OLYMPUS,
    ),
    "hplc": Published(
        (
            ("sample_loop", 0.0, 0.08, "mL"),
            ("additional_volume", 0.0, 0.06, "mL"),
            ("tubing_volume", 0.1, 0.9, "mL"),
            ("sample_flow", 0.5, 2.5, "mL/min"),
            ("push_speed", 80.0, 150.0, "Hz"),
            ("wait_time", 0.5, 10.0, "s"),
        ),
        "peak_area",
        True,
        "L. M. Roch et al., ChemOS, chemRxiv 5953606 (2018)",
    ),
    "fullerenes": Published(
        (
            ("reaction_time", 3.0, 31.0, "min"),
            ("sultine", 1.5, 6.0, ""),
            ("temperature", 100.0, 150.0, "degC"),
        ),
        "product",
        True,
        "B. E. Walker et al., Reaction Chemistry and Engineering 2 (2017) 785-798",
    ),
    "photo-pce10": Published(
        _shares("pce10", "p3ht", "pcbm", "oidtbr"), "degradation", False, BLENDS, True
    ),
    "photo-wf3": Published(
        _shares("wf3", "p3ht", "pcbm", "oidtbr"), "degradation", False, BLENDS, True
    ),
    "colors": Published(
        _shares("red", "orange", "yellow", "blue", "green"), "difference", False, OLYMPUS, True
    ),
}
"""The tables by name."""

FORMS: tuple[Form, ...] = ("emulator", "noisy", "table")
EXPERIMENTS: dict[str, tuple[str, Form]] = {
    name if form == "emulator" else f"{name}-{form}": (name, form)
    for name in TABLES
    for form in FORMS
}
"""Registered name -> table and form."""


@cache
def rows(table: str) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """The rows (n, d) of a table and their results (n,), in its own units; replicates are rows."""
    path = FOLDER / f"{table}.csv"
    values = np.loadtxt(path, delimiter=",", skiprows=1)
    values.flags.writeable = False
    return values[:, :-1], values[:, -1]


def averaged(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """The different points (k, d) and the mean result (k,) of each."""
    distinct, which = np.unique(x, axis=0, return_inverse=True)
    return distinct, np.bincount(which.ravel(), weights=y) / np.bincount(which.ravel())


def matern(
    a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"], lengths: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "n m"]:
    """(n, m) the Matern kernel with nu = 5/2."""
    r = np.sqrt(5.0) * cdist(a / lengths, b / lengths)
    return (1 + r + r**2 / 3) * np.exp(-r)


class Emulator:
    """The mean of a Gaussian process on a table's rows.

    Args:
        table: Its name.
        model: "lengths" (d,), in widths of the inputs' ranges, and "noise", the variance of an
            observation as a share of the signal's.
    """

    def __init__(self, table: str, model: dict[str, Any]):
        x, y = rows(table)
        bounds = np.array([v[1:3] for v in TABLES[table].inputs])
        self.low, self.width = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        self.lengths = np.array(model["lengths"])
        self.x = (x - self.low) / self.width
        self.mean, self.spread = float(y.mean()), float(y.std())
        k = matern(self.x, self.x, self.lengths) + model["noise"] * np.eye(len(x))
        self.weights = cho_solve(cho_factor(k, lower=True), (y - self.mean) / self.spread)

    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """(n,) the mean at points (n, d)."""
        k = matern((np.asarray(x) - self.low) / self.width, self.x, self.lengths)
        return self.mean + self.spread * (k * self.weights).sum(axis=1)


@cache
def emulator(table: str) -> Emulator:
    """A table's emulator."""
    return Emulator(table, models()[table])


@cache
def models() -> dict[str, Any]:
    """What was fitted, by table."""
    return json.loads((FOLDER / "models.json").read_text())


def experiment(table: str, form: Form = "emulator") -> BlackBox:
    """A real experiment: one of nine tables that laboratories measured.

    minimise (or maximise) the table's result over its inputs, in their box; shares of a mixture sum
    to 1.

    Args:
        table: "alkox", "benzylation", "snar", "suzuki", "hplc", "fullerenes", "photo-pce10",
            "photo-wf3" or "colors".
        form: "emulator" (deterministic), "noisy" (its results with Gaussian noise of a tenth of the
            table's standard deviation; judged without) or "table" (the rows are what can be tried).

    Raises:
        ArgumentError: Another table or form.

    Examples:
        >>> experiment("suzuki", "table")
        BlackBox('suzuki-table', d=4, limits=[])

    References:
        F. Häse et al., Olympus: a benchmarking framework for noisy optimization and experiment
        planning, Machine Learning: Science and Technology 2 (2021) 035021.
    """
    one_of("table", table, tuple(TABLES))
    one_of("form", form, FORMS)
    published = TABLES[table]
    names = [v[0] for v in published.inputs]
    common: dict[str, Any] = {
        "variables": [
            Real(name, low, high, unit=unit) for name, low, high, unit in published.inputs
        ],
        "objective": published.result,
        "maximize": published.maximize,
        "name": table if form == "emulator" else f"{table}-{form}",
        "truth": True,
        "vectorized": True,
    }
    if form == "table":
        x, y = averaged(*rows(table))
        results = {row.tobytes(): value for row, value in zip(x, y.tolist(), strict=True)}
        best = int(y.argmax() if published.maximize else y.argmin())
        return BlackBox(
            lambda points: np.array([results[p.tobytes()] for p in np.ascontiguousarray(points)]),
            candidates=dict(zip(names, x.T, strict=True)),
            best_known=float(-y[best] if published.maximize else y[best]),
            best_point=tuple(x[best].tolist()),
            **common,
        )
    made, fitted = emulator(table), models()[table]["best"]
    return BlackBox(
        made,
        known=f"{' + '.join(names)} == 1" if published.mixture else None,
        simulated_noise=NOISE * made.spread if form == "noisy" else 0.0,
        best_known=-fitted["result"] if published.maximize else fitted["result"],
        best_point=tuple(fitted["x"]),
        **common,
    )


__all__ = ["EXPERIMENTS", "TABLES", "Emulator", "Published", "averaged", "emulator", "experiment"]
