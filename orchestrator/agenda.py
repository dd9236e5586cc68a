"""Which cells a study asks for, and which of them comes next."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from orchestrator.study import Study
from orchestrator.trial import Trial, TrialResult

if TYPE_CHECKING:
    from orchestrator.ledger import Ledger

FINISHED = "finished"


class Agenda(Protocol):
    """The cells of a sweep. A cell is handed out once, and once more after each `give_back`."""

    @property
    def planned(self) -> Sequence[Trial]:
        """All cells that the study asks for, as far as is known now."""

    @property
    def open(self) -> Sequence[Trial]:
        """Those of them that have not ended, the ones that were handed out too."""

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


def agenda(
    study: Study, trials: Sequence[Trial], status: Mapping[str, str], ledger: "Ledger | None"
) -> Agenda:
    """What a study asks for.

    Args:
        trials: its whole grid. status: trial_id -> finished, failed or else. ledger: its record, if any.
    """
    if not study.adaptive:
        return Listed(trials, status)

    from orchestrator.adaptive import Adaptive

    return Adaptive(study, trials, status, ledger)
