"""The section that says which published labels the evidence supports."""

import pandas as pd

from stats.comparison import Comparison
from stats.evidence.words import CARRIED_BY
from stats.page.markdown import probability
from stats.page.page import Page
from stats.status import CellStatus
from stats.text import tally


def supported_labels(comparison: Comparison, page: Page) -> list[str]:
    """Return the supported and the unsupported labels per method, and the published metric in plain words."""
    say = page.say
    rows = [
        *_rows(comparison.labels, "verdict", "verdicts", page),
        *_rows(comparison.change_labels, "change", "changes", page),
    ]
    return [
        say("## What the evidence supports"),
        say(
            "{source}. A label is supported if its interval, adjusted for the number of splits, lies "
            "entirely on the side of zero that the label claims; a label that claims no difference is "
            "supported if the interval lies inside ±{margin:g} pp, and NOT NULL if it lies beyond "
            "±{null:g} pp. FIXED, IMPROVED and REGRESSED are supported only if both verdicts are, too. A "
            "label that is not supported may still be true; these data do not show it.",
            source=_source(comparison, page),
            margin=comparison.options.margin_pp,
            null=comparison.published.rule.null_pp,
        ),
        page.table(pd.DataFrame(rows)) if rows else say("No split has a label."),
        *_in_plain_words(comparison, page),
    ]


def _source(comparison: Comparison, page: Page) -> str:
    say = page.say
    if not comparison.heldout:
        return say("Based on the diffs by seed, because there are no held-out outcomes")
    if (comparison.cells.table["status"] == CellStatus.PUBLISHED).any():
        return say(
            "Based on held-out outcomes; published numbers have none, so they and the changes from them are "
            "judged by the diffs by seed"
        )
    return say("Based on held-out outcomes")


def _rows(labels: pd.DataFrame, column: str, kind: str, page: Page) -> list[dict[str, object]]:
    """Return one row per method: how many labels the rule printed, and which of them are supported."""
    printed = labels[labels[column].isin(list(CARRIED_BY))]
    rows: list[dict[str, object]] = []
    for method, part in printed.groupby("method", sort=False):
        row: dict[str, object] = {"method": method, "labels": page.say.word(kind), "printed": len(part)}
        for title, answer in (("supported", "yes"), ("not supported", "no")):
            chosen = part[part["carried"] == answer]
            names = [f"{split} {label}" for split, label in zip(chosen["split"], chosen[column], strict=True)]
            row[title] = ", ".join(names) or page.say("none")
        rows.append(row)
    return rows


def _in_plain_words(comparison: Comparison, page: Page) -> list[str]:
    """Return the published metric in sentences: what the rule prints, and what its seeds can show."""
    own, reference = comparison.tail.diffs, comparison.reference
    tested = own[(own["method"] == reference) & own["p_holm"].notna()] if len(own) else own
    if tested.empty:
        return []
    lines = [
        page.say(
            "- After Holm's adjustment, {differ} of {tested} {reference} means differ from zero; the "
            "smallest adjusted p is {p}.",
            differ=int((tested["p_holm"] < 1 - comparison.options.level).sum()),
            tested=len(tested),
            reference=reference,
            p=probability(tested["p_holm"].min()),
        )
    ]
    changes = comparison.tail.changes
    printed = comparison.change_labels[comparison.change_labels["change"].isin(list(CARRIED_BY))]
    for method, part in printed.groupby("method", sort=False):
        contained = (
            changes.loc[changes["method"] == method, "inside"].dropna().tolist() if len(changes) else []
        )
        if contained:
            lines.append(
                page.say(
                    "- The {level:.0%} prediction interval for one more {reference} seed contains {method}'s "
                    "mean in {inside} of {splits} splits. The published rule prints: {labels}.",
                    level=comparison.options.level,
                    reference=reference,
                    method=method,
                    inside=sum(contained),
                    splits=len(contained),
                    labels=tally(part["change"]),
                )
            )
    return [page.say("The published metric (the training tail) in plain words:"), "\n".join(lines)]
