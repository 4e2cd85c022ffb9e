"""Ready-made private tables: a generated one like the American Community Survey, and UCI Adult."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import UnknownName, nearest
from .domain import Domain
from .problem import PrivateTable
from .queries import Halfspaces, Marginals, Prefixes, Workload

if TYPE_CHECKING:
    import pandas as pd

CARDINALITIES = (2, 2, 3, 4, 5, 6, 9, 2)
"""Of the categorical columns of the generated table."""


def acs_table(n: int = 5000, seed: int = 0) -> tuple[pd.DataFrame, Domain]:
    """A generated table like a census sample: eight categorical columns and two numeric ones,
    driven by three hidden factors z ~ N(0, I).

    Categorical j: w_j . z + 0.7 e, w_j ~ N(0, I), cut at the quantiles of cumulated
    Dirichlet(2, ..., 2) shares. income: sigmoid(z_1 + 0.5 x_3 - 1 + 0.3 e). hours: exp(-2 |z_2|)
    with probability 0.8, else 0.

    Args:
        n: Rows.
        seed: Of the draws.
    """
    import pandas as pd

    rng = np.random.default_rng([seed, 3])
    z = rng.standard_normal((n, 3))
    codes = []
    for size in CARDINALITIES:
        score = z @ rng.standard_normal(3) + 0.7 * rng.standard_normal(n)
        cuts = np.cumsum(np.sort(rng.dirichlet(np.full(size, 2.0))))[:-1]
        codes.append(np.searchsorted(np.quantile(score, cuts), score))
    income = 1 / (1 + np.exp(-(z[:, 0] + 0.5 * codes[2] - 1 + 0.3 * rng.standard_normal(n))))
    hours = np.exp(-2 * np.abs(z[:, 1])) * (rng.random(n) < 0.8)
    frame = pd.DataFrame(
        {f"c{j + 1}": c for j, c in enumerate(codes)} | {"income": income, "hours": hours}
    )
    return frame, Domain.of(
        {f"c{j + 1}": size for j, size in enumerate(CARDINALITIES)},
        {"income": (0, 1), "hours": (0, 1)},
    )


def acs_like(
    n: int = 5000,
    seed: int = 0,
    workload: Workload | None = None,
    name: str = "acs-like",
    columns: str = "all",
) -> PrivateTable:
    """A generated census-like table: 8 categorical and 2 numeric columns.

    Args:
        n: Rows.
        seed: Of the draws.
        workload: None: all 2-way marginals, 16 bins for a numeric column.
        name: Of the problem.
        columns: "all", or "categorical" to leave the numeric ones out.
    """
    frame, domain = acs_table(n, seed)
    if columns == "categorical":
        keep = [domain.names[j] for j in domain.categorical]
        frame, domain = (
            frame[keep],
            Domain.of({c: domain.sizes[domain.names.index(c)] for c in keep}),
        )
    return PrivateTable(frame, domain, workload or Marginals(2), name)


def acs_like_small() -> PrivateTable:
    """The generated census-like table with 1000 rows: a first try that takes seconds."""
    return acs_like(1000, name="acs-like-small")


def acs_like_categorical(n: int = 5000, seed: int = 0) -> PrivateTable:
    """The categorical columns of the generated census-like table (25,920 joint cells) and all their
    2-way marginals.
    """
    return acs_like(n, seed, name="acs-like-categorical", columns="categorical")


def acs_like_mixed(n: int = 5000, seed: int = 0, count: int = 2000) -> PrivateTable:
    """The generated census-like table with 2000 prefix and 2000 halfspace queries, which are not
    differentiable.
    """
    return acs_like(n, seed, Prefixes(count) + Halfspaces(count), "acs-like-mixed")


_ADULT_VALUES = {
    "workclass": "Private Self-emp-not-inc Self-emp-inc Federal-gov Local-gov State-gov "
    "Without-pay Never-worked ?",
    "education": "Bachelors Some-college 11th HS-grad Prof-school Assoc-acdm Assoc-voc 9th 7th-8th "
    "12th Masters 1st-4th 10th "
    "Doctorate 5th-6th Preschool",
    "marital-status": "Married-civ-spouse Divorced Never-married Separated Widowed "
    "Married-spouse-absent Married-AF-spouse",
    "occupation": "Tech-support Craft-repair Other-service Sales Exec-managerial Prof-specialty "
    "Handlers-cleaners Machine-op-inspct Adm-clerical "
    "Farming-fishing Transport-moving Priv-house-serv Protective-serv Armed-Forces ?",
    "relationship": "Wife Own-child Husband Not-in-family Other-relative Unmarried",
    "race": "White Asian-Pac-Islander Amer-Indian-Eskimo Other Black",
    "sex": "Female Male",
    "income": "<=50K >50K",
}
"""Categories as the data set's description lists them, so that they are public."""
_ADULT_BOUNDS = {"age": (17.0, 90.0), "hours-per-week": (1.0, 99.0)}


def adult(rows: int | None = None, workload: Workload | None = None) -> PrivateTable:
    """UCI Adult (1994 census, 48,842 rows): eight categorical columns, age and hours a week.

    Args:
        rows: Take the first rows only.
        workload: What should survive; None: all 2-way marginals, in 16 bins.

    References:
        B. Becker and R. Kohavi, Adult, UCI Machine Learning Repository (1996), CC BY 4.0; see
        data/README.md.
    """
    import pandas as pd

    frame = pd.read_csv(Path(__file__).parent / "data" / "adult.csv.bz2", nrows=rows)
    domain = Domain.of({c: v.split() for c, v in _ADULT_VALUES.items()}, _ADULT_BOUNDS)
    return PrivateTable(frame, domain, workload or Marginals(2), "adult")


PROBLEMS: dict[str, Callable[..., PrivateTable]] = {
    "acs-like": acs_like,
    "acs-like-small": acs_like_small,
    "acs-like-categorical": acs_like_categorical,
    "acs-like-mixed": acs_like_mixed,
    "adult": adult,
}
"""Every ready-made private table: name -> factory."""


def get(name: str, **options: object) -> PrivateTable:
    """A ready-made private table by name.

    Args:
        name: A key of `PROBLEMS`.
        options: Of its factory.

    Raises:
        UnknownName: There is none of that name.

    Examples:
        >>> get("acs-like", n=200, seed=1).n
        200
    """
    if name not in PROBLEMS:
        raise UnknownName(f"no private table is called {name!r}: {nearest(name, PROBLEMS)}")
    return partial(PROBLEMS[name], **options)()
