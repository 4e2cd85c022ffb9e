"""What the tests of tables have in common."""

from __future__ import annotations

from pathlib import Path

import feasible
from feasible.blackbox import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real
from feasible.core.registry import load_method
from feasible.lab.store import Store
from feasible.lab.study import Study
from feasible.lab.tables import read_text


def mix(**more) -> BlackBox:
    variables = [
        Real("temperature", 20, 90, unit="degC"),
        Integer("cycles", 1, 8),
        Categorical("solvent", ["DMAc", "CHCl3"]),
    ]
    return BlackBox(
        None,
        **{
            "variables": variables,
            "objective": "yield",
            "unit": "%",
            "maximize": True,
            "limits": {"stress": "<= 250 MPa", "stable": "is true"},
            "name": "mix",
            **more,
        },
    )


def mix_study(tmp_path: Path, problem: BlackBox | None = None) -> Study:
    return Study.create(
        Store(tmp_path / "lab.db"),
        problem or mix(),
        load_method("random-search"),
        feasible.Budget(evaluations=20),
    )


def tell(study: Study, text: str):
    reports, warnings = read_text(study, text)
    told = study.tell(reports)
    return told, [*warnings, *told.warnings]


def rows(study: Study):
    return study.store.evaluations(study.id)
