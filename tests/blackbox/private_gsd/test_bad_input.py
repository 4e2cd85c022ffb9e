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
    Synthetic,
)
from feasible.blackbox.private_gsd.accounting import Noise
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
    with pytest.raises(ArgumentError, match=r"integers.*'sex'.*numeric"):
        Domain.of({"sex": 2}, {"age": (0, 9)}, integers=["sex"])
    with pytest.raises(BoundsError, match="whole number"):
        Domain.of({}, {"age": (0.2, 0.8)}, integers=["age"])
    with pytest.raises(ArgumentError, match="different values"):
        Domain.of({"a": [None, math.nan]})


@pytest.mark.parametrize("values", [["x", None], [None, 3, "x"], ["x", math.nan]], ids=str)
def test_a_category_for_what_is_missing_comes_back_as_missing(values):
    frame = pd.DataFrame({"c": ["x", None, "x", math.nan]})
    with pytest.raises(ArgumentError, match=r"row 1.*declare None as one of its values"):
        Domain.of({"c": ["x", "y"]}).encode(frame)
    domain = Domain.of({"c": values})
    back = domain.decode(domain.encode(frame))
    assert back["c"].isna().tolist() == [False, True, False, True]
    assert back["c"][0] == "x"
    out = PrivateGSD(rho=100.0, rows=8, generations=200).fit_sample(frame, domain, Marginals(1))
    assert set(out["c"].dropna()) == {"x"}
    assert out["c"].isna().any()


def test_missing_numbers_are_not_sent_to_a_category():
    with pytest.raises(ArgumentError, match=r"row 0: the value is missing.*fill it"):
        Domain.of({}, {"x": (0, 1)}).encode(pd.DataFrame({"x": [math.nan]}))


@pytest.mark.parametrize("said", [None, ["age"]])
def test_integer_columns_come_back_as_integers_and_are_judged_as_what_comes_back(said):
    frame = pd.DataFrame({"age": [20, 41, 63] * 20, "income": [0.1, 0.2, 0.9] * 20})
    domain = Domain.from_frame(frame, {}, {"age": (17.5, 90), "income": (0, 1)}, said)
    gsd = PrivateGSD(rows=50, generations=300)
    out = gsd.fit_sample(frame, domain, Marginals(1))
    assert out.dtypes.astype(str).tolist() == ["int64", "float64"]
    assert out["age"].between(18, 90).all()
    problem = PrivateTable(frame, domain, Marginals(1, bins=64))
    halves = problem.domain.encode(frame) + 0.4 / 72.5 * np.array([1, 0])
    shown = problem.judge(problem.present(Synthetic(halves)))
    assert problem.judge(Synthetic(halves)).objective == shown.objective == 0


def test_integers_that_are_declared_are_checked():
    domain = Domain.of({}, {"age": (0, 90)}, integers=["age"])
    with pytest.raises(ArgumentError, match=r"'age', row 1: 3.5 is not the whole number"):
        domain.encode(pd.DataFrame({"age": [1.0, 3.5]}))
    assert (
        Domain.of({}, {"age": (0, 90)}, integers=())
        .typed_as(pd.DataFrame({"age": [1, 2]}))
        .decode(np.array([[0.5]]))["age"]
        .dtype
        == float
    )


WIDE = Domain.of({f"c{j}": 100 for j in range(6)}, {"x": (0, 1), "y": (0, 1)})


@pytest.mark.parametrize(
    ("workload", "count"),
    [
        (Marginals(6, bins=0), "1,000,000,000,000 cells"),
        (Marginals(2, bins=10**12), "cells"),
        (Ranges(40), "cells"),
        (Ranges(10**9), "workloads"),
        (Prefixes(10**10), "10,000,000,000 workloads"),
        (Halfspaces(10**10), "10,000,000,000 workloads"),
        (Marginals(2) + Marginals(5), "cells"),
    ],
    ids=str,
)
def test_workloads_are_counted_before_they_are_laid_out(workload, count):
    with pytest.raises(ArgumentError, match=f"{count}, expected at most"):
        workload.compile(WIDE)


def test_many_sets_of_columns_are_counted_too():
    with pytest.raises(ArgumentError, match="17,310,309,456,440 workloads"):
        Marginals(10).compile(Domain.of({f"c{j}": 2 for j in range(100)}))


@pytest.mark.parametrize(
    "workload", [Marginals(1), Marginals(3, bins=3), Ranges(3), Prefixes(7), Marginals(9)], ids=str
)
def test_the_sizes_that_are_said_in_advance_are_those_that_are_laid_out(workload):
    domain = Domain.of({"a": 2, "b": 5}, {"x": (0, 1), "y": (0, 1)})
    ones = workload.ones(domain)
    assert workload.size(domain) == (len(ones), sum(one.cells for one in ones))


def test_noise_beyond_64_bits_is_refused():
    with pytest.raises(ArgumentError, match="rho"):
        PrivateTable(FRAME, DOMAIN, Marginals(1)).measure([0], 1e-30, Noise())


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
        {"epsilon": 1.0, "rho": 0.5},
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
