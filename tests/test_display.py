"""What a person sees of a sweep: a mark per seed, where running cells are, and how long they still take."""

import io
import os
import pty
import sys

import pytest
from rich.console import Console
from rich.live import Live

from orchestrator.plan.events import Event
from orchestrator.plan.grid_table import as_text, grid_table
from orchestrator.plan.live_table import LiveTable
from orchestrator.plan.log_lines import LogLines
from orchestrator.plan.progress import Progress
from orchestrator.plan.steady import SteadyWatcher
from orchestrator.plan.tally import Tally
from orchestrator.plan.time_span import time_span
from orchestrator.plan.watching import watching
from orchestrator.record.bar import bar_while
from orchestrator.study import grid
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.status import CellStatus

STUDY = Study.model_validate(
    {
        "study": "display",
        "splits": {"S": {"by": "random", "predicted": "A = B"}},
        "methods": {"dpo": {}, "wpo": {"use_weighting": True}},
        "seeds": [1, 2],
        "training": {"max_steps": 10},
    }
)
TRIALS = {trial.name: trial for trial in grid.expand(STUDY)}
IDS = [trial.trial_id for trial in TRIALS.values()]


class Clock:
    """A clock that shows the seconds a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def live_table(clock: Clock | None = None, **statuses: CellStatus) -> LiveTable:
    """A live table of the study; cells without a status given are missing."""
    by_id = {trial.trial_id: statuses.get(name, CellStatus.MISSING) for name, trial in TRIALS.items()}
    console = Console(file=io.StringIO(), force_terminal=True)
    return LiveTable(STUDY, Tally(list(TRIALS.values()), by_id, clock or Clock()), console, "logs: here")


def page(table: LiveTable) -> str:
    return as_text(table.render())


def tell(table: LiveTable, name: str, status: CellStatus) -> Trial:
    """Tell the table of an event; returns the cell."""
    text = "attempt 1 failed: boom" if status == CellStatus.RETRIED else str(status)
    table.tell(Event(TRIALS[name], status, text))
    return TRIALS[name]


def row(table: LiveTable, method: str, split: str) -> list[str]:
    """The marks in the row of a split, and the text beside them if there is one."""
    (line,) = [line for line in page(table).splitlines() if line.split()[:2] == [method, split]]
    return line.split(maxsplit=3)[2:]


def test_each_cell_has_its_mark_in_the_order_of_the_seeds() -> None:
    table = live_table(**{"dpo/S/1": CellStatus.FINISHED, "dpo/S/2": CellStatus.FAILED})
    tell(table, "wpo/S/2", CellStatus.STARTED)
    assert row(table, "dpo", "S") == ["●✗"]
    assert row(table, "wpo", "S") == ["·◐"]
    assert "1 of 8 cells" in page(table)


def test_a_running_cell_shows_its_step_until_it_is_finished() -> None:
    table = live_table()
    cell = tell(table, "dpo/S/2", CellStatus.STARTED)
    table.running({cell.trial_id: Progress("B", 4, 10)})
    assert row(table, "dpo", "S") == ["·◐", "2: B 4/10"]
    tell(table, "dpo/S/2", CellStatus.FINISHED)  # before progress is reported again
    assert row(table, "dpo", "S") == ["·●"]


def test_a_running_cell_shows_its_time_left_at_its_own_pace() -> None:
    clock = Clock()
    table = live_table(clock)
    cell = tell(table, "dpo/S/2", CellStatus.STARTED)
    for clock.now, arm, step in ((100.0, "A", 2), (130.0, "A", 8), (150.0, "B", 2)):
        table.running({cell.trial_id: Progress(arm, step, 10)})
    # 10 of its 20 steps in the 50 s since it was first seen at step 2; 8 are left.
    assert row(table, "dpo", "S") == ["·◐", "2: B 2/10, 40 s left"]
    table.running({cell.trial_id: Progress("A", 5, 10)})  # tried again, from a checkpoint
    clock.now = 160.0
    table.running({cell.trial_id: Progress("A", 10, 10)})
    assert row(table, "dpo", "S") == ["·◐", "2: A 10/10, 20 s left"]
    assert "logs: here" in page(table)


def test_arms_side_by_side_count_the_steps_of_both() -> None:
    clock = Clock()
    table = live_table(clock)
    cell = tell(table, "dpo/S/2", CellStatus.STARTED)
    for clock.now, arms, step in ((100.0, "A", 1), (145.0, "A+B", 5)):
        table.running({cell.trial_id: Progress(arms, step, 10)})
    # 9 of its 20 steps in 45 s; 10 are left.
    assert row(table, "dpo", "S") == ["·◐", "2: A+B 5/10, 50 s left"]


def test_a_retried_cell_keeps_its_mark_and_its_reason_stays_on_the_screen() -> None:
    table = live_table()
    for status in (CellStatus.STARTED, CellStatus.RETRIED, CellStatus.STARTED):
        tell(table, "dpo/S/1", status)
    assert row(table, "dpo", "S") == ["↻·"]
    assert "boom" in table.console.file.getvalue()  # type: ignore[attr-defined]


def test_a_line_above_the_table_leaves_the_table_below_as_it_was() -> None:
    table = live_table()
    tell(table, "dpo/S/2", CellStatus.STARTED)
    with Live(get_renderable=table.render, console=table.console, auto_refresh=False):
        table.note("a node [gpu-1] gets no more work")
    shown = table.console.file.getvalue()  # type: ignore[attr-defined]
    assert "a node [gpu-1] gets no more work" in shown
    assert "[cyan]" not in shown
    assert "\x1b[36m◐" in shown


def test_the_time_left_is_that_of_the_steps_left_at_the_pace_so_far() -> None:
    # A cell that finished before this sweep says nothing about the sweep's pace.
    clock = Clock()
    table = live_table(clock, **{"dpo/baseline/1": CellStatus.FINISHED})
    clock.now = 30.0
    assert table.tally.seconds_left() is None
    cell = tell(table, "dpo/S/1", CellStatus.STARTED)
    table.running({cell.trial_id: Progress("A", 5, 10)})
    assert table.tally.seconds_left() is None  # lanes took 30 s to start, which is no pace
    clock.now = 45.0
    table.running({cell.trial_id: Progress("B", 5, 10)})
    # 120 steps in all (4 baselines x 10, 4 cells x 20); 10 were there, 10 of 15 took 15 s, 95 are left.
    assert table.tally.seconds_left() == pytest.approx(142.5)


def test_no_time_is_left_to_tell_of_once_all_steps_are_made() -> None:
    clock = Clock()
    table = live_table(clock, **dict.fromkeys(TRIALS, CellStatus.FINISHED))
    cell = tell(table, "dpo/S/1", CellStatus.STARTED)
    for clock.now, arm in ((30.0, "A"), (45.0, "B")):
        table.running({cell.trial_id: Progress(arm, 10, 10)})
    assert row(table, "dpo", "S") == ["◐●", "1: B 10/10"]  # the accuracy is still measured
    assert table.tally.summary() == "7 of 8 cells, 45 s elapsed"


def test_a_low_terminal_shows_where_something_happens_and_keeps_the_footer() -> None:
    splits = {f"S{n}": {"by": "random", "seed": n, "predicted": "A = B"} for n in range(10)}
    study = Study.model_validate(STUDY.model_dump() | {"splits": splits, "seeds": list(range(20))})
    trials = {trial.name: trial for trial in grid.expand(study)}
    statuses = {trial.trial_id: CellStatus.MISSING for trial in trials.values()}
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    tally = Tally(list(trials.values()), statuses, Clock())
    address = "http://127.0.0.1:5000/#/experiments/1/" + "x" * 150  # longer than two lines
    table = LiveTable(study, tally, console, f"logs: here\nMLflow: {address}")
    for tally.clock.now, scored in ((0.0, 0), (20.0, 400), (50.0, 1600)):  # type: ignore[attr-defined]
        table.phase("scoring the pairs", scored, 18_064)
    waiting = as_text(table.render(), 80).splitlines()
    for name in ("dpo/S9/19", "wpo/S9/3"):
        table.tell(Event(trials[name], CellStatus.STARTED, "started"))
    table.running({trials["wpo/S9/3"].trial_id: Progress("A", 3, 10)})
    running = as_text(table.render(), 80).splitlines()
    for lines in (waiting, running):
        assert len(lines) < 24
        assert "".join(lines).replace(" ", "").endswith(f"logs:hereMLflow:{address}")
        (folded,) = [line for line in lines if line.startswith("...")]
        shown = sum(line.count("·") + line.count("◐") for line in lines)
        assert f"{len(trials) - shown} missing" in folded
    # 1,200 pairs in the 30 s since the first were scored; 16,464 are left, in 412 s.
    (scoring,) = [line for line in waiting if "scoring the pairs" in line]
    assert "scoring the pairs: 1,600 of 18,064, about 7 min left ━" in scoring
    assert any("3: A 3/10" in line for line in running)
    assert sum("◐" in line for line in running) == 2


def test_a_log_says_each_minute_what_runs_at_which_rate(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = LogLines(Tally(list(TRIALS.values()), dict.fromkeys(IDS, CellStatus.MISSING), clock))
    lines.tell(Event(TRIALS["dpo/S/1"], CellStatus.STARTED, "started"))
    for second in range(0, 121):
        clock.now = float(second)
        lines.running({TRIALS["dpo/S/1"].trial_id: Progress("A", 1 + second // 20, 10)})
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 3
    # 6 steps in 120 s; the sweep has 120 steps, of which 113 are left.
    assert told[-1] == "0 of 8 cells, 2 min elapsed, about 38 min left; dpo/S/1 A 7/10, 0.05 steps/s"


def test_a_log_says_each_minute_how_far_the_scoring_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = LogLines(Tally(list(TRIALS.values()), dict.fromkeys(IDS, CellStatus.MISSING), clock))
    lines.phase("starting Ray")
    for second in range(0, 101):
        clock.now = float(second)
        lines.phase("scoring the pairs", max(0, 10 * (second - 20)), 800)
    assert capsys.readouterr().out.splitlines() == [
        "starting Ray",
        "scoring the pairs: 0 of 800",
        "scoring the pairs: 400 of 800, about 40 s left",
        "scoring the pairs: 800 of 800",
    ]


def test_a_terminal_that_is_gone_at_the_end_does_not_keep_the_report_from_being_written(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = pty.openpty()
    terminal = io.TextIOWrapper(os.fdopen(theirs, "wb", buffering=0), write_through=True)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with watching(STUDY, list(TRIALS.values()), dict.fromkeys(IDS, CellStatus.MISSING), "logs: here"):
        os.close(ours)  # every write fails from here on
    assert "the sweep goes on" in caplog.records[-1].message
    with bar_while("reading", Console(file=terminal)):  # as the report does next
        pass


def test_published_methods_have_no_cells() -> None:
    published = STUDY.methods["dpo"].model_copy(update={"published": "d.csv"})
    study = STUDY.model_copy(update={"methods": {"dpo": published}})
    assert "published numbers of d.csv" in as_text(grid_table(study, [], {}, {}))


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (720, "12 min"), (12_240, "3.4 h")])
def test_a_time_span_has_the_unit_that_a_person_would_choose(seconds: float, text: str) -> None:
    assert time_span(seconds) == text


def test_a_sweep_that_is_watched_is_timed_from_where_it_was_found() -> None:
    clock, cell = Clock(), TRIALS["dpo/S/2"]
    statuses = dict.fromkeys(IDS, CellStatus.MISSING) | {cell.trial_id: CellStatus.STARTED}
    found = {cell.trial_id: Progress("B", 4, 10)}
    tally = Tally(list(TRIALS.values()), statuses, clock, found, verb="watched")
    clock.now = 50.0
    tally.running({cell.trial_id: Progress("B", 9, 10)})
    assert tally.progress_text(cell) == "B 9/10, 10 s left"  # 5 steps in 50 s, whatever was made before
    assert tally.summary() == "0 of 8 cells, 50 s watched, about 17 min left"  # 101 of 120 steps


def test_the_noted_step_of_a_cell_is_read_back() -> None:
    assert Progress.parse(str(Progress("all", 3, 60))) == Progress("all", 3, 60)
    assert Progress.parse("retried") is None


def test_a_terminal_that_has_gone_ends_no_sweep(caplog: pytest.LogCaptureFixture) -> None:
    table = live_table()
    watcher = SteadyWatcher(table)
    table.console.file.close()  # everything that is printed raises now
    trial = TRIALS["dpo/S/1"]
    watcher.tell(Event(trial, CellStatus.FAILED, "failed: boom"))
    watcher.note("a node gets no more work")
    watcher.running({})
    assert table.tally.statuses[trial.trial_id] == CellStatus.FAILED
    assert [record.message for record in caplog.records] == [
        "what happens may not be shown here any more; the sweep goes on"
    ]
