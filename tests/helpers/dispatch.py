"""Small multistage problems for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from feasible.operations import HydroSystem, MultistageLP, Reservoir, Stage, Thermal, Unmet

CAP, COST, DEFICIT = 4.0, 10.0, 100.0


def tank(
    inflow: Any = ((2.0,), (2.0,), (2.0,)),
    demand: Any = (5.0, 5.0, 8.0),
    terminal: Any = "free",
    v0: float = 3.0,
    **more: Any,
) -> MultistageLP:
    """One reservoir of 10 and one thermal plant; inflow: a pool for each stage."""
    reservoir = {"v_max": 10.0, "q_max": 6.0, "productivity": 1.0, "head": 0.0}
    kept = {k: more.pop(k) for k in tuple(more) if k in reservoir}
    return HydroSystem(
        reservoirs=[Reservoir("lake", v0=v0, **(reservoir | kept))],
        thermals=[Thermal("gas", CAP, COST)],
        demand=list(demand),
        inflow=[np.array(pool, dtype=float)[:, None] for pool in inflow],
        deficit_cost=DEFICIT,
    ).problem(terminal, **{"n_test": 6, **more})


def stock(T: int = 2, **more: Any) -> Stage:
    """A stage of a store: buy at 2, or fail to serve at 50, a demand of the noise."""
    given: dict[str, Any] = {
        "A": [[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]],
        "cost": [0.0, 2.0, 50.0],
        "state": ["stock"],
        "rhs": [0.0, 0.0],
        "sense": ["<=", ">="],
        "B": [[1.0], [0.0]],
        "columns": ["stock", "bought", "unserved"],
        "rows": ["store", "demand"],
        "unmet": {"unserved": Unmet("unserved", "demand")},
    }
    return Stage(**(given | more))


def rigid() -> MultistageLP:
    """A store of 12 t from which 5 t must be taken in each of three stages, whatever is there."""
    stage = stock(
        A=[[1.0, 1.0]],
        cost=[0.0, 1.0],
        rhs=[0.0],
        sense="==",
        B=[[1.0]],
        columns=["stock", "taken"],
        rows=["store"],
        lower=[0.0, 5.0],
        upper=[20.0, None],
        unmet={},
        units={"stock": "t", "taken": "t", "store": "t"},
    )
    return MultistageLP([stage] * 3, [12.0], "free", n_test=2, name="rigid")
