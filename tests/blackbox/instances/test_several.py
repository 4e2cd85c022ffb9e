"""The problems with two objectives are the literature's: formulas by a second transcription, fronts
and hypervolumes in closed form.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from feasible.blackbox import instances
from feasible.core.errors import ArgumentError
from feasible.core.front import hypervolume

NAMES = ("zdt1", "binh-korn", "welded-beam-front")


def _zdt1(x):
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    return [x[0], g * (1 - math.sqrt(x[0] / g))], []


def _binh_korn(x):
    a, b = x
    return [4 * (a * a + b * b), (5 - a) ** 2 + (5 - b) ** 2], [
        (a - 5) ** 2 + b**2 - 25,
        7.7 - ((a - 8) ** 2 + (b + 3) ** 2),
    ]


def _welded_beam(x):
    h, l, t, b = x
    p, radius = 6000, math.sqrt(l * l / 4 + ((h + t) / 2) ** 2)
    first = p / (math.sqrt(2) * h * l)
    second = p * (14 + l / 2) * radius / (2 * 0.707 * h * l * (l * l / 12 + ((h + t) / 2) ** 2))
    shear = math.sqrt(first**2 + second**2 + l * first * second / radius)
    return [1.10471 * h * h * l + 0.04811 * t * b * (14 + l), 2.1952 / (t**3 * b)], [
        shear / 13600 - 1,
        504000 / (t * t * b) / 30000 - 1,
        h - b,
        1 - 64746.022 * (1 - 0.0282346 * t) * t * b**3 / 6000,
    ]


WRITTEN = {"zdt1": _zdt1, "binh-korn": _binh_korn, "welded-beam-front": _welded_beam}


@pytest.mark.parametrize("name", NAMES)
def test_formulas_agree_with_a_second_transcription(name):
    problem = instances.get(name)
    x = problem.space.from_unit(np.random.default_rng(0).random((50, problem.space.d)))
    seen = problem.evaluate(x)
    f, g = zip(*(WRITTEN[name](row) for row in x.tolist()), strict=True)
    np.testing.assert_allclose(problem.objectives_of(seen), f, rtol=1e-12)
    np.testing.assert_allclose(seen.constraints, np.array(g).reshape(50, -1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "front"),
    [
        ("zdt1", lambda n: np.column_stack([np.linspace(0, 1, n), np.zeros((n, 5))])),
        (
            "binh-korn",
            lambda n: np.concatenate(
                [
                    np.column_stack([t := np.linspace(0, 3, n), t]),
                    np.column_stack([np.linspace(3, 5, n), np.full(n, 3.0)]),
                ]
            ),
        ),
    ],
)
def test_the_best_known_hypervolume_is_the_area_of_the_front(name, front):
    problem = instances.get(name)
    seen = problem.evaluate(front(4000))
    assert (seen.violation <= problem.tolerance).all()
    f = problem.objectives_of(seen)
    reached = hypervolume(f, problem.reference)
    ordered = f[np.argsort(f[:, 0])]
    drops = np.diff(ordered[:, 0]) @ -np.diff(ordered[:, 1])
    assert reached <= problem.best_known <= reached + drops + 1e-9
    assert drops < 1e-3 * problem.best_known


@pytest.mark.parametrize("name", NAMES)
def test_no_random_feasible_points_exceed_the_best_known_hypervolume(name):
    problem = instances.get(name)
    x = problem.space.from_unit(np.random.default_rng(1).random((4000, problem.space.d)))
    seen = problem.evaluate(x)
    f = problem.objectives_of(seen)[seen.violation <= problem.tolerance]
    assert 0 < hypervolume(f, problem.reference) < problem.best_known


def test_zdt1_needs_two_variables():
    with pytest.raises(ArgumentError, match=r"d=1: expected a whole number >= 2"):
        instances.get("zdt1", d=1)
