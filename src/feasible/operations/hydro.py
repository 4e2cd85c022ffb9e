"""HydroSystem: reservoirs in cascade, thermal plants, demand and lines, as linear programs.

minimise  sum cost g + deficit_cost * unmet + spill_cost * s   where, in every stage,

    v_i + q_i + s_i = v_i before + inflow_i + what is released above i,   0 <= v_i <= v_max_i
    sum rho_i q_i + sum g_j + unmet_b + flows in - flows out >= demand_b  at every bus
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import Checked
from ..core.checks import floats, naming, real
from ..core.errors import ArgumentError, NotFinite, ShapeError, UnknownName, nearest
from .multistage import MultistageLP, Terminal
from .stage import Head, Stage, Unmet

if TYPE_CHECKING:
    from jaxtyping import Float

VOLUME, ENERGY, MONEY = "hm3", "MWh", "EUR"
DEFICIT = 500.0
"""Cost of a unit of energy that is not served, where none is given."""
Limit = float | None
"""A limit; None, NaN or an infinity: there is none."""


@dataclass(frozen=True)
class Reservoir(Checked):
    """A reservoir and the plant below it.

    Attributes:
        name: Its name.
        v_max: Largest volume; None, NaN or an infinity: no limit.
        v0: Volume at the start.
        q_max: Largest volume through the turbines in a stage; None: no limit.
        productivity: Energy of a unit of volume through the turbines.
        below: Reservoir into which what is released flows in the same stage; None: the sea.
        bus: Where its energy comes in.
        v_min: Least volume.
        head: Share h of the productivity that grows with the volume: productivity (1 - h + h v /
            v_max), with v before the stage. 0: it does not.
    """

    name: str
    v_max: Limit
    v0: float
    q_max: Limit
    productivity: float
    below: str | None = None
    bus: str = "grid"
    v_min: float = 0.0
    head: float = 0.0

    def __post_init__(self) -> None:
        real("v0", self.v0, least=0)
        real("productivity", self.productivity, least=0)
        real("head", self.head, least=0, most=1)
        if self.head and not (self.v_max and np.isfinite(self.v_max)):
            raise ArgumentError(f"reservoir '{self.name}': head={self.head:g} needs a v_max")


@dataclass(frozen=True)
class Thermal(Checked):
    """A thermal plant.

    Attributes:
        name: Its name.
        capacity: Largest energy in a stage; None, NaN or an infinity: no limit.
        cost: Of a unit of energy.
        bus: Where its energy comes in.
        least: Least energy in a stage.
    """

    name: str
    capacity: Limit
    cost: float
    bus: str = "grid"
    least: float = 0.0


@dataclass(frozen=True)
class Line(Checked):
    """A line that carries energy either way between two buses, without loss.

    Attributes:
        name: Its name.
        ends: The two buses.
        capacity: Largest energy in a stage, either way; None: no limit.
    """

    name: str
    ends: tuple[str, str]
    capacity: Limit


@dataclass(frozen=True, eq=False)
class HydroSystem(Checked):
    """A hydrothermal system over a number of stages.

    Attributes:
        reservoirs: Reservoirs; inflows are in their order.
        thermals: Thermal plants.
        demand: (T,) energy of each stage at the one bus, or bus -> (T,).
        inflow: (T, N, r) pool of each stage: N rows of which one comes true, jointly for all
            reservoirs; or T arrays (N_t, r).
        lines: Lines between buses.
        deficit_cost: Cost of a unit of energy that is not served.
        spill_cost: Cost of a unit of volume spilled.
        units: Names of the units of volume, energy and money.

    Raises:
        UnknownName: A reservoir, bus or end of a line has no such name.
        ShapeError: Demand and inflow are not of the same stages.
        NotFinite: A NaN in the demand or the inflow.
    """

    reservoirs: Sequence[Reservoir]
    thermals: Sequence[Thermal]
    demand: Any
    inflow: Any
    lines: Sequence[Line] = ()
    deficit_cost: float = DEFICIT
    spill_cost: float = 0.0
    units: tuple[str, str, str] = (VOLUME, ENERGY, MONEY)

    def __post_init__(self) -> None:
        given = self.demand if isinstance(self.demand, dict) else {"grid": self.demand}
        demand = {bus: floats(f"demand[{bus!r}]", d) for bus, d in given.items()}
        with naming("inflow"):
            pools = [floats(f"inflow[{t}]", pool) for t, pool in enumerate(self.inflow)]
        if not pools:
            raise ShapeError("inflow has no stages: expected at least one")
        r, T = len(self.reservoirs), len(pools)
        for bus, d in demand.items():
            if d.shape != (T,):
                raise ShapeError(f"demand of '{bus}' has shape {d.shape}: expected ({T},)")
            if not np.isfinite(d).all():
                raise NotFinite(f"demand of '{bus}' has a NaN or an infinity in a stage")
        for t, pool in enumerate(pools):
            if pool.ndim != 2 or pool.shape[1] != r:
                raise ShapeError(f"inflow[{t}] has shape {pool.shape}: expected (N, {r})")
            if not np.isfinite(pool).all():
                raise NotFinite(f"inflow[{t}] has a NaN or an infinity: expected finite numbers")
        names = [*(p.name for p in self.reservoirs), *(p.name for p in self.thermals)]
        names += [line.name for line in self.lines]
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise ArgumentError(f"the system has '{twice}' twice: expected different names")
        known = [p.name for p in self.reservoirs]
        for p in self.reservoirs:
            if p.below is not None and p.below not in known:
                raise UnknownName(
                    f"reservoir '{p.name}' flows into '{p.below}': {nearest(p.below, known)}"
                )
        self._check_cascade()
        buses = [*(p.bus for p in self.reservoirs), *(p.bus for p in self.thermals)]
        for bus in (*buses, *(end for line in self.lines for end in line.ends)):
            if bus not in demand:
                raise UnknownName(f"bus '{bus}' has no demand: {nearest(bus, demand)}")
        object.__setattr__(self, "demand", demand)
        object.__setattr__(self, "inflow", pools)

    def _check_cascade(self) -> None:
        """Raise ArgumentError where water flows in a circle."""
        below = {p.name: p.below for p in self.reservoirs}
        for name in below:
            at, passed = below[name], [name]
            while at is not None:
                if at in passed:
                    raise ArgumentError(f"water flows in a circle: {' -> '.join([*passed, at])}")
                passed.append(at)
                at = below[at]

    def stages(self) -> list[Stage]:
        """Return the linear program of each stage."""
        return [self._stage(t) for t in range(len(self.inflow))]

    def _stage(self, t: int) -> Stage:
        """Return the linear program of one stage."""
        water, plants, lines = self.reservoirs, self.thermals, self.lines
        volume, energy, _ = self.units
        r, buses = len(water), list(self.demand)
        columns = [
            *(f"volume {p.name}" for p in water),
            *(f"turbined {p.name}" for p in water),
            *(f"spilled {p.name}" for p in water),
            *(f"thermal {p.name}" for p in plants),
            *(f"unmet {b}" for b in buses),
            *(f"flow {line.name}" for line in lines),
        ]
        rows = [*(f"balance {p.name}" for p in water), *(f"demand {b}" for b in buses)]
        at = {name: i for i, name in enumerate(columns)}
        A = np.zeros((len(rows), len(columns)))
        heads = []
        for i, p in enumerate(water):
            A[i, [i, r + i, 2 * r + i]] = 1.0
            for j, above in enumerate(water):
                if above.below == p.name:
                    A[i, [r + j, 2 * r + j]] = -1.0
            bus = r + buses.index(p.bus)
            A[bus, r + i] = p.productivity * (1.0 - p.head)
            if p.head:
                factor = p.productivity * p.head / float(p.v_max or 1.0)
                heads.append(Head(rows[bus], columns[r + i], columns[i], factor))
        for plant in plants:
            A[r + buses.index(plant.bus), at[f"thermal {plant.name}"]] = 1.0
        for b, bus in enumerate(buses):
            A[r + b, at[f"unmet {bus}"]] = 1.0
        for line in lines:
            for end, sign in zip(line.ends, (-1.0, 1.0), strict=True):
                A[r + buses.index(end), at[f"flow {line.name}"]] = sign
        eye = np.vstack([np.eye(r), np.zeros((len(buses), r))])
        free = [None] * r
        return Stage(
            A=A,
            cost=[
                *np.zeros(2 * r),
                *np.full(r, self.spill_cost),
                *(p.cost for p in plants),
                *np.full(len(buses), self.deficit_cost),
                *np.zeros(len(lines)),
            ],
            state=columns[:r],
            rhs=[*np.zeros(r), *(self.demand[b][t] for b in buses)],
            sense=["=="] * r + [">="] * len(buses),
            B=eye,
            C=eye,
            noise=self.inflow[t],
            lower=[
                *(p.v_min for p in water),
                *np.zeros(2 * r),
                *(p.least for p in plants),
                *np.zeros(len(buses)),
                *(None if line.capacity is None else -line.capacity for line in lines),
            ],
            upper=[
                *(p.v_max for p in water),
                *(p.q_max for p in water),
                *free,
                *(p.capacity for p in plants),
                *[None] * len(buses),
                *(line.capacity for line in lines),
            ],
            columns=columns,
            rows=rows,
            units={name: volume if i < 3 * r else energy for name, i in at.items()}
            | {name: volume if i < r else energy for i, name in enumerate(rows)},
            unmet={f"unmet {b}": Unmet("unmet demand", f"demand {b}") for b in buses},
            heads=heads,
        )

    def problem(self, terminal: Terminal, **more: Any) -> MultistageLP:
        """Return the MultistageLP of the system, from its volumes at the start.

        Args:
            terminal: What holds at the end, as MultistageLP takes it.
            **more: Further arguments of MultistageLP.
        """
        start: Float[np.ndarray, " r"] = np.array([p.v0 for p in self.reservoirs])
        return MultistageLP(self.stages(), start, terminal, **more)
