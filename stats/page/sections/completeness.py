"""The section about completeness: how many of the planned cells have numbers, and which failed a gate."""

import pandas as pd

from stats.comparison import Comparison
from stats.page.page import Page
from stats.status import STATUSES_WITH_NUMBERS, CellStatus


def completeness(comparison: Comparison, page: Page) -> list[str]:
    """Return N of M per method, and the cells that failed a validity gate."""
    cells, gates, say = comparison.cells.table, comparison.cells.gates, page.say
    counts = [
        {
            "method": method,
            "planned": len(part),
            "with numbers": int(part["status"].isin(STATUSES_WITH_NUMBERS).sum()),
            **{
                status.value: int((part["status"] == status).sum())
                for status in (CellStatus.PUBLISHED, CellStatus.FAILED, CellStatus.MISSING)
            },
        }
        for method, part in cells.groupby("method", sort=False)
    ]
    parts = [say("## Completeness"), page.table(pd.DataFrame(counts))]
    if gates.empty:
        return parts
    failed = gates[~gates["passed"].astype(bool)]
    parts.append(
        say(
            "{passed} of {cells} cells passed the validity gates: the loss at step 0 is log 2, both arms "
            "moved, both arms saw equally many pairs and nearly equally many tokens, and geometry and data "
            "are those of the reference.",
            passed=len(gates) - len(failed),
            cells=len(gates),
        )
    )
    return [*parts, page.table(failed.drop(columns=["study", "passed"]))] if len(failed) else parts
