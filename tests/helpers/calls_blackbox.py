"""One small valid call of what the blackbox room offers, for the fuzz test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from calling import BOX, Calls, bowl, parameters

from feasible import blackbox
from feasible.blackbox import private_gsd

LOOK = {"maxfev": 12, "seed": 0}


def problem() -> blackbox.BlackBox:
    """That bowl in its box."""
    return blackbox.BlackBox(bowl, BOX)


def frame() -> pd.DataFrame:
    """A private table."""
    return pd.DataFrame({"a": [0, 1, 1, 0] * 5, "x": [0.1, 0.5, 0.7, 0.9] * 5})


def domain() -> private_gsd.Domain:
    """What it may hold."""
    return private_gsd.Domain.of({"a": 2}, {"x": (0, 1)})


def told(optimiser: Any) -> Any:
    """An optimiser that knows three points."""
    optimiser.tell([[0.0, 0.0], [0.5, 0.2], [-0.5, 0.7]], [1.0, 2.0, 3.0])
    return optimiser


def composite() -> blackbox.CCBO:
    """A composite optimiser, told nothing."""
    return blackbox.CCBO(BOX, target=1.0, seed=0)


CALLS: Calls = {
    "BlackBox": lambda: (
        blackbox.BlackBox,
        {
            "fun": bowl,
            "bounds": BOX,
            "constraints": (),
            "limits": None,
            "scales": None,
            "objective": None,
            "x0": [0.0, 0.0],
            "name": "p",
        },
    ),
    "Real": lambda: (
        blackbox.Real,
        {"name": "x", "low": 1.0, "high": 2.0, "unit": "m", "log": False, "step": 0.0},
    ),
    "Integer": lambda: (
        blackbox.Integer,
        {"name": "x", "low": 1, "high": 2, "unit": "m", "log": False, "step": 0},
    ),
    "Categorical": lambda: (
        blackbox.Categorical,
        {"name": "c", "choices": ["a", "b"], "unit": ""},
    ),
    "Space": lambda: (blackbox.Space, {"variables": [blackbox.Real("x", 0, 1)]}),
    "Limit": lambda: (
        blackbox.Limit,
        {"name": "g", "low": 0.0, "high": 1.0, "unit": "", "scale": None},
    ),
    "Objective": lambda: (
        blackbox.Objective,
        {"name": "f", "maximize": False, "target": None, "unit": "", "noise": 0.0},
    ),
    "Command": lambda: (
        blackbox.Command,
        {"command": ["true", "{input}", "{output}"], "timeout": 1.0, "allowed": (0,), "keep": None},
    ),
    "noisy": lambda: (blackbox.noisy, {"problem": blackbox.BlackBox(bowl, BOX), "sd": 0.1}),
    "minimize": lambda: (
        blackbox.minimize,
        {"fun": bowl, "x0": [0.5, 0.5], "bounds": BOX, "constraints": (), **LOOK},
    ),
    "cbo_minimize": lambda: (
        blackbox.cbo_minimize,
        {"f": bowl, "x0": None, "bounds": BOX, "n_particles": 5, "sigma": 0.5, "seed": 0},
    ),
    "hop": lambda: (
        blackbox.hop,
        {"energy": bowl, "x": [1.0, 2.0], "s": 0.1, "alpha": 1.0, "n": 8, "seed": 0},
    ),
    "smoothed_gradient": lambda: (
        blackbox.smoothed_gradient,
        {"energy": bowl, "x": [1.0, 2.0], "s": 0.1, "alpha": 1.0, "n": 8, "seed": 0},
    ),
    "Swarm": lambda: (
        blackbox.Swarm,
        {"settings": blackbox.CBO(n_particles=5), "bounds": BOX, "x0": None, "seed": 0},
    ),
    "CBOptimizer": lambda: (
        blackbox.CBOptimizer,
        {"params": parameters(), "n_particles": 4, "batch": 2, "lr": 0.1, "seed": 0},
    ),
    "BayesOpt": lambda: (
        blackbox.BayesOpt,
        {"bounds": BOX, "acq": "ei", "noise": 0.0, "maximize": False, "n_init": 3, "seed": 0},
    ),
    "CCBO": lambda: (blackbox.CCBO, {"space": BOX, "target": 1.0, "log_output": True, "seed": 0}),
    "ConstrainedBO": lambda: (
        blackbox.ConstrainedBO,
        {"bounds": BOX, "n_constraints": 1, "surrogate": "gp", "acq": "cei", "seed": 0},
    ),
    # -- private data
    "Domain.of": lambda: (
        private_gsd.Domain.of,
        {"categorical": {"a": 2}, "numeric": {"x": (0, 1)}, "order": (), "integers": None},
    ),
    "Domain.from_frame": lambda: (
        private_gsd.Domain.from_frame,
        {"frame": frame(), "categorical": {"a": 2}, "numeric": {"x": (0, 1)}},
    ),
    "Marginals": lambda: (private_gsd.Marginals, {"k": 1, "bins": 4}),
    "Ranges": lambda: (private_gsd.Ranges, {"depth": 2}),
    "Prefixes": lambda: (private_gsd.Prefixes, {"count": 2, "k_cat": 1, "k_num": 1, "seed": 0}),
    "Halfspaces": lambda: (private_gsd.Halfspaces, {"count": 2, "seed": 0, "binary": True}),
    "PrivateTable": lambda: (
        private_gsd.PrivateTable,
        {"data": frame(), "domain": domain(), "workload": private_gsd.Marginals(1), "name": "t"},
    ),
    "PrivateGSD": lambda: (
        private_gsd.PrivateGSD,
        {"epsilon": 1.0, "delta": 0.1, "seed": 0, "rows": 10, "generations": 10},
    ),
    "cdp_rho": lambda: (private_gsd.cdp_rho, {"epsilon": 1.0, "delta": 0.1}),
    "cdp_delta": lambda: (private_gsd.cdp_delta, {"rho": 0.1, "epsilon": 1.0}),
    "cdp_epsilon": lambda: (private_gsd.cdp_epsilon, {"rho": 0.1, "delta": 0.1}),
    "BlackBox with metrics": lambda: (
        blackbox.BlackBox,
        {
            "fun": lambda x: {"f": x[0], "g": x[1]},
            "variables": {"a": (0, 1), "b": (0, 1)},
            "limits": {"g": "<= 0.5"},
            "scales": {"g": 2.0},
            "objective": "f",
            "known": "a + b <= 1.5",
            "check": None,
            "maximize": False,
            "vectorized": False,
            "pass_as": None,
            "noise": 0.0,
            "simulated_noise": 0.0,
            "repeats": None,
            "tolerance": 1e-6,
            "best_known": None,
            "best_point": None,
            "truth": False,
            "unit": "kg",
            "keep": None,
            "target": None,
        },
    ),
    "BlackBox with objectives": lambda: (
        blackbox.BlackBox,
        {
            "fun": lambda x: {"f": x[0], "h": x[1]},
            "bounds": {"a": (0, 1), "b": (0, 1)},
            "objectives": {"f": "min", "h": "max"},
            "reference": {"f": 1.0, "h": 0.0},
            "candidates": {"a": [0, 1, 0.5], "b": [0, 0.5, 1]},
        },
    ),
    "Checks": lambda: (blackbox.Checks, {"check": lambda x: {"g": 0.0}, "known": None}),
    "Limits": lambda: (blackbox.Limits, {"limits": [blackbox.Limit("g", 0.0, 1.0)]}),
    "Variable": lambda: (
        blackbox.Variable,
        {
            "name": "x",
            "low": 0.0,
            "high": 2.0,
            "unit": "",
            "integer": True,
            "log": False,
            "choices": (),
            "step": 0.0,
        },
    ),
    "GradGP": lambda: (
        blackbox.GradGP,
        {
            "x": torch.tensor([[0.1], [0.8]], dtype=torch.float64),
            "y": torch.tensor([[0.1, 1.0], [0.8, 1.0]], dtype=torch.float64),
            "noise": 1e-6,
        },
    ),
    "Interpolants": lambda: (
        blackbox.Interpolants,
        {
            "z": np.array([[0.1], [0.5], [0.9]]),
            "y": np.array([[1.0], [0.0], [2.0]]),
            "centre": 0.0,
            "width": 1.0,
            "start": None,
            "iterations": 2,
        },
    ),
    "OptunaSampler": lambda: (
        blackbox.OptunaSampler,
        {"method": "cbo", "seed": 0, "constraints_func": None, "search_space": None, "noise": True},
    ),
    "BayesOpt.ask": lambda: (told(blackbox.BayesOpt(BOX, n_init=4, seed=0)).ask, {"n": 1}),
    "BayesOpt.tell": lambda: (
        blackbox.BayesOpt(BOX, seed=0).tell,
        {"X": [[0.0, 0.0]], "y": [1.0], "constraints": None, "grad": None},
    ),
    "ConstrainedBO.tell": lambda: (
        blackbox.ConstrainedBO(BOX, n_constraints=1, surrogate="gp", seed=0).tell,
        {"x": [0.0, 0.0], "f": 1.0, "g": [0.5]},
    ),
    "CCBO.ask": lambda: (composite().ask, {"n": 1}),
    "CCBO.tell": lambda: (
        composite().tell,
        {"X": [[0.0, 0.0]], "y": [1.0], "feasible": [True]},
    ),
    "Swarm.tell": lambda: (
        lambda **given: (swarm := blackbox.Swarm(blackbox.CBO(n_particles=3), BOX)).tell(
            **{"x": swarm.ask(), **given}
        ),
        {"f": [1.0, 2.0, 3.0]},
    ),
    "minimize with derivatives": lambda: (
        blackbox.minimize,
        {
            "fun": lambda x, *_: bowl(x),
            "x0": [0.5, 0.5],
            "args": (),
            "callback": None,
            "catol": 1e-6,
            "method": None,
            "jac": lambda x: 2 * x,
            "hess": None,
            "hessp": None,
            "maxfev": 5,
            "seed": 0,
        },
    ),
    "cbo_minimize with all": lambda: (
        blackbox.cbo_minimize,
        {
            "f": bowl,
            "bounds": BOX,
            "method": "cbo",
            "noise": "anisotropic",
            "alpha": 10.0,
            "alpha_schedule": None,
            "max_evals": 100,
            "vectorized": True,
            "callback": None,
        },
    ),
}
