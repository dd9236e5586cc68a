"""The cells of a study as a table: method by split, with a mark per seed."""

import io
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from rich.console import Console, RenderableType
from rich.table import Table

from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
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
    most_rows: int | None = None,
) -> Table:
    """Return the table of a study's cells.

    Args:
        study: Its methods and splits are the rows.
        trials: The cells, each a mark in its row.
        statuses: trial_id -> status, for every trial.
        progress: trial_id -> progress of a running cell, shown beside the marks of its row.
        most_rows: With more rows than this, those in which nothing runs or failed are folded into one, the
            last ones first; None folds none.
    """
    table = plain_table("method", "split", "seeds", "")
    cells_by_row: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        cells_by_row[trial.method, trial.split].append(trial)
    for method, path in study.published.items():
        table.add_row(method, "", f"published numbers of {path}, not trained")
    folded = _folded(
        cells_by_row, statuses, progress, None if most_rows is None else most_rows - table.row_count
    )
    for (method, split), cells in cells_by_row.items():
        if (method, split) not in folded:
            running = [
                f"{cell.seed}: {progress[cell.trial_id]}" for cell in cells if cell.trial_id in progress
            ]
            table.add_row(method, split, _marks(cells, statuses), ", ".join(running))
    if folded:
        counts = Counter(statuses[cell.trial_id] for row in folded for cell in cells_by_row[row])
        text = ", ".join(f"{counts[status]} {status}" for status in MARKS if counts[status])
        table.add_row("...", f"{len(folded)} more", text)
    return table


def _folded(
    cells_by_row: Mapping[tuple[str, str], Sequence[Trial]],
    statuses: Mapping[str, CellStatus],
    progress: Mapping[str, str],
    room: int | None,
) -> set[tuple[str, str]]:
    """Return which rows to fold so that the others and one line about the folded ones fit."""
    if room is None or len(cells_by_row) <= room:
        return set()

    def interest(row: tuple[str, str]) -> int:
        cells = cells_by_row[row]
        if any(cell.trial_id in progress for cell in cells):
            return 3
        if any(statuses[cell.trial_id] in (CellStatus.FAILED, CellStatus.RETRIED) for cell in cells):
            return 2
        return any(statuses[cell.trial_id] == CellStatus.STARTED for cell in cells)

    shown = sorted(cells_by_row, key=interest, reverse=True)[: max(1, room - 1)]
    return cells_by_row.keys() - set(shown)


def _marks(cells: Sequence[Trial], statuses: Mapping[str, CellStatus]) -> str:
    shown = marks()
    return "".join(
        f"[{MARK_STYLES[status]}]{shown[status]}[/]" for status in (statuses[cell.trial_id] for cell in cells)
    )


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
        table.add_column(header, no_wrap=not header, overflow="ellipsis" if not header else "fold")
    return table


def as_text(renderable: RenderableType, width: int = LOG_WIDTH) -> str:
    """Return a renderable as it looks in a log, without colours and trailing blanks."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())
