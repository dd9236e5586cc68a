"""Runs of cells that the present plan of their study does not need: they stay, and say why, in two tags."""

from collections import Counter
from collections.abc import Iterable, Sequence

from mlflow.entities import Run

from orchestrator.record.cells import RecordedCells
from orchestrator.record.experiment import DAMAGED_TAG, PLAN_TAG, Experiment, InPlan, RunKind, RunStatus
from orchestrator.study.trial import Trial

REASON_TAG = "superseded"  # why a run is past, in words
UNPLANNED = "the study plans its cell no longer"
ENDED_BADLY = {RunStatus.FAILED: "it failed", RunStatus.KILLED: "it was cut off"}


def mark_superseded(experiment: Experiment, cells: RecordedCells, trials: Sequence[Trial]) -> Counter[str]:
    """Mark which runs of cells are of the present plan, and why the others are not, and count the reasons.

    A run that is planned again, or whose cell counts again, loses the mark.

    Args:
        experiment: The study's experiment.
        cells: The runs of its cells.
        trials: The cells that the study plans.
    """
    planned = {trial.trial_id for trial in trials}
    counted = {run.info.run_id for run in cells.finished().values()}
    reasons: Counter[str] = Counter()
    for run in _runs(experiment):
        reason = _reason(run, planned, counted)
        wanted = {PLAN_TAG: InPlan.PAST, REASON_TAG: reason} if reason else {PLAN_TAG: InPlan.PRESENT}
        tags = {tag: run.data.tags[tag] for tag in (PLAN_TAG, REASON_TAG) if tag in run.data.tags}
        if tags != wanted:
            experiment.tag_run(run.info.run_id, wanted)
        if not reason and REASON_TAG in tags:
            experiment.client.delete_tag(run.info.run_id, REASON_TAG)
        reasons[reason] += 1
    del reasons[""]
    return reasons


def _runs(experiment: Experiment) -> Iterable[Run]:
    return list(experiment.runs(RunKind.CELL))  # read whole before the first one is changed


def _reason(run: Run, planned: set[str], counted: set[str]) -> str:
    """Return why a run is superseded; an empty text for one that counts or runs."""
    if run.data.tags["trial_id"] not in planned:
        return UNPLANNED
    if run.info.run_id in counted or run.info.status == RunStatus.RUNNING:
        return ""
    if run.info.status in ENDED_BADLY:
        return ENDED_BADLY[RunStatus(run.info.status)]
    return "its tables are damaged" if DAMAGED_TAG in run.data.tags else "another run of its cell counts"
