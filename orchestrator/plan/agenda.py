"""Which cells a study plans, and which of them runs next."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Protocol

from orchestrator.plan.progress import steps_in_all
from orchestrator.record.result import TrialResult
from orchestrator.study.selection import Selection
from orchestrator.study.trial import Trial
from stats.status import CellStatus

if TYPE_CHECKING:
    import pandas as pd

    from stats.evidence.looks import Looks


class Agenda(Protocol):
    """The cells of a sweep.

    `next` hands out each cell once, and again only if it is lost. `ended` reports the end of a cell, and
    `give_back` reports that all cells handed out and not ended were lost.
    """

    @property
    def planned(self) -> Sequence[Trial]:
        """All cells that the study plans, given what is known now."""

    @property
    def open(self) -> Sequence[Trial]:
        """The planned cells that have not ended, including those handed out."""

    @property
    def seed_decisions(self) -> "tuple[pd.DataFrame, Looks] | None":
        """The verdicts so far (`stats.evidence.sequential.decide`) and the looks at the evidence.

        None if the number of seeds does not depend on the evidence.
        """

    def next(self, fits: Callable[[Trial], bool]) -> Trial | None:
        """Hand out the next of the cells that fit; return None while there is none."""

    def ended(self, trial: Trial, result: TrialResult | None, gpu_seconds: float) -> None:
        """Note that a cell has ended and is in the record.

        Args:
            result: The cell's result; None if it failed.
            gpu_seconds: What all its attempts took in this sweep: seconds times the cards held.
        """

    def give_back(self) -> None:
        """Note that all cells handed out and not ended were lost."""


class Chosen:
    """An agenda of which only the chosen cells are trained. What the study plans stays whole."""

    def __init__(self, agenda: Agenda, selection: Selection) -> None:
        self._agenda, self._selection = agenda, selection

    @property
    def planned(self) -> Sequence[Trial]:
        return self._agenda.planned

    @property
    def open(self) -> Sequence[Trial]:
        return self._selection.of(self._agenda.open)

    @property
    def seed_decisions(self) -> "tuple[pd.DataFrame, Looks] | None":
        return self._agenda.seed_decisions

    def next(self, fits: Callable[[Trial], bool]) -> Trial | None:
        return self._agenda.next(lambda trial: trial in self._selection and fits(trial))

    def ended(self, trial: Trial, result: TrialResult | None, gpu_seconds: float) -> None:
        self._agenda.ended(trial, result, gpu_seconds)

    def give_back(self) -> None:
        self._agenda.give_back()


class Listed:
    """The agenda of a study that lists its seeds: all its cells, the longest first, its methods in turn.

    Long cells come first so that a sweep does not end on one straggler. The methods take turns, and
    so do their splits, so that one that does not work shows early, and alone.
    """

    def __init__(self, trials: Sequence[Trial], statuses: Mapping[str, CellStatus]) -> None:
        self.planned = tuple(trials)
        self._open = {
            trial.trial_id: trial
            for trial in longest_first(trials)
            if statuses.get(trial.trial_id) != CellStatus.FINISHED
        }
        self.give_back()

    @property
    def open(self) -> Sequence[Trial]:
        return list(self._open.values())

    @property
    def seed_decisions(self) -> None:
        return None

    def next(self, fits: Callable[[Trial], bool]) -> Trial | None:
        trial = next((trial for trial in self._queue.values() if fits(trial)), None)
        if trial:
            del self._queue[trial.trial_id]
        return trial

    def ended(self, trial: Trial, result: TrialResult | None, gpu_seconds: float) -> None:
        del self._open[trial.trial_id]

    def give_back(self) -> None:
        self._queue = dict(self._open)


def longest_first(trials: Iterable[Trial]) -> list[Trial]:
    """Sort cells by their optimiser steps, the longest first: two arms before one.

    Of cells with the same steps, the methods take turns. Each method begins at another place of its own list,
    so that the first cells are of several splits, too.
    """
    by_steps: defaultdict[int, defaultdict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        by_steps[steps_in_all(trial)][trial.method].append(trial)
    order: list[Trial] = []
    for steps in sorted(by_steps, reverse=True):
        lists = [
            cells[start % len(cells) :] + cells[: start % len(cells)]
            for start, cells in enumerate(by_steps[steps].values())
        ]
        order += [trial for turn in zip_longest(*lists) for trial in turn if trial]
    return order
