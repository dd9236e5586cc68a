"""What a worker reports while it makes no step: that it is alive, and it stops there when it is asked to."""

import getpass
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.plan.tables import load_tables, render_tables
from orchestrator.record.places import Places
from orchestrator.record.provenance import code_and_libraries
from orchestrator.record.result import values_of_arms
from orchestrator.run.job import Job
from orchestrator.run.jobs import make_jobs, score
from orchestrator.run.worker import run_trial
from orchestrator.study import grid
from orchestrator.study.study import Study
from tests.test_checked import corpus_of
from training.errors import Preempted
from training.scratch import scratch_root
from training.shards import serial

STUDY = Study.model_validate(
    {
        "study": "heartbeat",
        "data": {"source": "twin", "users": 40, "history": "none"},
        "splits": {"S1": {"by": "random", "predicted": "A = B"}},
        "methods": {"dpo": {}},
        "seeds": [1],
        "training": {"max_steps": 2, "batch_size": 4, "max_length": 128, "dtype": "float32"},
        "faults": {"checkpoint_every": 1},
    }
)


class Listener:
    """Notes what it hears, and asks the cell to stop at its `stop_at`-th report of held-out scoring."""

    def __init__(self, stop_at: int) -> None:
        self.stop_at, self.steps, self.alive_reports = stop_at, list[int](), 0
        self.temporary: set[Path] = set()

    def __call__(self, arm: str, step: int, total: int) -> bool:
        self.steps.append(step)
        self.temporary |= set(Path(tempfile.gettempdir()).iterdir())
        return False

    def alive(self) -> bool:
        self.alive_reports += 1
        return self.alive_reports == self.stop_at

    def told(self, text: str) -> None:
        pass

    def kept(self, uri: str, step: int) -> None:
        pass


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[bool, Job]:
    """The jobs of a baseline (False) and of a cell with arms A and B (True)."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    places, tables = Places("heartbeat", tmp_path), load_tables(STUDY)
    score(STUDY, tables, places, serial)
    jobs = make_jobs(STUDY, tables, places, grid.expand(STUDY), desk=None)  # the pairs are scored already
    return {job.trial.groups is not None: job for job in jobs}


def test_held_out_scoring_reports_and_a_cell_stopped_there_goes_on_from_its_checkpoint(
    jobs: dict[bool, Job],
) -> None:
    job = jobs[False]
    stopped = Listener(stop_at=2)
    with pytest.raises(Preempted, match="asked to stop during held-out scoring"):
        run_trial(job, stopped)
    assert stopped.steps == [1, 2]
    # What an arm writes is where the next arm removes what a killed one left; torch has a small cache.
    assert {path.name for path in stopped.temporary} - {f"torchinductor_{getpass.getuser()}"} == {
        scratch_root().name
    }
    resumed = Listener(stop_at=-1)
    result = run_trial(job, resumed)
    assert resumed.steps == [2]
    assert resumed.alive_reports > 2
    assert result.metrics["all/pref_acc_heldout"] > 0


def test_a_study_of_a_few_rows_names_its_items_and_counts_what_it_trains_and_holds_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six people rate the same eight items: held out by user alone, every held-out text is trained on."""
    rows = [
        {"user_id": f"u{user}", "prompt": f"why {item} ?", "chosen": "because so", "rejected": "no idea"}
        for user in range(6)
        for item in range(8)
    ]
    monkeypatch.setattr("training.data.sources.load_corpus", lambda _: corpus_of(rows))
    changes = {"data": {"source": "twin", "users": 41}, "held_out": {"share": 0.4}}
    results = {}
    for by in ("user", "both"):
        held_out = {"share": 0.4, "by": by}
        study = Study.model_validate({**STUDY.model_dump(), **changes, "held_out": held_out})
        places = Places("few", tmp_path)
        tables = render_tables(study, load_tables(study), places.cache)
        score(study, tables, places, serial)
        assert tables.rendered is not None
        trial = next(trial for trial in grid.expand(study, tables.rendered.tokens) if not trial.groups)
        (job,) = make_jobs(study, tables, places, [trial], desk=None)
        results[by] = run_trial(job, Listener(stop_at=-1))
    held = {by: result.metrics["all/pairs_heldout"] for by, result in results.items()}
    trained = {by: result.metrics["all/pairs_heldout_trained"] for by, result in results.items()}
    assert held == {"user": 16, "both": 6}
    assert trained == {"user": 16, "both": 0}
    outcomes = results["user"].outcomes
    assert outcomes["item"].nunique() == 8
    assert (outcomes.groupby("item")["user_id"].nunique() == 2).all()


