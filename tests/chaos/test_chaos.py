"""Faults injected into real sweeps: whatever befalls a study, each cell ends once, with an undisturbed run's
numbers, or is reported as failed. `make chaos` runs all of them, CI a selection."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from harness import STEPS, Driver, Setting, judge, steps
from services import MlflowServer, Postgres

from orchestrator.drill import Row, table

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(5400)]
Record = Callable[[Row], None]


@pytest.fixture(scope="module")
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    """Takes the rows of the table that is printed at the end."""
    rows: list[Row] = []
    yield rows.append
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{table(rows)}")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """None of this user's stores and clusters; a test that fails leaves no sweep behind."""
    for name in ("MLFLOW_TRACKING_URI", "ORCHESTRATOR_STORAGE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    yield
    while Driver.made:
        driver = Driver.made.pop()
        if driver.process and not driver.ended:
            driver.kill()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def mid_arm(setting: Setting) -> int | None:
    """The process of a cell that is amid its first arm."""
    made = steps(setting)
    if made and made[-1][1] == "A" and 2 < made[-1][2] < STEPS:
        return made[-1][3]
    return None


def between_arms(setting: Setting) -> int | None:
    made = steps(setting)
    return made[-1][3] if made and made[-1][1:3] == ("A", STEPS) else None


@pytest.mark.parametrize("moment", [mid_arm, between_arms], ids=["mid-arm", "between arms"])
def test_workers_killed(tmp_path: Path, record: Record, moment: Callable[[Setting], int | None]) -> None:
    setting = Setting(tmp_path)
    driver, killed = Driver(setting).start(), set()
    for _ in range(3):
        driver.until(lambda: (moment(setting) or 0) not in killed | {0})
        kill(pid := moment(setting) or 0)
        killed.add(pid)
    assert driver.finish() == 0
    record(judge(f"kill -9 of a worker {moment.__name__.replace('_', ' ')}", 3, setting, hits=3))


def test_controllers_killed(tmp_path: Path, record: Record) -> None:
    """Ray Train's controller, which holds a lane's placement group."""
    setting = Setting(tmp_path)
    driver = Driver(setting).start()
    for made in (3, 20):
        driver.until(lambda made=made: len(steps(setting)) >= made)
        kill(driver.below("ray::TrainController")[0].pid)
    assert driver.finish() == 0
    record(judge("kill -9 of a Ray Train controller", 2, setting, hits=1))


def test_a_collective_fails(tmp_path: Path, record: Record) -> None:
    """The second of two workers is killed: the first meets an error of Gloo's amid an arm."""
    setting = Setting(tmp_path, cells=4, lanes=1, workers=2)
    driver = Driver(setting).start()
    for made in (3, 20):
        driver.until(lambda made=made: len(steps(setting)) >= made)
        kill(int(setting.peer.read_text()))
    assert driver.finish() == 0, driver.said[-3000:]
    record(judge("Gloo: the second of two workers killed amid an arm", 2, setting, hits=2))


def test_the_desk_is_lost(tmp_path: Path, record: Record) -> None:
    """The actor that hands out the cells: the same sweep opens another."""
    setting = Setting(tmp_path)
    driver = Driver(setting).start()
    for made in (3, 40):
        driver.until(lambda made=made: len(steps(setting)) >= made)
        kill(driver.below("ray::Desk")[0].pid)
    assert driver.finish() == 0, driver.said[-3000:]
    record(judge("kill -9 of the desk that hands out the cells", 2, setting))


@pytest.mark.parametrize("moments", [2, 20])
def test_drivers_killed(tmp_path: Path, record: Record, moments: int) -> None:
    """At random moments, from its first second on; the same command each time."""
    setting = Setting(tmp_path, cells=12, step_s=0.5)
    draw = random.Random(6)
    driver = Driver(setting)
    for _ in range(moments):
        driver.start()
        before = len(steps(setting))
        if draw.random() < 0.25:
            time.sleep(draw.uniform(0, 15))  # while it starts
        else:
            wanted = before + draw.randrange(1, 12)
            driver.until(lambda wanted=wanted: len(steps(setting)) >= wanted or driver.ended)
        driver.kill()
    assert driver.start().finish() == 0, driver.said[-3000:]
    record(judge("kill -9 of the driver", moments, setting))


def test_a_node_lost_with_its_cells(tmp_path: Path, record: Record) -> None:
    """Four logical nodes; two that run cells are lost with everything on them, one comes back."""
    from ray.cluster_utils import Cluster

    setting = Setting(tmp_path, cells=8, lanes=3, step_s=0.5)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
        driver = Driver(setting, RAY_ADDRESS=cluster.address).start()
        for number, lost in enumerate(nodes[:2], start=1):
            driver.until(lambda number=number: len(steps(setting)) >= 12 * number)
            cluster.remove_node(lost, allow_graceful=False)  # the raylet is killed
            if number == 1:
                cluster.add_node(num_cpus=1)
        assert driver.finish() == 0, driver.said[-3000:]
    finally:
        cluster.shutdown()
    record(judge("loss of a node (raylet killed) under its cells", 2, setting, hits=1))


def test_cells_that_hang_or_always_fail_take_no_other_cell(tmp_path: Path, record: Record) -> None:
    setting = Setting(tmp_path, stall_timeout_s=15)
    driver = Driver(setting)
    for fault in ("hangs-1", "hangs-4", "always fails-2"):
        (setting.faults / fault).touch()
    assert driver.start().finish() == 1
    assert "this cell always fails" in driver.said
    record(judge("two cells that hang, one that always fails", 3, setting, failed=[2], hits=2))


def test_a_damaged_newest_checkpoint(tmp_path: Path, record: Record) -> None:
    setting = Setting(tmp_path)
    driver = Driver(setting).start()
    damaged: set[Path] = set()
    for _ in range(3):
        driver.until(lambda: mid_arm(setting) and set(tmp_path.rglob("*/bulk")) - damaged)
        pid = mid_arm(setting) or steps(setting)[-1][3]
        os.kill(pid, signal.SIGSTOP)  # no newer one is written meanwhile
        cell, arm, *_ = next(row for row in reversed(steps(setting)) if row[3] == pid)
        work = Path(setting.job(setting.trials[cell]).work) / arm
        newest = max(work.glob("*/bulk"))
        newest.write_bytes(b"half of it")
        damaged.add(newest)
        kill(pid)
        driver.until(lambda pid=pid: steps(setting)[-1][3] != pid)
    assert driver.finish() == 0
    record(judge("damaged newest checkpoint, worker killed", 3, setting, hits=3))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_disk_under_the_storage(tmp_path: Path, record: Record) -> None:
    """1 MB for checkpoints of 0.2 MB: some can be kept, most cannot, and a worker is killed, too."""
    storage = tmp_path / "small"
    storage.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", storage], check=True)
    try:
        setting = Setting(tmp_path)
        (storage / "ballast").write_bytes(bytes(500_000))
        driver = Driver(setting, ORCHESTRATOR_STORAGE=str(storage)).start()
        driver.until(lambda: mid_arm(setting))
        kill(mid_arm(setting) or 0)
        assert driver.finish() == 0, driver.said[-3000:]
        assert not list(storage.rglob("state.json")), "recorded cells left something in the store"
    finally:
        subprocess.run(["umount", "-l", storage], check=True)
    record(judge("full disk under the storage, worker killed", 2, setting, hits=1))


@pytest.mark.parametrize("name", ["PostgreSQL", "MLflow's server"])
def test_the_record_away_for_30_s(tmp_path: Path, record: Record, name: str) -> None:
    folder = tmp_path / "services"
    folder.mkdir()
    with Postgres() as postgres, MlflowServer(postgres.uri, str(folder / "artifacts"), folder, {}) as server:
        setting = Setting(tmp_path, tracking=server.uri)
        driver = Driver(setting).start()
        service = postgres if name == "PostgreSQL" else server
        driver.until(lambda: ": done" in driver.said)
        service.kill()
        time.sleep(30)
        service.start()
        assert driver.finish() == 0, driver.said[-3000:]
        record(judge(f"{name} killed, away for 30 s", 1, setting))


def test_a_worker_killed_by_the_memory_monitor(tmp_path: Path, record: Record) -> None:
    """A cell that takes more of the node's memory than is allowed, once."""
    setting = Setting(tmp_path)
    threshold = psutil.virtual_memory().percent / 100 + 0.35  # above what others here take meanwhile
    assert threshold < 0.8, "too little memory is free for this test"
    driver = Driver(
        setting, RAY_memory_usage_threshold=f"{threshold:.2f}", RAY_memory_monitor_refresh_ms="100"
    )
    (setting.faults / "takes much memory-1").touch()
    assert driver.start().finish() == 0, driver.said[-3000:]
    assert not list(setting.faults.iterdir()), "the cell took no memory"
    record(judge("worker killed by Ray's memory monitor", 1, setting))
