"""The published rule about nothing, against the figures that STATS.md computed."""

import numpy as np
import pytest

from stats.rule.rule_errors import NullDesign, rule_errors
from stats.rule.thresholds import PUBLISHED


@pytest.mark.parametrize(
    ("seeds", "label", "share"),
    [(1, "MATCH", 0.37), (1, "WEAK", 0.09), (1, "MISMATCH", 0.55), (3, "LEAN", 0.28), (5, "MATCH", 0.14)],
)
def test_shares_of_labels_when_nothing_is_there(seeds: int, label: str, share: float) -> None:
    found = rule_errors(NullDesign(seeds, 5, 128, 0.915), PUBLISHED, 1500, np.random.default_rng(0))
    shares = found[found["quantity"] == "verdict"].set_index("label")["share"]
    assert shares[label] == pytest.approx(share, abs=0.04)
    assert found.groupby("quantity")["share"].sum().to_numpy() == pytest.approx(np.ones(3))
