"""SDDP: its bound and its policy, against the linear program of all paths at once."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from dispatch import stock, tank
from scipy import sparse
from scipy.optimize import linprog

import feasible
from feasible.core import errors
from feasible.operations import SDDP, CutPolicy, MultistageLP, StageInfeasible, hydrothermal_ht3

POOL = ((1.0, 3.0), (0.5, 4.0), (0.0, 6.0))


def all_paths(problem: MultistageLP) -> float:
    """The minimum over policies as one linear program over the tree of all noises."""
    pools = [range(len(s.noise)) for s in problem.stages]
    nodes = [node for t in range(problem.T) for node in product(*pools[: t + 1])]
    at, cost, lower, upper, n = {}, [], [], [], 0
    for node in nodes:
        stage = problem.stages[len(node) - 1]
        at[node] = n
        share = np.prod([problem.stages[t].probability[j] for t, j in enumerate(node)])
        cost += list(share * stage.cost)
        lower += list(stage.lower)
        upper += list(stage.upper)
        n += len(stage.cost)
    rows, equal, low = [], [], []
    for node in nodes:
        t = len(node) - 1
        stage = problem.stages[t]
        row = sparse.lil_array((len(stage.rhs), n))
        row[:, at[node] : at[node] + len(stage.cost)] = stage.A.toarray()
        start = problem.initial_state if t == 0 else np.zeros(problem.k)
        if t:
            columns = at[node[:-1]] + problem.stages[t - 1].states
            row[:, columns] = -stage.dense[0]
        rows.append(row.tocsr())
        low.append(stage.right(start, stage.noise[node[-1]]))
        equal.append(stage.below & stage.above)
    A, b, same = sparse.vstack(rows), np.concatenate(low), np.concatenate(equal)
    found = linprog(
        cost,
        A_ub=-A[~same],
        b_ub=-b[~same],
        A_eq=A[same],
        b_eq=b[same],
        bounds=np.column_stack([lower, upper]),
    )
    return float(found.fun)


@pytest.mark.parametrize("terminal", ["free", {"at_least": 3.0}, {"value": 8.0}])
def test_the_bound_reaches_the_minimum_over_all_policies_from_below(terminal):
    problem = tank(POOL, (8.0, 8.0, 9.0), terminal)
    found = SDDP(stall=0.0).fit(problem, n_iter=25)
    exact = all_paths(problem)
    assert (np.diff(found.bounds) >= -1e-7).all()
    assert found.lower_bound_ <= exact + 1e-6
    assert found.lower_bound_ == pytest.approx(exact, rel=1e-6)


def test_its_policy_costs_the_bound_over_all_paths():
    problem = tank(POOL, (8.0, 8.0, 9.0))
    fit = SDDP(stall=0.0).fit(problem, n_iter=25)
    paths = np.array(list(product(*POOL)))[..., None]
    assert problem.simulate(fit.policy, paths).cost.mean() == pytest.approx(fit.lower_bound_)


def test_without_noise_bound_cost_and_program_are_one():
    problem = hydrothermal_ht3(T=14, N=1, n_test=1)
    fit = SDDP(stall=0.0).fit(problem, n_iter=80)
    exact = problem.perfect_foresight()[0]
    assert fit.lower_bound_ == pytest.approx(exact, rel=1e-6)
    assert problem.judge(fit.policy).objective == pytest.approx(exact, rel=1e-6)


def test_unequal_probabilities_count():
    stage = stock(C=[[0.0], [1.0]], noise=[[0.0], [5.0]], probability=[0.8, 0.2])
    problem = MultistageLP([stage] * 2, [0.0], "free")
    fit = SDDP(stall=0.0).fit(problem, n_iter=5)
    assert fit.lower_bound_ == pytest.approx(all_paths(problem))
    assert fit.lower_bound_ == pytest.approx(2 * 0.2 * 5 * 50)


def test_cuts_go_through_json(tmp_path):
    problem = tank(POOL, (8.0, 8.0, 9.0))
    fit = SDDP().fit(problem, n_iter=5)
    fit.policy.save(tmp_path / "cuts.json")
    again = CutPolicy.load(tmp_path / "cuts.json")
    assert problem.judge(again).objective == problem.judge(fit.policy).objective
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(errors.ArgumentError, match="no file of cuts"):
        CutPolicy.load(tmp_path / "other.json")


def test_it_stops_by_its_rules_and_says_so():
    problem = tank(POOL, (8.0, 8.0, 9.0))
    assert "bound rose" in SDDP(patience=3).fit(problem, n_iter=60).stopped
    result = feasible.solve(problem, SDDP(iterations=4, stall=0.0), {"stage_problems": 5000})
    assert result.stopped == "4 iterations"
    assert any("no policy costs less" in remark for remark in result.notes)
    each = 3 + 4 + 2
    assert result.spent["stage_problems"] == 4 * each


def test_cuts_act_where_a_stage_has_no_solution_from_the_state_at_the_start():
    """Six come in, then five must be taken: from the one of the start they could not be."""
    given = {
        "A": [[1.0, 1.0]],
        "cost": [0.0, 1.0],
        "rhs": [0.0],
        "sense": "==",
        "B": [[1.0]],
        "C": [[1.0]],
        "columns": ["stock", "taken"],
        "rows": ["store"],
        "unmet": {},
    }
    come, take, rest = (
        stock(noise=[[inflow]], lower=[0.0, least], **given)
        for inflow, least in ((6.0, 0.0), (0.0, 5.0), (0.0, 0.0))
    )
    problem = MultistageLP([come, take, rest], [1.0], "free", n_test=2)
    fit = SDDP().fit(problem, n_iter=3)
    assert problem.judge(fit.policy).objective == pytest.approx(5.0)


def test_an_infeasible_stage_is_named():
    lake = tank(POOL, (8.0, 8.0, 9.0))
    stage = lake.stages[1]
    stage.lower[stage.column("turbined lake")] = 6.0  # more than may be there
    with pytest.raises(StageInfeasible, match="stage 1"):
        SDDP().fit(lake, n_iter=10)


def test_where_coefficients_depend_on_the_state_it_claims_no_bound():
    problem = hydrothermal_ht3(T=4, N=3, head=0.3, n_test=3)
    result = feasible.solve(problem, SDDP(iterations=3), {"stage_problems": 5000})
    assert any("no lower bound" in remark for remark in result.notes)
    assert result.verdict.residual is None
