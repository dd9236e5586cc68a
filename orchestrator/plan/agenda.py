"""Which cells a study asks for, and which of them comes next."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from orchestrator.record.result import TrialResult
from orchestrator.study.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from stats.evidence.sequential import Looks

FINISHED = "finished"


class Agenda(Protocol):
    """The cells of a sweep. A cell is handed out once, and once more after each `give_back`."""

    @property
    def planned(self) -> Sequence[Trial]:
        """All cells that the study asks for, as far as is known now."""

    @property
    def open(self) -> Sequence[Trial]:
        """Those of them that have not ended, the ones that were handed out too."""

    @property
    def decided(self) -> "tuple[pd.DataFrame, Looks] | None":
        """The verdicts as they stand (`stats.evidence.sequential.decide`) and when the evidence is looked
        at; None where the evidence decides nothing about the seeds."""

    def next(self, fits: Callable[[Trial], bool]) -> Trial | None:
        """The cell to run next among those that fit; None while there is none."""

    def ended(self, trial: Trial, result: TrialResult | None) -> None:
        """A cell is recorded: with its result, or as failed."""

    def give_back(self) -> None:
        """What was handed out and has not ended is lost."""


class Listed:
    """All cells of the study, the longest first, so that a sweep does not end on one straggler."""

    def __init__(self, trials: Sequence[Trial], status: Mapping[str, str]) -> None:
        self.planned = tuple(trials)
        self._open = {
            trial.trial_id: trial for trial in longest_first(trials) if status.get(trial.trial_id) != FINISHED
        }
        self.give_back()

    @property
    def open(self) -> Sequence[Trial]:
        return list(self._open.values())

    @property
    def decided(self) -> None:
        return None

    def next(self, fits: Callable[[Trial], bool]) -> Trial | None:
        trial = next((trial for trial in self._line.values() if fits(trial)), None)
        if trial:
            del self._line[trial.trial_id]
        return trial

    def ended(self, trial: Trial, result: TrialResult | None) -> None:
        del self._open[trial.trial_id]

    def give_back(self) -> None:
        self._line = dict(self._open)


def longest_first(trials: Iterable[Trial]) -> list[Trial]:
    """Cells of two arms before those of one."""
    return sorted(trials, key=lambda trial: -len(trial.arms) * trial.training.max_steps)
