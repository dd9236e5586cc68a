"""Real Ray Tune and Ray Train lanes with a fake trainer: each fate a cell can meet, in one sweep."""

import os
import sys

import pandas as pd
import pytest
from ray import cloudpickle

from orchestrator import schedule
from orchestrator.cluster import cluster
from orchestrator.ledger import Ledger
from orchestrator.places import Places
from orchestrator.study import Study
from orchestrator.trial import Order, Report, Trial, TrialResult
from training.errors import StudyError
from training.model import ModelFiles
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
        "faults": {"max_attempts": 2, "backoff_s": 0.1},
    }
)
FATES = ["fine", "fine too", "worker killed once", "crashes always", "user's mistake"]


def fake_trainer(order: Order, report: Report) -> TrialResult:
    fate = order.trial.split
    mark = order.work / "died"
    if fate == "worker killed once" and not mark.exists():
        mark.parent.mkdir(parents=True)
        mark.touch()
        os._exit(137)
    if fate == "crashes always":
        raise RuntimeError("boom")
    if fate == "user's mistake":
        raise StudyError("splits.S: a mistake; mend it")
    report("A", 1, 1)
    outcomes = pd.DataFrame({"arm": ["A"], "pair_id": ["p"], "margin": [1.0]})
    curves = pd.DataFrame({"arm": ["A"], "step": [1], "metric": ["loss"], "value": [0.5]})
    return TrialResult(order.trial.trial_id, {"pid": os.getpid()}, curves, outcomes, {"geometry": "fake"})


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The cells table after one sweep over all fates."""
    root = tmp_path_factory.mktemp("fates")
    places = Places("fates", root)
    trials = [
        Trial("fates", "dpo", fate, 1, "m", "d", {}, None, MethodSpec(), TrainingSpec(max_steps=1 + number))
        for number, fate in enumerate(FATES)
    ]
    orders = [
        Order(trial, ModelFiles("m"), root, root, root / "work" / trial.trial_id, root / "log", 8, {})
        for trial in trials
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        ledger = Ledger(places)
        with cluster():
            schedule.run(STUDY, places, orders, ledger, {}, tell=print, run_trial=fake_trainer)
        table = ledger.cells(trials)
        runs = ledger.finished() | {run.data.tags["trial_id"]: run for run in ledger.failed_runs()}
    tags = pd.DataFrame([{"trial_id": key, **run.data.tags} for key, run in runs.items()])
    return table.merge(tags[["trial_id", "attempts"]], on="trial_id", how="left").set_index("split")


def test_every_cell_ends_finished_or_failed(cells: pd.DataFrame) -> None:
    assert cells["status"].to_dict() == {
        "fine": "finished",
        "fine too": "finished",
        "worker killed once": "finished",
        "crashes always": "failed",
        "user's mistake": "failed",
    }


def test_attempts_are_bounded_and_a_users_mistake_is_told_once(cells: pd.DataFrame) -> None:
    assert cells["attempts"].astype(int).to_dict() == {
        "fine": 1,
        "fine too": 1,
        "worker killed once": 2,
        "crashes always": 2,
        "user's mistake": 1,
    }


def test_a_failed_cell_says_why(cells: pd.DataFrame) -> None:
    assert "boom" in cells.loc["crashes always", "error"]
    assert cells.loc["user's mistake", "error"] == "splits.S: a mistake; mend it"
