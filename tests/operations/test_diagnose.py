"""Why a stage has no solution: its number, path and state, and what its rows would have to give."""

from __future__ import annotations

import highspy
import numpy as np
import pytest
from dispatch import rigid, stock, tank
from scipy.optimize import linprog

from feasible.core import errors
from feasible.operations import MultistageLP, Myopic, StageInfeasible, hydrothermal_ht3


def test_an_empty_store_is_found_before_anything_is_trained():
    found = rigid().diagnose()
    assert [s.t for s in found.stuck] == [1, 2]
    first = found.stuck[0]
    assert first.state == {"stock": 0.0}
    assert first.gives == {"store": pytest.approx(-5.0)}
    assert "stage 1 has no solution from stock 0 t" in str(found)
    assert "'store' by -5 t" in str(found)


def test_a_policy_that_runs_into_it_is_explained_by_path_and_state(tmp_path):
    problem = rigid()
    with pytest.raises(StageInfeasible) as raised:
        problem.simulate(Myopic())
    told = problem.explain(raised.value, tmp_path)
    assert (raised.value.t, raised.value.path, told.state["stock"]) == (2, 0, pytest.approx(2.0))
    assert told.gives["store"] == pytest.approx(-3.0)
    for name in told.files:  # other solvers read what was written, and say the same
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.readModel(name)
        solver.run()
        assert solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible
        assert solver.getRowByName("store")[1] == 0
    assert {name.rsplit(".")[-1] for name in told.files} == {"lp", "mps"}


def test_what_the_rows_give_is_the_least_that_makes_the_stage_solvable():
    stage = stock(
        A=[[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]],
        rhs=[0.0, 8.0, 2.0],
        sense=["==", ">=", "<="],
        B=[[1.0], [0.0], [0.0]],
        columns=["stock", "sold", "made"],
        rows=["store", "demand", "works"],
        unmet={},
    )
    problem = MultistageLP([stage], [3.0], "free")
    told = problem.diagnose().stuck[0]
    A, low, high = stage.A.toarray(), *stage.row_limits(stage.right(np.array([3.0]), np.zeros(0)))
    gives = np.array([told.gives.get(r, 0.0) for r in stage.rows])
    feasible_then = linprog(
        np.zeros(3),
        A_ub=np.vstack([A[2:], -A[1:2]]),
        b_ub=[high[2] - gives[2], -low[1] + gives[1]],
        A_eq=A[:1],
        b_eq=low[:1] - gives[:1],
    )
    assert feasible_then.success
    assert np.abs(gives).sum() == pytest.approx(3.0)  # 3 + 2 of 8 can be served


def test_a_sound_problem_says_so_with_the_sizes_of_its_numbers():
    found = hydrothermal_ht3(T=3, N=3).diagnose()
    assert found.sound
    assert found.ranges["costs"] == (0.01, 500.0)
    assert "every stage has a solution" in str(found)
    assert found.solved == 3 + 2 * 8 * 3


def test_a_folder_that_is_not_there_is_refused():
    with pytest.raises(errors.ArgumentError, match="folder"):
        tank().diagnose("nowhere")
