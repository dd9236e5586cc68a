"""The choice of what the user sees of a sweep."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from orchestrator.plan.events import Watcher
from orchestrator.plan.live_table import LiveTable
from orchestrator.plan.log_lines import LogLines
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.status import CellStatus


@contextmanager
def watching(
    study: Study, trials: Sequence[Trial], statuses: Mapping[str, CellStatus], footer: str
) -> Iterator[Watcher]:
    """Yield a live table with a footer if the output is a terminal, otherwise plain log lines."""
    console = Console()
    if not console.is_terminal:
        yield LogLines()
        return
    table = LiveTable(study, trials, dict(statuses), console, footer)
    with Live(get_renderable=table.render, console=console, refresh_per_second=2):
        yield table
        table.running({})
