"""Two drivers never hold a study at once, and a dead driver does not hold it for ever."""

import dataclasses
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.record.claims import Claim, ClaimState
from orchestrator.record.experiment import RunKind
from orchestrator.record.lease import LeaseLost, lease
from orchestrator.record.ledger import Ledger
from orchestrator.record.liveness import driver_line, started, this_machine
from orchestrator.record.places import Places
from training.errors import StudyError

RENEWAL_S, SHORT_LAPSE_S = 0.1, 1.5
LONG_LAPSE_S = 5.0  # longer than a noisy machine stands still
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
    drivers[0].claims.put("dead", Claim(ClaimState.HOLDS, "elsewhere/boot/pid", 1, 0, 7))
    start = time.monotonic()
    with lease(drivers[1], RENEWAL_S, SHORT_LAPSE_S):
        assert time.monotonic() - start >= SHORT_LAPSE_S
        assert "dead" not in drivers[0].claims.all()


def test_a_late_renewal_of_a_driver_that_was_replaced_ends_nothing(drivers: list[Ledger]) -> None:
    """One stopped amid a renewal writes its claim once more; then it reads the other's, and gives up."""
    first, second = drivers
    claim = Claim(ClaimState.HOLDS, "elsewhere/boot/pid", 1, 0, 7)
    first.claims.put("stopped", claim)
    with lease(second, RENEWAL_S, LONG_LAPSE_S):
        first.claims.put("stopped", dataclasses.replace(claim, renewals=8))
        time.sleep(5 * RENEWAL_S)
        second.guard()


def test_a_late_message_of_a_driver_that_had_ended_ends_nothing(drivers: list[Ledger]) -> None:
    """Its claim was withdrawn before the second driver looked, and a proxy delivers it once more."""
    first, second = drivers
    with lease(second, RENEWAL_S, LONG_LAPSE_S):
        first.claims.put("ended", Claim(ClaimState.HOLDS, "elsewhere/boot/pid", 1, 0, 7))
        time.sleep(5 * RENEWAL_S)
        second.guard()


