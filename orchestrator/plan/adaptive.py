"""Seeds where they decide something: the cells whose verdicts are open, as the evidence so far says.

What is settled is a function of the record alone (`stats.evidence.sequential`), so a resumed sweep
decides as the one that was cut short would have.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from math import ceil, isfinite
from typing import TYPE_CHECKING

import pandas as pd

from orchestrator.plan.agenda import FINISHED
from orchestrator.record.result import GPU_SECONDS, TrialResult
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.evidence.judge import UNDECIDED
from stats.evidence.sequential import OPEN, Looks, decide
from stats.evidence.sums import SCORED, SUMS, user_sums

if TYPE_CHECKING:
    from orchestrator.record.ledger import Ledger


def looks(study: Study) -> Looks:
    """When the study looks at its evidence, and what settles a verdict."""
    seeds = study.adaptive
    assert seeds
    return Looks(seeds.start, seeds.max, margin_pp=study.equivalence_margin_pp, worth=seeds.worth)


def decisions(study: Study, sums: pd.DataFrame) -> pd.DataFrame:
    """`stats.evidence.sequential.decide` for the methods whose seeds the evidence counts out."""
    predictions = {name: split.predicted for name, split in study.grid_splits.items()}
    seeds = {method: study.seeds_of(method) for method in counted(study)}
    return decide(sums, predictions, looks(study), seeds)


def counted(study: Study) -> list[str]:
    """Methods that are trained and name no seeds of their own."""
    return [
        name for name, method in study.methods.items() if not method.seeds and name not in study.published
    ]


class Adaptive:
    """The agenda of a study with `seeds: {until: resolved}`.

    Each split of each method, and its baseline, gets `start` seeds. Then a verdict that is still open gets
    more, those first that are likely to need the fewest; as far ahead at once as it is likely to need, so
    that no lane waits for the seed before. A seed that failed is not passed over: it might fail for what its
    outcome is.
    """

    def __init__(
        self, study: Study, trials: Sequence[Trial], status: Mapping[str, str], ledger: "Ledger | None"
    ) -> None:
        self._study = study
        self._trials = {(trial.method, trial.split, trial.seed): trial for trial in trials}
        self._ended = {
            trial.trial_id: True for trial in trials if status.get(trial.trial_id) == FINISHED
        }  # trial_id -> finished
        compared = [trial for trial in trials if trial.trial_id in self._ended and trial.groups]
        self._sums = [user_sums(table) for table in ledger.outcomes(compared, SCORED)] if ledger else []
        self._out: dict[str, Trial] = {}
        self._gpu_seconds = ledger.gpu_seconds() if ledger else {}

    @property
    def planned(self) -> Sequence[Trial]:
        wanted = {trial.trial_id for trial in [*self._wanted, *self._out.values()]}
        return [trial for trial in self._trials.values() if trial.trial_id in wanted | self._ended.keys()]

    @property
    def open(self) -> Sequence[Trial]:
        return [*self._out.values(), *self._wanted]

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """The verdicts as they stand."""
        table = pd.concat(self._sums, ignore_index=True) if self._sums else pd.DataFrame(columns=SUMS)
        return decisions(self._study, table)

    def next(self, fits: Callable[[Trial], bool]) -> Trial | None:
        trial = next((trial for trial in self._wanted if fits(trial)), None)
        if trial:
            self._out[trial.trial_id] = trial
            self._think_again("_wanted")
        return trial

    def ended(self, trial: Trial, result: TrialResult | None) -> None:
        self._out.pop(trial.trial_id)
        self._ended[trial.trial_id] = result is not None
        if result:
            self._gpu_seconds[trial.trial_id] = float(result.facts[GPU_SECONDS])
            if trial.groups:
                self._sums.append(user_sums(result.outcomes.assign(**trial.labels)))
        self._think_again("decisions", "_wanted")

    def give_back(self) -> None:
        self._out.clear()
        self._think_again("_wanted")

    def _think_again(self, *stale: str) -> None:
        for name in stale:
            self.__dict__.pop(name, None)

    @property
    def decided(self) -> tuple[pd.DataFrame, Looks]:
        """`verdicts`, and when the study looks at its evidence."""
        return self.verdicts, looks(self._study)

    @property
    def verdicts(self) -> pd.DataFrame:
        """The verdicts as they stand; an open one that gets no more seeds here as undecided, and why."""
        table = self.decisions.copy()
        going_on = {(trial.method, trial.split) for trial in self.open}
        for row in table.index[table["state"] == OPEN]:
            method, split = table.loc[row, ["method", "split"]]
            if (method, split) not in going_on:
                failed = self._failed(method, split, int(table.loc[row, "seeds"]))
                why = "the budget is spent" if failed is None else f"its cell of seed {failed} failed"
                table.loc[row, ["state", "note"]] = [UNDECIDED, why]
        return table

    def _failed(self, method: str, split: str, finished: int) -> int | None:
        """The seed that comes next and has failed, if it has."""
        following = self._study.seeds_of(method)[finished : finished + 1]
        failed = [
            seed for seed in following if self._ended.get(self._trials[method, split, seed].trial_id) is False
        ]
        return failed[0] if failed else None

    @cached_property
    def _wanted(self) -> list[Trial]:
        """The cells to run next, in order, none beyond the budget and none twice."""
        wanted = [
            trial
            for trial in [*self._first(), *self._further()]
            if trial.trial_id not in self._ended and trial.trial_id not in self._out
        ]
        return wanted[: self._affordable()]

    def _first(self) -> Iterator[Trial]:
        """What needs no evidence: `start` seeds of each split, and all of methods that name theirs."""
        adaptive = self._study.adaptive
        assert adaptive
        place = {
            (method, seed): number
            for method in self._study.methods
            for number, seed in enumerate(self._study.seeds_of(method))
        }
        free = set(counted(self._study))
        for trial in sorted(self._trials.values(), key=lambda trial: place[trial.method, trial.seed]):
            if trial.method not in free or place[trial.method, trial.seed] < adaptive.start:
                yield trial

    def _further(self) -> Iterator[Trial]:
        """Further seeds of the open verdicts, of those first that are likely to need the fewest."""
        adaptive = self._study.adaptive
        assert adaptive
        table = self.decisions
        table = table[(table["state"] == OPEN) & (table["seeds"] >= adaptive.start)]
        lacks = table["needed_seeds"] - table["seeds"]
        for row in lacks.sort_values().index:
            method, split, finished = table.loc[row, ["method", "split", "seeds"]]
            if self._failed(method, split, finished) is None:
                ahead = ceil(lacks[row] / 2) if isfinite(lacks[row]) else 1
                for seed in self._study.seeds_of(method)[finished : finished + max(1, ahead)]:
                    yield self._trials[method, split, seed]

    def _affordable(self) -> int | None:
        """How many more cells the budget allows; None where it sets no bound."""
        adaptive = self._study.adaptive
        assert adaptive
        bounds = []
        if adaptive.budget_cells:
            bounds.append(adaptive.budget_cells - len(self._ended) - len(self._out))
        if adaptive.budget_gpu_hours and self._gpu_seconds:
            spent = sum(self._gpu_seconds.values())
            a_cell = spent / len(self._gpu_seconds)
            bounds.append(int((3600 * adaptive.budget_gpu_hours - spent) / a_cell) - len(self._out))
        return max(0, min(bounds)) if bounds else None
