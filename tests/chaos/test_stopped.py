"""Processes that are stopped for a while (SIGSTOP), and one that dies in the middle of a write."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from driver_process import DriverProcess
from fake_study import Setting
from fixtures import own_environment, table_of_faults  # noqa: F401
from judge import Record, judge
from moments import has_made, mid_arm

from orchestrator.record.liveness import LAPSE_S

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(5400)]


def stop_for(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


def test_a_worker_that_is_stopped_and_goes_on(tmp_path: Path, record: Record) -> None:
    """Its cell is retried elsewhere meanwhile; when the worker goes on, it is dead or its visit is over."""
    setting = Setting(tmp_path, stall_timeout_s=10)
    driver = DriverProcess(setting).start()
    driver.wait_until(lambda: mid_arm(setting))
    os.kill(pid := mid_arm(setting) or 0, signal.SIGSTOP)
    driver.wait_until(lambda: "stalled: no step for 10 s" in driver.output)
    with suppress(ProcessLookupError):  # the desk has killed it
        os.kill(pid, signal.SIGCONT)
    assert driver.finish() == 0, driver.output[-3000:]
    record(judge("SIGSTOP of a worker beyond its stall timeout", 1, setting, min_failed_attempts=1))


def test_the_desk_is_stopped(tmp_path: Path, record: Record) -> None:
    """While the desk is stopped it hears nothing, which is not the lanes' fault."""
    setting = Setting(tmp_path, stall_timeout_s=20)
    driver = DriverProcess(setting).start()
    driver.wait_until(has_made(setting, 6))
    stop_for(driver.children("ray::Desk")[0].pid, LAPSE_S + 15)
    assert driver.finish() == 0, driver.output[-3000:]
    assert "stalled" not in driver.output, driver.output[-3000:]
    record(judge("SIGSTOP of the desk for 75 s", 1, setting))


def test_the_driver_is_stopped_beyond_its_lease(tmp_path: Path, record: Record) -> None:
    """A second driver on this machine is refused meanwhile, since the first one lives."""
    setting = Setting(tmp_path)
    driver = DriverProcess(setting).start()
    driver.wait_until(has_made(setting, 6))
    assert driver.process is not None
    os.kill(driver.process.pid, signal.SIGSTOP)
    time.sleep(LAPSE_S + 5)
    second = DriverProcess(setting).start()
    assert second.finish() != 0
    os.kill(driver.process.pid, signal.SIGCONT)
    assert driver.finish() == 0, driver.output[-3000:]
    record(judge("SIGSTOP of the driver for more than its lease", 1, setting))


def test_one_of_two_workers_is_stopped(tmp_path: Path, record: Record) -> None:
    """The first of two workers waits for the second, which is stopped for good, in an all-reduce."""
    setting = Setting(tmp_path, cells=4, lanes=1, workers=2, stall_timeout_s=15)
    driver = DriverProcess(setting).start()
    for steps in (3, 30):
        driver.wait_until(has_made(setting, steps))
        os.kill(int(setting.peer.read_text()), signal.SIGSTOP)
    assert driver.finish() == 0, driver.output[-3000:]
    record(judge("SIGSTOP of the second of two workers", 2, setting, min_failed_attempts=2))


@pytest.mark.parametrize(
    "place",
    [
        "orchestrator.record.ledger:Ledger.start",
        "orchestrator.record.ledger:write_tables",
        "orchestrator.record.experiment:Experiment.close_run",
    ],
)
def test_a_driver_that_dies_while_it_records_a_cell(tmp_path: Path, record: Record, place: str) -> None:
    setting = Setting(tmp_path, cells=4)
    driver = DriverProcess(setting)
    for _ in range(2):
        (setting.faults / "driver dies in").write_text(place)
        driver.start()
        assert driver.finish() == -signal.SIGKILL, driver.output[-3000:]
    assert driver.start().finish() == 0, driver.output[-3000:]
    record(judge(f"the driver dies in {place.split(':')[1]}", 2, setting))
