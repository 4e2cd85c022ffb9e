"""CCBO asked and told by hand, and from a spreadsheet."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from feasible.blackbox.ccbo.ccbo import CompositeBO
from feasible.blackbox.ccbo.native import CCBO
from feasible.blackbox.instances.electrospray import FIRST_ROWS, electrospray
from feasible.blackbox.space import Categorical, Real
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    NotFinite,
    ShapeError,
)

SMALL = {"mc_samples": 32, "num_restarts": 2, "raw_samples": 16, "maxiter": 8}


FAST = CompositeBO(**SMALL)


EXAMPLE = Path(__file__).parents[3] / "examples" / "electrospray.toml"


# -- the native object -----------------------------------------------------------------------------


def opt(**options):
    return CCBO(
        [
            Real("conc", 0.05, 5),
            Real("flow", 0.01, 60, log=True),
            Real("kV", 10, 18),
            Categorical("solvent", ["DMAc", "CHCl3"]),
        ],
        target=18.0,
        **options,
    )


def test_ask_tell_best_and_predict_by_name():
    o = opt(seed=0, method=FAST)
    names = ("conc", "flow", "kV", "solvent")
    first = [
        dict(zip(names, (*r[:3], ["DMAc", "CHCl3"][int(r[3])]), strict=True)) for r in FIRST_ROWS
    ]
    assert o.best() is None
    o.tell(first, [8.64405, 2.07312, math.nan, 14.86247, None], [True, True, False, True, False])
    assert (o.best().x["conc"], o.best().y) == (1.0, 14.86247)
    assert o.best().distance == pytest.approx(3.13753)
    asked = o.ask(2)
    assert [set(p) for p in asked] == [set(names)] * 2
    assert asked[0]["solvent"] in ("DMAc", "CHCl3")
    mean, sd, p = o.predict(first)
    np.testing.assert_allclose(mean[[0, 1, 3]], [8.64405, 2.07312, 14.86247], rtol=0.1)
    assert (sd > 0).all()
    assert ((p > 0) & (p < 1)).all()
    assert p[2] < p[3]
    again = opt(seed=0, method=FAST)
    again.tell(
        first, [8.64405, 2.07312, math.nan, 14.86247, None], [True, True, False, True, False]
    )
    assert again.ask(2) == asked  # looking at predictions changes nothing


POINT = {"conc": 1.0, "flow": 1.0, "kV": 12.0, "solvent": "DMAc"}


@pytest.mark.parametrize(
    ("error", "match", "x", "y", "feasible"),
    [
        (BoundsError, "kV = 20", [POINT | {"kV": 20.0}], [1.0], [True]),
        (ArgumentError, "solvent", [POINT | {"solvent": "water"}], [1.0], [True]),
        (NotFinite, "y", [POINT], [math.nan], [True]),
        (NotFinite, "y", [POINT], [math.inf], [False]),
        (ArgumentError, "y.0. = 0", [POINT], [0.0], [True]),
        (ArgumentError, "feasible is missing", [POINT], [1.0], None),
        (ShapeError, "feasible 2", [POINT], [1.0], [True, False]),
        (ArgumentError, "feasible", [POINT], [1.0], ["yes"]),
    ],
)
def test_results_that_cannot_be_taken_are_refused_as_a_whole(error, match, x, y, feasible):
    o = opt()
    with pytest.raises(error, match=match) as caught:
        o.tell(x, y, feasible)
    assert isinstance(caught.value, ValueError)
    assert len(o.state.x) == 0


def test_arguments_of_the_native_object_are_checked():
    for match, make in (
        ("target", lambda: CCBO([(0, 1)], target=0.0)),
        ("seed", lambda: opt(seed=-1)),
        ("strategy", lambda: opt(strategy="x")),
        ("n=0", lambda: opt().ask(0)),
        ("predict", lambda: opt().predict([POINT])),
        ("target", lambda: CCBO([(0, 1)], target=None)),
    ):
        with pytest.raises((ArgumentError, ArgumentTypeError), match=match):
            make()


# -- from a spreadsheet ----------------------------------------------------------------------------


def test_a_chemist_asks_fills_in_yes_and_no_and_tells_again(tmp_path, monkeypatch, capsys):
    from feasible import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)

    def feasible(*arguments):
        monkeypatch.setattr(sys, "argv", ["feasible", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    Path("spray.toml").write_text(
        EXAMPLE.read_text().replace('"ccbo"', '"ccbo[mc_samples=16,raw_samples=16,maxiter=5]"')
    )
    model, seen, told_text = electrospray(), [], ""
    for turn in range(4):
        feasible(
            "ask",
            "spray.toml" if turn == 0 else "spray-18",
            "-n",
            2,
            "--format",
            "csv",
            "--output",
            "round.csv",
        )
        with open("round.csv", newline="") as file:
            table = list(csv.DictReader(file))
        for row in table:
            point = model.space.vector(
                [
                    float(row["concentration [%]"]),
                    float(row["flow [uL/min]"]),
                    float(row["voltage [kV]"]),
                    ["DMAc", "CHCl3"].index(row["solvent"]),
                ]
            )
            metrics = model.evaluate(point).observation(0).metrics
            row["stable"] = "yes" if metrics["stable"] else "no"
            row["diameter [um]"] = f"{metrics['diameter']:.4f}" if metrics["stable"] else ""
            seen.append((metrics["stable"], metrics["diameter"]))
        with open("round.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)
        told_text = feasible("tell", "spray-18", "round.csv")
    assert len(seen) == 8
    assert 0 < sum(s for s, _ in seen) < 8
    nearest = min((abs(d - 18), d) for s, d in seen if s)[1]
    assert f"diameter {nearest:.4f}".rstrip("0") in told_text


def test_a_problem_with_a_target_gets_ccbo_where_no_method_is_named():
    from feasible.core.budget import Budget
    from feasible.core.registry import default_method

    assert default_method(electrospray(), Budget(evaluations=20))[0] == CompositeBO()
    assert default_method(electrospray(), Budget(evaluations=20), batches=True)[0] == CompositeBO()
