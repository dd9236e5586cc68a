"""A comparison as a Markdown report. Every number comes from a table; the same tables give the same bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from stats.comparison import Comparison
from stats.evidence.sequential import Looks
from stats.names import BASELINE
from stats.page import html, sections, sections_design, sections_evidence, sections_seeds
from stats.page.language import Language
from stats.page.page import Page, titled
from stats.page.plots import draw
from stats.page.words import Words
from stats.rule.crosscheck import crosscheck
from stats.rule.verdicts import changes
from stats.status import STATUSES_WITH_NUMBERS, CellStatus

FLOATS = "%.10g"


def write(
    comparison: Comparison,
    setup: Mapping[str, str],
    generated: bool,
    out: Path,
    other: pd.DataFrame | None = None,
    language: Language = "en",
    decisions: tuple[pd.DataFrame, Looks] | None = None,
) -> Path:
    """Write report.md, the same as one HTML file, its tables as CSV and its figures into `out`; returns the
    path of report.md. `setup`: what a reader has to know, `study` among it. `other`: verdicts.csv of another
    version of the study, to check against. `decisions`: of `stats.evidence.sequential.decide`, and
    its looks, where the evidence asked for the seeds. Tables stay as they are in any language."""
    out.mkdir(parents=True, exist_ok=True)
    found = tables(comparison)
    checked = None if other is None else crosscheck(comparison.verdicts, other)
    if checked is not None:
        found["crosscheck"] = checked
    if decisions is not None:
        found["seeds"] = decisions[0]
    for name, frame in found.items():
        frame.to_csv(out / f"{name}.csv", index=False, float_format=FLOATS)
    page = Page(Words(language), draw(comparison, out, Words(language)))
    report = out / "report.md"
    report.write_text(render(comparison, setup, generated, page, checked, decisions), encoding="utf-8")
    html.write(report, setup["study"], language)
    return report


def tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """File name -> frame, of all tables that a comparison has. Empty ones are left out."""
    found = {
        "cells": comparison.cells.drop(columns=["run_id"], errors="ignore"),
        "diffs": comparison.diffs,
        "verdicts": comparison.verdicts,
        "gates": comparison.gates,
        "leave_one_out": comparison.sensitivity,
        "evidence_tail": comparison.tail,
        "evidence_tail_changes": comparison.tail_changes,
        "power_detectable": comparison.detectable,
        "power_needed": comparison.needed,
        "power_tail": comparison.tail_power,
        "power_tail_seeds": comparison.tail_seeds,
        "power_tail_needed": comparison.tail_needed,
        "curves": comparison.curves,
        "curves_window": comparison.window,
        "rule_errors": comparison.errors,
    }
    if comparison.heldout:
        found |= {
            "evidence": comparison.heldout.diffs,
            "evidence_changes": comparison.heldout.changes,
            "intervals": comparison.heldout.intervals,
            "contrasts": comparison.heldout.contrasts,
            "variances": comparison.heldout.variances,
        }
    found = {name: frame for name, frame in found.items() if len(frame)}
    judged = comparison.verdicts
    if (judged["method"] == comparison.reference).any():
        found["changes"] = changes(judged, comparison.reference)
    return {"verdicts": judged, **found}


def render(
    comparison: Comparison,
    setup: Mapping[str, str],
    generated: bool,
    page: Page,
    checked: pd.DataFrame | None = None,
    decisions: tuple[pd.DataFrame, Looks] | None = None,
) -> str:
    """The report's text, in the order of the study's notes; what the evidence supports comes last, and in one
    sentence at the top. `checked`: of `stats.rule.crosscheck`."""
    parts = [_front_matter(comparison, setup["study"], generated), *_head(comparison, setup, generated, page)]
    about = pd.DataFrame({"": page.say.each(setup), "value": setup.values()})
    parts += [page.say("## Setup"), page.table(about)]
    for section in (sections.completeness, sections.weights, sections.baselines, sections.splits):
        parts += section(comparison, page)
    parts += sections.by_seed(comparison, page)
    if checked is not None:
        parts += sections.crosscheck(checked, page)
    for section in (sections_design.curves, sections_evidence.supported, sections_evidence.evidence):
        parts += section(comparison, page)
    if decisions is not None:
        parts += sections_seeds.decisions(*decisions, page)
    for section in (
        sections_evidence.tail,
        sections_evidence.deciding,
        sections_design.power,
        sections_design.rule,
    ):
        parts += section(comparison, page)
    return "\n\n".join(parts) + "\n"


def _front_matter(comparison: Comparison, study: str, generated: bool) -> str:
    """YAML for a vault of notes. The date is that of the newest finished cell, not of this page;
    published numbers have none."""
    cells = comparison.cells
    there = int(cells["status"].isin(STATUSES_WITH_NUMBERS).sum())
    ended = cells["ended"].max() if "ended" in cells else pd.NaT
    facts: dict[str, Any] = {"title": study}
    if pd.notna(ended):
        facts["date"] = ended.date()
    facts["status"] = "completed" if comparison.complete else f"incomplete, {there} of {len(cells)} cells"
    methods = list(dict.fromkeys(cells["method"]))
    facts["tags"] = ["preference-tuning", *methods, *(["generated-data"] if generated else [])]
    return f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---"


def _head(comparison: Comparison, setup: Mapping[str, str], generated: bool, page: Page) -> list[str]:
    """Title, N of M and what is open, and what the labels are worth."""
    cells, say = comparison.cells, page.say
    there = int(cells["status"].isin(STATUSES_WITH_NUMBERS).sum())
    published = int((cells["status"] == CellStatus.PUBLISHED).sum())
    counted = {"study": setup["study"], "there": there, "all": len(cells)}
    if published == there and there:
        parts = titled(say("{study}: {there} of {all} cells published", **counted), generated, say)
    else:
        parts = titled(say("{study}: {there} of {all} cells finished", **counted), generated, say)
    if published:
        parts.append(
            say(
                "**Published numbers** stand in this report: {published} cells marked `published` were not "
                "run here and passed no gate.",
                published=published,
            )
        )
    if not comparison.complete:
        parts += [
            say("**Incomplete.** A split with a missing cell has no verdict. Missing or failed:"),
            _open(cells[~cells["status"].isin(STATUSES_WITH_NUMBERS)], say),
        ]
    failed = comparison.gates[~comparison.gates["passed"].astype(bool)]
    if len(failed):
        names = ", ".join(f"{row.method}/{row.split}/{row.seed}" for row in failed.itertuples())
        parts.append(
            say(
                "**Verdicts withheld**: {count} cells failed a validity gate: {names}.",
                count=len(failed),
                names=names,
            )
        )
    answers = [*comparison.labels["carried"], *comparison.change_labels["carried"]]
    parts.append(
        say(
            "**Evidence**: of {printed} labels that the published rule prints, {supported} are supported "
            "by these data (last section).",
            printed=len(answers) - answers.count("-"),
            supported=answers.count("yes"),
        )
    )
    return parts


def _open(cells: pd.DataFrame, say: Words) -> str:
    lines = []
    for cell in cells.itertuples():
        why = f": {cell.error}" if isinstance(cell.error, str) else ""
        kind = say(" (all pairs)") if cell.split == BASELINE else ""
        lines.append(f"- {cell.method}/{cell.split}/{cell.seed}{kind} {say.of(str(cell.status))}{why}")
    return "\n".join(lines)
