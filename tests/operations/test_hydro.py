"""Hydrothermal systems: their programs, their files with units, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core import errors
from feasible.operations import (
    HydroSystem,
    Line,
    LookAhead,
    Myopic,
    Reservoir,
    Thermal,
    hydrothermal_ht3,
    read_hydro,
)

SYSTEM = """
deficit_cost = "0.5 EUR/kWh"
inflow = "inflow.csv"
demand = "demand.csv"
[units]
volume = "hm3"
energy = "MWh"
money = "EUR"
hours = 100
[[reservoirs]]
name = "upper"
v_max = "150e6 m^3"
v0 = 75
q_max = "100 m^3/s"
productivity = "1 kWh/m^3"
below = "lower"
[[reservoirs]]
name = "lower"
v0 = "30 hm3"
v_max = 60
productivity = 0.8
[[thermals]]
name = "gas"
capacity = "0.25 MW"
cost = "20 EUR/MWh"
"""
INFLOW = "stage,upper [m^3/s],lower\n1,50,6\n1,10,3\n2,20,4\n2,30,5\n"
DEMAND = "grid [GWh]\n0.095\n0.1\n"


@pytest.fixture
def folder(tmp_path):
    for name, text in (("system.toml", SYSTEM), ("inflow.csv", INFLOW), ("demand.csv", DEMAND)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_file_is_read_into_the_units_that_it_declares(folder):
    system = read_hydro(folder / "system.toml")
    upper, lower = system.reservoirs
    assert (upper.v_max, upper.v0, upper.below) == (pytest.approx(150), 75, "lower")
    assert upper.q_max == pytest.approx(100 * 3600 * 100 / 1e6)  # m3/s over 100 hours, in hm3
    assert upper.productivity == pytest.approx(1000)  # 1 kWh/m3 = 1000 MWh/hm3
    assert lower.q_max is None
    assert system.thermals[0].capacity == pytest.approx(25)
    assert system.deficit_cost == pytest.approx(500)
    assert system.demand["grid"] == pytest.approx([95, 100])
    assert system.inflow[0] == pytest.approx(np.array([[18, 6], [3.6, 3]]))
    problem = system.problem("free", n_test=3)
    assert problem.stages[0].units["volume upper"] == "hm3"
    assert problem.judge(LookAhead()).objective == pytest.approx(0.0)  # water serves all of it


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ('"150e6 m^3"', '"150 MWh"', errors.ArgumentError, "reservoir 'upper' v_max is in 'MWh'"),
        ('"150e6 m^3"', '"lots"', errors.ArgumentError, "v_max = 'lots'"),
        ('"150e6 m^3"', '"1.5.0 hm3"', errors.ArgumentError, "v_max = '1.5.0 hm3'"),
        ("v_max = 60", "v_mx = 60", errors.UnknownName, "did you mean 'v_max'"),
        ("hours = 100", "", errors.ArgumentError, "a rate needs hours"),
        ("hours = 100", "hours = -1", errors.ArgumentError, "hours"),
        ('"20 EUR/MWh"', '"20 USD/MWh"', errors.ArgumentError, "thermal 'gas' cost"),
        ('below = "lower"', 'below = "lowr"', errors.UnknownName, "did you mean 'lower'"),
        ('name = "lower"', "", errors.ArgumentError, "no 'name'"),
        ("deficit_cost", "defcit_cost", errors.UnknownName, "did you mean 'deficit_cost'"),
        ('volume = "hm3"', 'volume = "MW"', errors.ArgumentError, "expected a unit like m"),
    ],
)
def test_a_wrong_file_is_refused_by_name(folder, old, new, error, words):
    (folder / "system.toml").write_text(SYSTEM.replace(old, new))
    with pytest.raises(error, match=words):
        read_hydro(folder / "system.toml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("inflow.csv", INFLOW.replace("20,4", "20,"), "line 4 'lower'"),
        ("inflow.csv", INFLOW.replace("2,", "3,"), "stages are missing"),
        ("inflow.csv", INFLOW.replace("lower", "lowest"), "no column 'lower'"),
        ("inflow.csv", INFLOW.replace("m^3/s", "MW"), "is in 'MW': expected hm3"),
        ("demand.csv", "grid\n95\n", "has 1 stages: expected 2"),
        ("demand.csv", "north\n95\n95\n", "bus 'grid' has no demand"),
        ("demand.csv", "stage,grid\n1,95\n1,95\n", "a stage twice"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(folder, name, text, words):
    (folder / name).write_text(text)
    with pytest.raises(errors.ArgumentError, match=words):
        read_hydro(folder / "system.toml")


def test_demand_is_taken_by_its_stage_and_not_by_its_row(folder):
    (folder / "demand.csv").write_text("stage,grid\n2,100\n1,95\n")
    assert read_hydro(folder / "system.toml").demand["grid"] == pytest.approx([95, 100])


def test_water_released_above_comes_in_below_in_the_same_stage():
    problem = hydrothermal_ht3(T=4, N=3, n_test=3)
    found = problem.simulate(LookAhead())
    released = found["turbined a"] + found["spilled a"]
    change = np.diff(found.states[:, :, 1], axis=1)
    assert np.allclose(
        change, found.paths[:, :, 1] + released - found["turbined b"] - found["spilled b"]
    )


def test_a_line_carries_what_its_capacity_lets_through_either_way():
    def cost(capacity):
        return (
            HydroSystem(
                reservoirs=[Reservoir("lake", 10.0, 10.0, 8.0, 1.0, bus="north")],
                thermals=[Thermal("gas", None, 30.0, bus="south")],
                demand={"north": [0.0], "south": [8.0]},
                inflow=np.zeros((1, 1, 1)),
                lines=[Line("link", ("south", "north"), capacity)],
            )
            .problem("free", n_test=1)
            .judge(Myopic())
            .objective
        )

    assert [cost(c) for c in (0.0, 3.0, None)] == pytest.approx([240.0, 150.0, 0.0])


def test_heads_scale_the_productivity_with_the_volume_before():
    system = HydroSystem(
        reservoirs=[Reservoir("lake", 10.0, 5.0, 20.0, 2.0, head=0.4)],
        thermals=[Thermal("gas", None, 1.0)],
        demand=[20.0],
        inflow=np.full((1, 1, 1), 5.0),
    )
    # 10 units of water at 2 (1 - 0.4 + 0.4 * 5 / 10) = 1.6 each: 4 units of gas remain
    assert system.problem("free", n_test=1).judge(Myopic()).objective == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"reservoirs": [Reservoir("a", 1, 1, 1, 1, "b"), Reservoir("b", 1, 1, 1, 1, "a")]},
            "circle",
        ),
        ({"thermals": [Thermal("lake", 1.0, 1.0)]}, "twice"),
        ({"demand": [np.nan]}, "demand"),
        ({"demand": [1.0, 2.0]}, "demand"),
        ({"inflow": np.ones((1, 2, 3))}, "inflow"),
    ],
)
def test_a_wrong_system_is_refused_by_name(given, words):
    whole = {
        "reservoirs": [Reservoir("lake", 1.0, 1.0, 1.0, 1.0)],
        "thermals": [],
        "demand": [1.0],
        "inflow": np.ones((1, 1, 1 if "reservoirs" not in given else 2)),
    }
    with pytest.raises(errors.FeasibleError, match=words):
        HydroSystem(**(whole | given))
