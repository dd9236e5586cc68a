"""One driver a study, wherever drivers run: a claim in the shared record that its holder keeps renewing.

MLflow's tags know no compare-and-set, so the rule needs none: a driver first writes its own claim, then reads
all, and holds the study once it has read no claim but its own. Of two drivers the one that wrote last reads
the other's claim, so two never hold at once, whatever their clocks say. A claim that is not renewed for a
while, by the reader's own clock, is a dead driver's and is taken away.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psutil

from orchestrator.record.ledger import Ledger
from training.errors import StudyError

BEAT_S = 5.0  # a claim is renewed so often
LAPSE_S = 60.0  # and is a dead driver's if it has not been renewed for so long
HOLDS, WAITS = "holds", "waits"
log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """This driver was taken for dead, and another one drives its study."""


@contextmanager
def lease(ledger: Ledger, beat_s: float = BEAT_S, lapse_s: float = LAPSE_S) -> Iterator[None]:
    """Hold a study's record; the ledger then refuses to write cells once the hold is lost.

    Raises:
        StudyError: another driver holds it.
    """
    claim = _Claim(ledger, beat_s)
    try:
        _wait_for_others(ledger, claim, lapse_s)
        claim.holds = True
        ledger.guard = claim.check
        yield
    finally:
        claim.withdraw()


class _Claim:
    """This driver's claim, and the thread that renews it."""

    def __init__(self, ledger: Ledger, beat_s: float) -> None:
        self.driver, self.holds, self.beat_s = uuid4().hex, False, beat_s
        self._ledger, self._beats = ledger, 0
        self._lost: str | None = None
        self._ended = threading.Event()
        self._say()
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewing.start()

    def check(self) -> None:
        """Raise LeaseLost if another driver has taken the study over."""
        if self._lost:
            raise LeaseLost(self._lost)

    def withdraw(self) -> None:
        self._ended.set()
        self._renewing.join()
        if not self._lost:
            self._ledger.unclaim(self.driver)

    def _renew(self) -> None:
        while not self._ended.wait(self.beat_s):
            try:
                if self.driver not in self._ledger.claims():
                    self._lost = "another driver took this study over, since it heard nothing from here"
                    return
                self._say()
            except Exception as error:  # the record is out of reach: so is the proof that this driver lives
                self._lost = f"the claim on this study could not be renewed: {error}"
                return

    def _say(self) -> None:
        self._beats += 1
        state = HOLDS if self.holds else WAITS
        self._ledger.claim(self.driver, f"{state} {_here()} {os.getpid()} {self._beats}")


def _wait_for_others(ledger: Ledger, claim: _Claim, lapse_s: float) -> None:
    """Return once no claim but one's own is left: others withdraw, or lapse and are taken away."""
    heard: dict[str, tuple[str, float]] = {}  # driver -> its last word, and when it was first read here
    while others := {driver: word for driver, word in ledger.claims().items() if driver != claim.driver}:
        now = time.monotonic()
        for driver, word in others.items():
            state, where, pid, _ = word.split()
            last, since = heard.setdefault(driver, (word, now))
            alive = word != last  # it was renewed before our eyes
            if alive and (state == HOLDS or driver < claim.driver):
                raise StudyError(
                    f"study {ledger.study}: another sweep of it is at work (process {pid} on "
                    f"{where.split('/')[0]}); wait for it, or watch it with python -m orchestrator.status"
                )
            if alive:
                heard[driver] = (word, now)  # it waits, too, and will find this claim before its own
            elif now - since > lapse_s or _died_here(where, int(pid)):
                log.warning("process %s on %s is dead: its claim is taken away", pid, where.split("/")[0])
                ledger.unclaim(driver)
        time.sleep(min(claim.beat_s, lapse_s) / 5)


def _here() -> str:
    """This machine, since its last start, and who shares its process numbers."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot.read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"


def _died_here(where: str, pid: int) -> bool:
    return "/" in where and where == _here() and not psutil.pid_exists(pid)
