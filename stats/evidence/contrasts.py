"""What is contrasted: arms on groups of held-out pairs, and the outcome that is averaged."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

# eval_group -> arm -> coefficient of the arm's mean outcome on that group's pairs.
Contrast = Mapping[str, Mapping[str, float]]
OWN_GROUPS: Contrast = {"A": {"A": 1.0}, "B": {"B": -1.0}}
# The own-group diff is the sum of the next two (train group x test group, each half weighted):
ARMS_ON_SAME_PAIRS: Contrast = {"A": {"A": 0.5, "B": -0.5}, "B": {"A": 0.5, "B": -0.5}}
PAIRS_UNDER_SAME_ARMS: Contrast = {"A": {"A": 0.5, "B": 0.5}, "B": {"A": -0.5, "B": -0.5}}
OWN_GROUP_ADVANTAGE: Contrast = {"A": {"A": 0.5, "B": -0.5}, "B": {"A": -0.5, "B": 0.5}}
CONTRASTS = {
    "own groups": OWN_GROUPS,
    "arms on the same pairs": ARMS_ON_SAME_PAIRS,
    "pairs under the same arms": PAIRS_UNDER_SAME_ARMS,
    "own-group advantage": OWN_GROUP_ADVANTAGE,
}


@dataclass(frozen=True)
class Metric:
    """An outcome: its column in `user_sums`, the factor from it to the printed unit, and that unit.

    low, high: between which a pair's outcome lies, in the column's unit.
    """

    name: str
    column: str
    scale: float
    unit: str
    low: float
    high: float


ACCURACY = Metric("accuracy", "correct", 100.0, "pp", 0.0, 1.0)
MARGIN = Metric("margin", "margin", 1.0, "nats", -inf, inf)
