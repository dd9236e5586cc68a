"""A study of fake cells through the real spine, one process to kill: its driver; and what came of it.

A fake cell trains two arms of STEPS steps each; its numbers are a chain of hashes, so that a step left out,
doubled or taken from another cell shows in its outcomes. It saves itself as a real one does, on its shelf,
and writes every step it makes into a journal.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import psutil
from mlflow.tracking import MlflowClient

from orchestrator.drill import Row
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.result import TrialResult
from orchestrator.run.job import Job, Listener
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training.checkpoint_store import CheckpointStore, Damaged
from training.errors import Preempted
from training.model import ModelFiles
from training.spec import MethodSpec, RandomSplit, TrainingSpec

STEPS, EVERY = 8, 2
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Setting:
    """A chaos study. `step_s`: seconds a step takes. `tracking`: its MLflow, SQLite in `root` where None."""

    root: Path
    cells: int = 6
    step_s: float = 0.15
    lanes: int = 2
    workers: int = 1
    tracking: str | None = None
    stall_timeout_s: float = 30.0

    @property
    def places(self) -> Places:
        return Places("chaos", self.root)

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def peer(self) -> Path:
        """The process of the second of two workers, which makes no entry in the journal."""
        return self.root / "peer"

    @property
    def faults(self) -> Path:
        """Files here make a cell meet its fault: `<fault>-<cell number>`, taken away where it is met once."""
        return self.root / "faults"

    @property
    def study(self) -> Study:
        return Study.model_validate(
            {
                "study": "chaos",
                "splits": {"S": {"by": "random", "predicted": "A = B"}},
                "methods": {"dpo": {}},
                "seeds": [0],
                "resources": {"cpus_per_worker": 0.9, "lanes": self.lanes, "workers": self.workers},
                "faults": {"backoff_s": 0.2, "stall_timeout_s": self.stall_timeout_s},
            }
        )

    @property
    def trials(self) -> list[Trial]:
        groups = RandomSplit(predicted="A = B")
        return [
            Trial("chaos", "dpo", "S", number, "m", "d", {}, groups, MethodSpec(), TrainingSpec())
            for number in range(self.cells)
        ]

    def job(self, trial: Trial) -> Job:
        work = f"{self.places.work}/{trial.trial_id}"
        shape = self.study.shape_of("dpo")
        return Job(trial, ModelFiles("m"), self.root, self.root, work, self.root / "log", 8, {}, shape, EVERY)

    def save(self) -> Path:
        path = self.root / "setting.json"
        path.write_text(json.dumps({**self.__dict__, "root": str(self.root)}))
        return path

    @classmethod
    def load(cls, path: Path) -> "Setting":
        values = json.loads(path.read_text())
        return cls(**values | {"root": Path(values["root"])})


def trainer(setting: Setting) -> Callable[[Job, Listener], TrialResult]:
    """A fake of `worker.run_trial` that meets the setting's faults."""

    def meets(fault: str, cell: int, once: bool = True) -> bool:
        flag = setting.faults / f"{fault}-{cell}"
        if once:
            try:
                flag.unlink()
            except FileNotFoundError:
                return False
            return True
        return flag.exists()

    def run(job: Job, report: Listener) -> TrialResult:
        cell = job.trial.seed
        if meets("always fails", cell, once=False):
            raise RuntimeError("this cell always fails")
        if meets("hangs", cell):
            os.kill(os.getpid(), signal.SIGSTOP)
        ends = {arm: train(job, arm, report) for arm in ("A", "B")}
        return as_result(job.trial, ends)

    def train(job: Job, arm: str, report: Listener) -> str:
        shelf = CheckpointStore(f"{job.work}/{arm}")
        step, value = resume(shelf) or (0, f"{job.trial.seed}/{arm}")
        while step < STEPS:
            if step == STEPS // 2 and meets("takes much memory", job.trial.seed):
                kept = []
                while psutil.virtual_memory().percent < 85:  # the monitor's threshold is below
                    kept.append(bytearray(os.urandom(1 << 20)) * 128)
            time.sleep(setting.step_s)
            step, value = step + 1, link(value, step + 1)
            asked, first = report(arm, step, STEPS), together(setting)
            if first:
                with setting.journal.open("a") as journal:
                    journal.write(f"{job.trial.seed} {arm} {step} {os.getpid()}\n")
                if asked or step % EVERY == 0:
                    keep(shelf, step, value)
            if step % EVERY == 0:
                report.kept(f"{shelf.uri}/{step:04d}", step)
            if first and asked:
                raise Preempted(f"saved at step {step}")
        return value

    return run


def together(setting: Setting) -> bool:
    """Meet the lane's other workers, as a gradient would, over Gloo; whether this is the first of them."""
    if setting.workers == 1:
        return True
    import torch

    torch.distributed.all_reduce(torch.ones(1))
    first = torch.distributed.get_rank() == 0
    if not first:
        mine = setting.peer.with_suffix(f".{os.getpid()}")
        mine.write_text(str(os.getpid()))
        mine.rename(setting.peer)  # whole: it is read while it is written anew
    return first


def link(value: str, step: int) -> str:
    return hashlib.sha256(f"{value}:{step}".encode()).hexdigest()


