"""Observers: what logging, TensorBoard and MLflow hold of a run or a race is what the run and its
trials say, read back by those packages themselves.
"""

from __future__ import annotations

import logging
import math
import sys

import pytest

import feasible
from feasible.core import errors
from feasible.lab.observers import Log, MLflow, TensorBoard

BUDGET = {"evaluations": 30}


def hill(**options):
    return feasible.blackbox.BlackBox(
        lambda x: {"f": -((x[0] - 0.3) ** 2), "g": x[1]},
        bounds=[(-1, 1), (-1, 1)],
        objective="f",
        limits={"g": ">= 0"},
        maximize=True,
        name="hill/<b>",
        **options,
    )


@pytest.fixture
def board(tmp_path):
    """What TensorBoard reads in a folder: {folder of a run: {tag: [(step, value)]}}."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def read():
        found = {}
        for file in tmp_path.rglob("events.out.tfevents.*"):
            events = accumulator.EventAccumulator(str(file.parent), {"tensors": 0})
            events.Reload()
            tags = events.Tags()["tensors"]
            found[file.parent.relative_to(tmp_path).as_posix()] = {
                t: [(e.step, float(e.tensor_proto.float_val[0])) for e in events.Tensors(t)]
                for t in tags
            }
        return found

    return read


@pytest.fixture
def tracking(tmp_path):
    """Where MLflow keeps runs, and a client of it."""
    mlflow = pytest.importorskip(
        "mlflow",
        reason="MLflow is not installed: `make mlflow` tests its observer",
    )
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    return uri, mlflow.MlflowClient(tracking_uri=uri), (tmp_path / "artifacts").as_uri()


def nearly(pairs):
    return [(step, pytest.approx(value, rel=1e-6, abs=1e-12)) for step, value in pairs]


def expected(trail, sign):
    """Objective by evaluations, as the user sees it."""
    return [
        (int(p.spent["evaluations"]), sign * p.verdict.objective)
        for p in trail
        if math.isfinite(p.verdict.objective)
    ]


# -- logging ---------------------------------------------------------------------------------------


def test_a_log_says_what_begins_how_it_goes_and_how_it_ends(caplog):
    caplog.set_level(logging.INFO)
    result = feasible.solve(hill(), "random-search", BUDGET, observers=Log(every=0.0))
    said = [r.getMessage() for r in caplog.records if r.name == "feasible"]
    assert len(said) == len(result.trail) + 2
    assert "begins, seed 0" in said[0]
    assert said[-1].endswith(result.stopped)
    assert f"best feasible {-result.verdict.objective:.6g}" in said[-2]


def test_a_log_warns_of_failed_trials_and_of_the_exception_that_ends_a_run(caplog):
    caplog.set_level(logging.INFO)

    def broken(x):
        raise ZeroDivisionError("no such x")

    problem = feasible.blackbox.BlackBox(broken, bounds=[(0, 1)], name="broken")
    with pytest.raises(errors.EvaluationFailed):
        feasible.solve(problem, "random-search", BUDGET, observers=Log())
    feasible.race([problem], ["random-search"], BUDGET, 1, on_failure="raise", observers=Log())
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warned) == 2
    assert all("no such x" in text for text in warned)


# -- TensorBoard -----------------------------------------------------------------------------------


def test_tensorboard_reads_the_trail_in_the_users_sense(tmp_path, board):
    watching = TensorBoard(tmp_path)
    result = feasible.solve(hill(), "random-search", BUDGET, observers=watching)
    ((folder, found),) = board().items()
    assert folder == "hill/_b_-0"
    assert found["objective"] == nearly(expected(result.trail, -1))
    assert [v for _, v in found["feasible"]] == [float(p.verdict.feasible) for p in result.trail]
    assert not result.notes


def test_tensorboard_has_a_folder_for_each_trial_of_a_race(tmp_path, board):
    race = feasible.race(
        [hill()], ["random-search", "cbo"], BUDGET, 2, observers=TensorBoard(tmp_path)
    )
    found = {k: v for k, v in board().items() if v}
    assert len(found) == 4
    for trial in race.trials:
        (mine,) = (v for k, v in found.items() if k.endswith(f"_b_/{trial.method}/{trial.seed}"))
        assert mine["objective"] == nearly(expected(trial.trail, -1))


def test_a_training_run_shows_its_curves_in_tensorboard(tmp_path, board):
    pytest.importorskip("torch")
    from feasible.training import Recipe
    from feasible.training.instances.small import moons_mlp

    result = feasible.solve(
        moons_mlp(), Recipe("sgd", "torch-linear"), "steps=40", observers=TensorBoard(tmp_path)
    )
    ((_, found),) = board().items()
    curves = {t: v for t, v in found.items() if t.startswith("metrics/")}
    assert curves.keys() == {f"metrics/{name}" for name in result.verdict.metrics}
    for tag, curve in curves.items():
        name = tag.removeprefix("metrics/")
        assert curve == nearly([(p.step, p.verdict.metrics[name]) for p in result.trail])
    assert [step for step, _ in found["objective"]] == [p.step for p in result.trail]


def test_an_observer_that_cannot_write_is_a_note_and_the_run_goes_on(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "file").write_text("")
    result = feasible.solve(
        hill(), "random-search", BUDGET, observers=TensorBoard(tmp_path / "file")
    )
    assert result.spent["evaluations"] == 30
    assert [n for n in result.notes if n.startswith("observer TensorBoard failed")] != []


@pytest.mark.parametrize(("observer", "extra"), [(TensorBoard, "tensorboard"), (MLflow, "mlflow")])
def test_a_missing_package_is_named_with_its_extra(observer, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, extra, None)
    monkeypatch.setitem(sys.modules, f"{extra}.summary", None)
    with pytest.raises(errors.MissingExtra, match=rf"pip install 'feasible\[{extra}\]'"):
        observer()


# -- MLflow ----------------------------------------------------------------------------------------


def runs_of(client):
    experiment = client.get_experiment_by_name("feasible")
    return client.search_runs([experiment.experiment_id], max_results=100)


def distinct(trail, sign):
    """MLflow keeps one of two points of the same place, value and millisecond."""
    return nearly(dict.fromkeys(expected(trail, sign)))


def history(client, run, name):
    kept = client.get_metric_history(run.info.run_id, name)
    return list(dict.fromkeys((m.step, m.value) for m in kept))


def test_mlflow_keeps_parameters_metrics_and_the_result(tracking):
    uri, client, artifacts = tracking
    result = feasible.solve(
        hill(), "random-search", BUDGET, seed=3, observers=MLflow(uri, artifacts=artifacts)
    )
    (run,) = runs_of(client)
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert params["problem"] == "hill/<b>"
    assert (params["seed"], params["budget.evaluations"]) == ("3", "30")
    assert history(client, run, "objective") == distinct(result.trail, -1)
    assert run.data.metrics["best/objective"] == pytest.approx(-result.verdict.objective)
    (kept,) = client.list_artifacts(run.info.run_id)
    assert kept.path == "result.json"


def test_mlflow_nests_the_trials_of_a_race(tracking):
    uri, client, artifacts = tracking
    watching = MLflow(uri, artifacts=artifacts)
    race = feasible.race([hill()], ["random-search", "cbo"], BUDGET, 2, observers=watching)
    found = runs_of(client)
    (parent,) = (r for r in found if "mlflow.parentRunId" not in r.data.tags)
    nested = [r for r in found if r is not parent]
    assert {r.data.tags["mlflow.parentRunId"] for r in nested} == {parent.info.run_id}
    assert {r.info.status for r in found} == {"FINISHED"}
    assert len(nested) == len(race.trials) == 4
    for trial in race.trials:
        (mine,) = (
            r
            for r in nested
            if (r.data.params["method"], r.data.params["seed"]) == (trial.method, str(trial.seed))
        )
        assert history(client, mine, "objective") == distinct(trial.trail, -1)


def test_a_run_that_an_exception_ends_is_failed_in_mlflow(tracking):
    uri, client, artifacts = tracking

    def broken(x):
        raise ZeroDivisionError("no such x")

    problem = feasible.blackbox.BlackBox(broken, bounds=[(0, 1)], name="broken")
    with pytest.raises(errors.EvaluationFailed):
        feasible.solve(problem, "random-search", BUDGET, observers=MLflow(uri, artifacts=artifacts))
    (run,) = runs_of(client)
    assert run.info.status == "FAILED"
    assert "no such x" in run.data.tags["stopped"]
