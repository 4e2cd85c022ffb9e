"""One small valid call of what the bilevel room offers for rewards and sequences, for the fuzz
test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from calling import Calls

from feasible import bilevel

WORLD = {
    "P": np.full((2, 2, 2), 0.5),
    "rho": [0.5, 0.5],
    "reward": np.eye(2)[None] + np.zeros((2, 2, 2)),
}
U = [[1.0, 0.0], [0.0, 1.0]]


def world() -> bilevel.TabularSoftMDP:
    """A process of two states and two actions."""
    return bilevel.TabularSoftMDP(**WORLD, horizon=2)


def first(a: Any, b: Any) -> float:
    """A person who always prefers the first."""
    return 1.0


def designed(**given: Any) -> bilevel.APARLResult:
    """What A-PARL finds in few steps."""
    nu = given.pop("nu")
    return bilevel.APARL(**given).run(nu)


CALLS: Calls = {
    "TabularSoftMDP": lambda: (
        bilevel.TabularSoftMDP,
        {**WORLD, "horizon": 2, "tau": 0.5, "gamma": 0.9},
    ),
    "design_gradient": lambda: (
        bilevel.design_gradient,
        {"mdp": world(), "nu": [0.0, 0.0], "utility": U},
    ),
    "UtilityFeedback": lambda: (bilevel.UtilityFeedback, {"utility": U}),
    "PreferenceFeedback": lambda: (bilevel.PreferenceFeedback, {"oracle": first}),
    "BradleyTerry": lambda: (
        bilevel.BradleyTerry,
        {"utility": U, "temperature": 1.0, "gamma": 0.9, "seed": 0},
    ),
    "APARL": lambda: (
        designed,
        {
            "nu": [0.0, 0.0],
            "lower": world(),
            "upper": bilevel.UtilityFeedback(U),
            "iters": 2,
            "labels": 10,
            "seed": 0,
            "lr": 0.1,
            "optimizer": "adam",
            "implicit": "fisher",
            "distribution_term": True,
            "batch": 4,
            "damping": 0.1,
            "lower_steps": 2,
            "lower_lr": 0.5,
            "penalty": 0.1,
        },
    ),
    "RewardDesign": lambda: (
        bilevel.RewardDesign,
        {"lower": world(), "utility": U, "nu0": [0.0, 0.0], "name": "n"},
    ),
    "RewardFromPreferences": lambda: (
        bilevel.RewardFromPreferences,
        {
            "lower": world(),
            "person": first,
            "nu0": [0.0, 0.0],
            "truth": U,
            "penalty": 0.1,
            "state_names": ["a", "b"],
            "action_names": ["c", "d"],
            "name": "n",
        },
    ),
}
