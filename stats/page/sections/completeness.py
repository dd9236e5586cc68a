"""The section about completeness: how many of the planned cells have numbers, and which failed a gate."""

import pandas as pd

from stats.comparison import Comparison
from stats.evidence.beforehand import DivergedCells, MissingRule
from stats.page.page import Page
from stats.status import STATUSES_WITH_NUMBERS, CellStatus

GATE_TITLES = {
    "step0": "loss at step 0",
    "moved": "arms moved",
    "balance": "equal arms",
    "same_run": "same run",
}


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
    parts = [say("## Completeness"), page.table(pd.DataFrame(counts)), *_exceptions(comparison, page)]
    if gates.empty:
        return parts
    failed = gates[~gates["passed"].astype(bool)]
    parts.append(
        say(
            "Of the {cells} finished cells with arms A and B, {passed} passed all four validity gates: the "
            "loss at step 0 is log 2, both arms moved, both arms saw equally many pairs and nearly equally "
            "many tokens, and geometry, data and model are those of the reference.",
            passed=len(gates) - len(failed),
            cells=len(gates),
        )
    )
    titles = {
        "step0": "loss at step 0",
        "moved": "arms moved",
        "balance": "equal arms",
        "same_run": "same run",
    }
    rows = failed.drop(columns=["study", "passed"]).rename(columns=titles)
    return [*parts, page.table(rows)] if len(failed) else parts


def _exceptions(comparison: Comparison, page: Page) -> list[str]:
    """Return what was left out, bounded or diverged, by the rules that the study file fixed beforehand."""
    cells, options, say, parts = comparison.cells, comparison.options, page.say, []
    if len(cells.left_out):
        parts.append(
            say(
                "Seeds were added to the study. Their cells that have no numbers yet do not count, and their "
                "splits are judged by the seeds that they have: {cells}.",
                cells=_names(cells.left_out),
            )
        )
    short = cells.counts[cells.counts["finished"] < cells.counts["planned"]]
    if options.missing == MissingRule.BOUND and len(short):
        parts.append(
            say(
                "Splits with missing cells keep their verdicts (`missing: bound`): {splits}. Their intervals "
                "are widened so that they hold whatever the missing cells would have shown (Manski 1990; "
                "Imbens & Manski 2004).",
                splits=", ".join(f"{row.method}/{row.split}" for row in short.itertuples()),
            )
        )
    if len(cells.diverged):
        kept = options.diverged == DivergedCells.AS_THEY_ARE
        parts.append(
            say(
                "Diverged (a loss above {ratio:g} times that of step 0): {cells}. {rule}",
                ratio=options.diverged_ratio,
                cells=_names(cells.diverged),
                rule=say("The study counts diverged cells as they are.")
                if kept
                else say("The study counts diverged cells as missing."),
            )
        )
    return parts


def _names(cells: pd.DataFrame) -> str:
    return ", ".join(f"{row.method}/{row.split}/{row.seed}" for row in cells.itertuples())
