"""The run of a study as a whole, which keeps the reports that the experiment's description links to."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from orchestrator.record import views
from orchestrator.record.experiment import Experiment, RunKind, RunStatus

TABLES_TAG = "mlflow.loggedArtifacts"  # MLflow's own list of a run's tables
DESCRIPTION_TAG = "mlflow.note.content"  # what the UI shows as the experiment's description
DESCRIPTION_LENGTH = 5000  # characters; MLflow's limit for a tag of an experiment


class StudyRun:
    """The one run of a study whose artifacts are its reports."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def publish(self, folder: Path, name: str, tags: Mapping[str, str]) -> str:
        """Keep a folder as the artifacts `name`, and its CSV files also as MLflow tables.

        A file that was published before under the same names is replaced.

        Args:
            folder: The folder to keep.
            name: The name of the artifact folder.
            tags: Tags to set on the run.

        Returns:
            The id of the run.
        """
        run_id, table_paths = self._open()
        client = self._experiment.client
        client.log_artifacts(run_id, str(folder), name)
        # log_table is not used here, since it appends to the table of an earlier call.
        with tempfile.TemporaryDirectory() as scratch:
            for file in sorted(folder.glob("*.csv")):
                frame = pd.read_csv(file)
                frame.to_json(Path(scratch) / f"{file.stem}.json", orient="split", index=False)
                table_paths.add(f"{name}/tables/{file.stem}.json")
            client.log_artifacts(run_id, scratch, f"{name}/tables")
        tables = json.dumps([{"path": path, "type": "table"} for path in sorted(table_paths)])
        self._experiment.tag_run(run_id, {**tags, TABLES_TAG: tables})
        self._experiment.close_run(run_id, RunStatus.FINISHED)
        return run_id

    def read(self, name: str, file: str) -> str:
        """Return the text of a file that was published in the folder `name`; empty if there is none."""
        client, path = self._experiment.client, f"{name}/{file}"
        for run in self._experiment.runs(RunKind.STUDY):
            if path in {artifact.path for artifact in client.list_artifacts(run.info.run_id, name)}:
                with tempfile.TemporaryDirectory() as scratch:
                    local = client.download_artifacts(run.info.run_id, path, scratch)
                    return Path(local).read_text(encoding="utf-8")
        return ""

    def describe(self, text: str, run_id: str, page: str) -> None:
        """Set the experiment's description, in Markdown.

        It starts with links to the study's views and to the artifact `page` of a run. `text` follows, cut off
        after a line if MLflow does not accept all of it.
        """
        experiment_id = self._experiment.id
        links = {
            "verdicts": views.link(experiment_id, views.VERDICTS_VIEW, charts=False),
            "cells by method and split": views.link(experiment_id, views.GROUPED_VIEW, charts=False),
            "curves of arms A and B": views.link(experiment_id, views.CELLS_VIEW, charts=True),
            "report": f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{page}",
        }
        whole = " · ".join(f"[{name}]({link})" for name, link in links.items()) + f"\n\n{text}"
        fits = len(whole) <= DESCRIPTION_LENGTH
        description = whole if fits else whole[:DESCRIPTION_LENGTH].rpartition("\n")[0]
        self._experiment.client.set_experiment_tag(experiment_id, DESCRIPTION_TAG, description)

    def _open(self) -> tuple[str, set[str]]:
        """Return the run's id and the paths of its tables; open the run if there is none."""
        runs = list(self._experiment.runs(RunKind.STUDY))
        if runs:
            tables = json.loads(runs[0].data.tags.get(TABLES_TAG, "[]"))
            return str(runs[0].info.run_id), {entry["path"] for entry in tables}
        tags = {"study": self._experiment.study}
        return self._experiment.open_run(RunKind.STUDY, "study", tags), set()
