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


KNOWN = ["AC", "CA", "AA", "CC", "GT", "TG", "GG"]
SCORES = [1.0, 2.0, 0.5, 3.0, 0.1, 0.2, 0.3]


def proposed(**given: Any) -> bilevel.Proposed:
    """What a designer proposes in few steps."""
    data = {name: given.pop(name) for name in ("sequences", "scores")}
    return bilevel.BIBDesigner(**given).fit(**data).propose(given["n_designs"])


def trained(**given: Any) -> bilevel.SequenceLM:
    """A language model after few steps."""
    data = {name: given.pop(name) for name in ("corpus", "steps", "batch", "lr")}
    return bilevel.SequenceLM(**given).pretrain(**data)


CALLS: Calls = {
    "BIBDesigner": lambda: (
        proposed,
        {
            "sequences": KNOWN,
            "scores": SCORES,
            "features": None,
            "alphabet": "ACGT",
            "n_designs": 2,
            "rules": None,
            "seed": 0,
            "mode": "bib",
            "steps": 2,
            "lr": 0.1,
            "target": 10.0,
            "beta": 1e-6,
            "gamma": 0.5,
            "gamma_lr": 0.1,
            "adaptive_lr": True,
            "eta_rate": 0.01,
            "eta_bounds": (1e-4, 0.5),
            "aux": "heads",
            "rounds": 1,
            "noise": 0.01,
        },
    ),
    "SequenceLM": lambda: (
        trained,
        {
            "corpus": ["ACGT", "TGCA"],
            "steps": 1,
            "batch": 2,
            "lr": 1e-3,
            "alphabet": "ACGT",
            "width": 4,
            "layers": 1,
            "kernel": 3,
            "seed": 0,
        },
    ),
    "KmerFeatures": lambda: (bilevel.KmerFeatures, {"letters": 4, "length": 5, "k": 2}),
    "AdaptiveEta": lambda: (
        bilevel.AdaptiveEta,
        {"aux": first, "base": 0.1, "rate": 0.01, "bounds": (1e-4, 0.5)},
    ),
    "SequenceRules": lambda: (
        bilevel.SequenceRules,
        {
            "fixed": {0: "A"},
            "forbidden": ["GG"],
            "gc": (0.1, 0.9),
            "most_changes": 2,
            "known_pairs": True,
        },
    ),
    "SequenceDesign": lambda: (
        bilevel.SequenceDesign,
        {
            "sequences": KNOWN,
            "scores": SCORES,
            "alphabet": "ACGT",
            "truth": len,
            "scale": (0.0, 3.0),
            "features": None,
            "rules": bilevel.SequenceRules(),
            "n_designs": 2,
            "name": "n",
        },
    ),
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
