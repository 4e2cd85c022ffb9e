"""Known linear constraints are read from text, kept by every point, and sampled from evenly."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from scipy import stats

import feasible
from feasible.blackbox import BlackBox
from feasible.blackbox.declared import from_table
from feasible.blackbox.linear import linear_constraint
from feasible.blackbox.sampling import draw, sobol_point
from feasible.blackbox.space import Categorical, Integer, Real, Space, sample_allowed
from feasible.core.errors import ArgumentError, NothingAllowed
from feasible.core.registry import load_method

INF = float("inf")
NAMES = ["a", "b", "c", "a-b", "x y"]


@pytest.mark.parametrize(
    ("text", "row", "low", "high"),
    [
        ("a + b + c == 1", [1, 1, 1, 0, 0], 1, 1),
        ("a+b=1", [1, 1, 0, 0, 0], 1, 1),
        ("a + 2 b <= 3", [1, 2, 0, 0, 0], -INF, 3),
        ("2*a - 0.5*b >= 1e-1", [2, -0.5, 0, 0, 0], 0.1, INF),
        ("3 >= a + c*2", [-1, 0, -2, 0, 0], -3, INF),
        ("a/4 < b", [0.25, -1, 0, 0, 0], -INF, 0),
        ("0.2 <= a - b + 0.1 <= 0.6", [1, -1, 0, 0, 0], 0.1, 0.5),
        ("2 >= a >= 1", [1, 0, 0, 0, 0], 1, 2),
        ("-a-b + c<=0", [-1, 0, 1, -1, 0], -INF, 0),
        ("x y + a − b <= 1", [1, -1, 0, 0, 1], -INF, 1),
        ("a + a == 1", [2, 0, 0, 0, 0], 1, 1),
    ],
)
def test_a_constraint_is_read_as_its_row_and_bounds(text, row, low, high):
    if text == "-a-b + c<=0":
        row = [0, 0, 1, -1, 0]  # the longest name wins: -(a-b) + c
    found = linear_constraint(text, NAMES)
    assert found.A.tolist() == [row]
    assert (found.lb[0], found.ub[0]) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize(
    "text",
    [
        "a + b",
        "a*b <= 1",
        "a^2 <= 1",
        "q <= 1",
        "1 <= 2",
        "a <= b <= c",
        "a <= 1 >= b",
        "a == b == 1",
        "a b <= 1",
        "<= 1",
        "a <=",
        "a + <= 1",
        "ab <= 1",
        "2 3 <= a",
        "",
    ],
)
def test_what_is_not_linear_is_refused_with_an_example(text):
    with pytest.raises(ArgumentError, match="write a linear constraint such as"):
        linear_constraint(text, ["a", "b", "c"])


def mixture(d: int = 3, step: float = 0.0, more: tuple[str, ...] = ()) -> BlackBox:
    names = [f"c{i}" for i in range(d)]
    return BlackBox(
        lambda x: 1 + float(((x[:d] - 1 / d) ** 2).sum()),
        variables=[*(Real(n, 0, 1, step=step) for n in names), Categorical("s", ["x", "y"])],
        known=[f"{' + '.join(names)} == 1", *more],
        pass_as="vector",
        target=1.0,
    )


@pytest.mark.parametrize("d", [2, 3, 12])
def test_samples_of_a_mixture_are_uniform_on_the_simplex(d):
    """Each share of a uniform mixture is Beta(1, d - 1); rejection would keep one in (d - 1)!."""
    problem = mixture(d)
    x = draw(problem, np.random.default_rng(1), 1500)
    np.testing.assert_allclose(x[:, :d].sum(axis=1), 1, rtol=1e-12)
    assert problem.allowed(x).all()
    for j in range(0, d, 6):
        assert stats.kstest(x[:, j], stats.beta(1, d - 1).cdf).pvalue > 1e-4
    assert 0.4 < x[:, d].mean() < 0.6


def test_even_points_of_the_cube_give_even_points_of_the_simplex():
    """Worst distance from any place of the triangle to its nearest of 64 samples: a Sobol sequence
    leaves smaller holes than random points do."""
    space = mixture(3).space
    places = draw(mixture(3), np.random.default_rng(5), 1000)[:, :3]

    def hole(u: np.ndarray) -> float:
        x = space.sample(u)[:, :3]
        return float(np.linalg.norm(places[:, None] - x[None], axis=2).min(axis=1).max())

    even = np.mean([hole(stats.qmc.Sobol(4, rng=s).random(64)) for s in range(5)])
    random = np.mean([hole(np.random.default_rng(s).random((64, 4))) for s in range(5)])
    assert even < random


def test_a_thin_polytope_of_inequalities_is_sampled_without_rejection():
    names = [f"c{i}" for i in range(8)]
    problem = BlackBox(
        None,
        variables=[Real(n, 0, 1) for n in names],
        objective="y",
        known=f"{' + '.join(names)} <= 1",
    )  # 1 in 8! of the box
    rng = np.random.default_rng(0)
    x = sample_allowed(problem.space, problem.known, 200, lambda k: rng.random((k, 8)))
    assert problem.allowed(x).all()


def test_a_wide_polytope_is_sampled_as_before_bit_for_bit():
    problem = BlackBox(None, bounds={"a": (0, 1), "b": (0, 1)}, objective="y", known="a + b <= 1.5")
    u = np.random.default_rng(0).random((50, 2))
    assert np.array_equal(problem.space.sample(u), Space(problem.space.variables).from_unit(u))
    assert np.array_equal(problem.space.snap(u), u)


@pytest.mark.parametrize("step", [0.0, 0.05, 0.25])
def test_any_point_is_moved_to_one_that_keeps_everything_and_then_stays(step):
    problem = mixture(4, step, ("c0 + 2 c1 <= 1.25", "0.05 <= c2 - 0.5*c3"))
    x = problem.space.snap(np.random.default_rng(0).uniform(-0.5, 1.5, (200, 5)))
    assert problem.allowed(x).all()
    assert np.array_equal(problem.space.snap(x), x)
    if step:
        np.testing.assert_allclose(x[:, :4] / step, np.round(x[:, :4] / step), atol=1e-9)


def test_real_whole_and_stepped_variables_share_constraints():
    problem = BlackBox(
        None,
        variables=[Real("a", 0, 1, step=0.25), Real("b", 0, 1), Integer("n", 0, 4)],
        objective="y",
        known=["a + b == 1", "a + n <= 2.5", "b - 0.1 n >= 0.05"],
    )
    x = draw(problem, np.random.default_rng(0), 100)
    assert problem.allowed(x).all()
    assert set(x[:, 0] * 4) <= {0, 1, 2, 3}
    assert set(x[:, 2]) == {0, 1, 2}


def test_x0_and_told_points_stay_as_they_are():
    problem = mixture(3)
    done = {"c0": 0.333, "c1": 0.333, "c2": 0.333, "s": "x"}
    assert problem.space.vector(done).tolist() == [0.333, 0.333, 0.333, 0.0]
    assert Space([Real("t", 0, 9, step=0.5)]).vector([4.27]).tolist() == [4.27]


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ("a + b == 3", "no point within the bounds keeps the linear constraints on a, b"),
        ("a + b <= 0", "leave no room"),
        (["a + b == 0.6", "a == 0.6"], "no point on the grid .* a, b"),
    ],
)
def test_constraints_that_nothing_keeps_are_refused_when_declared(known, words):
    with pytest.raises(NothingAllowed, match=words):
        BlackBox(
            None,
            variables=[Real("a", 0, 1, step=0.25), Real("b", 0, 1)],
            objective="y",
            known=known,
        )


def test_a_choice_has_no_place_in_a_linear_constraint():
    with pytest.raises(ArgumentError, match="'s' is a choice"):
        BlackBox(None, variables=[Categorical("s", ["a", "b"])], objective="y", known="s <= 1")


@pytest.mark.parametrize("kind", ["table", "list"])
def test_a_study_file_declares_steps_and_constraints(kind):
    lines = '["a + b == 1"]' if kind == "list" else '{mixture = "a + b == 1"}'
    problem = from_table(
        tomllib.loads(f"""
