"""A cell whose run is not closed, as those see it who read the record."""

from collections.abc import Mapping
from dataclasses import dataclass

from stats.status import CellStatus


@dataclass(frozen=True)
class OpenCell:
    """What the driver last noted of a cell.

    Attributes:
        progress: The arm and its step, such as `B 20/60`, or a status.
        failed_attempts: Why each failed attempt failed, the first one first.
    """

    progress: str
    failed_attempts: tuple[str, ...]

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "OpenCell":
        numbers = sorted(int(tag.removeprefix("attempt_")) for tag in tags if tag.startswith("attempt_"))
        failures = tuple(tags[f"attempt_{number}"] for number in numbers)
        return cls(tags.get("progress", str(CellStatus.STARTED)), failures)