def keep(shelf: CheckpointStore, step: int, value: str) -> None:
    """Two checkpoints, as the real ones; a full disk costs a checkpoint, not the cell."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "state.json").write_text(json.dumps([step, value]))
        (Path(scratch) / "bulk").write_bytes(os.urandom(200_000))
        try:
            shelf.put(Path(scratch), f"{step:04d}")
        except OSError:
            shelf.drop(f"{step:04d}")
    for old in shelf.names()[:-2]:
        shelf.drop(old)


def resume(shelf: CheckpointStore) -> tuple[int, str] | None:
    for name in reversed(shelf.names()):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                shelf.fetch(name, Path(scratch) / "x")
            except Damaged:
                continue
            step, value = json.loads((Path(scratch) / "x" / "state.json").read_text())
            return step, value
    return None


def as_result(trial: Trial, ends: dict[str, str]) -> TrialResult:
    numbers = {arm: int(end[:8], 16) / 2**32 for arm, end in ends.items()}
    outcomes = pd.DataFrame({"arm": list(ends), "pair_id": "p", "margin": numbers.values()})
    curves = pd.DataFrame({"arm": "A", "step": range(STEPS), "metric": "loss", "value": numbers["A"]})
    return TrialResult(trial.trial_id, numbers, curves, outcomes, {"geometry": "fake"})


def undisturbed(trial: Trial) -> TrialResult:
    """What a cell says when nothing befalls it."""
    ends = {}
    for arm in ("A", "B"):
        value = f"{trial.seed}/{arm}"
        for step in range(1, STEPS + 1):
            value = link(value, step)
        ends[arm] = value
    return as_result(trial, ends)


class Driver:
    """The sweep of a setting as a process of its own, in a session of its own."""

    made: ClassVar[list["Driver"]] = []

    def __init__(self, setting: Setting, **environment: str) -> None:
        self.setting = setting
        setting.faults.mkdir(parents=True, exist_ok=True)
        keep = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        self.environment = keep | {"PYTHONUNBUFFERED": "1"} | environment
        if setting.tracking:
            self.environment["MLFLOW_TRACKING_URI"] = setting.tracking
        self.process: subprocess.Popen[str] | None = None
        Driver.made.append(self)

    def start(self) -> "Driver":
        with (self.setting.root / "said").open("a") as said:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "driver.py", self.setting.save()],
                env=self.environment,
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
                cwd=HERE.parents[1],
            )
        return self

    def finish(self, timeout_s: float = 1500) -> int:
        """Wait for the sweep's own end; its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the sweep did not end: {self.said[-3000:]}") from None

    def kill(self) -> None:
        """kill -9 of the driver and nothing else; what it started has to notice by itself."""
        assert self.process is not None
        started = self.below()
        self.process.kill()
        self.process.wait()
        # What takes a core or a card; Ray's two agents of the node go within a minute or so.
        _, left = psutil.wait_procs([it for it in started if "Agent" not in _title(it)], timeout=300)
        assert not left, f"a dead driver's processes are still there: {left}"

    def below(self, title: str = "") -> list[psutil.Process]:
        """Processes that the driver started, Ray's included; those whose title starts so."""
        assert self.process is not None
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [child for child in found if _title(child).startswith(title)]

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def said(self) -> str:
        return (self.setting.root / "said").read_text()

    def until(self, seen: Callable[[], object], timeout_s: float = 1200) -> None:
        """Wait until something is to be seen, while the driver lives."""
        assert self.process is not None
        deadline = time.monotonic() + timeout_s
        while not seen():
            assert not self.ended, self.said[-3000:]
            assert time.monotonic() < deadline, f"not seen in time: {self.said[-3000:]}"
            time.sleep(0.02)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def steps(setting: Setting) -> list[tuple[int, str, int, int]]:
    """The journal: cell, arm, step, process."""
    if not setting.journal.exists():
        return []
    rows = [line.split() for line in setting.journal.read_text().splitlines()]
    return [(int(cell), arm, int(step), int(pid)) for cell, arm, step, pid in rows]


def judge(fault: str, injections: int, setting: Setting, failed: Sequence[int] = (), hits: int = 0) -> Row:
    """Hold a study against the undisturbed one. `failed`: the cells that had to fail; `hits`: attempts at the
    others that had to fail, since a fault that hits nothing tests nothing."""
    if setting.tracking:
        os.environ["MLFLOW_TRACKING_URI"] = setting.tracking
    ledger, trials = Ledger(setting.places), setting.trials
    client = MlflowClient(ledger.uri)
    cells = ledger.cells(trials).set_index("seed")
    experiment = client.get_experiment_by_name("chaos")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'", max_results=5000)
    attempts = sum(int(run.data.tags["attempts"]) - 1 for run in runs)
    assert attempts >= hits, f"{attempts} attempts failed, {hits} had to"
    finished = pd.Series([run.data.tags["trial_id"] for run in runs], dtype=str).value_counts()
    lost = doubled = 0
    for trial in trials:
        if trial.seed in failed:
            assert cells.loc[trial.seed, "status"] == "failed", trial
            assert cells.loc[trial.seed, "error"]
            continue
        lost += cells.loc[trial.seed, "status"] != "finished"
        doubled += int(finished.get(trial.trial_id, 0)) > 1
    whole = [trial for trial in trials if trial.seed not in failed]
    for trial, outcomes in zip(whole, ledger.outcomes(trials), strict=True):
        wanted = undisturbed(trial)
        assert outcomes["margin"].tolist() == wanted.outcomes["margin"].tolist(), trial
        assert cells.loc[trial.seed, "A"] == wanted.metrics["A"]
        run_id = cells.loc[trial.seed, "run_id"]
        history = client.get_metric_history(run_id, "loss/A")
        assert [point.step for point in history] == list(range(STEPS)), "a metric is doubled or lost"
    assert not client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    assert not ledger.claims(), "a driver's claim outlived it"
    needed = 2 * STEPS * (setting.cells - len(failed))
    made = [row for row in steps(setting) if row[0] not in failed]
    assert not lost, f"lost cells: {cells['status']}"
    assert not doubled
    return Row(fault, injections, lost, doubled, len(made) / needed - 1)
