"""One small valid call of what the physics room offers, for the fuzz test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from calling import Calls

from feasible import physics
from feasible.physics import Tracking


def mesh_file() -> str:
    """Write a mesh, and return its path."""
    if not Path("square.vtu").exists():
        physics.write_vtu("square.vtu", physics.unit_square(1), {})
    return "square.vtu"


def left(x: Any, y: Any) -> Any:
    """1 on the left."""
    return 1.0 * (x < 0.5)


def bowl() -> physics.ReducedFunctional:
    """A functional of two controls."""
    return physics.ReducedFunctional(lambda m: float(m @ m), [1.0, 1.0], lambda m: 2 * m)


def small() -> physics.PDEControl:
    """A control problem of nine unknowns."""
    return physics.two_halves(mesh=3)


def grid() -> physics.Grid:
    """Four times and six points."""
    return physics.Grid.of(1.0, 4, 6, periodic=True)


LAYER = {
    "n_sample": 5,
    "max_iter": 3,
    "tol": 1e-3,
    "ridge": 1e-3,
    "start": 0.0,
    "backward": "exact",
}


def cell() -> Any:
    """A square of four triangles with an inlet and an outlet."""
    from feasible.physics.extrusion_die_rl.dies import crisscross

    return crisscross([(0, 0)], (1.0, 1.0)).with_boundaries(
        {"in": lambda x: x[0] < 1e-9, "out": lambda x: x[0] > 1 - 1e-9}
    )


CALLS: Calls = {
    "FFD": lambda: (physics.FFD, {"box": ((0, 1), (0, 1)), "degree": (1, 1)}),
    "StokesSolver2D": lambda: (
        physics.StokesSolver2D,
        {
            "mesh": cell(),
            "inflow": ("in", lambda x, y: y * (1 - y)),
            "outlets": ("out",),
            "viscosity": ("carreau", 1.0, 0.1, 0.5),
        },
    ),
    "split_die": lambda: (
        physics.split_die,
        {"h": 2, "viscosity": "newtonian", "moves": "top"},
    ),
    "channel_die": lambda: (physics.channel_die, {"cells": (3, 3), "viscosity": "newtonian"}),
    "die_split": lambda: (
        physics.die_split,
        {
            "strategy": "direct",
            "target": 0.3,
            "h": 2,
            "viscosity": "newtonian",
            "moves": "top",
            "tolerance": 0.1,
            "random_start": False,
            "late": 0.0,
            "memo": True,
            "max_steps": 2,
            "needed": True,
        },
    ),
    "die_channel": lambda: (
        physics.die_channel,
        {
            "strategy": "direct",
            "cells": (3, 3),
            "viscosity": "newtonian",
            "tolerance": 0.1,
            "random_start": False,
            "late": 0.0,
            "memo": True,
            "max_steps": 2,
        },
    ),
    "DieEnv": lambda: (
        physics.DieEnv,
        {
            "die": physics.split_die(2),
            "strategy": "incremental",
            "target": 0.4,
            "tolerance": 0.02,
            "random_start": False,
            "late": 0.0,
            "max_steps": 5,
            "memo": True,
            "needed": True,
            "render_mode": None,
        },
    ),
    "die_frames": lambda: (
        physics.die_frames,
        {"die": physics.split_die(2), "designs": [[0.0, 0.0]], "wanted": 0.5, "path": "die.png"},
    ),
    "train_die": lambda: (
        physics.train_die,
        {
            "agent": "sac",
            "strategy": "direct",
            "steps": 2,
            "seed": 0,
            "n_envs": 1,
            "processes": False,
            "env": {"h": 2},
        },
    ),
    "DieTask": lambda: (
        physics.DieTask,
        {
            "h": 2,
            "viscosity": "newtonian",
            "targets": 1,
            "tolerance": 0.1,
            "max_steps": 2,
            "name": "small",
        },
    ),
    "unit_square": lambda: (physics.unit_square, {"n": 2}),
    "read_mesh": lambda: (physics.read_mesh, {"path": mesh_file()}),
    "write_vtu": lambda: (
        physics.write_vtu,
        {"path": "out.vtu", "mesh": physics.unit_square(1), "fields": {"y": np.ones(9)}},
    ),
    "ReducedFunctional": lambda: (
        physics.ReducedFunctional,
        {
            "J": lambda m: float(m @ m),
            "m": [1.0, 1.0],
            "gradient": lambda m: 2 * m,
            "weights": [1.0, 1.0],
            "reject": True,
        },
    ),
    "taylor_test": lambda: (
        physics.taylor_test,
        {"J": bowl(), "m": [1.0, 0.0], "h": [0.0, 1.0], "dJ": [2.0, 0.0], "quiet": True},
    ),
    "minimize": lambda: (
        physics.minimize,
        {"J": bowl(), "method": "L-BFGS-B", "bounds": [(0, 1), (0, 1)], "options": {}},
    ),
    "common_descent": lambda: (
        physics.common_descent,
        {
            "functions": [lambda x: float(x @ x), lambda x: float(np.abs(x - 1).sum())],
            "subgradients": [lambda x: 2 * x, lambda x: np.sign(x - 1)],
            "x0": [0.5],
            "eps": (0.1,),
            "delta": 0.1,
            "c": 0.25,
            "max_steps": 3,
            "max_rounds": 3,
            "weights": [1.0],
        },
    ),
    "Tracking": lambda: (physics.Tracking, {"target": 0.5, "sigma": 0.1}),
    "PDEControl": lambda: (
        physics.PDEControl,
        {
            "mesh": 2,
            "kappa": 1.0,
            "controls": (left,),
            "objectives": (Tracking(0.1), Tracking(-0.1)),
            "bounds": (-1.0, 1.0),
            "ideal": [0.0, 0.0],
            "nadir": [1.0, 1.0],
            "name": "small",
        },
    ),
    "pareto_front": lambda: (
        physics.pareto_front,
        {"problem": small(), "method": "weighted-sum", "n_points": 3, "rom": 0.1, "seed": 0},
    ),
    "two_halves": lambda: (physics.two_halves, {"mesh": 2, "kappa": 1.0, "name": "small"}),
    "distributed": lambda: (physics.distributed, {"mesh": 2, "kappa": 1.0, "name": "small"}),
    "DescentSettings": lambda: (
        physics.DescentSettings,
        {"eps": (0.1,), "delta": 0.1, "c": 0.25, "max_steps": 3, "max_rounds": 3},
    ),
    "FrontSettings": lambda: (
        physics.FrontSettings,
        {"starts": 1, "rom_tol": 0.1},
    ),
    "WalkSettings": lambda: (
        physics.WalkSettings,
        {"n_points": 3, "starts": 1, "gtol": 1e-3, "rom_tol": 0.1},
    ),
    "Grid": lambda: (
        physics.Grid,
        {"axes": ([0.0, 0.5, 1.0], [0.0, 1.0, 2.0]), "periodic": (False, True)},
    ),
    "Grid.of": lambda: (
        physics.Grid.of,
        {"time": 1.0, "nt": 4, "nx": 6, "dimensions": 1, "periodic": True, "centred": True},
    ),
    "PDE": lambda: (physics.PDE, {"grid": grid(), "weight": 1.0, "compact": False}),
    "Burgers": lambda: (
        physics.Burgers,
        {"grid": grid(), "nu": 0.1, "weight": 1.0, "compact": False},
    ),
    "Heat": lambda: (physics.Heat, {"grid": grid(), "kappa": 0.1, "weight": 1.0, "compact": False}),
    "DiffusionSorption": lambda: (
        physics.DiffusionSorption,
        {"grid": grid(), "weight": 0.1, "compact": False},
    ),
    "Vorticity": lambda: (
        physics.Vorticity,
        {"grid": physics.Grid.of(1.0, 3, 4, 2, True), "nu": 0.1, "weight": 1.0, "compact": False},
    ),
    "Condition": lambda: (
        physics.Condition,
        {
            "name": "left",
            "operator": lambda u: u[:, :, 0],
            "target": torch.zeros(1, 4),
            "share": 1.0,
        },
    ),
    "FNO": lambda: (
        physics.FNO,
        {
            "n_modes": (2, 2),
            "in_channels": 3,
            "out_channels": 2,
            "hidden_channels": 3,
            "n_layers": 1,
            "head": 4,
        },
    ),
    "HardConstraint": lambda: (physics.HardConstraint, {"pde": physics.Burgers(grid()), **LAYER}),
    "MixtureOfExperts": lambda: (
        physics.MixtureOfExperts,
        {
            "pde": physics.Burgers(grid()),
            "experts": (1, 2),
            "router": "blocks",
            "overlap": 1,
            "seed": 0,
            **LAYER,
        },
    ),
    "ConstrainedOperator": lambda: (
        physics.ConstrainedOperator,
        {
            "net": physics.FNO((2, 2), 3, 2, 3, 1),
            "layer": physics.HardConstraint(physics.Burgers(grid())),
        },
    ),
    "OperatorLearning": lambda: (
        physics.OperatorLearning,
        {
            "pde": physics.Burgers(grid()),
            "train": np.ones((2, 6)),
            "test": np.ones((1, 6)),
            "batch_size": 1,
            "steps": 3,
            "bound": 0.1,
            "name": "small",
        },
    ),
}
