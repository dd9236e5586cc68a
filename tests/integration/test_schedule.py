"""Real Ray Tune and Ray Train lanes with a fake trainer: all that can happen to a cell, in one sweep."""

import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
from mlflow.tracking import MlflowClient
from ray import cloudpickle

from orchestrator.plan.agenda import Agenda, Listed
from orchestrator.plan.log_lines import LogLines
from orchestrator.plan.tally import Tally
from orchestrator.record.kept_models import KeptModels
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.result import TrialResult
from orchestrator.run import schedule
from orchestrator.run.arm_store import MODEL_FOLDER
from orchestrator.run.cluster import cluster
from orchestrator.run.job import Job, Listener
from orchestrator.run.schedule import Prepared
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training.checkpoint_store import CheckpointStore
from training.errors import OutOfMemory, Preempted, StudyError
from training.model import ModelFiles
from training.scratch import scratch
from training.spec import MethodSpec, TrainingSpec

pytestmark = pytest.mark.integration
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test module

STUDY = Study.model_validate(
    {
        "study": "fates",
        "splits": {"S": {"by": "random", "predicted": "A = B"}},
        "methods": {"dpo": {}},
        "seeds": [1],
        "resources": {"cpus_per_worker": 0.9, "lanes": 2},
        "faults": {"max_attempts": 2, "backoff_s": 0.1, "stall_timeout_s": 40},
    }
)
SHAPE = STUDY.shape_of("dpo")
FATES = [
    "hangs once",  # first, so that the other cells run during its stall timeout
    "fine",
    "worker killed once",
    "crashes always",
    "user's mistake",
    "preempted once",
    "memory too small once",
    "its run is deleted",
    "a metric is not finite",
]


def fake_trainer(job: Job, report: Listener) -> TrialResult:
    fate = job.trial.split
    work = Path(job.store)
    first = not (work / "begun").exists()
    work.mkdir(parents=True, exist_ok=True)
    (work / "begun").touch()
    if fate == "fine":
        for step in (1, 2):
            report.kept(f"{job.store}/checkpoint-{step}", step)
        # A real arm trains on after a checkpoint. Ray Train polls its workers for checkpoints, and this cell
        # could be over before the next poll.
        until = time.monotonic() + 600
        while _pointers(job.log.parent) != 1 and time.monotonic() < until:
            report("all", 1, 2)  # keeps the cell from counting as stalled
            time.sleep(0.1)
    if fate == "worker killed once" and first:
        os._exit(137)
    if fate == "crashes always":
        raise RuntimeError("boom")
    if fate == "user's mistake":
        raise StudyError("splits.S: a mistake; fix it")
    if fate == "hangs once" and first:
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(3600)  # the other threads of a busy process may stop first
    if fate == "preempted once" and first:
        os.kill(os.getpid(), signal.SIGTERM)
        while not report("all", 1, 2):
            time.sleep(0.1)
        raise Preempted("asked to stop, saved at step 1")
    if fate == "memory too small once" and first:
        raise OutOfMemory(f"a micro-batch of {job.micro_batch} does not fit")
    if fate == "the experiment is deleted":
        record = MlflowClient(f"sqlite:///{job.log.parent / 'mlflow.db'}")
        record.delete_experiment(record.get_experiment_by_name("deleted").experiment_id)
    if fate == "its run is deleted":
        record = MlflowClient(f"sqlite:///{job.log.parent / 'mlflow.db'}")
        (experiment,) = record.search_experiments(filter_string="name = 'fates'")
        (run,) = record.search_runs([experiment.experiment_id], f"tags.trial_id = '{job.trial.trial_id}'")
        record.delete_run(run.info.run_id)
    report("all", 2, 2)
    outcomes = pd.DataFrame({"arm": ["A"], "pair_id": ["p"], "margin": [1.0]})
    curves = pd.DataFrame({"arm": ["A"], "step": [1], "metric": ["loss"], "value": [0.5]})
    facts = {"geometry": f"fake, micro-batch {job.micro_batch}"}
    metrics = {"pid": math.nan if fate == "a metric is not finite" else os.getpid()}
    return TrialResult(job.trial.trial_id, metrics, curves, outcomes, facts)


def job_of(trial: Trial, root: Path) -> Job:
    store, log = str(root / "work" / trial.trial_id), root / "log"
    return Job(trial, ModelFiles("m"), root, root, store, log, 8, {}, SHAPE)


