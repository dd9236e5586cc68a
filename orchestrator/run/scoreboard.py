"""The verdicts so far, kept up to date in MLflow while cells finish."""

import math
import time
from dataclasses import replace

import pandas as pd

from orchestrator.plan.agenda import Agenda
from orchestrator.record.judged import StudyRecord, options_of, predictions_of, with_roles
from orchestrator.record.ledger import Ledger
from orchestrator.record.published_cells import published_cells
from orchestrator.record.verdict_runs import verdict_rows
from orchestrator.study.judging import judging_of
from orchestrator.study.study import Study
from stats.compare import compare
from stats.comparison import Comparison
from stats.evidence.sums import CELL_OUTCOMES, user_sums
from stats.status import STATUSES_WITH_NUMBERS, CellStatus

REFRESH_EVERY_S = 30.0
REFRESH_SHARE = 0.02  # the most of the driver's time that refreshing may take


class Scoreboard:
    """The verdict runs of a study whose sweep is under way.

    They say what the report would say of the cells that have finished, without its simulations.
    """

    def __init__(self, study: Study, agenda: Agenda, ledger: Ledger) -> None:
        self._study, self._agenda, self._ledger = study, agenda, ledger
        self._published = published_cells(study, ledger.experiment)
        self._sums: dict[str, pd.DataFrame] = {}  # trial_id -> held-out outcomes by user
        self._seen = -1
        self._next = 0.0

    def refresh(self, finished: int) -> None:
        """Write the verdicts anew if cells have finished since the last time, and not too often.

        Args:
            finished: How many cells have finished in this sweep.

        Raises:
            TableError: The outcomes so far cannot be judged together. Nothing is written from then on.
        """
        start = time.monotonic()
        if finished == self._seen or start < self._next:
            return
        self._seen, self._next = finished, math.inf  # until all has gone well
        # A damaged table among those that are read below must not end the sweep.
        self._ledger.mark_damaged(
            [trial for trial in self._agenda.planned if trial.groups and trial.trial_id not in self._sums]
        )
        planned = self._ledger.cells.table(self._agenda.planned)
        sums = self._sums_of(set(planned.loc[planned["status"] == CellStatus.FINISHED, "trial_id"]))
        record = StudyRecord(planned, self._published, sums, curves=None)
        decisions = self._agenda.seed_decisions
        table = decisions[0] if decisions else None
        comparison = comparison_so_far(self._study, record, table)
        self._ledger.verdicts.update(verdict_rows(comparison, table))
        end = time.monotonic()
        self._next = end + max(REFRESH_EVERY_S, (end - start) / REFRESH_SHARE)

    def _sums_of(self, finished: set[str]) -> pd.DataFrame | None:
        """Return the sums of the finished cells; those of a cell are read once."""
        new = [
            trial
            for trial in self._agenda.planned
            if trial.groups and trial.trial_id in finished and trial.trial_id not in self._sums
        ]
        for trial, outcomes in zip(new, self._ledger.cells.outcomes(new, CELL_OUTCOMES), strict=True):
            self._sums[trial.trial_id] = user_sums(outcomes)
        return pd.concat(self._sums.values(), ignore_index=True) if self._sums else None


def comparison_so_far(study: Study, record: StudyRecord, decisions: pd.DataFrame | None) -> Comparison:
    """Judge what has finished: each split by the seeds that it has, in a family of all that are planned.

    The simulations of a report are left out.
    """
    cells = with_roles(record.cells, study, judging_of(study))
    return compare(
        cells.assign(added=~cells["status"].isin(STATUSES_WITH_NUMBERS)),
        predictions_of(study),
        study.reference,
        study.verdicts,
        sums=record.sums,
        options=replace(options_of(study), tail_pairs=None),
        decisions=decisions,
    )
