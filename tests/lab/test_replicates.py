"""A result may have a standard error, of its own or from replicates, and models use it as noise."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tables_kit import mix_study, rows, tell

from feasible.blackbox import BlackBox
from feasible.blackbox.bo_tutorial.belief import BeliefData
from feasible.blackbox.bo_tutorial.learning import learn
from feasible.core import errors
from feasible.core.ledger import CHECKED, DONE, FAILED
from feasible.core.registry import load_method
from feasible.lab.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return mix_study(tmp_path)


def test_a_standard_error_is_told_beside_its_result(study):
    study.ask(2)
    told, warnings = tell(
        study,
        "id,yield,yield_se,stress,stress_se [kPa],stable\n0,41,0.5,200,1500,yes\n1,40,,1,,no\n",
    )
    assert (told.rows, warnings) == ([0, 1], [])
    first, second = rows(study)
    assert first.metrics == {
        "yield": 41,
        "yield_se": 0.5,
        "stress": 200,
        "stress_se": 1.5,
        "stable": 1,
    }
    assert second.metrics == {"yield": 40, "stress": 1, "stable": 0}
    assert study.best().id == 0


def test_a_standard_error_in_another_unit_is_a_difference(tmp_path):
    problem = BlackBox(None, bounds={"x": (0, 1)}, objective="t", unit="degC", name="t")
    study = mix_study(tmp_path, problem)
    study.ask()
    tell(study, "id,t [K],t_se [K]\n0,300,2\n")
    assert rows(study)[0].metrics == {"t": pytest.approx(26.85), "t_se": 2}


def test_a_negative_standard_error_is_refused(study):
    study.ask()
    with pytest.raises(
        errors.TableError, match="line 2: yield_se is -1, expected a standard error"
    ):
        tell(study, "id,yield,yield_se\n0,41,-1\n")
    assert rows(study)[0].metrics == {}


def test_replicates_of_an_experiment_are_one_row_with_mean_and_standard_error(study):
    study.ask(2)
    told, _ = tell(
        study,
        "id,replicate,yield,stress,stable,note\n"
        "0,1,41,200,yes,fresh\n0,2,44,202,yes,\n1,1,50,100,no,\n0,3,41,201,yes,\n",
    )
    assert told.rows == [0, 1]
    first, second = rows(study)
    assert first.metrics == {
        "yield": 42,
        "yield_se": pytest.approx(math.sqrt(3) / math.sqrt(3)),  # s = sqrt((1 + 4 + 1) / 2)
        "stress": 201,
        "stress_se": pytest.approx(1 / math.sqrt(3)),
        "stable": 1,
    }
    assert first.note == "fresh; yield: 41, 44, 41; stress: 200, 202, 201; stable: 1, 1, 1"
    assert second.metrics == {"yield": 50, "stress": 100, "stable": 0}
    assert study.row.reserved["evaluations"] == 2


def test_replicates_of_ones_own_experiments_are_those_with_the_same_settings(study):
    told, _ = tell(
        study,
        "temperature,cycles,solvent,replicate,yield,stress,stable\n"
        "50,3,DMAc,1,60,200,yes\n50,3,DMAc,2,62,200,yes\n55,3,DMAc,1,70,200,yes\n",
    )
    assert told.rows == [0, 1]
    assert [r.metrics["yield"] for r in rows(study)] == [61, 70]


def test_a_failed_replicate_does_not_spoil_the_others_and_all_failed_is_failed(study):
    study.ask(2)
    tell(
        study,
        "id,replicate,yield,stress,stable,status\n"
        "0,1,41,200,yes,\n0,2,,,,failed\n1,1,,,,failed\n1,2,,,,failed\n",
    )
    assert [r.status for r in rows(study)] == [DONE, FAILED]
    assert rows(study)[0].metrics == {"yield": 41, "stress": 200, "stable": 1}


def test_errors_of_replicates_give_the_error_of_their_mean(study):
    study.ask()
    tell(study, "id,replicate,yield,yield_se\n0,1,40,3\n0,2,42,4\n")
    assert rows(study)[0].metrics == {"yield": 41, "yield_se": 2.5}


def test_without_a_column_for_them_replicates_are_an_error_that_names_it(study):
    study.ask()
    with pytest.raises(errors.TableError, match="in a column 'replicate'"):
        tell(study, "id,yield\n0,41\n0,42\n")


def test_a_limit_that_is_measured_later_keeps_the_rest_and_counts_when_complete(study):
    study.ask()
    tell(study, "id,yield,yield_se,stable\n0,41,0.5,yes\n")
    assert rows(study)[0].metrics == {"yield": 41, "yield_se": 0.5, "stable": 1}
    assert study.best() is None
    assert [r.row for r in study.pending()] == [0]
    told, _ = tell(study, "id,stress\n0,200\n")
    assert (told.rows, told.partial, rows(study)[0].status) == ([0], [], DONE)
    assert study.best().metrics["yield_se"] == 0.5


def test_limits_before_the_objective_wait_as_checked(study):
    study.ask()
    tell(study, "id,stress,stress_se,stable\n0,200,1,yes\n")
    assert rows(study)[0].status == CHECKED


# -- in later tables -------------------------------------------------------------------------------


def test_replicates_of_a_later_table_are_averaged_with_the_earlier_ones(study):
    study.ask()
    tell(study, "id,replicate,yield,stress,stable\n0,1,41,200,yes\n0,2,44,200,yes\n")
    told, _ = tell(study, "id,replicate,yield,stress,stable\n0,3,41,200,no\n")
    assert told.corrected == [0]
    (row,) = rows(study)
    assert row.metrics["yield"] == 42
    assert row.metrics["yield_se"] == pytest.approx(math.sqrt(3) / math.sqrt(3))
    assert row.metrics["stable"] == pytest.approx(2 / 3)
    assert row.note == "yield: 41, 44, 41; stress: 200, 200, 200; stable: 1, 1, 0"


def test_a_table_that_grows_is_told_again_without_counting_anything_twice(study):
    study.ask()
    table = "id,replicate,yield,stress,stable\n0,1,41,200,yes\n0,2,44,200,yes\n"
    tell(study, table)
    told, _ = tell(study, table)
    assert (told.rows, told.unchanged) == ([], [0])
    tell(study, table + "0,3,41,200,yes\n")
    assert rows(study)[0].metrics["yield"] == 42
    tell(study, table.replace("44", "47"))  # a measurement that was corrected
    assert rows(study)[0].metrics["yield"] == 43


def test_a_value_that_was_told_alone_is_the_first_replicate(study):
    study.ask()
    tell(study, "id,yield,stress,stable\n0,40,200,yes\n")
    tell(study, "id,replicate,yield,stress,stable\n0,2,42,200,yes\n")
    assert rows(study)[0].metrics["yield"] == 41
    assert rows(study)[0].metrics["yield_se"] == pytest.approx(1)


def test_replicates_of_ones_own_experiments_in_a_later_table_find_the_earlier_ones(study):
    heading = "temperature,cycles,solvent,replicate,yield,stress,stable\n"
    tell(study, heading + "50,3,DMAc,1,60,200,yes\n")
    tell(study, heading + "50,3,DMAc,2,62,200,yes\n55,3,DMAc,1,70,200,yes\n")
    assert [r.metrics["yield"] for r in rows(study)] == [61, 70]


def test_a_later_replicate_that_failed_leaves_the_mean_as_it_is(study):
    study.ask()
    tell(study, "id,replicate,yield,stress,stable\n0,1,41,200,yes\n")
    tell(study, "id,replicate,yield,stress,stable,status\n0,2,,,,failed\n")
    assert (rows(study)[0].status, rows(study)[0].metrics["yield"]) == (DONE, 41)


def test_a_value_without_a_number_takes_the_place_of_all_replicates(study):
    study.ask()
    tell(study, "id,replicate,yield,stress,stable\n0,1,41,200,yes\n0,2,44,200,yes\n")
    tell(study, "id,yield,stress,stable\n0,50,200,yes\n")
    assert rows(study)[0].metrics == {"yield": 50, "stress": 200, "stable": 1}


def test_two_values_of_one_replicate_are_refused_with_the_line(study):
    study.ask()
    with pytest.raises(errors.TableError, match="line 3: replicate 1 of this experiment"):
        tell(study, "id,replicate,yield\n0,1,41\n0,1,42\n")
    assert rows(study)[0].metrics == {}


# -- models ----------------------------------------------------------------------------------------


def test_the_model_gives_each_row_its_own_noise():
    """Fixed noise variances in standardised units: (standard error / unit)^2 row by row."""
    problem = BlackBox(None, bounds=[(0, 1)], objective="y", limits={"g": "<= 1"}, noise=0.3)
    method = load_method("bo-logei")
    domain = method.domain(problem.space, None)
    x = np.linspace(0, 1, 6)[:, None]
    f, g = np.sin(5 * x[:, 0]), x.copy()
    error = np.array([0.1, 0.5, np.nan, 0.2, np.nan, 0.05])
    told = BeliefData(x, f, g, np.full_like(x, np.nan), 0.3, 1e-6, error)
    found = learn(method, domain, told, {}, np.array([[0.5]]), np.random.default_rng(0))
    unit = float(found.y.size[0] * found.y.spread[0])
    noise = found.parts[0].models[0].likelihood.noise[0].detach().numpy()
    expected = (np.where(np.isnan(error), 0.3, error) / unit) ** 2
    np.testing.assert_allclose(noise[:6], expected, rtol=1e-6)
    assert noise[6] == pytest.approx(expected.mean())  # the proposal that is out


def test_a_study_hands_standard_errors_to_the_model(tmp_path):
    problem = BlackBox(None, bounds={"x": (0, 1)}, objective="y", name="s", noise=True)
    study = mix_study(tmp_path, problem)
    study.method, study.label = load_method("bo-logei"), "bo-logei"
    for k, error in enumerate([0.1, None, 0.3]):
        study.ask()
        cell = "" if error is None else error
        tell(study, f"id,y,y_se\n{k},{k},{cell}\n")
    proposer = study._proposer(study.row)
    memory = proposer.state()
    np.testing.assert_array_equal(memory.errors, [0.1, np.nan, 0.3])
    assert study.ask(2)[0].row == 3


def test_a_method_that_makes_no_use_of_standard_errors_says_so(tmp_path):
    problem = BlackBox(None, bounds={"x": (0, 1)}, objective="y_sense", name="s", noise=True)
    study = mix_study(tmp_path, problem)
    study.ask()
    tell(study, "id,y_sense\n0,1\n")
    assert study.remarks() == []
    study.ask()
    tell(study, "id,y_sense,y_sense_se\n1,1,0.1\n")
    assert ["makes no use of them" in note for note in study.result().notes] == [False, True]
    (tmp_path / "other").mkdir()
    other = mix_study(tmp_path / "other", problem)
    other.method, other.label = load_method("robust-bo"), "robust-bo"
    other.ask()
    tell(other, "id,y_sense,y_sense_se\n0,1,0.1\n")
    assert other.remarks() == []
