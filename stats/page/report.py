"""A comparison as a Markdown report. Every number comes from a table; the same tables give the same bytes."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from stats.comparison import Comparison
from stats.evidence.looks import Looks
from stats.page import html, latex, machine
from stats.page.formats import USUAL_FORMATS, ReportFormat, discard_others, main_file
from stats.page.language import Language
from stats.page.page import Page
from stats.page.plan_change import PlanChange
from stats.page.plots.draw import draw
from stats.page.sections.baselines import baselines
from stats.page.sections.completeness import completeness
from stats.page.sections.controls import controls
from stats.page.sections.crosscheck import crosscheck
from stats.page.sections.decisions import decisions as decisions_section
from stats.page.sections.diffs_by_seed import diffs_by_seed
from stats.page.sections.head import front_matter, head
from stats.page.sections.heldout_evidence import heldout_evidence
from stats.page.sections.learning_curves import learning_curves
from stats.page.sections.leave_one_out import leave_one_out
from stats.page.sections.pair_weights import pair_weights
from stats.page.sections.power import power
from stats.page.sections.rule_errors import rule_errors
from stats.page.sections.splits import splits
from stats.page.sections.supported_labels import supported_labels
from stats.page.sections.tail_evidence import tail_evidence
from stats.page.tables import tables
from stats.page.words import Words
from stats.rule.crosscheck import crosscheck as compare_verdicts
from stats.status import STATUSES_WITH_NUMBERS

CSV_FLOAT_FORMAT = f"%{machine.SIGNIFICANT}"


def write(
    comparison: Comparison,
    setup: Mapping[str, str],
    generated: bool,
    out: Path,
    other: pd.DataFrame | None = None,
    language: Language = "en",
    decisions: tuple[pd.DataFrame, Looks] | None = None,
    plan_changes: Sequence[PlanChange] = (),
    formats: Collection[ReportFormat] = USUAL_FORMATS,
) -> Path:
    """Write a report into `out`, in the formats asked for, with its figures as PNG and PDF.

    Args:
        comparison: what to report.
        setup: what a reader has to know to read the numbers, name -> text; `study` is required.
        generated: whether the data of the study were generated.
        out: a folder, made where it is missing.
        other: the verdicts.csv of another version of the study, for the cross-check.
        language: the language of the page and the figures; the CSV tables are the same in every language.
        decisions: the result of `stats.evidence.sequential.decide` and its looks, for a study whose evidence
            decided how many seeds to run.
        plan_changes: what was changed after the plan had been sealed.
        formats: one or more; what a format's files are stands in `stats.page.formats`.

    Returns:
        The file to open first: report.md, or that of the first other format.

    Raises:
        TableError: `stats.rule.crosscheck.crosscheck` refuses `other`.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = tables(comparison)
    agreement = None if other is None else compare_verdicts(comparison.published.verdicts, other)
    if agreement is not None:
        files["crosscheck"] = agreement
    if decisions is not None:
        files["seeds"] = decisions[0]
    for name, frame in files.items():
        frame.to_csv(out / f"{name}.csv", index=False, float_format=CSV_FLOAT_FORMAT)
    page = Page(Words(language), draw(comparison, out, Words(language)))
    text = render(comparison, setup, generated, page, agreement, decisions, plan_changes)
    page_file = out / "report.md"
    page_file.write_text(text, encoding="utf-8")
    if ReportFormat.HTML in formats:
        html.write(page_file, setup["study"], language)
    if ReportFormat.LATEX in formats:
        latex.write(page_file)
    if ReportFormat.JSON in formats:
        machine.write(_facts(comparison, setup, generated), files, out / "report.json")
    discard_others(out, formats)
    return main_file(out, formats)


def _facts(comparison: Comparison, setup: Mapping[str, str], generated: bool) -> dict[str, object]:
    """Return what a program has to know to read a report's tables."""
    cells = comparison.cells.table
    return {
        "study": setup["study"],
        "setup": dict(setup),
        "generated_data": generated,
        "reference": comparison.reference,
        "cells": len(cells),
        "cells_with_numbers": int(cells["status"].isin(STATUSES_WITH_NUMBERS).sum()),
        "complete": comparison.cells.complete,
        "level": comparison.options.level,
        "margin_pp": comparison.options.margin_pp,
    }


def render(
    comparison: Comparison,
    setup: Mapping[str, str],
    generated: bool,
    page: Page,
    agreement: pd.DataFrame | None = None,
    decisions: tuple[pd.DataFrame, Looks] | None = None,
    plan_changes: Sequence[PlanChange] = (),
) -> str:
    """Return the report's text, in the order of the study's notes.

    What the evidence supports comes last, and in one sentence at the top.

    Args:
        agreement: the result of `stats.rule.crosscheck.crosscheck`.
        decisions, plan_changes: as in `write`.
    """
    setup_rows = pd.DataFrame({"": page.say.words(setup), "value": setup.values()})
    parts = [
        front_matter(comparison, setup["study"], generated),
        *head(comparison, setup, generated, page, plan_changes),
        page.say("## Setup"),
        page.table(setup_rows),
        *completeness(comparison, page),
        *pair_weights(comparison, page),
        *baselines(comparison, page),
        *splits(comparison, page),
        *diffs_by_seed(comparison, page),
        *(crosscheck(agreement, page) if agreement is not None else []),
        *learning_curves(comparison, page),
        *supported_labels(comparison, page),
        *heldout_evidence(comparison, page),
        *(decisions_section(*decisions, page) if decisions is not None else []),
        *tail_evidence(comparison, page),
        *leave_one_out(comparison, page),
        *power(comparison, page),
        *rule_errors(comparison, page),
        *controls(comparison, page),
    ]
    return "\n\n".join(parts) + "\n"
