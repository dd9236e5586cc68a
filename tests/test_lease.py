"""Two drivers never hold a study at once, and a dead driver does not hold it for ever."""

import math
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.record.claims import Claim, ClaimState
from orchestrator.record.lease import LeaseLost, lease, this_machine
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from training.errors import StudyError

RENEWAL_S, SHORT_LAPSE_S = 0.1, 1.5
NEVER_S = math.inf  # no claim lapses, even where the machine stands still for a while


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lease")


@pytest.fixture
def drivers(root: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Ledger]:
    """The ledgers of two drivers on one study."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return [Ledger(Places(request.node.name, root)) for _ in range(2)]


def test_a_second_driver_is_refused_until_the_first_ends(drivers: list[Ledger]) -> None:
    first, second = drivers
    with lease(first, RENEWAL_S, NEVER_S):
        with (
            pytest.raises(StudyError, match="another sweep of it is running"),
            lease(second, RENEWAL_S, NEVER_S),
        ):
            pass
        first.guard()  # it still holds
    with lease(second, RENEWAL_S, NEVER_S):
        pass
    assert not first.claims.all()


def test_two_drivers_that_start_together_never_both_hold(drivers: list[Ledger]) -> None:
    holding, most, refused = 0, 0, 0
    counting = threading.Lock()

    def drive(ledger: Ledger) -> None:
        nonlocal holding, most, refused
        try:
            with lease(ledger, RENEWAL_S, NEVER_S):
                with counting:
                    holding += 1
                    most = max(most, holding)
                time.sleep(3 * RENEWAL_S)
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
    drivers[0].claims.put("dead", Claim(ClaimState.HOLDS, "elsewhere/boot/pid", 1, 7))
    start = time.monotonic()
    with lease(drivers[1], RENEWAL_S, SHORT_LAPSE_S):
        assert time.monotonic() - start >= SHORT_LAPSE_S
        assert "dead" not in drivers[0].claims.all()


def test_a_dead_driver_of_this_machine_loses_its_claim_at_once(drivers: list[Ledger]) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    drivers[0].claims.put("dead", Claim(ClaimState.HOLDS, this_machine(), dead.pid, 7))
    with lease(drivers[1], RENEWAL_S, lapse_s=NEVER_S):  # it would wait for ever for the claim to lapse
        assert "dead" not in drivers[0].claims.all()


def test_a_driver_that_was_taken_for_dead_writes_no_further_cell(drivers: list[Ledger]) -> None:
    """A driver that was suspended for longer than its claim lasts wakes up."""
    first, second = drivers
    with lease(first, RENEWAL_S, NEVER_S):
        (driver,) = first.claims.all()
        while not _has_lost_its_lease(first):
            second.claims.withdraw(driver)
            time.sleep(RENEWAL_S)
        with pytest.raises(LeaseLost, match="another driver took this study over"):
            first.fail("no such run", "late", {})


def _has_lost_its_lease(ledger: Ledger) -> bool:
    try:
        ledger.guard()
    except LeaseLost:
        return True
    return False
