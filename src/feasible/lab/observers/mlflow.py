"""Runs and races in MLflow's tracking store."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.extras import named
from ...core.plain import plain
from .curves import Curves, Ended

MOST = 1000
"""Metrics that one call of MLflow takes."""
LONGEST = 6000
"""Characters of a parameter that MLflow keeps."""
STATES = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MLflow(Curves):
    """Observer that keeps each run in MLflow: parameters, metrics over what was spent, and the
    result as an artifact. A race is a run with its trials nested in it; a run that begins while the
    program has an MLflow run open is nested in that.

    Args:
        uri: Where MLflow keeps runs; None for what MLflow was told (`MLFLOW_TRACKING_URI`,
            `mlflow.set_tracking_uri`), else sqlite:///mlflow.db. MLflow refuses folders of files
            since 3.13.
        experiment: Name of the experiment, which is made where it is missing.
        artifacts: URI of the folder for artifacts of an experiment that is made; None for MLflow's
            own.

    Raises:
        MissingExtra: The package mlflow is not installed.
    """

    def __init__(
        self, uri: str | None = None, experiment: str = "feasible", artifacts: str | None = None
    ):
        super().__init__()
        with named("the observer MLflow"):
            import mlflow
        self._mlflow = mlflow
        if uri is None and not mlflow.is_tracking_uri_set():
            uri = "sqlite:///mlflow.db"
        self.client = mlflow.MlflowClient(tracking_uri=uri)
        found = self.client.get_experiment_by_name(experiment)
        self.experiment = (
            self.client.create_experiment(experiment, artifact_location=artifacts)
            if found is None
            else found.experiment_id
        )

    def begin(self, name: str, made: Mapping[str, str], parent: Any = None) -> Any:
        """Make a run, nested where there is a parent, and keep its parameters."""
        from mlflow.entities import Param
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        active = self._mlflow.active_run()
        above = parent or (active.info.run_id if active is not None else None)
        tags = {} if above is None else {MLFLOW_PARENT_RUN_ID: above}
        run = self.client.create_run(self.experiment, run_name=name, tags=tags)
        params = [Param(_name(k), v[:LONGEST]) for k, v in made.items()]
        self.client.log_batch(run.info.run_id, params=params)
        return run.info.run_id

    def draw(self, curve: Any, points: Sequence[tuple[int, float, Mapping[str, float]]]) -> None:
        """Keep metrics, in calls of at most MOST."""
        from mlflow.entities import Metric

        metrics = [
            Metric(_name(name), value, int(1000 * at), step)
            for step, at, seen in points
            for name, value in seen.items()
        ]
        for first in range(0, len(metrics), MOST):
            self.client.log_batch(curve, metrics=metrics[first : first + MOST])

    def end(self, curve: Any, ended: Ended) -> None:
        """Keep the best answer's figures and the result, and end the run."""
        self.draw(curve, [(0, time.time(), ended.figures)])
        self.client.set_tag(curve, "stopped", ended.stopped[:LONGEST])
        if ended.document:
            self.client.log_dict(curve, plain(ended.document), "result.json")
        self.client.set_terminated(curve, STATES[ended.state])


def _name(text: str) -> str:
    """Return a name that MLflow takes: letters, digits and _-./ and space."""
    return re.sub(r"[^\w\-. /]", "_", text, flags=re.ASCII)[:250]
