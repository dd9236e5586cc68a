"""Adaptive seeds: the evidence so far says which verdicts need more cells.

Which verdicts are settled is a function of the record alone (`stats.evidence.sequential`), so a resumed sweep
decides as the interrupted one would have.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from math import ceil, isfinite
from typing import TYPE_CHECKING

import pandas as pd

from orchestrator.record.result import GPU_SECONDS, TrialResult
from orchestrator.study.seeds import AdaptiveSeeds
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.evidence.beforehand import DivergedCells
from stats.evidence.decision import SplitState
from stats.evidence.divergence import has_diverged
from stats.evidence.looks import Looks
from stats.evidence.quantity import DIFF
from stats.evidence.sequential import decide
from stats.evidence.sums import CELL_OUTCOMES, SUM_COLUMNS, user_sums
from stats.status import CellStatus

if TYPE_CHECKING:
    from orchestrator.record.cells import RecordedCells


class Adaptive:
    """The agenda of a study with `seeds: {until: resolved}`.

    Each split of each method, and the method's baseline, gets `start` seeds. Then each verdict that is still
    open gets more seeds. Verdicts that are likely to need the fewest come first, and each gets several seeds
    ahead if it is likely to need them, so that no lane waits for the previous seed. A seed that failed, or
    diverged if diverged cells count as missing, is not skipped: whether it does may depend on what its
    outcome would be.

    Args:
        trials: Every cell that the study may plan.
        statuses: trial_id -> status, for the cells in the record.
        recorded: The cells of the record; None if there is no record yet.
    """

    def __init__(
        self,
        study: Study,
        trials: Sequence[Trial],
        statuses: Mapping[str, CellStatus],
        recorded: "RecordedCells | None",
    ) -> None:
        assert study.adaptive
        self._study, self._seeds = study, study.adaptive
        self._looks = looks_of(study, study.adaptive)
        self._trials = {(trial.method, trial.split, trial.seed): trial for trial in trials}
        finished = [trial for trial in trials if statuses.get(trial.trial_id) == CellStatus.FINISHED]
        metrics = recorded.metrics() if recorded else {}
        self._succeeded = {  # trial_id -> whether the cell counts, of ended cells
            trial.trial_id: self._counts(metrics.get(trial.trial_id, {})) for trial in finished
        }
        self._out: dict[str, Trial] = {}  # trial_id -> cell that was handed out and has not ended
        self._sums: list[pd.DataFrame] = []
        self._gpu_seconds: dict[str, float] = {}
        if recorded:
            compared = [trial for trial in finished if trial.groups and self._succeeded[trial.trial_id]]
            self._sums = [user_sums(table) for table in recorded.outcomes(compared, CELL_OUTCOMES)]
            self._gpu_seconds = recorded.gpu_seconds()

    @property
    def planned(self) -> Sequence[Trial]:
        planned = {trial.trial_id for trial in self.open} | self._succeeded.keys()
        return [trial for trial in self._trials.values() if trial.trial_id in planned]

    @property
    def open(self) -> Sequence[Trial]:
        return [*self._out.values(), *self._queue]

    @property
    def seed_decisions(self) -> tuple[pd.DataFrame, Looks]:
        return self.verdicts, self._looks

    @property
    def verdicts(self) -> pd.DataFrame:
        """The verdicts so far. An open one that gets no more seeds is undecided, and its note says why."""
        table = self._decisions.copy()
        continuing = {(trial.method, trial.split) for trial in self.open}
        for row in table.index[table["state"] == SplitState.OPEN]:
            methods, split, finished = self._needs_of(table.loc[row])
            if not any((method, split) in continuing for method in methods):
                failed_seed = self._next_seed_if_failed(methods, split, finished)
                note = (
                    "the budget is spent"
                    if failed_seed is None
                    else f"its cell of seed {failed_seed} failed or diverged"
                )
                table.loc[row, ["state", "note"]] = [SplitState.UNDECIDED, note]
        return table

    def next(self, fits: Callable[[Trial], bool]) -> Trial | None:
        trial = next((trial for trial in self._queue if fits(trial)), None)
        if trial:
            self._out[trial.trial_id] = trial
            self._forget("_queue")
        return trial

    def ended(self, trial: Trial, result: TrialResult | None) -> None:
        self._out.pop(trial.trial_id)
        self._succeeded[trial.trial_id] = result is not None and self._counts(result.metrics)
        if result:
            self._gpu_seconds[trial.trial_id] = float(result.facts[GPU_SECONDS])
            if trial.groups and self._succeeded[trial.trial_id]:
                self._sums.append(user_sums(result.outcomes.assign(**trial.labels)))
        self._forget("_decisions", "_queue")

    def give_back(self) -> None:
        self._out.clear()
        self._forget("_queue")

    def _counts(self, metrics: Mapping[str, float]) -> bool:
        """Return whether a finished cell with these metrics counts as one that has a result."""
        rule = self._study.divergence
        return rule.count == DivergedCells.AS_THEY_ARE or not has_diverged(metrics, rule.loss_ratio)

    def _forget(self, *cached: str) -> None:
        """Drop cached properties that no longer hold."""
        for name in cached:
            self.__dict__.pop(name, None)

    @cached_property
    def _decisions(self) -> pd.DataFrame:
        """The decisions that follow from the evidence so far."""
        sums = pd.concat(self._sums, ignore_index=True) if self._sums else pd.DataFrame(columns=SUM_COLUMNS)
        return decisions_of(self._study, sums, self._looks)

    @cached_property
    def _queue(self) -> list[Trial]:
        """The cells to hand out next, in order, without duplicates and within the budget."""
        wanted = {trial.trial_id: trial for trial in [*self._first_seeds(), *self._further_seeds()]}
        queue = [
            trial
            for trial_id, trial in wanted.items()
            if trial_id not in self._succeeded and trial_id not in self._out
        ]
        return queue[: self._affordable()]

    def _first_seeds(self) -> Iterator[Trial]:
        """Yield the cells that need no evidence: `start` seeds per split, and all seeds that methods list."""
        position = {
            (method, seed): number
            for method in self._study.methods
            for number, seed in enumerate(self._study.seeds_of(method))
        }
        adaptive = set(adaptive_methods(self._study))
        for trial in sorted(self._trials.values(), key=lambda trial: position[trial.method, trial.seed]):
            if trial.method not in adaptive or position[trial.method, trial.seed] < self._seeds.start:
                yield trial

    def _further_seeds(self) -> Iterator[Trial]:
        """Yield cells of further seeds for the open verdicts, those likely to need the fewest first."""
        table = self._decisions
        table = table[(table["state"] == SplitState.OPEN) & (table["seeds"] >= self._seeds.start)]
        lacking = table["needed_seeds"] - table["seeds"]
        for row in lacking.sort_values().index:
            methods, split, finished = self._needs_of(table.loc[row])
            if self._next_seed_if_failed(methods, split, finished) is None:
                ahead = ceil(lacking[row] / 2) if isfinite(lacking[row]) else 1
                for seed in self._study.seeds_of(methods[0])[finished : finished + max(1, ahead)]:
                    for method in methods:
                        yield self._trials[method, split, seed]

    def _needs_of(self, row: pd.Series) -> tuple[list[str], str, int]:
        """Return (methods whose cells a verdict needs, split, seeds that both have finished)."""
        methods = [row["method"]] if row["quantity"] == DIFF else [row["method"], self._study.reference]
        return methods, row["split"], int(row["seeds"])

    def _next_seed_if_failed(self, methods: Sequence[str], split: str, finished: int) -> int | None:
        """Return the seed that follows the finished ones if one of its cells has failed, otherwise None."""
        for seed in self._study.seeds_of(methods[0])[finished : finished + 1]:
            for method in methods:
                if self._succeeded.get(self._trials[method, split, seed].trial_id) is False:
                    return seed
        return None

    def _affordable(self) -> int | None:
        """Return how many more cells the budget allows; None if there is no limit yet."""
        bounds = []
        if self._seeds.budget_cells:
            bounds.append(self._seeds.budget_cells - len(self._succeeded) - len(self._out))
        if self._seeds.budget_gpu_hours and self._gpu_seconds:
            spent_s = sum(self._gpu_seconds.values())
            cell_s = spent_s / len(self._gpu_seconds)
            bounds.append(int((3600 * self._seeds.budget_gpu_hours - spent_s) / cell_s) - len(self._out))
        return max(0, min(bounds)) if bounds else None


def looks_of(study: Study, seeds: AdaptiveSeeds) -> Looks:
    """Return when the study looks at its evidence and what settles a verdict."""
    return Looks(seeds.start, seeds.max, margin_pp=study.equivalence_margin_pp, worth=seeds.worth)


def decisions_of(study: Study, sums: pd.DataFrame, looks: Looks) -> pd.DataFrame:
    """Return `stats.evidence.sequential.decide` for the methods whose seeds depend on the evidence."""
    controls = study.controls.splits
    predictions = {name: split.predicted for name, split in study.grid_splits.items() if name not in controls}
    seeds = {method: study.seeds_of(method) for method in adaptive_methods(study)}
    return decide(sums, predictions, looks, seeds, study.reference)


def adaptive_methods(study: Study) -> list[str]:
    """Return the methods that are trained and list no seeds of their own."""
    return [
        name for name, method in study.methods.items() if not method.seeds and name not in study.published
    ]
