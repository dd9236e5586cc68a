"""Whether the process behind a claim lives: known at once on its own machine, elsewhere by its renewals."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from orchestrator.record.claims import Claim, Claims, ClaimState

SILENCE_S = 12.0  # two renewals and some
LAPSE_S = 60.0  # a claim that is not renewed for this long belongs to a dead driver


def this_machine() -> str:
    """Name the host and, on Linux, its current boot and the namespace of its process ids."""
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    if not boot_id.exists():
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot_id.read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"


def lives_here(claim: Claim) -> bool | None:
    """Return whether a claim's process lives on this machine; None if it is of another one."""
    if "/" not in claim.machine or claim.machine != this_machine():
        return None
    try:
        if psutil.Process(claim.process).status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(started(claim.process) - claim.started) <= 1  # otherwise the number was given again
    except psutil.NoSuchProcess:
        return False


def started(process: int) -> int:
    """Return when a process of this machine started, in seconds since the machine's start."""
    boot = psutil.boot_time()  # before the other, which uses it: the clock may be set in between
    since_boot: float = psutil.Process(process).create_time() - boot
    return round(since_boot)


class Liveness:
    """Whether a driver that claims a study lives, asked again and again.

    Args:
        claims: The claims on the study.
        silence_s: After how long without a renewal a driver of another machine is taken for dead.
        clock: Returns the seconds of a monotonic clock.
    """

    def __init__(
        self, claims: Claims, silence_s: float = LAPSE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._claims, self._silence_s, self._clock = claims, silence_s, clock
        self._changed: dict[str, tuple[Claim, float]] = {}  # driver -> its claim, and when it was new
        self._heard: Claim | None = None

    @property
    def driver(self) -> Claim:
        """The claim of the driver that was heard last."""
        assert self._heard is not None
        return self._heard

    def found(self) -> bool:
        """Return whether a driver lives, one that holds the study before one that waits for it."""
        now = self._clock()
        for name, claim in sorted(self._claims.all().items(), key=lambda item: item[1].state):
            seen, since = self._changed.get(name, (None, now))
            if seen != claim:
                since = now
            self._changed[name] = (claim, since)
            alive = lives_here(claim)
            if alive or (alive is None and now - since < self._silence_s):
                self._heard = claim
                return True
        return False


def driver_line(claims: Claims, silence_s: float = SILENCE_S) -> str:
    """Say whether a sweep of the study lives; an empty text if no driver claims the study.

    Args:
        claims: The claims on the study.
        silence_s: How long to listen for a renewal by a driver of another machine.
    """
    # One that waits begins in a moment, unless another one holds the study.
    for name, claim in sorted(claims.all().items(), key=lambda item: item[1].state != ClaimState.HOLDS):
        who = f"process {claim.process} on {claim.host}"
        alive = lives_here(claim)
        deadline = time.monotonic() + silence_s
        while alive is None and time.monotonic() < deadline:
            time.sleep(silence_s / 12)
            now = claims.all().get(name)
            if now is None:
                return f"the sweep of {who} has just ended"
            alive = True if now != claim else None
        if alive:
            return f"a sweep is running: {who}"
        silence = "is dead" if alive is False else f"was not heard of for {silence_s:.0f} s"
        return f"the sweep of {who} {silence}; the same sweep command goes on from what is recorded"
    return ""
