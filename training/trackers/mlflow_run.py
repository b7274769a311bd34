"""MLflow: a run of experiment `pairbridge`, or of MLFLOW_EXPERIMENT_NAME.

It lies at MLFLOW_TRACKING_URI; without one in `<run_dir>/mlflow/`, whatever MLflow's own default is.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pairbridge.datagen.core.json_digest import leaves
from pairbridge.training.trackers.sent_steps import SentSteps
from pairbridge.training.trackers.tracker import Tracker

# Of a parameter, and of the parameters in one request: servers refuse more.
_MOST_CHARACTERS, _MOST_PARAMETERS = 6000, 100


class MlflowRun(Tracker):
    def __init__(self, run_dir: Path, step: int) -> None:
        # An extra, and slow to import.
        import mlflow
        from mlflow import entities

        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            uri = (run_dir / "mlflow").resolve().as_uri()
            # MLflow wants its store of plain files chosen on purpose; the one that it prefers needs a
            # database library, which `mlflow-skinny` does not bring.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._client = mlflow.MlflowClient(uri)
        self._entities, self._name = entities, "/".join(run_dir.resolve().parts[-2:])
        self._sent = SentSteps(run_dir / "mlflow.json", step)

    def start(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        if self._sent.run_id is None:
            run = self._client.create_run(self._experiment(), run_name=self._name)
            self._sent.begin(run.info.run_id)
            self._parameters(config)
        else:
            self._client.update_run(self._id, status="RUNNING")
        # Parameters cannot change, and a resume may be told another number of steps.
        self._client.log_dict(self._id, dict(config), "config.json")
        self._client.log_dict(self._id, dict(facts), "facts.json")
        if facts.get("commit"):
            self._client.set_tag(self._id, "mlflow.source.git.commit", facts["commit"])

    def figures(self, step: int, numbers: Mapping[str, float]) -> None:
        if self._sent.first_time("figures", step):
            now = time.time_ns() // 1_000_000
            metrics = [self._entities.Metric(name, number, now, step) for name, number in numbers.items()]
            self._client.log_batch(self._id, metrics=metrics)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        if self._sent.first_time(name, step):
            self._client.log_image(self._id, image, artifact_file=f"{name}/step-{step:06d}.png")

    def close(self) -> None:
        self._client.set_terminated(self._id)

    @property
    def _id(self) -> str:
        return self._sent.run_id

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "pairbridge")
        found = self._client.get_experiment_by_name(name)
        return found.experiment_id if found else self._client.create_experiment(name)

    def _parameters(self, config: Mapping[str, Any]) -> None:
        found = [
            # Brackets are not allowed in a name.
            self._entities.Param(path.replace("[", ".").replace("]", ""), str(value)[:_MOST_CHARACTERS])
            for path, value in leaves(config)
        ]
        for start in range(0, len(found), _MOST_PARAMETERS):
            self._client.log_batch(self._id, params=found[start : start + _MOST_PARAMETERS])