objective = "y"
constraints = {lines}
[variables]
a = {{low = 0, high = 1, step = 0.1}}
b = {{low = 0, high = 1}}
n = {{low = 0, high = 10, integer = true, step = 2}}
""")
    )
    x = np.array([sobol_point(problem, 0, k) for k in range(50)])
    np.testing.assert_allclose(x[:, 0] + x[:, 1], 1)
    assert {round(v, 12) for v in x[:, 0]} <= {k / 10 for k in range(11)}
    assert set(x[:, 2]) == {0, 2, 4, 6, 8, 10}


# -- steps -----------------------------------------------------------------------------------------


def test_values_of_a_grid_are_the_decimals_that_people_write():
    space = Space([Real("t", 0.1, 1, step=0.1)])
    x = space.snap(np.linspace(0, 1.2, 500)[:, None])
    assert sorted({*x[:, 0].tolist()}) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_a_grid_ends_at_its_last_value_within_the_bounds_and_shares_the_cube_equally():
    space = Space([Real("t", 20, 90, step=15)])
    assert space.high.tolist() == [80]
    values, counts = np.unique(
        space.from_unit(np.linspace(0, 1, 5001)[:, None]), return_counts=True
    )
    assert values.tolist() == [20, 35, 50, 65, 80]
    assert counts.max() - counts.min() <= 2


@pytest.mark.parametrize("step", [-1, INF, float("nan"), 9, "1", True])
def test_a_step_that_makes_no_grid_is_refused(step):
    with pytest.raises(ArgumentError, match="step of 't'"):
        Real("t", 0, 5, step=step)


@pytest.mark.parametrize(
    "name", ["random-search", "sobol-search", "gp-sqp", "bo-logei", "pfn-cei", "cbo", "ccbo"]
)
@pytest.mark.parametrize("step", [0.0, 0.1])
def test_methods_propose_mixtures_only(name, step):
    problem = mixture(3, step, ("c0 + 2 c1 <= 1.5",))
    result = feasible.solve(problem, load_method(name), budget=feasible.Budget(evaluations=9))
    rows = result.ledger.all()
    assert len(rows) >= 8
    assert problem.allowed(rows.x).all()
    assert np.array_equal(problem.space.snap(rows.x), rows.x)


@pytest.mark.parametrize("name", ["random-search", "gp-sqp", "cobyqa"])
def test_a_grid_of_few_mixtures_is_used_up_without_repeats(name):
    """Three shares in steps of 0.25 that sum to one: 15 mixtures."""
    names = ["a", "b", "c"]
    problem = BlackBox(
        lambda x: float(x @ [1, 2, 3]),
        variables=[Real(n, 0, 1, step=0.25) for n in names],
        known="a + b + c == 1",
    )
    result = feasible.solve(problem, load_method(name), budget=feasible.Budget(evaluations=40))
    rows = result.ledger.all().x
    assert len(rows) == len(np.unique(rows, axis=0)) == 15
    assert problem.allowed(rows).all()
    assert result.verdict.objective == 1.0
