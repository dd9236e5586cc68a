"""One driver per study, wherever drivers run: a claim in the shared record that its holder keeps renewing.

MLflow's tags have no compare-and-set, and the rule needs none. A driver first writes its own claim, then
reads all claims, and holds the study once it has read no claim but its own. Of two drivers, the one that
wrote last reads the other's claim, so two never hold the study at once, whatever their clocks show. A claim
that is not renewed for a while, by the reader's own clock, belongs to a dead driver and is withdrawn. Time
in which the reader could not read does not count, since the other could not write then either; and a process
that this machine knows to be alive is never taken for dead.

Both sides of such a takeover write before they read, too. Who takes over first claims to hold the study, and
then looks whether the other claim has changed. Who was silent for long first renews its claim, and then looks
whether another driver claims to hold the study. Who was not knows that nobody can have taken over: such a
claim is a late message of a driver that has ended or was replaced, or its driver is about to give up.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from orchestrator.record.claims import Claim, ClaimState
from orchestrator.record.ledger import Ledger
from orchestrator.record.liveness import LAPSE_S, lives_here, started, this_machine
from training.errors import StudyError

RENEW_EVERY_S = 5.0
log = logging.getLogger(__name__)


class LeaseLost(StudyError):
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
    claim = _RenewedClaim(ledger, renew_every_s, lapse_s)
    try:
        _wait_for_others(ledger, claim, lapse_s)
        ledger.guard = claim.check
        yield
    finally:
        claim.withdraw()
        if not claim.is_lost:
            ledger.guard = _no_guard


def _no_guard() -> None:
    """Allow every write."""


class _RenewedClaim:
    """This driver's claim, and the thread that renews it.

    Attributes:
        state: What the claim says when it is written next.
        is_alone: Whether this driver has found no other claim left.
        sent_at: When the claim was last sent to the record.
    """

    def __init__(self, ledger: Ledger, renew_every_s: float, lapse_s: float) -> None:
        self.driver, self.state = uuid4().hex, ClaimState.WAITS
        self.is_alone = False
        self.renew_every_s, self._lapse_s = renew_every_s, lapse_s
        self._claims, self._renewals, self.sent_at = ledger.claims, 0, -math.inf
        self._loss: Exception | None = None
        # When the newest renewal was sent after which this claim was read in the record.
        self._confirmed_at = -math.inf
        self._renewing = threading.Lock()
        self._ended = threading.Event()
        self.put()
        self._thread = threading.Thread(target=self._keep_renewing, name="lease", daemon=True)
        self._thread.start()

    def hold(self, sent_at: float) -> None:
        """Note that this driver was found alone after its claim was sent at `sent_at`."""
        self.state, self.is_alone = ClaimState.HOLDS, True
        self._confirmed_at = max(self._confirmed_at, sent_at)

    def check(self) -> None:
        """Raise LeaseLost if another driver has taken the study over, or what ended the record.

        If the claim was not confirmed for a while, as after this process was stopped, it is renewed first;
        and once more if this took so long that another driver may have taken the study over meanwhile.
        """
        longest_s = 2 * self.renew_every_s
        while not self._loss and _clock() - self._confirmed_at > longest_s:
            self._renew()
            longest_s = self._lapse_s / 2
        self.raise_if_lost()

    def raise_if_lost(self) -> None:
        """Raise what the renewals have found, if the claim is lost."""
        if self._loss:
            raise self._loss

    @property
    def is_lost(self) -> bool:
        return self._loss is not None

    def withdraw(self) -> None:
        """Stop renewing the claim, and take it away unless it was lost."""
        self._ended.set()
        self._thread.join()
        if not self._loss:
            self._claims.withdraw(self.driver)

    def _keep_renewing(self) -> None:
        while not self._ended.wait(self.renew_every_s) and not self._loss:
            try:
                self._renew()
            except StudyError as fault:  # the record itself is at fault
                self._loss = fault
            except Exception as error:  # without the record there is no proof that this driver lives
                reason = " ".join(str(error).split())
                self._loss = LeaseLost(
                    f"the claim on this study could not be renewed ({reason}); give the same command again "
                    "once the record can be reached"
                )

    def _renew(self) -> None:
        """Renew the claim if it holds still, and look whether it does after that."""
        with self._renewing:
            if self._loss or not self._holds_still():
                return
            self.put()
            if self._holds_still():
                self._confirmed_at = self.sent_at
            else:
                self._claims.withdraw(self.driver)  # which may have been written anew just now

    def _holds_still(self) -> bool:
        """Ask the record whether no other driver has taken this claim away or over; note it if one has."""
        was_alone = self.is_alone  # this may change before the answer comes
        claims = self._claims.all()
        was_silent = _clock() - self._confirmed_at > self._lapse_s
        others = [claim.state for driver, claim in claims.items() if driver != self.driver]
        if self.driver in claims and not (was_alone and was_silent and ClaimState.HOLDS in others):
            return True
        self._loss = LeaseLost(
            "another driver took this study over, since it heard nothing from this one; watch it with "
            "python -m orchestrator.watch"
        )
        return False

    def put(self) -> None:
        """Write the claim, as it is now, into the record."""
        self._renewals += 1
        self.sent_at, process = _clock(), os.getpid()
        claim = Claim(self.state, this_machine(), process, started(process), self._renewals)
        self._claims.put(self.driver, claim)


def _wait_for_others(ledger: Ledger, own: _RenewedClaim, lapse_s: float) -> None:
    """Hold the study once no other claim is left: its driver withdraws it, or it lapses and goes.

    Raises:
        StudyError: Another driver holds the study or comes first, or the own claim could not be renewed.
    """
    wait_s = min(own.renew_every_s, lapse_s) / 5
    # driver -> its last claim, and for how many seconds this driver has read that same claim
    last_seen: dict[str, tuple[Claim, float]] = {}
    read_at = _clock()
    while True:
        own.raise_if_lost()  # the others wait for a claim that nobody renews
        sent_at = own.sent_at
        others = {driver: claim for driver, claim in ledger.claims.all().items() if driver != own.driver}
        if not others:
            own.hold(sent_at)
            return
        # While the record could not be read, the other driver could not renew its claim either.
        read_at, before = _clock(), read_at
        listened_s = min(read_at - before, 2 * wait_s)
        for driver, claim in others.items():
            previous, silent_s = last_seen.get(driver, (claim, -listened_s))
            here = lives_here(claim)  # None: on another machine
            alive = claim != previous or here is True
            if alive and (claim.state == ClaimState.HOLDS or (claim != previous and driver < own.driver)):
                raise _is_running(ledger, claim)
            silent_s = 0.0 if alive else silent_s + listened_s
            last_seen[driver] = (claim, silent_s)  # one that waits as well gives way to this driver
            if silent_s > lapse_s:
                own.state = ClaimState.HOLDS
                own.put()
                if ledger.claims.all().get(driver) != claim:
                    raise _is_running(ledger, claim)
            if silent_s > lapse_s or here is False:
                log.warning("process %s on %s is dead; its claim is withdrawn", claim.process, claim.host)
                ledger.claims.withdraw(driver)
        time.sleep(wait_s)


def _is_running(ledger: Ledger, claim: Claim) -> StudyError:
    return StudyError(
        f"study {ledger.study}: another sweep of it is running (process {claim.process} on {claim.host}); "
        "wait for it, or watch it with python -m orchestrator.watch"
    )


def _clock() -> float:
    """Return seconds that also pass while the machine sleeps, and that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
