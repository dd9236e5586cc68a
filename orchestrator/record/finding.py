"""What a check of the doctor found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Attributes:
        thing: What was looked at, such as `disk`.
        text: What was found; for a problem, also the way out.
        is_problem: Whether a sweep would fail, or its numbers be in doubt, unless it is solved.
    """

    thing: str
    text: str
    is_problem: bool = False

    def __str__(self) -> str:
        return f"{'problem' if self.is_problem else 'OK':<8}{self.thing}: {self.text}"


def problem(thing: str, text: str) -> Finding:
    """Return a finding that has to be solved."""
    return Finding(thing, text, is_problem=True)
