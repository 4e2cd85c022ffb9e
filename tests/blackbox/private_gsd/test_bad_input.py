"""Bad input is refused by name."""

import math

import numpy as np
import pandas as pd
import pytest

from feasible.blackbox.private_gsd import (
    Domain,
    Halfspaces,
    Marginals,
    Prefixes,
    PrivateGSD,
    PrivateTable,
    Ranges,
)
from feasible.blackbox.private_gsd.gsd import GSD
from feasible.blackbox.private_gsd.instances import acs_like, acs_table
from feasible.core.errors import ArgumentError, ArgumentTypeError, BoundsError

FRAME, DOMAIN = acs_table(300, 100)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("c1", 7, "not one of the declared"),
        ("c1", None, "missing"),
        ("income", 1.5, "outside"),
        ("income", math.nan, "missing"),
    ],
)
def test_a_value_that_was_not_declared_is_named_with_its_row(column, value, words):
    frame = FRAME.astype({column: object})
    frame.loc[3, column] = value
    with pytest.raises(ArgumentError, match=f"'{column}', row 3.*{words}"):
        PrivateTable(frame, DOMAIN, Marginals(2))


def test_a_domain_must_be_declared_in_full():
    with pytest.raises(ArgumentError, match="'income' is not declared"):
        Domain.from_frame(FRAME, {f"c{j}": 9 for j in range(1, 9)}, {"hours": (0, 1)})
    with pytest.raises(BoundsError, match="bounds"):
        Domain.of({}, {"age": None})
    with pytest.raises(BoundsError, match="low < high"):
        Domain.of({}, {"age": (3, 3)})
    with pytest.raises(ArgumentError, match="no column"):
        Domain.of({})
    with pytest.raises(ArgumentError, match="different values"):
        Domain.of({"a": ["x", "x"]})
    with pytest.raises(ArgumentTypeError, match="DataFrame"):
        DOMAIN.encode(np.zeros((2, 2)))


@pytest.mark.parametrize(
    "settings_",
    [
        {"epsilon": 0.0},
        {"epsilon": -1},
        {"epsilon": math.nan},
        {"delta": 0.0},
        {"delta": 1.0},
        {"delta": 2},
        {"rho": 0},
        {"rows": 0},
        {"generations": 0},
        {"mode": "x"},
        {"optimiser": "x"},
        {"epsilon": 2.0, "rho": 1.0},
        {"noise_seed": 1.5},
        {"tolerance": -1},
        {"stop": "x"},
        {"tau": 0.0},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_at_once(settings_):
    with pytest.raises(ArgumentError, match=next(iter(settings_))):
        PrivateGSD(**settings_)


@pytest.mark.parametrize(
    "workload",
    [Prefixes(0), Marginals(11), Marginals(2, bins=0) if not DOMAIN.categorical else Halfspaces(0)],
    ids=str,
)
def test_an_empty_workload_is_refused(workload):
    with pytest.raises(ArgumentError, match="asks nothing"):
        PrivateTable(FRAME, DOMAIN, workload)


def test_queries_of_columns_that_are_not_there_are_refused():
    with pytest.raises(ArgumentError, match="no numeric"):
        Halfspaces(5).compile(Domain.of({"a": 2}))
    with pytest.raises(ArgumentError, match="prefixes"):
        Prefixes(5).compile(Domain.of({"a": 2}))


@pytest.mark.parametrize("n", [1, 2])
def test_the_smallest_tables_work(n):
    frame = pd.DataFrame(
        {"x": [0.5] * n, "a": ["u"] * n}
    )  # columns called x and id are as good as any
    out = PrivateGSD(epsilon=1.0, delta=0.1, rows=5, generations=100).fit_sample(
        frame,
        Domain.from_frame(frame, {"a": ["u", "v"]}, {"x": (0, 1)}),
        Marginals(2, bins=2) + Ranges(2),
    )
    assert list(out.columns) == ["x", "a"]
    assert len(out) == 5


def test_rows_beyond_the_table_are_kept_out_of_sparse_marginals():
    problem = acs_like(200, 100, Marginals(2), columns="categorical")
    method = GSD(noise_seed=1, rows=20, generations=100, rho=0.1)
    state = method.step(problem, method.init(problem, np.random.default_rng(0)))
    assert state.fit.total == 0  # measuring is a step of its own
    base = problem.queries.arrays.base
    kept = np.add.reduceat(state.fit.weight, base[:-1])
    assert np.array_equal(kept, np.minimum(np.diff(base), 20))
