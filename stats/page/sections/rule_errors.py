"""The section about the published rule's errors: the labels that it prints when there is no effect."""

import pandas as pd
from scipy.stats import binom

from stats.comparison import Comparison
from stats.page.page import Page
from stats.rule.labels import Verdict


def rule_errors(comparison: Comparison, page: Page) -> list[str]:
    """Return the simulated share of each label when there is no effect."""
    errors, say = comparison.published.rule_errors, page.say
    if errors.empty:
        return []
    rows = []
    for (method, seeds, quantity), part in errors.groupby(["method", "seeds", "quantity"], sort=False):
        shares = [f"{label} {share:.0%}" for label, share in zip(part["label"], part["share"], strict=True)]
        rows.append((method, seeds, say.word(str(quantity)), ", ".join(shares)))
    return [
        say("### What the published rule prints when there is no effect"),
        *page.pictures("rule"),
        say(
            "A simulation: both arms are equally accurate, {pairs} independent pairs stand behind each "
            "accuracy, and the seeds are as many as in this study.",
            pairs=comparison.options.tail_pairs,
        ),
        *_several_fixed(comparison, page),
        *page.folded(
            say("Share of splits with each label"),
            page.table(pd.DataFrame(rows, columns=["method", "seeds", "label of", "share"])),
        ),
    ]


def _several_fixed(comparison: Comparison, page: Page) -> list[str]:
    """Return how likely a method without an effect is to be FIXED in two or more splits."""
    verdicts, errors = comparison.published.verdicts, comparison.published.rule_errors
    reference = comparison.reference
    missed = int(((verdicts["method"] == reference) & (verdicts["verdict"] == Verdict.MISMATCH)).sum())
    matches = errors[(errors["label"] == Verdict.MATCH) & (errors["method"] != reference)]
    if missed < 2 or matches.empty:
        return []
    return [
        page.say(
            "{reference} has {missed} splits with a predicted direction at MISMATCH. A method without any "
            "effect would be FIXED in two or more of them with probability {shares}.",
            reference=reference,
            missed=missed,
            shares=", ".join(
                f"{binom.sf(1, missed, share):.0%} ({method})"
                for method, share in zip(matches["method"], matches["share"], strict=True)
            ),
        )
    ]
