"""The published rule's thresholds, and what may be predicted of a split. Knows no pandas, so that reading a
study needs none."""

from dataclasses import dataclass

PREDICTED = ("A > B", "A < B", "A = B", "exploratory")


@dataclass(frozen=True)
class PublishedRule:
    """Thresholds of the published rule, percentage points and shares of seeds."""

    null_pp: float = 5.0
    lean_share: float = 0.5
    match_share: float = 0.8
    weak_pp: float = 1.0


PUBLISHED = PublishedRule()
