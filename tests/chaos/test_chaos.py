"""Faults injected into real sweeps.

Whatever happens to a study, each cell ends once: finished with the numbers of an undisturbed run, or failed.
`make chaos` runs all of these tests, CI the one that is marked `integration` as well.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from driver_process import DriverProcess
from fake_study import Setting, journal_entries
from fixtures import own_environment, table_of_faults  # noqa: F401
from judge import Record, judge
from moments import between_arms, has_made, kill, mid_arm
from services import MlflowServer, Postgres

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(5400)]


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(mid_arm, id="mid-arm", marks=pytest.mark.integration),
        pytest.param(between_arms, id="between arms"),
    ],
)
def test_workers_killed(tmp_path: Path, record: Record, moment: Callable[[Setting], int | None]) -> None:
    setting = Setting(tmp_path)
    driver, killed = DriverProcess(setting).start(), set()
    for _ in range(3):
        driver.wait_until(lambda: (moment(setting) or 0) not in killed | {0})
        kill(pid := moment(setting) or 0)
        killed.add(pid)
    assert driver.finish() == 0
    fault = f"kill -9 of a worker {moment.__name__.replace('_', ' ')}"
    record(judge(fault, 3, setting, min_failed_attempts=3))


def test_controllers_killed(tmp_path: Path, record: Record) -> None:
    """Kill Ray Train's controller, which holds a lane's placement group."""
    setting = Setting(tmp_path)
    driver = DriverProcess(setting).start()
    for steps in (3, 20):
        driver.wait_until(has_made(setting, steps))
        kill(driver.children("ray::TrainController")[0].pid)
    assert driver.finish() == 0
    record(judge("kill -9 of a Ray Train controller", 2, setting, min_failed_attempts=1))


def test_a_collective_fails(tmp_path: Path, record: Record) -> None:
    """Kill the second of two workers: the first meets a Gloo error in the middle of an arm."""
    setting = Setting(tmp_path, cells=4, lanes=1, workers=2)
    driver = DriverProcess(setting).start()
    for steps in (3, 20):
        driver.wait_until(has_made(setting, steps))
        kill(int(setting.peer.read_text()))
    assert driver.finish() == 0, driver.output[-3000:]
    fault = "Gloo: the second of two workers killed amid an arm"
    record(judge(fault, 2, setting, min_failed_attempts=2))


def test_the_desk_is_lost(tmp_path: Path, record: Record) -> None:
    """Kill the actor that hands out the cells: the same sweep opens another."""
    setting = Setting(tmp_path)
    driver = DriverProcess(setting).start()
    for steps in (3, 40):
        driver.wait_until(has_made(setting, steps))
        kill(driver.children("ray::Desk")[0].pid)
    assert driver.finish() == 0, driver.output[-3000:]
    record(judge("kill -9 of the desk that hands out the cells", 2, setting))


@pytest.mark.parametrize("moments", [2, 20])
def test_drivers_killed(tmp_path: Path, record: Record, moments: int) -> None:
    """Kill the driver at random moments, from its first second on, and start the same command again."""
    setting = Setting(tmp_path, cells=12, step_s=0.5)
    draw = random.Random(6)
    driver = DriverProcess(setting)
    for _ in range(moments):
        driver.start()
        before = len(journal_entries(setting))
        if draw.random() < 0.25:
            time.sleep(draw.uniform(0, 15))  # while it starts
        else:
            has_gone_on = has_made(setting, before + draw.randrange(1, 12))
            driver.wait_until(lambda has_gone_on=has_gone_on: has_gone_on() or driver.has_ended)
        driver.kill()
    assert driver.start().finish() == 0, driver.output[-3000:]
    record(judge("kill -9 of the driver", moments, setting))


def test_a_node_lost_with_its_cells(tmp_path: Path, record: Record) -> None:
    """Of four logical nodes, two that run cells are lost with everything on them, and one comes back."""
    from ray.cluster_utils import Cluster

    setting = Setting(tmp_path, cells=8, lanes=3, step_s=0.5)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
        driver = DriverProcess(setting, RAY_ADDRESS=cluster.address).start()
        for number, node in enumerate(nodes[:2], start=1):
            driver.wait_until(has_made(setting, 12 * number))
            cluster.remove_node(node, allow_graceful=False)  # the raylet is killed
            if number == 1:
                cluster.add_node(num_cpus=1)
        assert driver.finish() == 0, driver.output[-3000:]
    finally:
        cluster.shutdown()
    fault = "loss of a node (raylet killed) under its cells"
    record(judge(fault, 2, setting, min_failed_attempts=1))


def test_a_bad_node_costs_no_other_cell_its_attempts(tmp_path: Path, record: Record) -> None:
    """On one of four nodes every cell fails at once, so its lane is always the first that is free."""
    from ray.cluster_utils import Cluster

    setting = Setting(tmp_path, cells=24, lanes=4, step_s=0.5)
    # Each node has room for one lane, so that the bad one gets one.
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        bad, *_ = [cluster.add_node(num_cpus=1) for _ in range(3)]
        driver = DriverProcess(setting, RAY_ADDRESS=cluster.address)
        (setting.faults / "bad node").write_text(bad.node_id)
        assert driver.start().finish() == 0, driver.output[-3000:]
    finally:
        cluster.shutdown()
    was_taken_out = f"({bad.node_id[:8]}) failed one cell after another and gets no work" in driver.output
    assert was_taken_out == (driver.output.count("this node is broken") >= 3)
    record(judge("a node on which every cell fails, of four", 1, setting, min_failed_attempts=1))


def test_cells_that_all_fail_alike_stop_the_sweep_with_attempts_unspent(
    tmp_path: Path, record: Record
) -> None:
    setting = Setting(tmp_path, cells=12)
    driver = DriverProcess(setting)
    (setting.faults / "every cell fails").touch()
    assert driver.start().finish() != 0
    assert "in common: method dpo, split S, node " in driver.output
    attempts = driver.output.count("failed, trying again") + driver.output.count(": failed: ")
    assert attempts <= 3 * 4, driver.output  # of 36: those of the cells that were under way
    (setting.faults / "every cell fails").unlink()
    assert driver.start().finish() == 0, driver.output[-3000:]
    record(judge("every cell fails alike, until the cause is fixed", 1, setting))


def test_preempted_again_and_again(tmp_path: Path, record: Record) -> None:
    """Send SIGTERM to the only lane, more often than a cell has attempts."""
    setting = Setting(tmp_path, cells=2, lanes=1)
    driver, preempted = DriverProcess(setting).start(), set()
    for _ in range(4):
        driver.wait_until(lambda: (mid_arm(setting) or 0) not in preempted | {0})
        os.kill(pid := mid_arm(setting) or 0, signal.SIGTERM)
        preempted.add(pid)
    assert driver.finish() == 0, driver.output[-3000:]
    assert "trying again" not in driver.output
    record(judge("SIGTERM amid an arm, four times in two cells", 4, setting))


def test_cells_that_hang_or_always_fail_take_no_other_cell_with_them(tmp_path: Path, record: Record) -> None:
    setting = Setting(tmp_path, stall_timeout_s=15)
    driver = DriverProcess(setting)
    for fault in ("hangs-1", "hangs-4", "always fails-2"):
        (setting.faults / fault).touch()
    assert driver.start().finish() == 1
    assert "this cell always fails" in driver.output
    fault = "two cells that hang, one that always fails"
    record(judge(fault, 3, setting, must_fail=[2], min_failed_attempts=2))


def test_a_damaged_newest_checkpoint(tmp_path: Path, record: Record) -> None:
    setting = Setting(tmp_path)
    driver = DriverProcess(setting).start()
    damaged: set[Path] = set()
    for _ in range(3):
        driver.wait_until(lambda: mid_arm(setting) and set(tmp_path.rglob("*/bulk")) - damaged)
        pid = mid_arm(setting) or journal_entries(setting)[-1].pid
        os.kill(pid, signal.SIGSTOP)  # so that it writes no newer checkpoint meanwhile
        entry = next(entry for entry in reversed(journal_entries(setting)) if entry.pid == pid)
        store = Path(setting.job(setting.trials[entry.cell]).store) / entry.arm
        newest = max(store.glob("*/bulk"))
        newest.write_bytes(b"half of it")
        damaged.add(newest)
        kill(pid)
        driver.wait_until(lambda pid=pid: journal_entries(setting)[-1].pid != pid)
    assert driver.finish() == 0
    record(judge("damaged newest checkpoint, worker killed", 3, setting, min_failed_attempts=3))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_disk_under_the_storage(tmp_path: Path, record: Record) -> None:
    """With 1 MB for checkpoints of 0.2 MB, some can be kept and most cannot. A worker is killed, too."""
    storage = tmp_path / "small"
    storage.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", storage], check=True)
    try:
        setting = Setting(tmp_path)
        (storage / "ballast").write_bytes(bytes(500_000))
        driver = DriverProcess(setting, ORCHESTRATOR_STORAGE=str(storage)).start()
        driver.wait_until(lambda: mid_arm(setting))
        kill(mid_arm(setting) or 0)
        assert driver.finish() == 0, driver.output[-3000:]
        assert not list(storage.rglob("state.json")), "recorded cells left something in the store"
    finally:
        subprocess.run(["umount", "-l", storage], check=True)
    record(judge("full disk under the storage, worker killed", 2, setting, min_failed_attempts=1))


@pytest.mark.parametrize("name", ["PostgreSQL", "MLflow's server"])
def test_the_record_away_for_30_s(tmp_path: Path, record: Record, name: str) -> None:
    folder = tmp_path / "services"
    folder.mkdir()
    with Postgres() as postgres, MlflowServer(postgres.uri, str(folder / "artifacts"), folder, {}) as server:
        setting = Setting(tmp_path, tracking=server.uri)
        driver = DriverProcess(setting).start()
        service = postgres if name == "PostgreSQL" else server
        driver.wait_until(lambda: ": done" in driver.output)
        service.kill()
        time.sleep(30)
        service.start()
        assert driver.finish() == 0, driver.output[-3000:]
        record(judge(f"{name} killed, away for 30 s", 1, setting))


def test_a_worker_killed_by_the_memory_monitor(tmp_path: Path, record: Record) -> None:
    """One cell takes, once, more of the node's memory than is allowed."""
    setting = Setting(tmp_path)
    threshold = psutil.virtual_memory().percent / 100 + 0.35  # leaves room for what else runs here
    assert threshold < 0.8, "too little memory is free for this test"
    driver = DriverProcess(
        setting, RAY_memory_usage_threshold=f"{threshold:.2f}", RAY_memory_monitor_refresh_ms="100"
    )
    (setting.faults / "takes much memory-1").touch()
    assert driver.start().finish() == 0, driver.output[-3000:]
    assert not list(setting.faults.iterdir()), "the cell took no memory"
    record(judge("worker killed by Ray's memory monitor", 1, setting))
