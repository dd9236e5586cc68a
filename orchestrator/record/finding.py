"""What a check of the doctor found."""

from dataclasses import dataclass
from enum import StrEnum

MOST_SKEW_S = 5.0  # between this machine's clock and another one's


class Level(StrEnum):
    """How much a finding matters."""

    OK = "OK"  # All is well.
    NOTE = "note"  # Something to know, which is well on most machines.
    PROBLEM = "problem"  # A sweep would fail, or its numbers be in doubt, unless it is solved.


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Attributes:
        thing: What was looked at, such as `disk`.
        text: What was found; for a problem, also the way out.
        level: How much it matters.
    """

    thing: str
    text: str
    level: Level = Level.OK

    @property
    def is_problem(self) -> bool:
        return self.level == Level.PROBLEM

    def __str__(self) -> str:
        return f"{self.level:<8}{self.thing}: {self.text}"


def differing_clock(skew_s: float, than: str) -> Finding:
    """Return the finding that this machine's clock is `skew_s` seconds ahead of another one."""
    text = f"this machine's differs by {skew_s:+.0f} s from that of {than}"
    return problem("clock", f"{text}; let both follow a time server (timedatectl set-ntp true)")


def problem(thing: str, text: str) -> Finding:
    """Return a finding that has to be solved."""
    return Finding(thing, text, Level.PROBLEM)
