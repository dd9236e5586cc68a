"""A split's decision while a study runs."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class SplitState(StrEnum):
    """The state of a split while a study runs. The first four are `stats.evidence.words.EvidenceWord`s."""

    SUPPORTED = "supported"  # It differs from zero, on the predicted side.
    CONTRADICTED = "contradicted"  # It differs from zero, but not as predicted.
    PRACTICALLY_NULL = "practically null"  # Its interval lies inside the margin.
    UNDECIDED = "undecided"  # No further seeds are taken; nothing was decided.
    OPEN = "open"  # More seeds are needed.


@dataclass(frozen=True)
class Decision:
    """The decision about one split.

    at: the position of the look that settled it, otherwise of its last look; -1 if there is no look.
    low, high: the repeated interval at that look (pp). p_holm: adjusted over the predicted splits.
    chance: the probability that seeds up to `Looks.most` decide.
    """

    state: SplitState
    at: int
    low: float = np.nan
    high: float = np.nan
    p_holm: float = np.nan
    chance: float = np.nan
    note: str = ""
