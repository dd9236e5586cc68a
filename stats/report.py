"""A comparison as a Markdown report. Every number comes from a table; the same tables give the same bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from stats import html, sections, sections_evidence
from stats.comparison import THERE, Comparison
from stats.crosscheck import crosscheck
from stats.gates import BASELINE
from stats.markdown import table, title
from stats.plots import draw
from stats.verdicts import changes

FLOATS = "%.10g"


def write(
    comparison: Comparison,
    setup: Mapping[str, str],
    generated: bool,
    out: Path,
    other: pd.DataFrame | None = None,
) -> Path:
    """Write report.md, the same as one HTML file, its tables as CSV and its figures into `out`; returns the
    path of report.md. `other`: verdicts.csv of another version of the study, to check against."""
    out.mkdir(parents=True, exist_ok=True)
    found = tables(comparison)
    checked = None if other is None else crosscheck(comparison.verdicts, other)
    if checked is not None:
        found["crosscheck"] = checked
    for name, frame in found.items():
        frame.to_csv(out / f"{name}.csv", index=False, float_format=FLOATS)
    figures = draw(comparison, out)
    report = out / "report.md"
    report.write_text(render(comparison, setup, generated, figures, checked), encoding="utf-8")
    html.write(report, setup["study"])
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
    figures: Mapping[str, str],
    checked: pd.DataFrame | None = None,
) -> str:
    """The report's text. `figures`: of `stats.plots.draw`, name -> file in the report's folder. `checked`: of
    `stats.crosscheck`."""
    parts = [_front_matter(comparison, setup["study"], generated)]
    parts += [*_head(comparison, setup, generated), *sections.supported(comparison)]
    parts += ["## Setup", table(pd.DataFrame(setup.items(), columns=["", "value"]))]
    for section in (
        sections.splits,
        sections_evidence.evidence,
        sections.tail,
        sections.by_seed,
        sections.gates,
        sections.deciding,
        sections_evidence.power,
        sections_evidence.curves,
        sections_evidence.rule,
        sections.baselines,
    ):
        parts += section(comparison, figures)
    if checked is not None:
        parts += sections.crosscheck(checked)
    return "\n\n".join(parts) + "\n"


def _front_matter(comparison: Comparison, study: str, generated: bool) -> str:
    """YAML for a vault of notes. The date is that of the newest finished cell, not of this page;
    published numbers have none."""
    cells = comparison.cells
    there = int(cells["status"].isin(THERE).sum())
    ended = cells["ended"].max() if "ended" in cells else pd.NaT
    facts: dict[str, Any] = {"title": study}
    if pd.notna(ended):
        facts["date"] = ended.date()
    facts["status"] = "complete" if comparison.complete else f"incomplete, {there} of {len(cells)} cells"
    methods = list(dict.fromkeys(cells["method"]))
    facts["tags"] = ["preference-tuning", *methods, *(["generated-data"] if generated else [])]
    return f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---"


def _head(comparison: Comparison, setup: Mapping[str, str], generated: bool) -> list[str]:
    cells = comparison.cells
    there = int(cells["status"].isin(THERE).sum())
    published = int((cells["status"] == "published").sum())
    what = "published" if published == there and there else "finished"
    parts = title(f"{setup['study']}: {there} of {len(cells)} cells {what}", generated)
    if published:
        parts.append(
            f"**Published numbers** stand in this report: {published} cells marked `published` were not run "
            "here and passed no gate."
        )
    if not comparison.complete:
        parts += [
            "**Incomplete.** A split with a missing cell has no verdict. Missing or failed:",
            _open(cells[~cells["status"].isin(THERE)]),
        ]
    failed = comparison.gates[~comparison.gates["passed"].astype(bool)]
    if len(failed):
        names = ", ".join(f"{row.method}/{row.split}/{row.seed}" for row in failed.itertuples())
        parts.append(f"**Verdicts withheld**: {len(failed)} cells failed a validity gate: {names}.")
    return parts


def _open(cells: pd.DataFrame) -> str:
    lines = []
    for cell in cells.itertuples():
        why = f": {cell.error}" if isinstance(cell.error, str) else ""
        kind = " (all pairs)" if cell.split == BASELINE else ""
        lines.append(f"- {cell.method}/{cell.split}/{cell.seed}{kind} {cell.status}{why}")
    return "\n".join(lines)
