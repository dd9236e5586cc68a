"""The errors of the published rule without any effect, against the figures of STATS.md."""

import numpy as np
import pytest

from stats.rule.rule_errors import NullDesign, rule_errors
from stats.rule.thresholds import PUBLISHED


@pytest.mark.parametrize(
    ("seeds", "label", "share"),
    [(1, "MATCH", 0.37), (1, "WEAK", 0.09), (1, "MISMATCH", 0.55), (3, "LEAN", 0.28), (5, "MATCH", 0.14)],
)
def test_shares_of_labels_without_any_effect(seeds: int, label: str, share: float) -> None:
    result = rule_errors(NullDesign(seeds, 5, 128, 0.915), PUBLISHED, 1500, np.random.default_rng(0))
    shares = result[result["quantity"] == "verdict"].set_index("label")["share"]
    assert shares[label] == pytest.approx(share, abs=0.04)
    assert result.groupby("quantity")["share"].sum().to_numpy() == pytest.approx(np.ones(3))
