"""A study's record in MLflow, as its driver uses it. The runs of cells are written here."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from orchestrator.record.cells import RecordedCells
from orchestrator.record.claims import Claims
from orchestrator.record.endings import Endings
from orchestrator.record.experiment import (
    DAMAGED_TAG,
    HASH_TAGS,
    PLAN_TAG,
    Experiment,
    InPlan,
    RunKind,
    RunStatus,
    now_ms,
)
from orchestrator.record.kept_models import KeptModels
from orchestrator.record.open_cell import OpenCell
from orchestrator.record.origins import Origins, OtherOrigin
from orchestrator.record.places import Places
from orchestrator.record.provenance import code_and_libraries
from orchestrator.record.renderings import Renderings
from orchestrator.record.result import TrialResult
from orchestrator.record.run_tables import (
    CURVES_FILE,
    OUTCOMES_FILE,
    DamagedTable,
    check_tables,
    write_tables,
)
from orchestrator.record.seals import Seals
from orchestrator.record.study_run import StudyRun
from orchestrator.record.superseded import REASON_TAG, mark_superseded
from orchestrator.record.verdict_runs import VerdictRuns
from orchestrator.record.views import ORDER_TAG
from orchestrator.study.trial import Trial
from stats.names import BASELINE

METRICS_PER_CALL = 1000  # MLflow's limit for one log_batch
# MLflow's error codes for a write that it refuses because of the run or of what is written.
REFUSED = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE", "BAD_REQUEST")
log = logging.getLogger(__name__)


class RunRefused(Exception):
    """A cell's run cannot be written, for example because it was deleted; other cells are not concerned."""


