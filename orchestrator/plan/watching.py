"""The choice of what the user sees of a sweep."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from orchestrator.plan.events import Watcher
from orchestrator.plan.live_table import LiveTable
from orchestrator.plan.log_lines import LogLines
from orchestrator.plan.progress import Progress
from orchestrator.plan.tally import Tally
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.status import CellStatus

log = logging.getLogger(__name__)


@contextmanager
def watching(
    study: Study,
    trials: Sequence[Trial],
    statuses: Mapping[str, CellStatus],
    footer: str,
    progress: Mapping[str, Progress] | None = None,
) -> Iterator[Watcher]:
    """Yield a live table with a footer on a terminal that can redraw lines, otherwise plain log lines.

    Args:
        study: The study.
        trials: The cells to show.
        statuses: trial_id -> status, for every trial.
        footer: Text below the table.
        progress: trial_id -> progress of the cells that run already, in a sweep that began before; None for
            one that begins now.
    """
    verb = "elapsed" if progress is None else "watched"
    console, tally = Console(), Tally(trials, dict(statuses), progress=progress or {}, verb=verb)
    if not console.is_terminal or console.is_dumb_terminal:
        yield LogLines(tally)
        return
    table = LiveTable(study, tally, console, footer)
    live = Live(get_renderable=table.render, console=console, refresh_per_second=2)
    live.start()
    try:
        yield table
        table.running({})
    finally:
        try:
            live.stop()
        except Exception:  # a terminal that has gone costs no report
            log.warning("the last table could not be shown here; the sweep goes on", exc_info=True)
