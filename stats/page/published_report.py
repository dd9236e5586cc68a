"""Published numbers, judged without any run: their report."""

from pathlib import Path

import pandas as pd

from stats.comparison import compare_published
from stats.evidence.options import Options
from stats.page import report
from stats.page.language import Language
from stats.page.words import Words
from stats.rule.published import counted, restore
from stats.rule.thresholds import PUBLISHED, PublishedRule


def published_report(
    diffs: pd.DataFrame,
    predictions: pd.DataFrame,
    reference: str,
    out: Path,
    rule: PublishedRule = PUBLISHED,
    options: Options | None = None,
    other: pd.DataFrame | None = None,
    language: Language = "en",
) -> Path:
    """Write report.md, verdicts.csv, changes.csv, further tables and figures; returns the report's path."""
    say = Words(language)
    comparison = compare_published(diffs, predictions, reference, rule, options)
    found = diffs.groupby(["study", "method"], sort=False)["seed"].nunique().reset_index()
    methods = [
        f"{method} ({study}, {say.times(seeds, 'seed')})"
        for study, method, seeds in found.itertuples(index=False, name=None)
    ]
    without = [split for split in dict.fromkeys(predictions["split"]) if split not in set(diffs["split"])]
    metric = say("accuracy of the implicit reward on the training tail, A minus B")
    if counted(restore(diffs)):
        metric += say(", read as multiples of 1/128")
    setup = {
        "study": say(" and ").join(dict.fromkeys(diffs["study"])),
        "source": say(
            "a table of {count} published diffs; nothing was trained or scored here", count=len(diffs)
        ),
        "methods": ", ".join(methods),
        "reference": reference,
        "metric": metric,
        "predicted, but without any diff": ", ".join(without) or say("none"),
    }
    return report.write(comparison, setup, generated=False, out=out, other=other, language=language)
