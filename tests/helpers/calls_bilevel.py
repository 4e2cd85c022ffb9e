"""One small valid call of what the bilevel room offers for two levels, for the fuzz test."""

from __future__ import annotations

from typing import Any

import torch
from calling import Calls

from feasible import bilevel


def upper(x: Any, y: Any) -> Any:
    """A leader who wants y near 1."""
    return ((y - 1) ** 2).sum()


def lower(x: Any, y: Any) -> Any:
    """A follower who follows x."""
    return ((y - x) ** 2).sum()


def program() -> bilevel.Bilevel:
    """A small program."""
    return bilevel.Bilevel(upper, lower, [0.5], [0.5])


def stepped(x: Any = None, y: Any = None, upper_batch: Any = None, lower_batch: Any = None) -> Any:
    """One step beside a loop of one's own."""
    hyper = bilevel.PenaltyBilevel(lambda x, y, *_: upper(x, y), lambda x, y, *_: lower(x, y))
    return hyper.step(x, y, upper_batch, lower_batch)


CALLS: Calls = {
    "Bilevel": lambda: (
        bilevel.Bilevel,
        {
            "upper": upper,
            "lower": lower,
            "x0": [0.5],
            "y0": [0.5],
            "x_set": [(0.0, 1.0)],
            "y_set": None,
            "lower_constraints": None,
            "upper_constraints": None,
            "respond": None,
            "sense": "optimistic",
            "maximise_upper": False,
            "maximise_lower": False,
            "upper_rows": None,
            "lower_rows": None,
            "y_integer": (),
            "convex": False,
            "measures": None,
            "project": None,
            "name": "p",
            "tolerance": 1e-6,
        },
    ),
    "Bilevel.judge": lambda: (program().judge, {"answer": [0.5]}),
    "Box": lambda: (bilevel.Box, {"low": 0.0, "high": [1.0, 2.0]}),
    "Simplex": lambda: (bilevel.Simplex, {"total": 1.0}),
    "Polyhedron": lambda: (
        bilevel.Polyhedron,
        {"A": [[1.0, 1.0]], "high": 1.0, "low": -1.0, "lower": 0.0, "upper": [1.0, 1.0]},
    ),
    "Projected": lambda: (bilevel.Projected, {"function": lambda v: v.clamp(0, 1)}),
    "Equal": lambda: (bilevel.Equal, {"function": upper}),
    "lv_hba": lambda: (
        bilevel.lv_hba,
        {
            "problem": program(),
            "settings": None,
            "max_iter": 3,
            "seed": 0,
            "callback": None,
        },
    ),
    "svm_projection": lambda: (
        bilevel.svm_projection,
        {"Z": [[1.0, 0.0], [0.0, 1.0]], "t": [1.0, -1.0]},
    ),
    "penalty_hypergradient": lambda: (
        bilevel.penalty_hypergradient,
        {"problem": program(), "x": [0.5], "sigma": 0.1},
    ),
    "exact_hypergradient": lambda: (
        bilevel.exact_hypergradient,
        {"problem": program(), "x": [0.5], "y": [0.5], "rcond": 1e-8},
    ),
    "PenaltyBilevel": lambda: (
        bilevel.PenaltyBilevel,
        {
            "upper": upper,
            "lower": lower,
            "x_optimizer": None,
            "trained": "here",
            "x_set": None,
            "y_set": None,
            "seed": 0,
            "inner": 3,
        },
    ),
    "PenaltyBilevel.step": lambda: (
        stepped,
        {
            "x": torch.zeros(1, dtype=torch.float64),
            "y": torch.zeros(1, dtype=torch.float64),
            "upper_batch": None,
            "lower_batch": None,
        },
    ),
}
