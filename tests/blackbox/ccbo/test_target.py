"""The simulated process, and a target as the objective."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tiny import go, rows

from feasible.blackbox.declared import from_table
from feasible.blackbox.instances.electrospray import FIRST_ROWS, electrospray
from feasible.blackbox.problem import BlackBox
from feasible.core.errors import ArgumentError, ArgumentTypeError

EXAMPLE = Path(__file__).parents[3] / "examples" / "electrospray.toml"


def line(f=lambda x: x[:, 0], target=0.3, **options):
    return BlackBox(f, [(0, 1)], objective="h", target=target, vectorized=True, **options)


# -- the simulated process -------------------------------------------------------------------------


def test_the_first_experiments_give_the_published_diameters_and_labels():
    seen = electrospray().evaluate(np.array(FIRST_ROWS))
    np.testing.assert_allclose(
        seen.values[:, 0], [8.64405, 2.07312, 20.22642, 14.86247, 1.59039], atol=5e-6
    )
    assert (seen.violation <= 0).tolist() == [True, True, False, True, False]
    np.testing.assert_allclose(seen.objective, np.abs(seen.values[:, 0] - 18))


def test_sprays_are_stable_on_the_published_share_of_the_box_and_reach_the_published_diameters():
    problem, u = electrospray(), np.random.default_rng(0).random((200_000, 4))
    x = problem.space.low + u * (problem.space.high - problem.space.low)
    for solvent, share, low, high in ((0, 0.273, 0.45362, 27.6965), (1, 0.999, 1.53223, 53.5399)):
        x[:, 3] = solvent
        seen = problem.measure(x, np.full(len(x), -1), np.full(len(x), -1))
        stable = seen.violation <= 0
        assert stable.mean() == pytest.approx(share, abs=0.003)
        edge = math.exp(2.8) if solvent == 0 else math.exp(-2.8) * (1 + 1e-12)
        ends = problem.measure(
            np.array(
                [
                    [0.05, 0.01 if solvent == 0 else edge, 18, solvent],
                    [5, edge if solvent == 0 else 60, 10, solvent],
                ]
            ),
            np.full(2, -1),
            np.full(2, -1),
        )
        np.testing.assert_allclose(ends.values[:, 0], [low, high], atol=5e-5)
        assert (seen.values[stable, 0] > low).all()
        assert (seen.values[stable, 0] < high).all()


# -- a target as the objective ---------------------------------------------------------------------


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_distance_from_the_target_is_minimised_and_judged(value, target):
    problem = BlackBox(lambda x: value, [(0, 1)], objective="h", target=target)
    seen = problem.evaluate([0.5]).observation(0)
    assert seen.objective == abs(value - target) == problem.judge(seen).objective
    assert seen.metrics["h"] == value


def test_a_target_is_shown_with_the_value_and_not_beside_maximise():
    problem = electrospray()
    answer = problem.evaluate(np.array(FIRST_ROWS[0])).observation(0)
    assert ("diameter", "8.644046", "target 18", "", "um") in problem.describe(
        answer, problem.judge(answer)
    )
    for bad in ({"target": 1.0, "maximize": True}, {"target": math.nan}, {"target": "18"}):
        with pytest.raises((ArgumentError, ArgumentTypeError), match="target"):
            BlackBox(lambda x: 0.0, [(0, 1)], **bad)


def test_simulated_noise_shifts_the_value_and_the_distance_follows():
    seen = rows(go(line(simulated_noise=0.5), 6))
    np.testing.assert_array_equal(seen.objective, np.abs(seen.values[:, 0] - 0.3))
    assert np.abs(seen.values[:, 0] - seen.x[:, 0]).max() > 0.1


def test_a_study_file_may_have_a_target():
    problem = from_table(tomllib.loads(EXAMPLE.read_text()))
    assert (problem.target, problem.columns) == (18.0, ("diameter", "stable"))
