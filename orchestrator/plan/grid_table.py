"""The cells of a study as a table: method by split, with a mark per seed."""

import io
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
        statuses: trial_id -> status, for every trial.
        progress: trial_id -> how far a running cell is; shown beside the marks of its row.
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
            cells = trials_by_row[method, split]
            marks = "".join(_mark(statuses[trial.trial_id]) for trial in cells)
            running = [
                f"{trial.seed}: {progress[trial.trial_id]}" for trial in cells if trial.trial_id in progress
            ]
            table.add_row(method, split, marks, ", ".join(running))
    return table


def plain_table(*heads: str) -> Table:
    """Return an empty table without lines."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head)
    return table


def as_text(renderable: RenderableType, width: int = LOG_WIDTH) -> str:
    """Return a renderable as it looks in a log: no colours, no trailing blanks."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def _mark(status: CellStatus) -> str:
    return f"[{MARK_STYLES[status]}]{MARKS[status]}[/]"
