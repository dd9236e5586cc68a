"""The live table of a sweep on a terminal: each cell's mark, its progress, and the time left."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestrator.plan.events import Event
from orchestrator.plan.grid_table import MARK_STYLES, grid_table
from orchestrator.plan.phase import Phase
from orchestrator.plan.progress import Progress
from orchestrator.plan.tally import Tally
from orchestrator.study.study import Study
from stats.status import CellStatus

LEAST_ROWS = 3  # of cells, on however low a terminal
BAR_WIDTH = 16  # columns; what it is about stands before it in 60


@dataclass
class LiveTable:
    """A watcher that redraws one table; failures and retries stay above it as lines.

    The table is never higher than the terminal: rows in which nothing happens are folded into one.

    Attributes:
        study: The study; its methods and splits are the rows.
        tally: What is done so far.
        console: Where the table is drawn.
        footer: Text below the table, which says where the logs and the record are.
    """

    study: Study
    tally: Tally
    console: Console
    footer: str = ""

    def __post_init__(self) -> None:
        self._phase: Phase | None = None
        self._spinner = Spinner("line")

    def tell(self, event: Event) -> None:
        self._phase = None
        self.tally.tell(event)
        if event.status in (CellStatus.FAILED, CellStatus.RETRIED):
            self._print(str(event), event.status)

    def note(self, text: str) -> None:
        self._print(text, CellStatus.RETRIED)

    def phase(self, text: str, done: int = 0, total: int = 0) -> None:
        if self._phase is None or self._phase.text != text:
            self._phase = Phase(text, self.tally.clock)
        self._phase.tell(done, total)

    def running(self, progress: Mapping[str, Progress]) -> None:
        self.tally.running(progress)

    def render(self) -> RenderableType:
        """Return the table, a line about the time, and the footer."""
        running = {trial.trial_id: self.tally.progress_text(trial) for trial in self.tally.running_cells}
        footer = Text(self.footer, style="dim", overflow="fold")
        lines = len(footer.wrap(self.console, self.console.width))  # a long address takes several
        below = 2 + lines + bool(self._phase)  # the summary and a line to spare
        rows = max(LEAST_ROWS, self.console.height - below - 1)  # one for the header
        table = grid_table(self.study, self.tally.trials, self.tally.statuses, running, rows)
        return Group(table, *self._phase_line(), Text(self.tally.summary()), footer)

    def _print(self, line: str, status: CellStatus) -> None:
        """Print a line above the table, in a status's colour, which the table redrawn below does not take."""
        self.console.print(Text(line, style=MARK_STYLES[status]))

    def _phase_line(self) -> list[RenderableType]:
        """Return the line about the phase, with a bar if it is counted; no line once cells run."""
        if self._phase is None:
            return []
        total, done = self._phase.total, self._phase.done
        line = Table.grid(padding=(0, 1))
        line.add_row(
            self._spinner,
            str(self._phase),
            ProgressBar(total, done, width=BAR_WIDTH) if total else "",
        )
        return [line]
