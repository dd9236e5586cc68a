"""A comparison as a Markdown report. Every number comes from a table; the same tables give the same bytes."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from stats.comparison import BASELINE, HELD_OUT, TAIL, Comparison
from stats.plots import forest

FIGURES = {
    "diff_pp": ("diffs_tail.png", "Accuracy on the training tail (the published metric)"),
    "heldout_pp": ("diffs_heldout.png", "Accuracy on held-out users"),
}


def write(comparison: Comparison, setup: Mapping[str, str], generated: bool, out: Path) -> Path:
    """Write report.md, its tables as CSV and its figures into `out`; returns the report's path."""
    out.mkdir(parents=True, exist_ok=True)
    tables = {
        "cells": comparison.cells.drop(columns=["run_id"], errors="ignore"),
        "diffs": comparison.diffs,
        "verdicts": comparison.verdicts,
        "changes": comparison.changes,
    }
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False)
    drawn = [
        (title, forest(comparison.diffs, column, title, out / name).name)
        for column, (name, title) in FIGURES.items()
        if comparison.diffs[column].notna().any()
    ]
    report = out / "report.md"
    report.write_text(render(comparison, setup, generated, drawn), encoding="utf-8")
    return report


def render(
    comparison: Comparison, setup: Mapping[str, str], generated: bool, figures: list[tuple[str, str]]
) -> str:
    """The report's text."""
    cells = comparison.cells
    there = int(cells["status"].isin(["finished", "published"]).sum())
    parts = [f"# {setup['study']}: {there} of {len(cells)} cells finished"]
    if generated:
        parts.append(
            "**Generated data**: the people, their ratings and the answers in this study were generated."
        )
    if (cells["status"] == "published").any():
        parts.append(
            "**Published numbers** stand in this report: cells marked `published` were not run here."
        )
    if not comparison.complete:
        open_cells = cells[~cells["status"].isin(["finished", "published"])]
        parts += [
            "**Incomplete.** A split with a missing cell has no verdict. Missing or failed:",
            _open(open_cells),
        ]
    parts += ["## Setup", _markdown(pd.DataFrame(setup.items(), columns=["", "value"]))]
    parts += ["## Baselines (all pairs)", _baselines(cells)]
    parts += [
        "## Splits: published rule on the training tail",
        "Mean, population standard deviation and count over seeds of A minus B. The rule says nothing of "
        "uncertainty: an accuracy over the tail's few pairs has a standard error of several points.",
        _markdown(_points(comparison.verdicts.drop(columns=["study"]))),
        f"### Change from {comparison.reference}",
        _markdown(comparison.changes) if len(comparison.changes) else "No other method has a complete split.",
        "## Diffs by seed (percentage points, A minus B)",
    ]
    for column, title in (("diff_pp", "Training tail"), ("heldout_pp", "Held-out users")):
        wide = comparison.diffs.pivot_table(
            index=["split", "method"], columns="seed", values=column, sort=False
        )
        parts += [f"### {title}", _markdown(_signed(wide).reset_index())]
    parts += [f"![{title}]({name})" for title, name in figures]
    return "\n\n".join(parts) + "\n"


def _open(cells: pd.DataFrame) -> str:
    lines = []
    for cell in cells.itertuples():
        why = f": {cell.error}" if isinstance(cell.error, str) else ""
        lines.append(f"- {cell.method}/{cell.split}/{cell.seed} {cell.status}{why}")
    return "\n".join(lines)


def _baselines(cells: pd.DataFrame) -> str:
    rows = cells[(cells["split"] == BASELINE) & cells["status"].isin(["finished", "published"])]
    wanted = {f"all/{TAIL}": "tail accuracy %", f"all/{HELD_OUT}": "held-out accuracy %"}
    have = {name: title for name, title in wanted.items() if name in rows}
    if rows.empty or not have:
        return "No baseline cell is finished."
    table = rows[["method", "seed"]].assign(
        **{title: [f"{100 * value:.2f}" for value in rows[name]] for name, title in have.items()}
    )
    return _markdown(table)


def _points(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(
        mean_pp=[f"{value:+.2f}" for value in table["mean_pp"]],
        std_pp=[f"{value:.2f}" for value in table["std_pp"]],
        verdict=table["verdict"].fillna("-"),
    )


def _signed(table: pd.DataFrame) -> pd.DataFrame:
    return table.map(lambda value: "-" if pd.isna(value) else f"{value:+.2f}")


def _markdown(table: pd.DataFrame) -> str:
    """A pipe table; a `|` inside a cell is escaped."""
    rows = [
        list(map(str, table.columns)),
        ["---"] * len(table.columns),
        *table.astype(str).to_numpy().tolist(),
    ]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
