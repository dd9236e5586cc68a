"""The section about the learning curves."""

import pandas as pd

from stats.comparison import Comparison
from stats.names import BASELINE
from stats.page.markdown import intervals, signed
from stats.page.page import Page
from stats.status import STATUSES_WITH_NUMBERS


def learning_curves(comparison: Comparison, page: Page) -> list[str]:
    """Return the mean diff over a window of logged steps, and when each arm reached 60% accuracy."""
    means = comparison.curves.window
    if means.empty:
        return []
    start, end = comparison.options.window
    rows = pd.DataFrame(
        {
            "method": means["method"],
            "split": means["split"],
            "seeds": means["n_seeds"],
            "logged steps": means["points"],
            "pp": means["mean"].map(signed),
            f"{comparison.options.level:.0%}": intervals(means["low"], means["high"]),
            "captures": page.say.words(means["captures"].where(means["note"] == "", means["note"])),
        }
    )
    return [
        page.say("## Learning curves"),
        page.say(
            "Training-batch accuracy, A minus B, averaged over the logged steps {start} to {end}:",
            start=start,
            end=end,
        ),
        page.table(rows),
        *_steps_to_60(comparison, page),
        *page.pictures("curves"),
        *_heldout(comparison, page),
    ]


def _heldout(comparison: Comparison, page: Page) -> list[str]:
    """Return the held-out curve, where the study asked for one."""
    if comparison.curves.heldout.empty:
        return []
    return [
        page.say(
            "Held-out accuracy along the run, A minus B, each arm on its own group's held-out pairs. The "
            "bands hold new seeds, not other held-out users, and a step that is picked for its size is no "
            "evidence."
        ),
        *page.pictures("heldout_curves"),
    ]


def _steps_to_60(comparison: Comparison, page: Page) -> list[str]:
    names = ["A/steps_to_60pct", "B/steps_to_60pct"]
    cells = comparison.cells.table
    cells = cells[(cells["split"] != BASELINE) & cells["status"].isin(STATUSES_WITH_NUMBERS)]
    if cells.empty or not set(names) & set(cells):
        return []
    rows = cells[["method", "split", "seed"]].copy()
    for name in names:
        rows[f"arm {name[0]}"] = [
            f"{value:.0f}" if pd.notna(value) else page.say("never")
            for value in cells.get(name, [None] * len(cells))
        ]
    return [page.say("First logged step at which the accuracy is at least 60%:"), page.table(rows)]