def test_a_driver_that_waits_gives_up_once_its_claim_cannot_be_renewed(
    drivers: list[Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise two drivers of a machine could wait for one another for ever."""
    first, second = drivers
    first.claims.put("other", Claim(ClaimState.WAITS, this_machine(), os.getpid(), started(os.getpid()), 7))
    put, written = second.claims.put, []

    def put_once(driver: str, claim: Claim) -> None:
        if written:
            raise ConnectionError("the record cannot be reached")
        written.append(driver)
        put(driver, claim)

    monkeypatch.setattr(second.claims, "put", put_once)
    with pytest.raises(LeaseLost, match="could not be renewed"), lease(second, RENEWAL_S, NEVER_S):
        pass


def test_a_dead_driver_of_this_machine_loses_its_claim_at_once(drivers: list[Ledger]) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    drivers[0].claims.put("dead", Claim(ClaimState.HOLDS, this_machine(), dead.pid, started(dead.pid), 7))
    dead.kill()  # it stays a zombie until this process asks for its exit code
    with lease(drivers[1], RENEWAL_S, lapse_s=NEVER_S):  # it would wait for ever for the claim to lapse
        assert "dead" not in drivers[0].claims.all()
    dead.wait()


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


STOPPED_DRIVER = """
import sys
from pathlib import Path
from orchestrator.record.experiment import RunKind
from orchestrator.record.lease import LeaseLost, lease
from orchestrator.record.ledger import Ledger
from orchestrator.record.liveness import driver_line, started, this_machine
from orchestrator.record.places import Places
from test_ledger import TRIAL, result

ledger = Ledger(Places(sys.argv[1], Path(sys.argv[2])))
with lease(ledger, 0.5, 1e9):
    run_id = ledger.start(TRIAL, {})
    print("holds", flush=True)
    sys.stdin.readline()
    refused = 0
    for write in (
        lambda: ledger.finish(run_id, result(TRIAL), {}),
        lambda: ledger.study_run.publish(Path(sys.argv[2]) / "page", "report", {}),
        lambda: ledger.study_run.describe("a report", run_id, "report.html"),
        lambda: ledger.start(TRIAL, {}),
        lambda: ledger.mark_damaged([TRIAL]) or ledger.close_abandoned(),
    ):
        try:
            write()
        except LeaseLost:
            refused += 1
    print(refused, flush=True)
"""


def test_a_driver_that_was_stopped_beyond_its_lease_writes_nothing_when_it_goes_on(
    drivers: list[Ledger], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = drivers[0]
    (root / "page").mkdir(exist_ok=True)
    words = [sys.executable, "-c", STOPPED_DRIVER, ledger.study, str(root)]
    tests = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{tests.parent}:{tests}"}
    driver = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tests
    )
    try:
        assert driver.stdout.readline() == "holds\n"
        claims = ledger.claims.all()
        while ledger.claims.all() == claims:
            time.sleep(0.01)
        time.sleep(0.25)  # amid a renewal, which reads once more, it would be stopped with SQLite's lock
        driver.send_signal(signal.SIGSTOP)
        # For a driver of another machine, a stopped process is a silent one.
        monkeypatch.setattr("orchestrator.record.liveness.this_machine", lambda: "elsewhere/boot/pid")
        with lease(ledger, RENEWAL_S, SHORT_LAPSE_S):
            driver.stdin.write("go\n")
            driver.stdin.flush()
            driver.send_signal(signal.SIGCONT)
            assert driver.stdout.readline() == "5\n"
        assert not ledger.cells.finished()
        assert not list(ledger.experiment.runs(RunKind.STUDY))
    finally:
        driver.kill()
        driver.wait()


def test_a_stopped_driver_of_this_machine_is_not_taken_for_dead(drivers: list[Ledger]) -> None:
    living = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        living.send_signal(signal.SIGSTOP)
        claim = Claim(ClaimState.HOLDS, this_machine(), living.pid, started(living.pid), 7)
        drivers[0].claims.put("stopped", claim)
        with (
            pytest.raises(StudyError, match=f"process {living.pid} on"),
            lease(drivers[1], RENEWAL_S, lapse_s=0.1),
        ):
            pass
        # Another process that was given the same number is another one.
        drivers[0].claims.put("stopped", dataclasses.replace(claim, started=claim.started - 100))
        with lease(drivers[1], RENEWAL_S, NEVER_S):
            pass
    finally:
        living.kill()
        living.wait()


def test_time_in_which_the_record_could_not_be_read_is_not_the_others_silence(
    drivers: list[Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A living driver of another machine cannot renew its claim during an outage of the record."""
    living, waiting = drivers
    outage, ended = threading.Event(), threading.Event()

    def renew() -> None:
        renewals = 0
        while not ended.wait(RENEWAL_S):
            if not outage.is_set():
                renewals += 1
                claim = Claim(ClaimState.HOLDS, "elsewhere/boot/pid", 1, 0, renewals)
                living.claims.put("living", claim)

    outage.set()
    living.claims.put("living", Claim(ClaimState.HOLDS, "elsewhere/boot/pid", 1, 0, 0))
    reads, read = [0], waiting.claims.all

    def read_after_an_outage() -> dict[str, Claim]:
        reads[0] += 1
        if reads[0] == 2 and threading.current_thread() is threading.main_thread():
            time.sleep(3 * SHORT_LAPSE_S)
            claims = read()
            outage.clear()
            return claims
        return read()

    monkeypatch.setattr(waiting.claims, "all", read_after_an_outage)
    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        with (
            pytest.raises(StudyError, match="another sweep of it is running"),
            lease(waiting, renew_every_s=60, lapse_s=SHORT_LAPSE_S),
        ):
            pass
    finally:
        ended.set()
        renewing.join()


def test_a_living_sweep_is_told_from_a_dead_one(drivers: list[Ledger]) -> None:
    first, second = drivers
    assert driver_line(second.claims) == ""
    with lease(first, RENEWAL_S, NEVER_S):
        assert (
            driver_line(second.claims)
            == f"a sweep is running: process {os.getpid()} on {socket.gethostname()}"
        )
    dead = Claim(ClaimState.HOLDS, this_machine(), os.getpid(), 0, 7)  # the number was given again
    first.claims.put("dead", dead)
    assert "is dead; the same sweep command goes on" in driver_line(second.claims)
    first.claims.put("dead", dataclasses.replace(dead, machine="elsewhere/boot/pid"))
    assert "was not heard of for 1 s" in driver_line(second.claims, silence_s=1)


def _has_lost_its_lease(ledger: Ledger) -> bool:
    try:
        ledger.guard()
    except LeaseLost:
        return True
    return False
