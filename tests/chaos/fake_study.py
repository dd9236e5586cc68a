"""A study of fake cells, which run through the real schedule, lanes and record.

A fake cell trains two arms of FAKE_ARM_STEPS steps each. Its numbers are a chain of hashes, so that a step
that is left out, doubled or taken from another cell shows in its outcomes. It saves itself in its store, as a
real cell does, and writes every step that it makes into a journal.
"""

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pandas as pd
import psutil
import ray

from orchestrator.record.places import Places
from orchestrator.record.result import TrialResult
from orchestrator.run.job import Job, Listener
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training.checkpoint_store import CheckpointStore, DamagedFolder
from training.errors import Preempted
from training.model import ModelFiles
from training.scratch import scratch
from training.spec import MethodSpec, RandomSplit, TrainingSpec

FAKE_ARM_STEPS, FAKE_CHECKPOINT_EVERY = 8, 2


@dataclass(frozen=True)
class Setting:
    """A chaos study.

    Attributes:
        root: Holds everything that the study writes.
        step_s: Seconds per step.
        tracking: The URI of its MLflow; with None, SQLite in `root`.
        wide_cpus: CPU cores that every second cell requests, if not 0.9 like the others.
        tells_ray: Whether Ray Train hears of checkpoints, for which a cell waits two seconds each.
    """

    root: Path
    cells: int = 6
    step_s: float = 0.15
    lanes: int = 2
    workers: int = 1
    tracking: str | None = None
    stall_timeout_s: float = 30.0
    wide_cpus: float | None = None
    tells_ray: bool = True

    @property
    def places(self) -> Places:
        return Places("chaos", self.root)

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def peer(self) -> Path:
        """A file with the process id of the second of two workers, which makes no entry in the journal."""
        return self.root / "peer"

    @property
    def faults(self) -> Path:
        """Files here make a cell meet a fault: `<fault>-<cell number>`, removed if it is met only once.

        `every cell fails` concerns all cells; `bad node` holds the id of a node on which every cell fails.
        """
        return self.root / "faults"

    @property
    def study(self) -> Study:
        return Study.model_validate(
            {
                "study": "chaos",
                "splits": {"S": {"by": "random", "predicted": "A = B"}},
                "methods": {
                    name: {"resources": {"cpus_per_worker": cpus}} for name, cpus in self.cpus.items()
                },
                "reference": "dpo",
                "seeds": [0],
                "resources": {"cpus_per_worker": 0.9, "lanes": self.lanes, "workers": self.workers},
                "faults": {"backoff_s": 0.2, "stall_timeout_s": self.stall_timeout_s},
            }
        )

    @property
    def cpus(self) -> dict[str, float]:
        """CPU cores of each method's cells."""
        return {"dpo": 0.9} | ({"wide": self.wide_cpus} if self.wide_cpus else {})

    @property
    def trials(self) -> list[Trial]:
        """One trial per cell. The seed is the cell's number."""
        groups, methods = RandomSplit(predicted="A = B"), list(self.cpus)
        return [
            Trial("chaos", method, "S", number, "m", "d", {}, groups, MethodSpec(), TrainingSpec())
            for number, method in zip(range(self.cells), cycle(methods), strict=False)
        ]

    def job(self, trial: Trial) -> Job:
        return Job(
            trial,
            ModelFiles("m"),
            scored=self.root,
            groups=self.root,
            store=f"{self.places.work}/{trial.trial_id}",
            log=self.root / "log",
            micro_batch=8,
            deepspeed={},
            shape=self.study.shape_of(trial.method),
            checkpoint_every=FAKE_CHECKPOINT_EVERY,
        )

    def save(self) -> Path:
        path = self.root / "setting.json"
        path.write_text(json.dumps({**self.__dict__, "root": str(self.root)}))
        return path

    @classmethod
    def load(cls, path: Path) -> "Setting":
        values = json.loads(path.read_text())
        return cls(**values | {"root": Path(values["root"])})


