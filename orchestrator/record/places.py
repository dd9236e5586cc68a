"""Where a study's files are: the MLflow store, the report, the logs, the cache."""

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from orchestrator.study.study import Study
from training.errors import StudyError


def home() -> Path:
    """Return the working folder, or the folder that `ORCHESTRATOR_HOME` names.

    The working folder of a job from `ray job submit` is an upload that Ray deletes, so the home of such a job
    is a folder in the user's home on the head node.

    Raises:
        StudyError: The working folder was deleted.
    """
    try:
        if named := os.environ.get("ORCHESTRATOR_HOME"):
            return Path(named).expanduser().resolve()
        working = Path.cwd()
    except FileNotFoundError as error:
        raise StudyError("home: the working folder was deleted; change to another folder (cd)") from error
    return Path.home() / "preference-orchestrator" if "_ray_pkg_" in str(working) else working


def without_passwords(text: str) -> str:
    """Return the text with user, password and query removed from its URIs.

    A password may contain `/` and `@`, so everything up to the last `@` of a URI counts as one if a colon
    comes before it.
    """
    text = re.sub(r"//(?:[^\s/@]*:[^\s]*@|[^\s/@]*@)", "//", text)
    return re.sub(r"(\w://[^\s?]*)\?[^\s'\")]*", r"\1", text)


@dataclass(frozen=True)
class Places:
    """The folders and addresses of one study. `work`, `ray` and `cache` hold nothing that a report needs."""

    study: str
    root: Path

    @property
    def out(self) -> Path:
        return self.root / "runs" / self.study

    def create(self) -> None:
        """Create the study's folder.

        Raises:
            StudyError: The folder cannot be made or written.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            if not os.access(self.out, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise StudyError(
                f"home {self.root}: {self.out} cannot be written ({error.strerror}); set ORCHESTRATOR_HOME "
                "to a folder that you may write"
            ) from error

    @property
    def report(self) -> Path:
        return self.out / "report"

    @property
    def selection(self) -> Path:
        """Where a report of some methods and splits goes; the report of the whole study stays."""
        return self.out / "selection"

    @property
    def weights(self) -> Path:
        return self.out / "weights"

    @property
    def logs(self) -> Path:
        return self.out / "logs"

    @property
    def work(self) -> str:
        """Where unfinished cells keep their files: a folder that all nodes reach, or a URI.

        `ORCHESTRATOR_STORAGE` names another root. A study file cannot name one, so that a study writes
        nowhere but under its own name.
        """
        storage = os.environ.get("ORCHESTRATOR_STORAGE")
        if not storage:
            return str(self.out / "work")
        root = storage if "://" in storage else str(Path(storage).expanduser().resolve())
        return f"{root.rstrip('/')}/{self.study}"

    @property
    def ray(self) -> Path:
        """Where Ray Tune and Ray Train keep their own files."""
        return self.out / "ray"

    @property
    def cache(self) -> Path:
        """What all studies of this home share: model files, scored pairs, groups."""
        return self.root / "runs" / ".cache"

    @property
    def tracking_uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def database_file(self) -> Path | None:
        """The SQLite file that the tracking URI names; None if it names another kind of store."""
        uri = self.tracking_uri
        return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None

    @property
    def record(self) -> str:
        """The tracking URI without user and password, as it may be printed."""
        return without_passwords(self.tracking_uri)

    @property
    def artifacts(self) -> str | None:
        """Where MLflow keeps artifacts; None leaves that to the server that `MLFLOW_TRACKING_URI` names."""
        return None if os.environ.get("MLFLOW_TRACKING_URI") else (self.root / "mlartifacts").as_uri()


def places_of(study: Study) -> Places:
    """Return the places of a study under the current home."""
    return Places(study.study, home())
