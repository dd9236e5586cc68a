"""What a study asks for, what is done and what is open: the sweep's plan, printable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from orchestrator.plan.agenda import Agenda, Listed
from orchestrator.plan.display import MARKS, grid, span, text, verdicts
from orchestrator.record.places import Places
from orchestrator.study.shape import Resources
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.text import plural

if TYPE_CHECKING:
    from orchestrator.record.ledger import Ledger


@dataclass(frozen=True)
class Plan:
    """The declared grid against the ledger. A failed cell is open: the next sweep tries it again."""

    study: Study
    trials: tuple[Trial, ...]
    agenda: Agenda
    status: Mapping[str, str]  # trial_id -> finished | failed | started | missing | later
    places: Places
    notes: Mapping[str, str]  # trial_id -> how far a started cell is
    seconds: Mapping[str, float]  # trial_id -> how long a finished cell took

    @classmethod
    def of(cls, study: Study, trials: Sequence[Trial], places: Places) -> "Plan":
        ledger = _record(places)
        notes = ledger.running() if ledger else {}
        seconds = ledger.seconds() if ledger else {}
        known = {**dict.fromkeys(notes, "started"), **(ledger.status() if ledger else {})}
        asked = agenda_of(study, trials, known, ledger)
        wanted = {trial.trial_id for trial in asked.planned}
        status = {
            trial.trial_id: known.get(trial.trial_id, "missing" if trial.trial_id in wanted else "later")
            for trial in trials
        }
        return cls(study, tuple(trials), asked, status, places, notes, seconds)

    @property
    def open(self) -> list[Trial]:
        """Cells to train, as far as is known now; in the study's order."""
        left = {trial.trial_id for trial in self.agenda.open}
        return [trial for trial in self.trials if trial.trial_id in left]

    def __str__(self) -> str:
        study, arms = self.study, sum(len(trial.arms) for trial in self.open)
        finished = sum(status == "finished" for status in self.status.values())
        resources = study.resources
        lines = [
            f"study {study.study}: {self._size()}, {finished} finished, {len(self.open)} to train "
            f"({arms} arms x {study.training.max_steps} steps of {study.training.batch_size} pairs)",
            f"  model {study.model.path}, data {study.data.source}, reference {study.reference}",
            f"  a cell: {resources.workers} worker(s) x ({resources.cpus_per_worker:g} CPU, "
            f"{_gpus(resources)} GPU), DeepSpeed {resources.deepspeed}, "
            f"at most {study.faults.max_attempts} attempts",
            f"  record {self.places.record}",
            f"  logs {self.places.logs}/<method>-<split>-<seed>.log",
        ]
        marks = "  ".join(
            f"{mark} {meaning}" for meaning, mark in MARKS.items() if study.adaptive or meaning != "later"
        )
        lines += ["", text(grid(study, self.trials, self.status, self.notes)), "", marks]
        if self.agenda.decided:
            lines += ["", text(verdicts(self.agenda.decided[0])), ""]
        if self.open:
            lines.append(self._estimate())
        return "\n".join(lines)

    def _size(self) -> str:
        planned = plural(len(self.agenda.planned), "cell")
        return f"{planned} of at most {len(self.trials)}" if self.study.adaptive else planned

    def _estimate(self) -> str:
        """Time for the open cells, from the finished ones: they share the study's steps and batches."""
        known = [
            self.seconds[trial.trial_id] / len(trial.arms)
            for trial in self.trials
            if trial.trial_id in self.seconds
        ]
        if not known:
            return "time: not known before a first cell of this study is finished; --probe trains a few steps"
        return self.time(median(known), f"median of {plural(len(known), 'finished cell')}")

    def time(self, arm_s: float, source: str, lanes: int | None = None) -> str:
        """What the open cells need if an arm takes `arm_s` seconds, on so many lanes or the study's."""
        need = self.study.resources
        lanes = lanes or need.lanes or 1
        seconds = arm_s * sum(len(trial.arms) for trial in self.open)
        said = f"time: {span(arm_s)} an arm ({source}); "
        said += f"{span(seconds / lanes)} to go on {plural(lanes, 'lane')}, start-up aside"
        cards = 0 if need.gpus_per_worker == "auto" else need.workers * need.gpus
        return f"{said}; {seconds * cards / 3600:.2g} GPU hours" if cards else said


def agenda_of(
    study: Study, trials: Sequence[Trial], status: Mapping[str, str], ledger: "Ledger | None"
) -> Agenda:
    """What a study asks for.

    Args:
        trials: its whole grid. status: trial_id -> finished, failed or else. ledger: its record, if any.
    """
    if not study.adaptive:
        return Listed(trials, status)

    from orchestrator.plan.adaptive import Adaptive  # pandas and scipy, which other plans do without

    return Adaptive(study, trials, status, ledger)


def _gpus(resources: Resources) -> str:
    return "auto" if resources.gpus_per_worker == "auto" else f"{resources.gpus:g}"


def _record(places: Places) -> "Ledger | None":
    """The record, if there is one: a store that does not exist yet is not made just to be asked."""
    if places.tracking_uri.startswith("sqlite:///"):
        path = Path(places.tracking_uri.removeprefix("sqlite:///"))
        if not path.exists():
            return None

    from orchestrator.record.ledger import Ledger

    return Ledger(places)
