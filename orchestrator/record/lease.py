"""One driver per study, wherever drivers run: a claim in the shared record that its holder keeps renewing.

MLflow's tags have no compare-and-set, and the rule needs none. A driver first writes its own claim, then
reads all claims, and holds the study once it has read no claim but its own. Of two drivers, the one that
wrote last reads the other's claim, so two never hold the study at once, whatever their clocks show. A claim
that is not renewed for a while, by the reader's own clock, belongs to a dead driver and is withdrawn.
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

from orchestrator.record.claims import Claim, ClaimState
from orchestrator.record.ledger import Ledger
from training.errors import StudyError

RENEW_EVERY_S = 5.0
LAPSE_S = 60.0  # a claim that is not renewed for this long belongs to a dead driver
log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """This driver may no longer write: another one took its study over, or its claim could not be renewed."""


@contextmanager
def lease(ledger: Ledger, renew_every_s: float = RENEW_EVERY_S, lapse_s: float = LAPSE_S) -> Iterator[None]:
    """Hold a study's record while the block runs. Once the claim is lost, the ledger refuses to write cells.

    Args:
        ledger: The study's record.
        renew_every_s: Seconds between two renewals of the claim.
        lapse_s: Seconds without a renewal after which another driver's claim is withdrawn.

    Raises:
        StudyError: Another driver holds the study, or waits for it and comes first.
    """
    claim = _RenewedClaim(ledger, renew_every_s)
    try:
        _wait_for_others(ledger, claim, lapse_s)
        claim.state = ClaimState.HOLDS
        ledger.guard = claim.check
        yield
    finally:
        claim.withdraw()


class _RenewedClaim:
    """This driver's claim, and the thread that renews it."""

    def __init__(self, ledger: Ledger, renew_every_s: float) -> None:
        self.driver, self.state, self.renew_every_s = uuid4().hex, ClaimState.WAITS, renew_every_s
        self._claims, self._renewals = ledger.claims, 0
        self._loss: str | None = None
        self._ended = threading.Event()
        self._put()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise LeaseLost if another driver has taken the study over."""
        if self._loss:
            raise LeaseLost(self._loss)

    def withdraw(self) -> None:
        """Stop renewing the claim, and take it away unless it was lost."""
        self._ended.set()
        self._thread.join()
        if not self._loss:
            self._claims.withdraw(self.driver)

    def _renew(self) -> None:
        while not self._ended.wait(self.renew_every_s):
            try:
                if self.driver not in self._claims.all():
                    self._loss = "another driver took this study over, since it heard nothing from this one"
                    return
                self._put()
            except Exception as error:  # without the record there is no proof that this driver lives
                self._loss = f"the claim on this study could not be renewed: {error}"
                return

    def _put(self) -> None:
        self._renewals += 1
        self._claims.put(self.driver, Claim(self.state, this_machine(), os.getpid(), self._renewals))


def _wait_for_others(ledger: Ledger, own: _RenewedClaim, lapse_s: float) -> None:
    """Return once no other claim is left: its driver withdraws it, or it lapses and is withdrawn here."""
    # driver -> its last claim, and when this driver first read that claim
    last_seen: dict[str, tuple[Claim, float]] = {}
    while True:
        others = {driver: claim for driver, claim in ledger.claims.all().items() if driver != own.driver}
        if not others:
            return
        now = time.monotonic()
        for driver, claim in others.items():
            previous, since = last_seen.setdefault(driver, (claim, now))
            alive = claim != previous  # it was renewed while this driver waited
            if alive and (claim.state == ClaimState.HOLDS or driver < own.driver):
                raise StudyError(
                    f"study {ledger.study}: another sweep of it is running (process {claim.process} on "
                    f"{claim.host}); wait for it, or watch it with python -m orchestrator.status"
                )
            if alive:
                last_seen[driver] = (claim, now)  # it waits as well, and gives way to this driver
            elif now - since > lapse_s or _died_here(claim):
                log.warning("process %s on %s is dead; its claim is withdrawn", claim.process, claim.host)
                ledger.claims.withdraw(driver)
        time.sleep(min(own.renew_every_s, lapse_s) / 5)


def this_machine() -> str:
    """Name the host and, on Linux, its current boot and the namespace of its process ids."""
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    if not boot_id.exists():
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot_id.read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"


def _died_here(claim: Claim) -> bool:
    """Return whether the claim's process ran on this machine and no longer exists."""
    return "/" in claim.machine and claim.machine == this_machine() and not psutil.pid_exists(claim.process)
