"""The published rule's thresholds. Imports no pandas, so that reading a study needs none."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedRule:
    """Thresholds of the published rule, in percentage points and shares of seeds."""

    null_pp: float = 5.0
    lean_share: float = 0.5
    match_share: float = 0.8
    weak_pp: float = 1.0


PUBLISHED = PublishedRule()
