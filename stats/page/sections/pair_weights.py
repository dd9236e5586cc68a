"""The section about the pair weights that the arms saw in training."""

import pandas as pd

from stats.comparison import Comparison
from stats.names import BASELINE
from stats.page.markdown import plain
from stats.page.page import Page


def pair_weights(comparison: Comparison, page: Page) -> list[str]:
    """Return the weights per method and split, for methods that weight their pairs."""
    cells = comparison.cells.table
    needed = {f"{arm}/weight_{statistic}" for arm in "AB" for statistic in ("mean", "min", "capped_share")}
    if not needed <= set(cells):
        return []
    weighted = cells[(cells["split"] != BASELINE) & cells["A/weight_mean"].notna()]
    if weighted.empty:
        return []
    rows = [
        {
            "method": method,
            "split": split,
            **{f"mean weight ({arm})": plain(float(part[f"{arm}/weight_mean"].mean()), 4) for arm in "AB"},
            **{f"smallest ({arm})": plain(float(part[f"{arm}/weight_min"].min()), 4) for arm in "AB"},
            **{f"at cap ({arm})": f"{part[f'{arm}/weight_capped_share'].mean():.1%}" for arm in "AB"},
        }
        for (method, split), part in weighted.groupby(["method", "split"], sort=False)
    ]
    return [
        page.say("## Weights"),
        page.say(
            "Weights of the pairs that the arms trained on, over all steps: the mean over seeds, the "
            "smallest of all seeds, and the share at the cap of 1. `python -m orchestrator.weights` "
            "analyses what determines a weight."
        ),
        page.table(pd.DataFrame(rows)),
    ]
