"""The record and the checkpoint store on the services that clusters have: PostgreSQL, `mlflow server`, S3."""

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from services import S3, MlflowServer, Postgres, Service
from test_ledger import OTHER, TRIAL, result

from orchestrator.record import mlflow_store
from orchestrator.record.lease import lease
from orchestrator.record.ledger import Ledger, RunRefused
from orchestrator.record.places import Places
from training.checkpoint_store import CheckpointStore, DamagedFolder
from training.errors import StudyError

pytestmark = pytest.mark.integration
NEVER_S = math.inf  # a test machine that pauses must not make a driver look dead
PATIENCE_S = 600.0  # a bound for a test that hangs


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with S3(tmp_path_factory.mktemp("s3")) as service:
        yield service


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as service:
        yield service


@pytest.fixture(scope="module")
def server(postgres: Postgres, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("mlflow")
    with MlflowServer(postgres.uri, f"s3://{s3.BUCKET}/artifacts", folder, s3.environment) as service:
        yield service


@pytest.fixture(params=["server", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A study's record, reached once through `mlflow server` and once in the database itself."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue(request.param).uri)
    monkeypatch.chdir(tmp_path)  # without a server, artifacts go to the working folder
    return Ledger(Places(request.node.name.replace("[", "-").strip("]"), tmp_path), patience_s=PATIENCE_S)


def test_a_result_comes_back_as_it_went_in(ledger: Ledger) -> None:
    ledger.finish(ledger.start(TRIAL, {"git_sha": "abc"}), result(TRIAL, 0.25), {"attempts": "1"})
    assert ledger.cells.table([TRIAL, OTHER])["status"].tolist() == ["finished", "missing"]
    assert ledger.cells.statuses() == {TRIAL.trial_id: "finished"}
    (outcomes,) = ledger.cells.outcomes([TRIAL, OTHER])
    assert outcomes["margin"].tolist() == [0.25, -0.25]


class Retries:
    """Count the waits of a ledger, and set `over` at the third one."""

    def __init__(self) -> None:
        self.waits = 0
        self.over = threading.Event()

    def sleep(self, seconds: float) -> None:
        self.waits += 1
        if self.waits == 3:
            self.over.set()
        time.sleep(seconds)


def outage(service: Service, over: threading.Event) -> threading.Thread:
    """Kill a service now and start it again when `over` is set."""

    def come_back() -> None:
        over.wait()
        service.start()

    service.kill()
    coming_back = threading.Thread(target=come_back)
    coming_back.start()
    return coming_back


@pytest.mark.parametrize("name", ["postgres", "server"])
def test_a_result_written_during_an_outage_is_recorded_once(
    ledger: Ledger, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run_id, retries = ledger.start(TRIAL, {}), Retries()
    clock = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=retries.sleep)
    monkeypatch.setattr(mlflow_store, "time", clock)
    coming_back = outage(request.getfixturevalue(name), retries.over)
    try:
        ledger.finish(run_id, result(TRIAL), {})
        ledger.fail(ledger.start(OTHER, {}), "out of luck", {})
    finally:
        retries.over.set()
        coming_back.join()
    if (name, request.node.callspec.params["ledger"]) != ("server", "postgres"):
        assert retries.waits >= 3  # the service was really down
    assert ledger.cells.table([TRIAL, OTHER])["status"].tolist() == ["finished", "failed"]
    history = MlflowClient(ledger.uri).get_metric_history(run_id, "A/loss")
    assert [point.step for point in history] == [0, 1, 2]


def test_the_wait_for_a_record_is_bounded(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.uri)
    ledger = Ledger(Places("bounded", tmp_path), patience_s=60)
    waits = fake_clock(monkeypatch)
    postgres.kill()
    try:
        with pytest.raises(MlflowException):
            ledger.cells.finished()
    finally:
        postgres.start()
    assert sum(waits) == pytest.approx(60)


def fake_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give a ledger a clock that advances only while it waits, and return its waits in seconds."""
    waits: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(waits), time=time.time, sleep=waits.append)
    monkeypatch.setattr(mlflow_store, "time", clock)
    return waits


def test_a_mistake_is_not_waited_on(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = fake_clock(monkeypatch)
    with pytest.raises(RunRefused, match="not found"):
        ledger.fail("0" * 32, "no such run", {})
    assert waits == []


def test_a_second_driver_elsewhere_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(Places(ledger.study, tmp_path / "another machine"))
    with lease(ledger, 0.5, NEVER_S):
        with pytest.raises(StudyError, match="another sweep of it is running"), lease(other, 0.5, NEVER_S):
            pass
        ledger.guard()


def test_a_checkpoint_store_on_s3(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    store = CheckpointStore(f"s3://{s3.BUCKET}/unfinished/a-cell")
    store.open()
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "x").write_bytes(bytes(range(256)) * 100)
    store.put(made, "checkpoint-1")
    store.put(made, "checkpoint-2")
    assert store.names() == ["checkpoint-1", "checkpoint-2"]
    store.fetch("checkpoint-2", tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "x").read_bytes() == (made / "deep" / "x").read_bytes()
    store.drop("checkpoint-2")
    with pytest.raises(DamagedFolder, match="nothing there"):
        store.fetch("checkpoint-2", tmp_path / "gone")
    store.clear()
    assert store.names() == []


def test_a_missing_bucket_is_a_one_line_mistake(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StudyError, match="s3://no-such-bucket/x") as caught:
        CheckpointStore("s3://no-such-bucket/x").open()
    assert "\n" not in str(caught.value)
