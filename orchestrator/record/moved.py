"""A project folder that was moved: MLflow's record names the tables by absolute paths, which are then wrong.

MLflow stores no relative locations and has no call that changes one, so the record is repaired in its
database.
"""

from collections.abc import Callable
from pathlib import Path

from mlflow.entities import Experiment
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlRun

from orchestrator.record.mlflow_store import PatientClient
from orchestrator.record.places import Places
from orchestrator.record.run_tables import local_folder
from stats.text import plural
from training.errors import StudyError


def refuse_moved(experiment: Experiment, places: Places, has_results: Callable[[], bool]) -> None:
    """Raise StudyError if the tables of a study are not where its record says.

    Args:
        experiment: The study's experiment.
        places: Where the study's files are now.
        has_results: Returns whether a cell of the study was ever finished.
    """
    recorded = local_folder(experiment.artifact_location)
    if recorded is None:
        return
    if places.artifacts is None:
        if not recorded.is_dir() and has_results():
            raise StudyError(
                f"study {places.study}: the record at {places.record} says that its tables are in "
                f"{recorded}, which is not on this machine; mount or restore that folder"
            )
    elif recorded.resolve() != _own_folder(places).resolve() and _belongs_to_a_project(recorded):
        raise StudyError(
            f"study {places.study}: this project is in {places.root}, but its record says that the tables "
            f"are in {recorded}; if the folder was moved or copied, give the same study to "
            "python -m orchestrator.doctor --move, which corrects the record"
        )


def move(places: Places) -> str:
    """Make the record name the tables in this project, for every study whose tables were beside this study's.

    Returns:
        What was changed, in one line.

    Raises:
        StudyError: The record is not a file of this project, or the tables are not in it.
    """
    client = PatientClient(places.tracking_uri, places.record, 0.0)
    database, new = client.database(), places.artifacts
    if database is None or new is None:
        raise StudyError(
            "--move: MLFLOW_TRACKING_URI names a record that belongs to no project folder; unset it, or "
            "move the tables back"
        )
    experiment = client.get_experiment_by_name(places.study)
    if experiment is None:
        raise StudyError(f"--move: {places.record} has no study {places.study}; name another --config")
    old = str(experiment.artifact_location).rpartition("/")[0]
    if old == new:
        return f"the record names the tables in {_own_folder(places)} already"
    if not _own_folder(places).is_dir():
        raise StudyError(
            f"--move: no tables in {_own_folder(places)}; copy the folder mlartifacts here, or move the "
            "project back"
        )
    with database.ManagedSessionMaker(read_only=False) as session:
        experiments = session.query(SqlExperiment).filter(
            SqlExperiment.artifact_location.startswith(f"{old}/", autoescape=True)
        )
        runs = session.query(SqlRun).filter(SqlRun.artifact_uri.startswith(f"{old}/", autoescape=True))
        for row in experiments:
            row.artifact_location = new + row.artifact_location.removeprefix(old)
        count = 0
        for row in runs:
            row.artifact_uri = new + row.artifact_uri.removeprefix(old)
            count += 1
    return f"moved {plural(count, 'run')} from {old} to {new}"


def _own_folder(places: Places) -> Path:
    """Return the folder in which a project keeps the tables of a study, unless MLFLOW_TRACKING_URI is set."""
    return places.root / "mlartifacts" / places.study


def _belongs_to_a_project(recorded: Path) -> bool:
    """Return whether a folder of tables is of the kind that a project has, or does not exist."""
    return recorded.parent.name == "mlartifacts" or not recorded.is_dir()