class Ledger:
    """One study's record. Only the driver writes it, so workers need no credentials.

    `cells` reads the runs of cells, `verdicts` writes what is known of each method and split, `models` holds
    the tuned models that are kept, `study_run` keeps reports, `seals` the plans that they judge by,
    `renderings` how the pairs became token ids, `origins` the code that made the cells, `claims` holds
    the drivers' claims on the study, and `endings` says how the newest sweep ended. A write that is repeated
    because the store did not answer does no harm. What is written to a cell's run raises RunRefused if MLflow
    refuses it.

    Args:
        places: Where the study's record is.
        patience_s: Seconds for which a call to an unreachable store is repeated before its error is raised.

    Raises:
        StudyError: The store cannot be reached at all.
    """

    def __init__(self, places: Places, patience_s: float = 0.0) -> None:
        self.experiment = Experiment(places, patience_s)
        self.cells = RecordedCells(self.experiment)
        self.verdicts = VerdictRuns(self.experiment)
        self.models = KeptModels(self.experiment)
        self.study_run = StudyRun(self.experiment)
        self.seals = Seals(self.study_run)
        self.renderings = Renderings(self.experiment)
        self.origins = Origins(self.study_run)
        self.claims = Claims(self.experiment)
        self.endings = Endings(self.experiment)

    @property
    def guard(self) -> Callable[[], None]:
        """What is called before each write to the record; it raises if this driver may no longer write."""
        return self.experiment.client.guard

    @guard.setter
    def guard(self, guard: Callable[[], None]) -> None:
        self.experiment.client.guard = guard

    @property
    def study(self) -> str:
        return self.experiment.study

    @property
    def uri(self) -> str:
        """The tracking URI of the store."""
        return self.experiment.uri

    @property
    def page(self) -> str:
        """The study's address in MLflow's UI."""
        return self.experiment.page

    def running(self) -> dict[str, OpenCell]:
        """Return trial_id -> what was last noted of each cell that a live sweep runs.

        If no driver claims the study, its open runs were abandoned and do not count.
        """
        return self.cells.open_runs() if self.claims.all() else {}

    def start(self, trial: Trial, provenance: Mapping[str, str]) -> str:
        """Open the run of a cell that is about to be trained, and return the run's id."""
        identity = trial.dotted_identity
        tags = {
            "study": trial.study,
            "trial_id": trial.trial_id,
            PLAN_TAG: InPlan.PRESENT,
            ORDER_TAG: f"{trial.split == BASELINE:d}/{trial.split}/{trial.method}/{trial.seed:012d}",
            **{tag: identity.pop(key) for key, tag in HASH_TAGS.items()},
            **provenance,
        }
        params = [Param(key, value) for key, value in {**_names(trial), **identity}.items()]
        with self._writing():
            run_id = self.experiment.open_run(RunKind.CELL, trial.name, tags)
            self.experiment.client.log_batch(run_id, params=params)
        return run_id

    def note(self, run_id: str, progress: str, tags: Mapping[str, str]) -> None:
        """Note the progress of a running cell, and further tags."""
        with self._writing():
            self.experiment.tag_run(run_id, {"progress": progress, **tags})

    def finish(self, run_id: str, result: TrialResult, tags: Mapping[str, str]) -> None:
        """Record a result. The run becomes FINISHED last, when everything else is recorded.

        Args:
            run_id: The run that `start` opened.
            result: The cell's metrics, curves, outcomes and facts.
            tags: Further tags of the run.

        Raises:
            RunRefused: MLflow refuses the run, or a metric is not finite.
        """
        for name, value in result.metrics.items():
            if not math.isfinite(value):
                raise RunRefused(f"trial {result.trial_id}: metric {name} is {value}")
        points = _metric_points(result)
        tables = {OUTCOMES_FILE: result.outcomes, CURVES_FILE: result.curves}
        with self._writing():
            for first in range(0, len(points), METRICS_PER_CALL):
                batch = points[first : first + METRICS_PER_CALL]
                self.experiment.client.log_batch(run_id, metrics=batch)
            checksums = write_tables(self.experiment.client, run_id, tables)
            self.experiment.tag_run(run_id, {**result.facts, **tags, **checksums})
            self.experiment.close_run(run_id, RunStatus.FINISHED)

    def fail(self, run_id: str, error: str, tags: Mapping[str, str]) -> None:
        """Record that a cell ran out of attempts, and why."""
        with self._writing():
            self.experiment.tag_run(run_id, {**tags, "error": error, PLAN_TAG: InPlan.PAST})
            self.experiment.close_run(run_id, RunStatus.FAILED)

    def abandon(self, run_id: str, reason: str) -> None:
        """Close the run of a cell that was not trained after all; it does not count."""
        with self._writing():
            self.experiment.tag_run(run_id, {"abandoned": reason, PLAN_TAG: InPlan.PAST})
            self.experiment.close_run(run_id, RunStatus.KILLED)

    def other_origins(self, trials: Sequence[Trial]) -> list[OtherOrigin]:
        """Return which finished cells of these were made by other code or libraries than are here."""
        if not self.cells.may_differ_from(code_and_libraries()):
            return []
        finished = self.cells.finished()
        return self.origins.others(finished[trial.trial_id] for trial in trials if trial.trial_id in finished)

    def mark_damaged(self, trials: Sequence[Trial]) -> None:
        """Read the tables of the finished cells among `trials`, and mark the runs whose tables are not whole.

        A marked run stays as it is, but it does not count any more, so its cell is trained again.
        """
        trial_ids = {trial.trial_id for trial in trials}
        for run in self.cells.unmarked_runs():
            if run.data.tags["trial_id"] in trial_ids:
                try:
                    check_tables(self.experiment.client, run)
                except DamagedTable as damage:
                    log.warning("%s; the run counts no longer", damage)
                    self.experiment.tag_run(run.info.run_id, {DAMAGED_TAG: str(damage)})

    def supersede(self, trials: Sequence[Trial]) -> None:
        """Set aside the finished runs of these cells, so that they are trained again.

        The runs and their tables stay in the record, as past cells.
        """
        trial_ids = {trial.trial_id for trial in trials}
        runs = [run for run in self.cells.unmarked_runs() if run.data.tags["trial_id"] in trial_ids]
        reason = {"kind": RunKind.PAST_CELL, PLAN_TAG: InPlan.PAST, REASON_TAG: "asked for again (--again)"}
        for run in runs:
            self.experiment.tag_run(run.info.run_id, reason)

    def superseded(self, trials: Sequence[Trial]) -> list[str]:
        """Return the names of those cells of which a finished run was set aside."""
        past = {run.data.tags["trial_id"] for run in self.experiment.runs(RunKind.PAST_CELL)}
        return [trial.name for trial in trials if trial.trial_id in past]

    def show(self, trials: Sequence[Trial]) -> Counter[str]:
        """Have the views in MLflow show the runs of these cells alone: those that count, and those that run.

        Other runs of cells stay in the record, with another value of the tag `plan`.

        Returns:
            Why other runs are not shown -> how many there are.
        """
        return mark_superseded(self.experiment, self.cells, trials)

    def close_abandoned(self) -> int:
        """Close the runs that a dead driver left open, which never count, and return how many there were."""
        abandoned = list(self.experiment.runs(RunKind.CELL, RunStatus.RUNNING))
        for run in abandoned:
            reason = {"abandoned": "its driver ended before the trial did", PLAN_TAG: InPlan.PAST}
            self.experiment.tag_run(run.info.run_id, reason)
            self.experiment.close_run(run.info.run_id, RunStatus.KILLED)
        return len(abandoned)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write to a cell's run in this block."""
        try:
            yield
        except MlflowException as error:
            if error.error_code not in REFUSED:
                raise
            self.experiment.refuse_deleted()
            raise RunRefused(" ".join(str(error).split())) from error


def _names(trial: Trial) -> dict[str, str]:
    """Return what a person calls the cell by; its seed is a part of its identity."""
    return {"method": trial.method, "split": trial.split}


def _metric_points(result: TrialResult) -> list[Metric]:
    """Return the final metrics by name, and the curves by step, named likewise: `arm/metric`."""
    now, curves = now_ms(), result.curves[["arm", "step", "metric", "value"]]
    final = [Metric(name, value, now, 0) for name, value in result.metrics.items()]
    logged = [
        Metric(f"{arm}/{metric}", float(value), now, int(step))
        for arm, step, metric, value in curves.itertuples(index=False, name=None)
    ]
    return final + logged
