"""The tuned models that a study keeps: MLflow logged models, one per arm, linked to the run of their cell."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModel, LoggedModelOutput, Run
from mlflow.exceptions import MlflowException

from orchestrator.record.experiment import Experiment, RunKind, RunStatus
from orchestrator.study.trial import Trial
from training.errors import StudyError

ALL_KEPT_TAG = "models_kept"  # "final" on a run that holds the tuned model of each of its arms


def model_tag(arm: str) -> str:
    """Return the tag of a cell's run that holds the id of an arm's logged model."""
    return f"model_{arm}"


class KeptModels:
    """Write and read the tuned models of a study's arms."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def log(self, run_id: str, trial: Trial, arm: str, folder: Path, step: int, register: bool) -> str:
        """Log the model in `folder`, which made `step` steps, as the output of a cell's run; return its id.

        With `register`, it also becomes a version of the registered model that has the study's name.
        """
        client = self._experiment.client
        tags = {**{name: str(value) for name, value in trial.labels.items()}, "arm": arm}
        name = re.sub(r"[^\w-]", "_", f"{trial.name}/{arm}")
        model = client.create_logged_model(
            self._experiment.id, name=name, source_run_id=run_id, tags=tags, model_type="causal-lm"
        )
        model_id = str(model.model_id)
        client.log_model_artifacts(model_id, str(folder))
        client.finalize_logged_model(model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=step)])
        if register:
            self._register(run_id, model, tags)
        return model_id

    def kept(self) -> dict[str, Run]:
        """Return trial_id -> the newest finished run that holds the model of each of its arms."""
        runs = self._experiment.runs(RunKind.CELL, RunStatus.FINISHED, f"tags.{ALL_KEPT_TAG} = 'final'")
        return {run.data.tags["trial_id"]: run for run in reversed(list(runs))}

    def export(self, trial: Trial, arm: str, folder: Path) -> None:
        """Copy the tuned model of an arm to a new folder, whole or not at all.

        Raises:
            StudyError: The study has not kept it, or the folder is not empty.
        """
        run = self.kept().get(trial.trial_id)
        if run is None:
            raise StudyError(
                f"{trial.name}/{arm}: its model was not kept; set keep: {{models: final}} in the study and "
                "run the sweep, which trains again what was not kept"
            )
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StudyError(f"{folder}: exists and is not an empty folder; name another one")
        model = self._experiment.client.get_logged_model(run.data.tags[model_tag(arm)])
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            copy = Path(
                mlflow.artifacts.download_artifacts(
                    artifact_uri=model.artifact_location, dst_path=scratch, tracking_uri=self._experiment.uri
                )
            )
            if folder.exists():
                folder.rmdir()
            shutil.copytree(copy, unfinished := Path(scratch) / "whole")
            unfinished.rename(folder)

    def _register(self, run_id: str, model: LoggedModel, tags: Mapping[str, str]) -> None:
        client, name = self._experiment.client, self._experiment.study
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # `models:/ID` would be looked up in the store that MLflow takes for the current one.
        client.create_model_version(
            name, model.artifact_location, run_id=run_id, tags={**tags, "model_id": model.model_id}
        )
