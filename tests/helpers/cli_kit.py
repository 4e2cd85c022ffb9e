"""A folder to run commands in."""

from __future__ import annotations

import textwrap
from pathlib import Path

from feasible import cli

OWN = """
    import numpy as np
    from scipy.optimize import Bounds, NonlinearConstraint
    from feasible.blackbox import BlackBox

    problem = BlackBox(
        lambda x: x[0] ** 2 + x[1], bounds=Bounds([0, 0], [1, 1]), name="mine",
        constraints=[NonlinearConstraint(lambda x: x[0] + x[1], 0.5, np.inf)])
"""
STUDY = """
    name = "mix"
    objective = "yield"
    unit = "%"
    maximize = true
    [variables]
    temperature = {low = 20, high = 90, unit = "degC"}
    cycles = {low = 1, high = 8, integer = true}
    solvent = {choices = ["DMAc", "CHCl3"]}
    [limits]
    stress = "<= 250 MPa"
    stable = "is true"
    [budget]
    evaluations = 12
"""


def enter(folder: Path, monkeypatch) -> None:
    """Go to a folder with a problem and a study of its own; leave signals alone."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    Path("own.py").write_text(textwrap.dedent(OWN))
    Path("mix.toml").write_text(textwrap.dedent(STUDY))
