"""Where a study's things lie: the MLflow store, the report, the logs, the cache."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from orchestrator.study.study import Study


def home() -> Path:
    """The working folder; `ORCHESTRATOR_HOME` names another.

    Inside a `ray job submit` the working folder is an upload that Ray deletes, so a job's own home is
    a folder of the user's on the head node.
    """
    if named := os.environ.get("ORCHESTRATOR_HOME"):
        return Path(named).expanduser().resolve()
    if "_ray_pkg_" in str(Path.cwd()):
        return Path.home() / "preference-orchestrator"
    return Path.cwd()


def without_passwords(text: str) -> str:
    """The text, its URIs without user and password."""
    return re.sub(r"//[^/@\s]*@", "//", text)


@dataclass(frozen=True)
class Places:
    """Folders of one study. Ray's side (`work`, `cache`) holds nothing that a report needs."""

    study: str
    root: Path

    @property
    def out(self) -> Path:
        return self.root / "runs" / self.study

    @property
    def report(self) -> Path:
        return self.out / "report"

    @property
    def weights(self) -> Path:
        return self.out / "weights"

    @property
    def logs(self) -> Path:
        return self.out / "logs"

    @property
    def work(self) -> str:
        """Unfinished cells: a folder all nodes reach, or a URI. `ORCHESTRATOR_STORAGE` names another one; a
        study file names none, so that it can write nowhere but under its own name."""
        storage = os.environ.get("ORCHESTRATOR_STORAGE")
        if not storage:
            return str(self.out / "work")
        root = storage if "://" in storage else str(Path(storage).expanduser().resolve())
        return f"{root.rstrip('/')}/{self.study}"

    @property
    def ray(self) -> Path:
        return self.out / "ray"

    @property
    def cache(self) -> Path:
        return self.root / "runs" / ".cache"

    @property
    def tracking_uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def record(self) -> str:
        """The tracking URI as it may be shown: without user and password."""
        return without_passwords(self.tracking_uri)

    @property
    def artifacts(self) -> str | None:
        """Where MLflow keeps artifacts; None leaves it to a server that was named."""
        return None if os.environ.get("MLFLOW_TRACKING_URI") else (self.root / "mlartifacts").as_uri()


def places(study: Study) -> Places:
    return Places(study.study, home())
