"""What `sparse_ot` says where a cap cannot be kept, or a marginal is missed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from feasible.core.errors import Infeasible
from feasible.transport import sparse_ot


def uneven(seed):
    draw = np.random.default_rng(seed)
    return draw.dirichlet(np.full(10, 5.0)), draw.dirichlet(np.full(8, 5.0)), draw.random((10, 8))


@pytest.mark.parametrize("axis", ["columns", "rows"])
def test_a_mass_that_the_k_largest_of_the_other_side_do_not_fill_is_infeasible(axis):
    even, heavy = [0.1] * 10, [0.5, 0.25, 0.25]
    cost = np.random.default_rng(0).random((10, 3))
    masses = (even, heavy) if axis == "columns" else (heavy, even)
    cost = cost if axis == "columns" else cost.T
    with pytest.raises(Infeasible, match=r"0 has mass 0\.5, .* the smallest k that may do is 5"):
        sparse_ot(*masses, cost, 4, 0.1, axis=axis)
    assert sparse_ot(*masses, cost, 5, 0.1, axis=axis, repair=True).converged


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@pytest.mark.parametrize("formulation", ["semidual", "dual"])
@pytest.mark.parametrize("k", [2, 4, 10])
def test_a_plan_that_misses_its_marginals_is_never_silent(k, formulation, solver):
    for seed in range(4):
        a, b, cost = uneven(seed)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = sparse_ot(a, b, cost, k, 0.1, formulation=formulation, solver=solver)
        said = [w for w in caught if "misses a marginal" in str(w.message)]
        assert len(said) == (not found.converged)
        assert all(w.filename == __file__ for w in said)