def run_cells(
    study: Study,
    places: Places,
    agenda: Agenda,
    jobs: list[Job],
    trials: list[Trial],
    ledger: Ledger,
    trainer: Callable[[Job, Listener], TrialResult],
) -> None:
    """Run an agenda's cells on the connected cluster, with a stand-in for training."""
    prepared = Prepared(agenda, trials, lambda *_: jobs, LogLines(Tally.of_untrained(trials)))
    schedule.run(study, places, agenda, lambda: prepared, ledger, {}, trainer)


def _pointers(root: Path) -> int:
    return sum("pointer.json" in files for _, _, files in os.walk(root))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The cells table after one sweep over all fates."""
    root = tmp_path_factory.mktemp("fates")
    places = Places("fates", root)
    trials = [
        Trial("fates", "dpo", fate, 1, "m", "d", {}, None, MethodSpec(), TrainingSpec(max_steps=1 + number))
        for number, fate in enumerate(FATES)
    ]
    jobs = [job_of(trial, root) for trial in trials]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        ledger = Ledger(places)
        with cluster():
            agenda = Listed(trials, {})
            run_cells(STUDY, places, agenda, jobs, trials, ledger, fake_trainer)
            node = f"{ray.util.get_node_ip_address()} ({ray.get_runtime_context().get_node_id()[:8]})"
        threads = [thread.name for thread in threading.enumerate()]
        table = ledger.cells.table(trials)
        table["work"] = [job.store for job in jobs]
        failed = {run.data.tags["trial_id"]: run for run in ledger.cells.failed_runs()}
        runs = ledger.cells.finished() | failed
    table.attrs["pointers"] = [json.loads(path.read_text()) for path in places.ray.rglob("pointer.json")]
    tags = pd.DataFrame(
        [run.data.tags | {"split": run.data.params["split"]} for run in runs.values()]
    ).fillna("")
    joined = table.set_index("split").join(tags.set_index("split"), rsuffix="_tag")
    joined.attrs = table.attrs | {"threads": threads, "node": node}
    return joined


def test_every_cell_ends_finished_or_failed(cells: pd.DataFrame) -> None:
    failed = ["crashes always", "user's mistake", "its run is deleted", "a metric is not finite"]
    assert cells["status"].to_dict() == {fate: "failed" if fate in failed else "finished" for fate in FATES}


def test_attempts_are_bounded_counted_and_each_has_its_reason(cells: pd.DataFrame) -> None:
    assert cells["attempts"].astype(int).to_dict() == {
        fate: 2 if fate.endswith(("once", "always")) and fate != "preempted once" else 1 for fate in FATES
    }
    reasons = {
        "fine": "",
        "worker killed once": "lost with its worker",
        "crashes always": "boom",
        "user's mistake": "fix it",
        "hangs once": "stalled: no step for 40 s",
        "memory too small once": "the next attempt's micro-batch is 4",
    }
    for fate, reason in reasons.items():
        assert reason in cells.loc[fate, "attempt_1"]
    assert cells.loc["crashes always", "attempt_2"].endswith(f"[node {cells.attrs['node']}]")


def test_a_preempted_cell_goes_on_and_spends_no_attempt(cells: pd.DataFrame) -> None:
    preempted = cells.loc["preempted once"]
    assert (preempted["attempts"], preempted["preemptions"], preempted["attempt_1"]) == ("1", "1", "")
    assert set(cells["preemptions"].drop("preempted once")) == {""}


def test_no_lane_is_left_that_could_call_ray_after_its_shutdown(cells: pd.DataFrame) -> None:
    """Ray would end the sweep's process at once, before its report. A crash's lane restarts to the last."""
    assert not [name for name in cells.attrs["threads"] if name.startswith("lane")]


def test_ray_train_keeps_the_newest_reported_checkpoint(cells: pd.DataFrame) -> None:
    uri = f"{cells.loc['fine', 'work']}/checkpoint-2"
    assert cells.attrs["pointers"] == [{"uri": uri, "step": 2}]


def test_the_halved_micro_batch_is_in_the_record(cells: pd.DataFrame) -> None:
    assert cells.loc["memory too small once", "geometry"] == "fake, micro-batch 4"


def test_a_failed_cell_says_why_and_where_to_look(cells: pd.DataFrame) -> None:
    assert "boom" in cells.loc["crashes always", "error"]
    crash = cells.loc["crashes always"]
    assert crash["traceback"].rstrip().endswith("RuntimeError: boom")
    assert crash["log_cell"].endswith("log")
    assert "/logs/worker-" in crash["log_ray"]
    assert cells.loc["user's mistake", "error"] == "splits.S: a mistake; fix it"


def test_the_time_of_failed_attempts_counts(cells: pd.DataFrame) -> None:
    seconds = cells["seconds_cell"].astype(float)
    assert seconds["hangs once"] > STUDY.faults.stall_timeout_s
    assert (seconds > 0).all()


def test_a_cell_that_cannot_be_recorded_fails_alone_and_says_why(cells: pd.DataFrame) -> None:
    assert "must be in the 'active' state" in cells.loc["its run is deleted", "error"]
    assert "metric pid is nan" in cells.loc["a metric is not finite", "error"]


def test_only_failed_cells_keep_their_checkpoint_stores(
    cells: pd.DataFrame,
) -> None:
    exists = cells["work"].map(lambda path: Path(path).exists())
    assert exists.to_dict() == (cells["status"] == "failed").to_dict()


def test_a_fault_of_the_record_ends_the_sweep_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    places, fate = Places("deleted", tmp_path), "the experiment is deleted"
    trials = [Trial("deleted", "dpo", fate, 1, "m", "d", {}, None, MethodSpec(), TrainingSpec())]
    jobs = [job_of(trial, tmp_path) for trial in trials]
    ledger, agenda = Ledger(places, patience_s=600), Listed(trials, {})
    with cluster(), pytest.raises(StudyError, match=r"its experiment was deleted in MLflow.*restore"):
        run_cells(STUDY, places, agenda, jobs, trials, ledger, fake_trainer)


def keeping_trainer(job: Job, report: Listener) -> TrialResult:
    with scratch() as folder:
        (folder / "weights").write_text(job.trial.split)
        CheckpointStore(f"{job.store}/all").put(folder, MODEL_FOLDER)
    return fake_trainer(job, report)


def test_an_upload_delays_no_other_cell_and_its_failure_costs_its_own_cell_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one lane, the first cell's upload ends only once the last cell has begun, and another one fails."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names = ["uploads slowly", "uploads in vain", "third", "fourth", "last"]
    places, study = (
        Places("uploads", tmp_path),
        STUDY.model_copy(update={"resources": STUDY.resources.model_copy(update={"lanes": 1})}),
    )
    trials = [
        Trial("uploads", "dpo", name, 1, "m", "d", {}, None, MethodSpec(), TrainingSpec(max_steps=9 - number))
        for number, name in enumerate(names)
    ]
    jobs = [replace(job_of(trial, tmp_path), keep_models=True) for trial in trials]
    stores, waited = {trial.split: Path(job.store) for trial, job in zip(trials, jobs, strict=True)}, []
    log = KeptModels.log

    def logging(kept: KeptModels, run_id: str, trial: Trial, *arguments: Any) -> str:
        if trial.split == "uploads slowly":
            until = time.monotonic() + 120
            while not (stores["last"] / "begun").exists() and time.monotonic() < until:
                time.sleep(0.1)
            waited.append((stores["last"] / "begun").exists())
        if trial.split == "uploads in vain":
            raise OSError("no space left")
        return log(kept, run_id, trial, *arguments)

    monkeypatch.setattr(KeptModels, "log", logging)
    ledger, agenda = Ledger(places), Listed(trials, {})
    with cluster():
        run_cells(study, places, agenda, jobs, trials, ledger, keeping_trainer)
    assert waited == [True]
    table = ledger.cells.table(trials).set_index("split")
    failed = table.loc["uploads in vain"]
    assert (table["status"] == "failed").sum() == 1
    assert "its models could not be kept (OSError: no space left)" in failed["error"]
    assert CheckpointStore(f"{stores['uploads in vain']}/all").names() == [MODEL_FOLDER]  # for the next sweep
    kept = ledger.models.kept()
    assert kept.keys() == {trial.trial_id for trial in trials if trial.split != "uploads in vain"}
    ledger.models.export(trials[0], "all", tmp_path / "exported")
    assert (tmp_path / "exported" / "weights").read_text() == "uploads slowly"
