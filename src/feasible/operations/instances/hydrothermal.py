"""HT3: three reservoirs in cascade, three thermal plants, 24 months; complete in this file."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.annotations import checked
from ...core.checks import real, whole
from ..hydro import HydroSystem, Reservoir, Thermal
from ..multistage import MultistageLP
from ..scenarios import lognormal_pool

V_MAX = np.array([150.0, 60.0, 100.0])
CORRELATION = np.array([[1.0, 0.7, 0.5], [0.7, 1.0, 0.4], [0.5, 0.4, 1.0]])


def _mean_inflow(month: np.ndarray) -> np.ndarray:
    """Return (T, 3) the mean inflow of each month."""
    size, swing, peak = (18.0, 6.0, 12.0), (0.7, 0.5, 0.6), (1.0, 2.0, 0.0)
    angle = 2 * np.pi * (month[:, None] - np.array(peak)) / 12
    return np.array(size) * (1 + np.array(swing) * np.cos(angle))


@checked
def hydrothermal_ht3(
    T: int = 24,
    N: int = 20,
    head: float = 0.0,
    sigma: float = 0.45,
    terminal: Any = "free",
    n_test: int = 100,
    seed: int = 7,
) -> MultistageLP:
    """Return HT3, a hydrothermal system of three reservoirs over T months.

    Releases of reservoir a flow into b in the same month; c is apart. Inflows are log-normal about
    a seasonal mean, correlated over the reservoirs, N rows a month.

    Args:
        T: Months.
        N: Rows of each month's pool; 1: the mean inflow, without noise.
        head: Share of the productivity that grows with the volume; above 0 the problem is not
            convex.
        sigma: Standard deviation of the inflow's logarithm.
        terminal: As MultistageLP takes it.
        n_test: Held-out paths.
        seed: Of the pools.
    """
    month = np.arange(whole("T", T, least=1)) % 12
    mean = _mean_inflow(month)
    if whole("N", N, least=1) > 1:
        inflow = lognormal_pool(mean, real("sigma", sigma, least=0), N, CORRELATION, seed)
    else:
        inflow = mean[:, None]
    q_max, rho = (40.0, 50.0, 30.0), (1.0, 0.8, 1.4)
    system = HydroSystem(
        reservoirs=[
            Reservoir(name, v, v / 2, q, p, below, head=head)
            for name, v, q, p, below in zip(
                "abc", V_MAX, q_max, rho, ("b", None, None), strict=True
            )
        ],
        thermals=[
            Thermal(name, capacity, cost)
            for name, capacity, cost in (("g1", 25.0, 20.0), ("g2", 25.0, 45.0), ("g3", 40.0, 90.0))
        ],
        demand=95 * (1 + 0.08 * np.cos(2 * np.pi * (month - 6) / 12)),
        inflow=inflow,
        deficit_cost=500.0,
        spill_cost=0.01,
    )
    name = "ht3" + ("" if T == 24 else f"-{T}") + ("-head" if head else "")
    return system.problem(terminal, n_test=n_test, name=name)
