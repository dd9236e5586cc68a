"""The published rule's thresholds. Imports no pandas, so that reading a study needs none."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedRule:
    """Thresholds of the published rule.

    null_pp: a mean diff smaller than this counts as OK where A = B is predicted (percentage points).
    lean_share: below this share of seeds on the predicted side, the verdict is MISMATCH.
    match_share: below this share, it is LEAN; from this share on, MATCH.
    weak_pp: with a single seed, a smaller diff on the predicted side is WEAK (percentage points).
    """

    null_pp: float = 5.0
    lean_share: float = 0.5
    match_share: float = 0.8
    weak_pp: float = 1.0


PUBLISHED = PublishedRule()
