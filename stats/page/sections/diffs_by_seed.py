"""The section that lists every diff by seed."""

from stats.comparison import Comparison
from stats.page.markdown import signed
from stats.page.page import Page


def diffs_by_seed(comparison: Comparison, page: Page) -> list[str]:
    """Return the training-tail diffs and the held-out diffs, with one column per seed."""
    parts = [page.say("## Diffs by seed (pp, A minus B)")]
    for column, title in (
        ("diff_pp", page.say("### Training tail")),
        ("heldout_pp", page.say("### Held-out users")),
    ):
        if comparison.cells.diffs[column].notna().any():
            wide = comparison.cells.diffs.pivot_table(
                index=["split", "method"], columns="seed", values=column, sort=False, observed=True
            )
            parts += [title, page.table(wide.map(signed).reset_index())]
    return [*parts, *page.pictures("seeds")]
