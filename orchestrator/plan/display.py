"""What a person sees of a study: its cells, method by split with a mark a seed; live on a terminal."""

import io
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.plan.progress import Progress
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.names import BASELINE

if TYPE_CHECKING:
    import pandas as pd

# later: evidence will say whether the study asks for it (`orchestrator/plan/adaptive.py`).
MARKS = {"finished": "●", "failed": "✗", "retried": "↻", "started": "◐", "missing": "·", "later": " "}
STYLES = {
    "finished": "green",
    "failed": "bold red",
    "retried": "yellow",
    "started": "cyan",
    "missing": "dim",
    "later": "dim",
}

ENDED = ("finished", "failed")


@dataclass(frozen=True)
class Event:
    """Something that happened to a cell; `status` is a key of MARKS."""

    trial: Trial
    status: str
    text: str

    def __str__(self) -> str:
        return f"{self.trial.name}: {self.text}"


class Watcher(Protocol):
    """Who is told what happens in a sweep."""

    def tell(self, event: Event) -> None: ...

    def running(self, progress: Mapping[str, Progress]) -> None:
        """Where the cells that run now are, by trial_id; asked for about once a second."""


class Lines:
    """A line an event, for a log; no line a step."""

    def tell(self, event: Event) -> None:
        print(event, flush=True)

    def running(self, progress: Mapping[str, Progress]) -> None:
        pass


@dataclass
class Screen:
    """A live table on a terminal. Failures and retries stay above it as lines, `places` below it."""

    study: Study
    trials: Sequence[Trial]
    status: dict[str, str]
    console: Console
    places: str = ""
    clock: Callable[[], float] = time.monotonic
    now: Mapping[str, Progress] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.clock()
        self._before = self._steps()
        self._by_id = {trial.trial_id: trial for trial in self.trials}
        # Of each running cell: when it was first seen, and its steps then.
        self._first: dict[str, tuple[float, int]] = {}

    def tell(self, event: Event) -> None:
        known = self.status[event.trial.trial_id]
        if not (event.status == "started" and known == "retried"):
            self.status[event.trial.trial_id] = event.status
        if event.status in ("failed", "retried"):
            self.console.print(str(event), style=STYLES[event.status], highlight=False, markup=False)

    def running(self, progress: Mapping[str, Progress]) -> None:
        now, first = self.clock(), {}
        for key, where in progress.items():
            made = _made(self._by_id[key], where)
            tried_again = key in self.now and made < _made(self._by_id[key], self.now[key])
            first[key] = (now, made) if tried_again else self._first.get(key, (now, made))
        self.now, self._first = progress, first

    def render(self) -> RenderableType:
        # A cell that has just ended was running when last asked.
        notes = {key: self._note(key) for key in self.now if self.status[key] not in ENDED}
        cells = grid(self.study, self.trials, self.status, notes)
        done = sum(self.status[trial.trial_id] == "finished" for trial in self.trials)
        elapsed = self.clock() - self.started
        left = self.left_s(elapsed)
        said = f"{done} of {len(self._asked())} cells, {span(elapsed)} gone"
        said += f", about {span(left)} left" if left is not None else ""
        return Group(cells, Text(said), Text(self.places, style="dim"))

    def _note(self, key: str) -> str:
        """Where a running cell is, and how long it still takes at its pace since it was first seen."""
        trial, where, (since, then) = self._by_id[key], self.now[key], self._first[key]
        made = _made(trial, where)
        if made == then:
            return str(where)
        left = (_steps(trial) - made) * (self.clock() - since) / (made - then)
        return f"{where}, {span(left)} left"

    def left_s(self, elapsed: float) -> float | None:
        """Seconds left at the pace so far, start-up included; None before the first step of this sweep."""
        done, total = self._steps(), sum(_steps(trial) for trial in self._asked())
        made = done - self._before
        return (total - done) * elapsed / made if made else None

    def _asked(self) -> list[Trial]:
        return [trial for trial in self.trials if self.status[trial.trial_id] != "later"]

    def _steps(self) -> int:
        """Optimiser steps behind the finished cells and in the running ones."""
        steps = 0
        for trial in self.trials:
            where = self.now.get(trial.trial_id)
            if self.status[trial.trial_id] == "finished":
                steps += _steps(trial)
            elif where:
                steps += _made(trial, where)
        return steps


@contextmanager
def watching(
    study: Study, trials: Sequence[Trial], status: Mapping[str, str], places: str
) -> Iterator[Watcher]:
    """A live table if a person looks on, `places` below it; lines where the output is a log."""
    console = Console()
    if not console.is_terminal:
        yield Lines()
        return
    screen = Screen(study, trials, dict(status), console, places)
    with Live(get_renderable=screen.render, console=console, refresh_per_second=2):
        yield screen
        screen.running({})


def grid(study: Study, trials: Sequence[Trial], status: Mapping[str, str], notes: Mapping[str, str]) -> Table:
    """The cells, by method and split: a mark a seed, and the notes (by trial_id) of cells that have one."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("method", "split", "seeds", ""):
        table.add_column(head)
    of: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        of[trial.method, trial.split].append(trial)
    for method in study.methods:
        if method in study.published:
            table.add_row(method, "", f"published numbers of {study.published[method]}, not trained")
            continue
        for split in [BASELINE, *study.grid_splits]:
            cells = of[method, split]
            marks = "".join(
                f"[{STYLES[status[trial.trial_id]]}]{MARKS[status[trial.trial_id]]}[/]" for trial in cells
            )
            said = [f"{trial.seed}: {notes[trial.trial_id]}" for trial in cells if trial.trial_id in notes]
            table.add_row(method, split, marks, ", ".join(said))
    return table


def verdicts(table: "pd.DataFrame") -> Table:
    """Verdicts as they stand (`stats.evidence.sequential.decide`), and what would decide the
    unsettled."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("method", "split", "verdict", "seeds", "would decide (80 % power)", ""):
        shown.add_column(head)
    for row in table.to_dict("records"):
        enough = [
            f"{row[f'needed_{what}']:.0f} {what}" + (" (cheaper)" if what == row["cheaper"] else "")
            for what in ("seeds", "pairs")
            if math.isfinite(row[f"needed_{what}"])
        ]
        seen = (row["method"], row["split"], row["state"], str(row["seeds"]))
        shown.add_row(*seen, " or ".join(enough), row["note"])
    return shown


def text(renderable: RenderableType, width: int = 110) -> str:
    """What a renderable looks like in a log: no colours, no trailing blanks."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def span(seconds: float) -> str:
    """A time for people: 40 s, 12 min, 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _made(trial: Trial, where: Progress) -> int:
    """Optimiser steps of a cell that are behind it."""
    return trial.arms.index(where.arm) * where.total + where.step


def _steps(trial: Trial) -> int:
    return len(trial.arms) * trial.training.max_steps
