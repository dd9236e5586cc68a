"""The cells of a study as a table: method by split, with a mark per seed."""

import io
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence

from rich.console import Console, RenderableType
from rich.table import Table

from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.names import BASELINE
from stats.status import CellStatus

MARKS = {
    CellStatus.FINISHED: "●",
    CellStatus.FAILED: "✗",
    CellStatus.RETRIED: "↻",
    CellStatus.STARTED: "◐",
    CellStatus.MISSING: "·",
    CellStatus.LATER: " ",
}
ASCII_MARKS = {
    CellStatus.FINISHED: "+",
    CellStatus.FAILED: "x",
    CellStatus.RETRIED: "r",
    CellStatus.STARTED: "o",
    CellStatus.MISSING: ".",
    CellStatus.LATER: " ",
}
MARK_STYLES = {
    CellStatus.FINISHED: "green",
    CellStatus.FAILED: "bold red",
    CellStatus.RETRIED: "yellow",
    CellStatus.STARTED: "cyan",
    CellStatus.MISSING: "dim",
    CellStatus.LATER: "dim",
}
LOG_WIDTH = 110  # characters per line


def grid_table(
    study: Study,
    trials: Sequence[Trial],
    statuses: Mapping[str, CellStatus],
    progress: Mapping[str, str],
) -> Table:
    """Return the table of a study's cells.

    Args:
        study: Its methods and splits are the rows.
        trials: The cells, each a mark in its row.
        statuses: trial_id -> status, for every trial.
        progress: trial_id -> progress of a running cell, shown beside the marks of its row.
    """
    table = plain_table("method", "split", "seeds", "")
    trials_by_row: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        trials_by_row[trial.method, trial.split].append(trial)
    for method in study.methods:
        if method in study.published:
            table.add_row(method, "", f"published numbers of {study.published[method]}, not trained")
            continue
        for split in [BASELINE, *study.grid_splits]:
            if not (cells := trials_by_row.get((method, split))):
                continue  # none of its cells was chosen
            marks = "".join(_mark(statuses[trial.trial_id]) for trial in cells)
            running = [
                f"{trial.seed}: {progress[trial.trial_id]}" for trial in cells if trial.trial_id in progress
            ]
            table.add_row(method, split, marks, ", ".join(running))
    return table


def marks() -> Mapping[CellStatus, str]:
    """Return the mark of each status, in characters that the encoding of stdout has."""
    try:
        "".join(MARKS.values()).encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return ASCII_MARKS
    return MARKS


def plain_table(*headers: str) -> Table:
    """Return an empty table without rules, with these column headers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header)
    return table


def as_text(renderable: RenderableType, width: int = LOG_WIDTH) -> str:
    """Return a renderable as it looks in a log, without colours and trailing blanks."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def _mark(status: CellStatus) -> str:
    return f"[{MARK_STYLES[status]}]{marks()[status]}[/]"