class FailsInArmB(Listener):
    def __call__(self, arm: str, step: int, total: int) -> bool:
        if arm == "B":
            raise RuntimeError("arm B fails")
        return super().__call__(arm, step, total)


def test_a_kept_arm_carries_into_a_later_attempt_what_made_it(jobs: dict[bool, Job]) -> None:
    first = replace(jobs[True], micro_batch=4)
    with pytest.raises(RuntimeError, match="arm B fails"):
        run_trial(first, FailsInArmB(stop_at=-1))
    second = Listener(stop_at=-1)
    facts = run_trial(replace(first, micro_batch=2), second).facts
    assert second.steps == [1, 2]  # arm B alone
    assert re.fullmatch(r"A: .*, micro-batch 4, .*; B: .*, micro-batch 2, .*", facts["geometry"])
    assert facts["source_sha256"] == code_and_libraries()["source_sha256"]


def test_arms_side_by_side_are_those_one_after_the_other_also_when_stopped_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {
        "model": {"path": "tiny", "lora": {"r": 4}},
        "resources": {"cells_together": 1},
        "training": {**STUDY.training.model_dump(), "learning_rate": 1e-2},
    }
    study = Study.model_validate({**STUDY.model_dump(), **changes})
    places, tables = Places("together", tmp_path), load_tables(study)
    score(study, tables, places, serial)
    trial = next(trial for trial in grid.expand(study) if trial.groups)
    (job,) = make_jobs(study, tables, places, [trial], desk=None)
    apart = replace(
        job, store=f"{job.store}-apart", shape=job.shape.model_copy(update={"cells_together": None})
    )
    expected = run_trial(apart, Listener(stop_at=-1))
    stopped = StopsInTime(stop_at=-1)
    with pytest.raises(Preempted):
        run_trial(job, stopped)
    assert stopped.steps == [1, 1]  # of A, and of the slower of both
    resumed = Listener(stop_at=-1)
    result = run_trial(job, resumed)
    assert resumed.steps == [2, 2]
    assert {result.facts["notes_A"], result.facts["notes_B"]} == {"resumed from checkpoint-1"}
    pd.testing.assert_frame_equal(result.curves, expected.curves, check_exact=False, atol=1e-5)
    apart_and_together = (each.outcomes.drop(columns="correct") for each in (result, expected))
    pd.testing.assert_frame_equal(*apart_and_together, check_exact=False, atol=1e-4)
    assert expected.outcomes["margin"].abs().max() > 0.1
    assert float(result.facts["seconds_steps"]) < float(result.facts["seconds_cell"])


class StopsInTime(Listener):
    def __call__(self, arm: str, step: int, total: int) -> bool:
        return super().__call__(arm, step, total) or step == 1


def test_an_arm_that_is_resumed_otherwise_says_so(jobs: dict[bool, Job]) -> None:
    first = replace(jobs[False], micro_batch=4)
    with pytest.raises(Preempted):
        run_trial(first, StopsInTime(stop_at=-1))
    geometry = run_trial(replace(first, micro_batch=2), Listener(stop_at=-1)).facts["geometry"]
    before, now = values_of_arms(geometry)
    assert "micro-batch 4" in before
    assert now == before.replace("micro-batch 4", "micro-batch 2")