def fake_trainer(setting: Setting) -> Callable[[Job, Listener], TrialResult]:
    """Return a stand-in for `worker.run_trial` that meets the setting's faults."""

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
        if _node_is_bad(setting):
            raise RuntimeError("this node is broken")
        if meets("always fails", cell, once=False) or (setting.faults / "every cell fails").exists():
            raise RuntimeError("this cell always fails")
        if meets("hangs", cell):
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(3600)  # the other threads of a busy process may stop first
        last_links = {arm: train(job, arm, report) for arm in ("A", "B")}
        return result_of(job.trial, last_links)

    def train(job: Job, arm: str, report: Listener) -> str:
        store = CheckpointStore(f"{job.store}/{arm}")
        step, link = resume(store) or (0, first_link(job.trial, arm))
        while step < FAKE_ARM_STEPS:
            if step == FAKE_ARM_STEPS // 2 and meets("takes much memory", job.trial.seed):
                fill_memory()
            time.sleep(setting.step_s)
            step, link = step + 1, next_link(link, step + 1)
            must_stop = report(job.trial.arms[0], step, FAKE_ARM_STEPS)  # its cells have no groups
            is_first = meet_other_workers(setting)
            if is_first:
                with setting.journal.open("a") as journal:
                    journal.write(f"{job.trial.seed} {arm} {step} {os.getpid()}\n")
                if must_stop or step % FAKE_CHECKPOINT_EVERY == 0:
                    save_checkpoint(store, step, link)
            if step % FAKE_CHECKPOINT_EVERY == 0 and setting.tells_ray:
                report.kept(f"{store.uri}/{step:04d}", step)
            if is_first and must_stop:
                raise Preempted(f"saved at step {step}")
        return link

    return run


def _node_is_bad(setting: Setting) -> bool:
    bad_node = setting.faults / "bad node"
    return bad_node.exists() and bad_node.read_text() == ray.get_runtime_context().get_node_id()


def fill_memory() -> None:
    """Take memory until Ray's monitor, whose threshold is lower, ends this process."""
    taken = []
    while psutil.virtual_memory().percent < 85:
        taken.append(bytearray(os.urandom(1 << 20)) * 128)


def meet_other_workers(setting: Setting) -> bool:
    """Wait for the lane's other workers over Gloo, as a gradient would; return whether this is the first."""
    if setting.workers == 1:
        return True
    import torch

    torch.distributed.all_reduce(torch.ones(1))
    is_first = torch.distributed.get_rank() == 0
    if not is_first:
        unfinished = setting.peer.with_suffix(f".{os.getpid()}")
        unfinished.write_text(str(os.getpid()))
        unfinished.rename(setting.peer)  # a reader must never see half of it
    return is_first


def first_link(trial: Trial, arm: str) -> str:
    return f"{trial.seed}/{arm}"


def next_link(link: str, step: int) -> str:
    return hashlib.sha256(f"{link}:{step}".encode()).hexdigest()


def save_checkpoint(store: CheckpointStore, step: int, link: str) -> None:
    """Keep the newest two checkpoints, as real cells do; a full disk costs a checkpoint, not the cell."""
    with scratch() as folder:
        (folder / "state.json").write_text(json.dumps([step, link]))
        (folder / "bulk").write_bytes(os.urandom(200_000))
        try:
            store.put(folder, f"{step:04d}")
        except OSError:
            store.drop(f"{step:04d}")
    for old in store.names()[:-2]:
        store.drop(old)


def resume(store: CheckpointStore) -> tuple[int, str] | None:
    """Return step and link of the newest whole checkpoint."""
    for name in reversed(store.names()):
        with scratch() as folder:
            copy = folder / "checkpoint"
            try:
                store.fetch(name, copy)
            except DamagedFolder:
                continue
            step, link = json.loads((copy / "state.json").read_text())
            return step, link
    return None


def result_of(trial: Trial, last_links: dict[str, str]) -> TrialResult:
    numbers = {arm: int(link[:8], 16) / 2**32 for arm, link in last_links.items()}
    arms = list(last_links)
    outcomes = pd.DataFrame(
        {
            "arm": arms,
            "eval_group": arms,
            "user_id": [f"{arm}'s user" for arm in arms],
            "pair_id": [f"{arm}'s pair" for arm in arms],
            "item": None,
            "margin": numbers.values(),
            "correct": [number > 0 for number in numbers.values()],
        }
    )
    curves = pd.DataFrame(
        {"arm": "A", "step": range(FAKE_ARM_STEPS), "metric": "loss", "value": numbers["A"]}
    )
    return TrialResult(trial.trial_id, numbers, curves, outcomes, {"geometry": "fake"})


def undisturbed_result(trial: Trial) -> TrialResult:
    """Return the result of a cell that meets no fault."""
    last_links = {}
    for arm in ("A", "B"):
        link = first_link(trial, arm)
        for step in range(1, FAKE_ARM_STEPS + 1):
            link = next_link(link, step)
        last_links[arm] = link
    return result_of(trial, last_links)


@dataclass(frozen=True)
class JournalEntry:
    """A step that a fake cell made, and the process that made it."""

    cell: int
    arm: str
    step: int
    pid: int


def journal_entries(setting: Setting) -> list[JournalEntry]:
    """Return all steps that were made so far, in their order."""
    if not setting.journal.exists():
        return []
    fields = [line.split() for line in setting.journal.read_text().splitlines()]
    return [JournalEntry(int(cell), arm, int(step), int(pid)) for cell, arm, step, pid in fields]
