"""Faults of the record: those that do not pass are said at once in one line; the others are waited for."""

import errno
import http.server
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from test_ledger import TRIAL, result

from orchestrator.record.ledger import Ledger
from orchestrator.record.mlflow_store import PatientClient
from orchestrator.record.places import Places
from training.errors import StudyError

PATIENCE_S = 600.0  # far more than a test takes


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Ledger(Places("s", tmp_path), PATIENCE_S)


def test_a_deleted_database_and_a_database_of_another_mlflow(ledger: Ledger, tmp_path: Path) -> None:
    run_id, database = ledger.start(TRIAL, {}), tmp_path / "mlflow.db"
    copy = tmp_path / "elsewhere" / "mlflow.db"
    copy.parent.mkdir()
    database.rename(copy)
    with pytest.raises(StudyError, match=r"read-only or was deleted.*same command"):
        ledger.note(run_id, "A 1/2", {})
    with sqlite3.connect(copy) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'abc'")
    with pytest.raises(StudyError, match=r"another version of MLflow.*mlflow db upgrade <its URI>"):
        Ledger(Places("s", copy.parent))


def test_a_database_whose_making_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("CREATE TABLE spans (trace_id TEXT)")
    with pytest.raises(StudyError, match=r"half made.*remove the database.*same command"):
        Ledger(Places("s", tmp_path))


def test_a_deleted_experiment(ledger: Ledger) -> None:
    run_id = ledger.start(TRIAL, {})
    ledger.experiment.client.delete_experiment(ledger.experiment.id)
    for call in (
        lambda: ledger.note(run_id, "A 1/2", {}),
        lambda: ledger.finish(run_id, result(TRIAL), {}),
        lambda: ledger.start(TRIAL, {}),
        lambda: Ledger(Places("s", Path(ledger.uri.removeprefix("sqlite:///")).parent)),
    ):
        with pytest.raises(StudyError, match=r"was deleted in MLflow.*experiments restore --experiment-id 1"):
            call()


@pytest.mark.parametrize(
    ("number", "cause"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "disk is read-only"), (errno.EDQUOT, "quota")],
)
def test_a_disk_that_takes_no_table(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, number: int, cause: str
) -> None:
    def write(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    run_id = ledger.start(TRIAL, {})
    monkeypatch.setattr("mlflow.store.artifact.local_artifact_repo.shutil.copyfileobj", write)
    with pytest.raises(StudyError, match=f"{cause}.*same command"):
        ledger.finish(run_id, result(TRIAL), {})


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """A proxy that answers everything with one status and a page of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param)
            self.end_headers()
            self.wfile.write(b"<html>no</html>")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{proxy.server_port}"
    proxy.shutdown()
    proxy.server_close()


@pytest.mark.parametrize(
    ("server", "cause"),
    [(401, "wants a login"), (403, "may not write"), (413, "refuses large files")],
    indirect=["server"],
)
def test_a_server_that_refuses_is_not_waited_for(server: str, cause: str) -> None:
    client = PatientClient(server, server, PATIENCE_S)
    with pytest.raises(StudyError, match=f"{server}.*{cause}"):
        client.set_experiment_tag("1", "key", "value")


@pytest.mark.parametrize("server", [500, 503], indirect=True)
def test_a_server_that_may_answer_later_is_waited_for(server: str) -> None:
    client, start = PatientClient(server, server, patience_s=1.0), time.monotonic()
    with pytest.raises(MlflowException):
        client.set_experiment_tag("1", "key", "value")
    assert time.monotonic() - start >= 1.0
