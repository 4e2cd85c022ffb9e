"""Particles from electrospray: a process whose product should have a given diameter, and which does
not always run.

References:
    the synthetic problem in the code of F. Wang, A. Parhizkar, A. Harker, M. Edirisinghe,
    Constrained composite Bayesian optimization for rational synthesis of polymeric particles (arXiv
    2411.10471), github.com/FrankWanger/CCBO.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..problem import BlackBox
from ..space import Categorical, Real
from .forms import published

if TYPE_CHECKING:
    from jaxtyping import Float

SOLVENTS = ("DMAc", "CHCl3")
FIRST_ROWS = (
    (0.5, 15.0, 10.0, 0.0),
    (0.5, 0.1, 10.0, 1.0),
    (3.0, 20.0, 15.0, 0.0),
    (1.0, 20.0, 10.0, 1.0),
    (0.2, 0.02, 10.0, 1.0),
)
"""The five experiments that the paper's synthetic study begins with (solvents by code)."""


def _electrospray(x: Float[np.ndarray, "n 4"]) -> dict[str, Float[np.ndarray, " n"]]:
    concentration, flow, voltage, solvent = np.ascontiguousarray(x.T)
    diameter = 10.0 * np.sqrt(concentration) * np.sqrt(flow) / np.log2(voltage) + 0.4 + solvent
    return {
        "diameter": diameter,
        "stable": np.where(np.log(flow) * (solvent - 0.5) + 1.4 >= 0.0, 1.0, 0.0),
    }


def electrospray(target: float = 18.0, name: str | None = None) -> BlackBox:
    """Spray particles of a given diameter: concentration, flow rate (on a log scale), voltage and
    solvent; d = 4, one yes/no limit.

    diameter = 10 sqrt(concentration flow) / log2(voltage) + 0.4 + solvent, with solvent 0 for DMAc
    and 1 for CHCl3; the spray is stable where ln(flow) (solvent - 1/2) + 1.4 >= 0, that is flow <=
    16.4446 with DMAc and >= 0.060810 with CHCl3. As in the source an unstable spray has a diameter
    too. Stable sprays reach 0.4536 to 53.54 um. |diameter - target| is minimised; best known 0, on
    a surface of designs. The share of stable designs, uniform in the box of the original units, is
    0.636.
    """
    return published(
        _electrospray,
        variables=[
            Real("concentration", 0.05, 5, unit="%"),
            Real("flow", 0.01, 60, unit="uL/min", log=True),
            Real("voltage", 10, 18, unit="kV"),
            Categorical("solvent", SOLVENTS),
        ],
        limits={"stable": "is true"},
        objective="diameter",
        unit="um",
        target=target,
        vectorized=True,
        truth=True,
        best_known=0.0,
        name=name or ("electrospray" if target == 18 else f"electrospray-{target:g}"),
    )
