"""One small valid call of what the operations room offers, for the fuzz test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from calling import Calls
from dispatch import stock

from feasible import operations

TWO: dict[str, Any] = {"machines": [[0, 1], [1, 0]], "durations": [[3, 2], [2, 4]]}


def folder_of_a_shop() -> str:
    """A file with a shop, in the current folder."""
    Path("two.txt").write_text("2 2\n0 3 1 2\n1 2 0 4\n", encoding="utf-8")
    return "two.txt"


def two() -> operations.JobShop:
    """A shop of two jobs on two machines."""
    return operations.JobShop(**TWO)


def system_file() -> str:
    """Write a hydrothermal system, and return its path."""
    Path("inflow.csv").write_text("stage,lake\n1,2\n", encoding="utf-8")
    Path("demand.csv").write_text("grid\n5\n", encoding="utf-8")
    lake = '[[reservoirs]]\nname = "lake"\nv0 = 3\nproductivity = 1\n'
    Path("system.toml").write_text(
        f'inflow = "inflow.csv"\ndemand = "demand.csv"\n{lake}', encoding="utf-8"
    )
    return "system.toml"


CALLS: Calls = {
    "JobShop": lambda: (
        operations.JobShop,
        {
            **TWO,
            "jobs": ["a", "b"],
            "machine_names": ["saw", "drill"],
            "release": [0, 1],
            "due": {"a": 20},
            "resolution": 1.0,
            "rounding": 0.0,
            "known": operations.BestKnown(7, 7),
            "setup_times": None,
            "calendars": None,
            "optional": None,
            "name": "two",
        },
    ),
    "JobShop.judge": lambda: (operations.JobShop(**TWO).judge, {"answer": [0.0, 3, 0, 3]}),
    "JobShop.table": lambda: (two().table, {"answer": [0.0, 3, 0, 3]}),
    "Schedule": lambda: (operations.Schedule, {"starts": np.zeros(4), "makespan": 7.0}),
    "BestKnown": lambda: (operations.BestKnown, {"lower": 5.0, "upper": 7.0}),
    "dispatch": lambda: (
        operations.dispatch,
        {"shop": two(), "rule": "SPT", "seed": 0, "compiled": False},
    ),
    "multistart": lambda: (
        operations.multistart,
        {
            "shop": two(),
            "samples": 2,
            "seed": 0,
            "coldest": 0.1,
            "hottest": 1.0,
            "rules": True,
        },
    ),
    "solve_cpsat": lambda: (
        operations.solve_cpsat,
        {
            "shop": two(),
            "hint": operations.Schedule([0.0, 3, 0, 3]),
            "time_limit": 1.0,
            "workers": 1,
            "seed": 0,
        },
    ),
    "benchmark": lambda: (operations.benchmark, {"name": "ft06"}),
    "random_shop": lambda: (
        operations.random_shop,
        {"jobs": 3, "machines": 2, "seed": 0, "low": 1, "high": 9, "pattern": "uniform"},
    ),
    "known_optimum": lambda: (
        operations.known_optimum,
        {"jobs": 3, "machines": 2, "length": 20, "seed": 0},
    ),
    "read_shop": lambda: (operations.read_shop, {"path": folder_of_a_shop(), "name": None}),
    "write_shop": lambda: (
        operations.write_shop,
        {"shop": two(), "path": "written.txt", "form": "standard"},
    ),
    "MultistageLP": lambda: (
        operations.MultistageLP,
        {
            "stages": [stock(), stock()],
            "initial_state": [1.0],
            "terminal": "free",
            "sampler": None,
            "test_paths": None,
            "n_test": 2,
            "test_seed": 99,
            "lower_bound": None,
            "tolerance": 0.01,
            "name": "store",
        },
    ),
    "Stage": lambda: (
        operations.Stage,
        {
            "A": [[1.0, 1.0]],
            "cost": [0.0, 1.0],
            "state": ["kept"],
            "rhs": [4.0],
            "sense": "==",
            "B": [[1.0]],
            "C": [[1.0]],
            "noise": [[0.0], [1.0]],
            "probability": [0.5, 0.5],
            "lower": 0.0,
            "upper": [9.0, None],
            "columns": ["kept", "sold"],
            "rows": ["balance"],
            "units": {"kept": "t"},
            "unmet": {"sold": operations.Unmet("sold", "balance")},
            "heads": [operations.Head("balance", "sold", "kept", 0.1)],
        },
    ),
    "Unmet": lambda: (operations.Unmet, {"name": "unmet demand", "row": "demand"}),
    "Head": lambda: (
        operations.Head,
        {"row": "demand", "column": "turbined", "state": "volume", "factor": 0.1},
    ),
    "HydroSystem": lambda: (
        operations.HydroSystem,
        {
            "reservoirs": [operations.Reservoir("lake", 10.0, 3.0, 6.0, 1.0)],
            "thermals": [operations.Thermal("gas", 4.0, 10.0)],
            "demand": [5.0, 5.0],
            "inflow": np.ones((2, 3, 1)),
            "lines": [],
            "deficit_cost": 100.0,
            "spill_cost": 0.0,
            "units": ("hm3", "MWh", "EUR"),
        },
    ),
    "Reservoir": lambda: (
        operations.Reservoir,
        {
            "name": "lake",
            "v_max": 10.0,
            "v0": 3.0,
            "q_max": 6.0,
            "productivity": 1.0,
            "below": None,
            "bus": "grid",
            "v_min": 0.0,
            "head": 0.0,
        },
    ),
    "Thermal": lambda: (
        operations.Thermal,
        {"name": "gas", "capacity": 4.0, "cost": 10.0, "bus": "grid", "least": 0.0},
    ),
    "Line": lambda: (operations.Line, {"name": "link", "ends": ("a", "b"), "capacity": 3.0}),
    "hydrothermal_ht3": lambda: (
        operations.hydrothermal_ht3,
        {
            "T": 2,
            "N": 2,
            "head": 0.0,
            "sigma": 0.45,
            "terminal": "free",
            "n_test": 2,
            "seed": 7,
        },
    ),
    "lognormal_pool": lambda: (
        operations.lognormal_pool,
        {
            "mean": [[2.0, 1.0]],
            "sigma": 0.1,
            "N": 3,
            "correlation": [[1.0, 0.5], [0.5, 1.0]],
            "seed": 0,
        },
    ),
    "historical_pool": lambda: (operations.historical_pool, {"record": np.ones((3, 2, 1))}),
    "autoregressive_paths": lambda: (
        operations.autoregressive_paths,
        {"record": np.arange(1.0, 13.0).reshape(4, 3, 1), "n": 2, "seed": 0},
    ),
    "MultistageLP.simulate": lambda: (
        operations.hydrothermal_ht3(T=2, N=2, n_test=2).simulate,
        {"policy": operations.Myopic(), "paths": np.ones((1, 2, 3))},
    ),
    "SDDP.fit": lambda: (
        operations.SDDP().fit,
        {"problem": operations.hydrothermal_ht3(T=2, N=2, n_test=2), "n_iter": 2, "seed": 0},
    ),
    "TSDDR.fit": lambda: (
        operations.TSDDR().fit,
        {
            "problem": operations.hydrothermal_ht3(T=2, N=2, n_test=2),
            "sampler": None,
            "n_iter": 1,
            "batch": 1,
            "seed": 0,
        },
    ),
    "read_hydro": lambda: (operations.read_hydro, {"path": system_file()}),
    "MultistageLP.diagnose": lambda: (
        operations.hydrothermal_ht3(T=2, N=2, n_test=2).diagnose,
        {"folder": None},
    ),
    "CPSchedulingEnv": lambda: (
        operations.CPSchedulingEnv,
        {"shop": two(), "mask_invalid": "ignore"},
    ),
    "LearnedDispatcher": lambda: (operations.LearnedDispatcher, {"seed": 0}),
    "LearnedDispatcher.load": lambda: (operations.LearnedDispatcher.load, {"name": "10x8-0"}),
    "LearnedDispatcher.solve": lambda: (
        operations.LearnedDispatcher().solve,
        {
            "shop": two(),
            "samples": 2,
            "time_limit": 1.0,
            "seed": 0,
            "greedy": False,
            "coldest": 0.5,
            "hottest": 2.0,
        },
    ),
    "LearnedDispatcher.fit": lambda: (
        operations.LearnedDispatcher().fit,
        {
            "shops": [two()],
            "settings": operations.TrainingSettings(updates=1, episodes=2, work=0.01, epochs=1),
            "folder": None,
            "told": None,
        },
    ),
    "LearnedDispatcher.save": lambda: (
        operations.LearnedDispatcher().save,
        {"path": "weights.safetensors"},
    ),
    "TrainingSettings": lambda: (
        operations.TrainingSettings,
        {
            "updates": 1,
            "episodes": 2,
            "work": 0.1,
            "epochs": 1,
            "minibatches": 1,
            "rate": 1e-3,
            "clip": 0.3,
            "target_kl": 0.01,
        },
    ),
}
