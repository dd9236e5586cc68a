"""Two drivers never hold a study at once, and a dead one does not hold it for ever."""

import math
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.record import lease as module
from orchestrator.record.lease import LeaseLost, lease
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from training.errors import StudyError

BEAT, LAPSE = 0.1, 1.5
NEVER = math.inf  # a machine that stands still for a while makes nobody dead


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lease")


@pytest.fixture
def drivers(root: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Ledger]:
    """Ledgers of two drivers on one study, and its record."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return [Ledger(Places(request.node.name, root)) for _ in range(2)]


def test_a_second_driver_is_refused_and_told_by_whom_until_the_first_ends(drivers: list[Ledger]) -> None:
    first, second = drivers
    with lease(first, BEAT, NEVER):
        with pytest.raises(StudyError, match="another sweep of it is at work"), lease(second, BEAT, NEVER):
            pass
        first.guard()  # it still holds
    with lease(second, BEAT, NEVER):
        pass
    assert not first.claims()


def test_of_two_that_start_together_never_both_hold(drivers: list[Ledger]) -> None:
    holding, most, refused = 0, 0, 0
    counting = threading.Lock()

    def drive(ledger: Ledger) -> None:
        nonlocal holding, most, refused
        try:
            with lease(ledger, BEAT, NEVER):
                with counting:
                    holding += 1
                    most = max(most, holding)
                time.sleep(3 * BEAT)
                with counting:
                    holding -= 1
        except StudyError:
            refused += 1

    for _ in range(3):
        together = [threading.Thread(target=drive, args=(ledger,)) for ledger in drivers]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
    assert most == 1
    assert refused <= 3  # one of each pair got through


def test_a_dead_driver_of_another_machine_loses_its_claim_when_it_lapses(drivers: list[Ledger]) -> None:
    drivers[0].claim("dead", "holds elsewhere/boot/pid 1 7")
    start = time.monotonic()
    with lease(drivers[1], BEAT, LAPSE):
        assert time.monotonic() - start >= LAPSE
        assert "dead" not in drivers[0].claims()


def test_a_dead_driver_of_this_machine_loses_its_claim_at_once(drivers: list[Ledger]) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    drivers[0].claim("dead", f"holds {module._here()} {gone.pid} 7")
    with lease(drivers[1], BEAT, lapse_s=NEVER):  # it would wait for ever on a claim that has to lapse
        assert "dead" not in drivers[0].claims()


def test_a_driver_that_was_taken_for_dead_writes_no_cell_more(drivers: list[Ledger]) -> None:
    """It was suspended for longer than a claim lasts, and wakes up."""
    first, second = drivers
    with lease(first, BEAT, NEVER):
        (driver,) = first.claims()
        while not _lost(first):
            second.unclaim(driver)
            time.sleep(BEAT)
        with pytest.raises(LeaseLost, match="another driver took this study over"):
            first.fail("no such run", "late", {})


def _lost(ledger: Ledger) -> bool:
    try:
        ledger.guard()
    except LeaseLost:
        return True
    return False
