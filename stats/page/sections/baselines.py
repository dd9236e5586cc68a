"""The section about the baselines, whose single arm trains on all pairs."""

import pandas as pd

from stats.comparison import Comparison
from stats.names import BASELINE, HELD_OUT_METRIC, TAIL_METRIC
from stats.page.markdown import intervals, plain, signed
from stats.page.page import Page
from stats.status import STATUSES_WITH_NUMBERS


def baselines(comparison: Comparison, page: Page) -> list[str]:
    """Return the accuracy of every baseline cell, and its mean per method."""
    cells = comparison.cells.table
    rows = cells[(cells["split"] == BASELINE) & cells["status"].isin(STATUSES_WITH_NUMBERS)]
    titles = {f"all/{TAIL_METRIC}": "tail accuracy %", f"all/{HELD_OUT_METRIC}": "held-out accuracy %"}
    recorded = {name: title for name, title in titles.items() if name in rows}
    if rows.empty or not recorded:
        return []
    means = rows.groupby("method", sort=False, as_index=False)[list(recorded)].mean()
    rows_and_means = pd.concat([rows, means.assign(seed=page.say("mean"))], ignore_index=True)
    accuracies = rows_and_means[["method", "seed"]].assign(
        **{title: [plain(100 * value) for value in rows_and_means[name]] for name, title in recorded.items()}
    )
    return [page.say("## Baselines (all pairs)"), page.table(accuracies), *_by_group(comparison, page)]


def _by_group(comparison: Comparison, page: Page) -> list[str]:
    """Return the accuracy of the baselines' arm on each group, beside that of the group's own arm."""
    pooled = comparison.pooled
    if pooled is None or pooled.empty:
        return []
    shown = pd.DataFrame(
        {
            "method": pooled["method"],
            "split": pooled["split"],
            "group": pooled["eval_group"],
            "users": pooled["users"],
            "own arm %": [plain(100 * value) for value in pooled["own"]],
            "arm of all pairs %": [plain(100 * value) for value in pooled["pooled"]],
            "difference pp": [signed(value) for value in pooled["difference_pp"]],
            "95% interval": intervals(pooled["low"], pooled["high"]),
        }
    )
    return [
        page.say(
            "The arm of all pairs on each group's held-out pairs, beside the arm tuned on that group, over "
            "the seeds that both have. The interval captures the chance of users, and of items that several "
            "of them rated, for these seeds."
        ),
        page.table(shown),
    ]
