"""A study's record in MLflow, as its driver uses it. The runs of cells are written here."""

import math
from collections.abc import Callable, Mapping

from mlflow.entities import Metric, Param

from orchestrator.record.cells import RecordedCells
from orchestrator.record.claims import Claims
from orchestrator.record.experiment import Experiment, RunKind, RunStatus, now_ms
from orchestrator.record.places import Places
from orchestrator.record.renderings import Renderings
from orchestrator.record.result import TrialResult
from orchestrator.record.run_tables import CURVES_FILE, OUTCOMES_FILE, write_tables
from orchestrator.record.seals import Seals
from orchestrator.record.study_run import StudyRun
from orchestrator.record.verdict_runs import VerdictRuns
from orchestrator.study.trial import Trial

METRICS_PER_CALL = 1000  # MLflow's limit for one log_batch


class Ledger:
    """One study's record. Only the driver writes it, so workers need no credentials.

    `cells` reads the runs of cells, `verdicts` writes what is known of each method and split, `study_run`
    keeps reports, `seals` the plans that they judge by, `renderings` how the pairs became token ids, and
    `claims` holds the drivers' claims on the study. A write that is repeated because the store did not answer
    does no harm.

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
        self.study_run = StudyRun(self.experiment)
        self.seals = Seals(self.study_run)
        self.renderings = Renderings(self.experiment)
        self.claims = Claims(self.experiment)
        # Called before each write of a cell; it raises if this driver may no longer write.
        self.guard: Callable[[], None] = lambda: None

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

    def running(self) -> dict[str, str]:
        """Return trial_id -> last noted progress (`B 20/60`) of each cell that a live sweep runs.

        If no driver claims the study, its open runs were abandoned and do not count.
        """
        return self.cells.open_runs() if self.claims.all() else {}

    def start(self, trial: Trial, provenance: Mapping[str, str]) -> str:
        """Open the run of a cell that is about to be trained, and return the run's id."""
        self.guard()
        tags = {
            **{name: str(value) for name, value in trial.labels.items()},
            "data_fingerprint": trial.data,
            "model_fingerprint": trial.model,
            **provenance,
        }
        run_id = self.experiment.open_run(RunKind.CELL, trial.name, tags)
        params = [Param(key, value) for key, value in trial.dotted_identity.items()]
        self.experiment.client.log_batch(run_id, params=params)
        return run_id

    def note(self, run_id: str, progress: str) -> None:
        """Note the progress of a running cell."""
        self.guard()
        self.experiment.tag_run(run_id, {"progress": progress})

    def finish(self, run_id: str, result: TrialResult, tags: Mapping[str, str]) -> None:
        """Record a result. The run becomes FINISHED last, when everything else is recorded.

        Args:
            run_id: The run that `start` opened.
            result: The cell's metrics, curves, outcomes and facts.
            tags: Further tags of the run.

        Raises:
            ValueError: A metric is not finite.
        """
        self.guard()
        for name, value in result.metrics.items():
            if not math.isfinite(value):
                raise ValueError(f"trial {result.trial_id}: metric {name} is {value}")
        points = _metric_points(result)
        for first in range(0, len(points), METRICS_PER_CALL):
            batch = points[first : first + METRICS_PER_CALL]
            self.experiment.client.log_batch(run_id, metrics=batch)
        tables = {OUTCOMES_FILE: result.outcomes, CURVES_FILE: result.curves}
        checksums = write_tables(self.experiment.client, run_id, tables)
        self.experiment.tag_run(run_id, {**result.facts, **tags, **checksums})
        self.experiment.close_run(run_id, RunStatus.FINISHED)

    def fail(self, run_id: str, error: str, tags: Mapping[str, str]) -> None:
        """Record that a cell ran out of attempts, and why."""
        self.guard()
        self.experiment.tag_run(run_id, {**tags, "error": error})
        self.experiment.close_run(run_id, RunStatus.FAILED)

    def abandon(self, run_id: str, reason: str) -> None:
        """Close the run of a cell that was not trained after all; it does not count."""
        self.guard()
        self.experiment.tag_run(run_id, {"abandoned": reason})
        self.experiment.close_run(run_id, RunStatus.KILLED)

    def close_abandoned(self) -> int:
        """Close the runs that a dead driver left open, which never count, and return how many there were."""
        abandoned = list(self.experiment.runs(RunKind.CELL, RunStatus.RUNNING))
        for run in abandoned:
            reason = {"abandoned": "its driver ended before the trial did"}
            self.experiment.tag_run(run.info.run_id, reason)
            self.experiment.close_run(run.info.run_id, RunStatus.KILLED)
        return len(abandoned)


def _metric_points(result: TrialResult) -> list[Metric]:
    """Return the final metrics by name, and the curves as `metric/arm` by step."""
    now, curves = now_ms(), result.curves[["arm", "step", "metric", "value"]]
    final = [Metric(name, value, now, 0) for name, value in result.metrics.items()]
    logged = [
        Metric(f"{metric}/{arm}", float(value), now, int(step))
        for arm, step, metric, value in curves.itertuples(index=False, name=None)
    ]
    return final + logged
