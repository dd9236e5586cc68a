"""A sweep is watched through its record: what happens is told, and the exit code is the sweep's own.

The sweep is a script of acts in a real record; each time the watcher waits, the next act takes place.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_record import finish

from orchestrator import watch
from orchestrator.plan.interrupted import Interrupted
from orchestrator.plan.noting_end import noting_end
from orchestrator.plan.tables import load_tables
from orchestrator.record.claims import Claim, Claims, ClaimState
from orchestrator.record.endings import Ending
from orchestrator.record.lease import LeaseLost
from orchestrator.record.ledger import Ledger
from orchestrator.record.liveness import Liveness, started, this_machine
from orchestrator.record.places import Places
from orchestrator.study import grid
from orchestrator.study.files import load
from training.errors import StudyError

pytestmark = pytest.mark.usefixtures("without_figures")

STUDY = """
study: watched
data: {source: twin, users: 40, history: none}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [1, 2]
training: {max_steps: 50, batch_size: 4, logging_steps: 1}
"""


class Sweep:
    """A sweep as its record shows it; `name` is that of a cell, such as `dpo/S1/1`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "s.yaml"
        self.file.write_text(STUDY)
        self.study = load(self.file)
        self.ledger = Ledger(Places("watched", folder))
        self.trials = {trial.name: trial for trial in grid.expand(self.study)}
        self.tables = load_tables(self.study)
        self.runs: dict[str, str] = {}

    def claim(self, process: int | None = None, machine: str | None = None) -> None:
        process = process or os.getpid()
        since = started(process) if machine is None else 0
        claim = Claim(ClaimState.HOLDS, machine or this_machine(), process, since, 1)
        self.ledger.claims.put("driver", claim)

    def start(self, name: str) -> None:
        self.runs[name] = self.ledger.start(self.trials[name], {})

    def note(self, name: str, progress: str, **tags: str) -> None:
        self.ledger.note(self.runs[name], progress, tags)

    def finish_all(self) -> None:
        for run in self.runs.values():
            self.ledger.abandon(run, "made anew")
        for trial in self.trials.values():
            finish(self.ledger, self.study, trial, self.tables)

    def end(self, code: int, text: str) -> None:
        self.ledger.endings.note(Ending(code, text))
        self.ledger.claims.withdraw("driver")

    def watched(self, *acts: Callable[[], None]) -> int:
        """Watch the study while the acts take place, and return the exit code of the watcher."""
        script: Iterator[Callable[[], None]] = iter(acts)
        return watch.main(["--config", str(self.file)], wait=lambda seconds: next(script)())


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    return Sweep(tmp_path)


def test_what_happens_is_told_and_the_exit_code_is_the_sweeps(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    code = sweep.watched(
        sweep.claim,
        lambda: sweep.start("dpo/S1/1"),
        lambda: sweep.note("dpo/S1/1", "retried", attempt_1="a worker died"),
        lambda: sweep.ledger.fail(sweep.runs.pop("dpo/S1/1"), "out of memory", {}),
        sweep.finish_all,
        lambda: sweep.end(1, "3 of 4 cells finished"),
    )
    assert code == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "no sweep is running, and 4 cells to train; waiting for one"
    assert told[1].startswith(f"a sweep is running: process {os.getpid()} on ")
    assert told[2].startswith("no cell runs yet")
    assert told[3] == "dpo/S1/1: started"
    assert told[4] == "dpo/S1/1: attempt 1 failed, trying again: a worker died"
    assert told[5] == "dpo/S1/1: failed: out of memory"
    assert sorted(told[6:10]) == sorted(f"{name}: done" for name in sweep.trials)
    assert told[-1] == "the sweep has ended with exit status 1: 3 of 4 cells finished"


def test_a_killed_sweep_is_told_from_one_that_ended(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    def kill() -> None:
        child.kill()
        child.wait()

    sweep.claim(child.pid)
    sweep.start("dpo/S1/1")
    assert sweep.watched(kill) == 1
    assert "was killed, or is not heard of any more; the same sweep command" in capsys.readouterr().out


def test_nothing_is_waited_for_once_nothing_is_missing(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep.finish_all()
    assert sweep.watched() == 0
    assert "nothing is missing: 4 cells are finished" in capsys.readouterr().out


def test_watching_a_study_that_is_not_recorded_creates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))

    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    assert watch.main(["study=typo"], wait=stop) == 130
    assert "nothing is recorded under the name typo yet" in capsys.readouterr().out
    assert not (tmp_path / "home").exists()


def test_a_driver_elsewhere_lives_as_long_as_it_renews_its_claim(sweep: Sweep) -> None:
    clock = [0.0]
    liveness = Liveness(Claims(sweep.ledger.experiment), silence_s=60, clock=lambda: clock[0])
    assert not liveness.found()
    sweep.claim(machine="elsewhere/boot/space")
    assert liveness.found()
    for clock[0], renewals, heard in ((50.0, 2, True), (100.0, 2, True), (115.0, 2, False), (116.0, 3, True)):
        claim = Claim(ClaimState.HOLDS, "elsewhere/boot/space", os.getpid(), 0, renewals)
        sweep.ledger.claims.put("driver", claim)
        assert liveness.found() is heard
    assert liveness.driver.host == "elsewhere"


def test_a_sweep_notes_how_it_ends(sweep: Sweep) -> None:
    for error, noted in (
        (StudyError("training.dtype: wrong"), Ending(2, "training.dtype: wrong")),
        (Interrupted(15), Ending(143, "interrupted by SIGTERM; the same command goes on from there")),
        (RuntimeError("at http://me:secret@host"), Ending(1, "RuntimeError: at http://host")),
        (LeaseLost("taken over"), None),
    ):
        sweep.ledger.endings.note(Ending(0, "the sweep before"))
        with pytest.raises(type(error)):
            _end_with(error, sweep.ledger)
        assert sweep.ledger.endings.last() == noted


def _end_with(error: BaseException, ledger: Ledger) -> None:
    with noting_end(ledger):
        assert ledger.endings.last() is None
        raise error
