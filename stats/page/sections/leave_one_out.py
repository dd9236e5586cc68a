"""The section that says which cell, split or seed decides the labels."""

import pandas as pd

from stats.comparison import Comparison
from stats.page.page import Page
from stats.rule.labels import Verdict


def leave_one_out(comparison: Comparison, page: Page) -> list[str]:
    """Return the labels and counts that change when one cell, one split or one seed is left out."""
    changes, say = comparison.published.sensitivity, page.say
    rows = [
        {
            "without": say.word(str(lost)),
            "labels": "; ".join(_changed_labels(part, page)),
            "counts without it": _counts(part, "counts_without"),
        }
        for lost, part in changes.groupby("lost", sort=False)
    ]
    return [
        say("### Which cell decides"),
        say(
            "All labels and counts, computed again without one cell, one split or one seed. Losses that "
            "change nothing are not listed. With all cells: {counts}.",
            counts=_counts(changes, "counts") or "-",
        ),
        *_losses(rows, page),
    ]


def _losses(rows: list[dict[str, str]], page: Page) -> list[str]:
    """Return the losses that change a label, one per row."""
    if not rows:
        return [page.say("No single loss changes a label.")]
    summary = page.say("Losses that change a label: {count}", count=len(rows))
    return page.folded(summary, page.table(pd.DataFrame(rows)))


def _changed_labels(changes: pd.DataFrame, page: Page) -> list[str]:
    """Return the labels that one loss changes. Splits that become incomplete are counted per method."""
    incomplete = changes[changes["verdict_without"] == Verdict.INCOMPLETE]
    texts = [
        f"{method}: {page.say.plural(len(part), 'split')} INCOMPLETE"
        for method, part in incomplete.groupby("method")
    ]
    for row in changes.drop(incomplete.index).to_dict("records"):
        column = "change" if row["verdict"] == row["verdict_without"] else "verdict"
        texts.append(
            page.say(
                "{split} {before} to {after}",
                split=f"{row['method']}/{row['split']}",
                before=row[column],
                after=row[f"{column}_without"],
            )
        )
    return texts


def _counts(changes: pd.DataFrame, column: str) -> str:
    """Return the label counts of every method."""
    methods = changes.drop_duplicates("method")
    counts = zip(methods["method"], methods[column], strict=True)
    return "; ".join(f"{method}: {labels}" for method, labels in counts)
