"""A slow or cut network, between driver and MLflow and between nodes, and a cluster without its head."""

import time
from pathlib import Path

import pytest
from driver_process import DriverProcess
from fake_study import Setting
from fixtures import own_environment, table_of_faults  # noqa: F401
from judge import Record, judge
from moments import has_made, kill
from proxy import Proxy
from services import MlflowServer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(5400)]


def test_mlflow_takes_5_s_per_request(tmp_path: Path, record: Record) -> None:
    with (
        MlflowServer(f"sqlite:///{tmp_path}/server.db", str(tmp_path / "artifacts"), tmp_path, {}) as server,
        Proxy(server.port) as proxy,
    ):
        setting = Setting(tmp_path, cells=3, tracking=proxy.uri)
        proxy.delay_s = 5.0
        assert DriverProcess(setting).start().finish(3000) == 0
        proxy.delay_s = 0.0
        record(judge("MLflow takes 5 s per request", 1, setting))


def test_the_driver_is_cut_off_from_mlflow(tmp_path: Path, record: Record) -> None:
    """For longer than its claim lasts, all requests and answers are lost; then the connections go on."""
    with (
        MlflowServer(f"sqlite:///{tmp_path}/server.db", str(tmp_path / "artifacts"), tmp_path, {}) as server,
        Proxy(server.port) as proxy,
    ):
        setting = Setting(tmp_path, tracking=proxy.uri)
        driver = DriverProcess(setting).start()
        driver.wait_until(lambda: ": done" in driver.output)
        proxy.is_cut = True
        time.sleep(75)
        proxy.is_cut = False
        assert driver.finish() == 0, driver.output[-3000:]
        record(judge("partition between driver and MLflow for 75 s", 1, setting))


def test_the_clusters_head_is_killed(tmp_path: Path, record: Record) -> None:
    """Kill Ray's GCS: the sweep ends with a word about it, and the same command goes on."""
    setting = Setting(tmp_path, step_s=0.5)
    driver = DriverProcess(setting).start()
    driver.wait_until(has_made(setting, 10))
    (gcs,) = [child for child in driver.children() if "gcs_server" in child.name()]
    kill(gcs.pid)
    assert driver.finish(900) != 0
    assert driver.start().finish() == 0, driver.output[-3000:]
    record(judge("kill -9 of Ray's GCS, then the same command", 1, setting))
