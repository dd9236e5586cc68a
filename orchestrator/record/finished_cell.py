"""What the record says about the identity of a finished cell."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FinishedCell:
    """A finished cell of the record.

    Attributes:
        place: Method, split and seed of the cell.
        identity: The values of its identity as text, by dotted key (`Trial.dotted_identity`).
    """

    place: tuple[str, str, int]
    identity: Mapping[str, str]
