"""The report of published numbers, which were not run here."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from stats.compare import compare_published
from stats.evidence.options import Options
from stats.page import report
from stats.page.formats import USUAL_FORMATS, ReportFormat
from stats.page.language import Language
from stats.page.words import Words
from stats.rule.published import counts_in_128ths, restore
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
    formats: Collection[ReportFormat] = USUAL_FORMATS,
) -> Path:
    """Judge published diffs and write their report, as `stats.page.report.write` does.

    Args:
        diffs: study, method, split, seed, diff_pp.
        predictions: study, split, predicted.
        reference: the method that the others are compared with.
        out: a folder, made where it is missing.
        rule: thresholds of the published rule.
        options: levels and tolerances of the evidence.
        other: the verdicts.csv of another version of the study, for the cross-check.
        language: the language of the page and the figures.
        formats: as in `stats.page.report.write`.

    Returns:
        The file to open first.

    Raises:
        TableError: `stats.compare.compare_published` or `stats.rule.crosscheck.crosscheck` refuses a table.
    """
    say = Words(language)
    comparison = compare_published(diffs, predictions, reference, rule, options)
    seed_counts = diffs.groupby(["study", "method"], sort=False)["seed"].nunique().reset_index()
    methods = [
        f"{method} ({study}, {say.plural(seeds, 'seed')})"
        for study, method, seeds in seed_counts.itertuples(index=False, name=None)
    ]
    without_diff = [
        split for split in dict.fromkeys(predictions["split"]) if split not in set(diffs["split"])
    ]
    metric = say("accuracy of the implicit reward on the training tail, A minus B")
    if counts_in_128ths(restore(diffs)):
        metric += say(", restored to multiples of 1/128")
    setup = {
        "study": say(" and ").join(dict.fromkeys(diffs["study"])),
        "source": say(
            "a table of {count} published diffs; nothing was trained or scored here", count=len(diffs)
        ),
        "methods": ", ".join(methods),
        "reference": reference,
        "metric": metric,
        "predicted splits without a diff": ", ".join(without_diff) or say("none"),
    }
    return report.write(
        comparison, setup, generated=False, out=out, other=other, language=language, formats=formats
    )
