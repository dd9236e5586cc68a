"""The plan of a sweep: what a study plans, what is finished, and what is open. It can be printed."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from orchestrator.plan.agenda import Agenda, Chosen, Listed
from orchestrator.plan.changes import changes
from orchestrator.plan.grid_table import as_text, grid_table, marks
from orchestrator.plan.recorded import existing_ledger, recorded_grid
from orchestrator.plan.time_span import time_span
from orchestrator.plan.verdicts_table import verdicts_table
from orchestrator.record.places import Places
from orchestrator.study.engine import engine_in_words
from orchestrator.study.selection import Selection, selection
from orchestrator.study.shape import Resources
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.status import CellStatus
from stats.text import plural
from training.model_path import expected_layout
from training.spec import TrainingSpec
from training.template_text import template_surprises

if TYPE_CHECKING:
    from orchestrator.record.cells import RecordedCells
    from orchestrator.record.ledger import Ledger
    from orchestrator.record.origins import OtherOrigin
    from orchestrator.record.renderings import RecordedRendering


@dataclass(frozen=True)
class Plan:
    """The declared grid compared with the record. A failed cell is open: the next sweep tries it again.

    Attributes:
        trials: The whole grid, in the study's order.
        agenda: Which cells are planned, and which comes next.
        statuses: trial_id -> status, for every trial.
        places: Where the study's files and its record are.
        progress: trial_id -> progress of a running cell.
        cell_seconds: trial_id -> seconds that the workers spent on a finished cell.
        changes: What made finished cells count no longer, one line per change.
        rendering: How the pairs were last rendered with these settings; None if the record does not know.
        lost: The cells that were finished, and whose tables are damaged or gone.
        other_origins: Which finished cells were made by other code or libraries than this process has.
        only: The cells that are to be trained, where not all of them are.
    """

    study: Study
    trials: tuple[Trial, ...]
    agenda: Agenda
    statuses: Mapping[str, CellStatus]
    places: Places
    progress: Mapping[str, str]
    cell_seconds: Mapping[str, float]
    changes: Sequence[str]
    lost: Sequence[Trial]
    other_origins: Sequence["OtherOrigin"]
    rendering: "RecordedRendering | None" = None
    only: Selection | None = None

    @classmethod
    def from_record(cls, study: Study, places: Places, only: Sequence[str] = ()) -> "Plan":
        """Compare a study's grid with its record. A study without a record has no finished cells.

        Args:
            study: The study.
            places: Where its record is.
            only: Globs over method/split/seed; cells that none of them matches are not trained.

        Raises:
            StudyError: A glob matches no cell.
        """
        ledger = existing_ledger(places)
        trials, rendering = recorded_grid(study, ledger)
        chosen = selection(only, trials)
        if ledger and study.adaptive:
            ledger.mark_damaged(trials)  # the tables are read below
        running = ledger.running() if ledger else {}
        progress = {trial_id: cell.progress for trial_id, cell in running.items()}
        cell_seconds = ledger.cells.seconds() if ledger else {}
        recorded = dict.fromkeys(progress, CellStatus.STARTED) | (ledger.cells.statuses() if ledger else {})
        recorded, without_models = _wanting_models(study, trials, recorded, ledger)
        agenda = make_agenda(study, trials, recorded, ledger.cells if ledger else None)
        agenda = Chosen(agenda, chosen) if chosen else agenda
        planned = {trial.trial_id for trial in agenda.planned}
        statuses = {
            trial.trial_id: CellStatus.MISSING if trial.trial_id in planned else CellStatus.LATER
            for trial in trials
        }
        statuses |= {trial_id: status for trial_id, status in recorded.items() if trial_id in statuses}
        changed = _changes(trials, recorded, ledger) if ledger else []
        lost_ids = ledger.cells.lost() if ledger else set()
        lost = [trial for trial in trials if trial.trial_id in lost_ids]
        others = ledger.other_origins(trials) if ledger else []
        notes = [*changed, *without_models]
        facts = (progress, cell_seconds, notes, lost, others, rendering, chosen)
        return cls(study, tuple(trials), agenda, statuses, places, *facts)

    @property
    def open(self) -> list[Trial]:
        """The cells to train, given what is known now, in the study's order."""
        unfinished = {trial.trial_id for trial in self.agenda.open}
        return [trial for trial in self.trials if trial.trial_id in unfinished]

    @property
    def shown(self) -> Sequence[Trial]:
        """The whole grid, or the chosen cells."""
        return self.only.of(self.trials) if self.only else self.trials

    @property
    def finished(self) -> int:
        """How many cells the record holds."""
        return sum(status == CellStatus.FINISHED for status in self.statuses.values())

    def __str__(self) -> str:
        cells = grid_table(self.study, self.shown, self.statuses, self.progress)
        lines = [*self._summary(), "", as_text(cells), "", self._legend()]
        if self.agenda.seed_decisions:
            verdicts, _ = self.agenda.seed_decisions
            lines += ["", as_text(verdicts_table(verdicts)), ""]
        if self.open:
            lines.append(self._time_from_record())
        return "\n".join(lines)

    def time_needed(self, arm_s: float, source: str, lanes: int | None = None) -> str:
        """Say how long the open cells take.

        Args:
            arm_s: Seconds per arm.
            source: Where that number comes from.
            lanes: How many cells run at the same time; by default the study's `lanes`, or 1.
        """
        resources = self.study.resources
        lanes = lanes or resources.lanes or 1
        seconds = arm_s * self._open_arms()
        text = f"time: {time_span(arm_s)} per arm ({source}); "
        text += f"{time_span(seconds / lanes)} to go on {plural(lanes, 'lane')}, without start-up"
        cards = 0 if resources.gpus_per_worker == "auto" else resources.workers * resources.gpus
        return f"{text}; {seconds * cards / 3600:.2g} GPU hours" if cards else text

    def _summary(self) -> list[str]:
        study, resources = self.study, self.study.resources
        planned = plural(len(self.agenda.planned), "cell")
        if study.adaptive:
            planned += f" of at most {len(self.trials)}"
        return [
            f"study {study.study}: {planned}, {self.finished} finished, {len(self.open)} to train "
            f"({self._open_arms()} arms x {_length(study.training)} of {study.training.batch_size} pairs)",
            *self._own_training(),
            *([f"  {self.only}: {plural(len(self.shown), 'cell')}"] if self.only else []),
            f"  model {study.model.path}{_adapters(study)}, data {study.data.source}, "
            f"reference {study.reference}",
            f"  batches: {expected_layout(study.model)}",
            f"  per cell: {resources.workers} worker(s) x ({resources.cpus_per_worker:g} CPU, "
            f"{_gpus(resources)} GPU), {_together(resources)}{engine_in_words(resources, study.training)}, "
            f"at most {study.faults.max_attempts} attempts",
            f"  record {self.places.record}",
            f"  logs {self.places.logs}/<method>-<split>-<seed>.log",
            *(f"  changed: {change}" for change in self.changes),
            *(f"  {line}" for line in self.about_rendering()),
            *self._lost_line(),
            *(f"  code: {other}" for other in self.other_origins),
        ]

    def _own_training(self) -> list[str]:
        """Say which methods are trained otherwise than the study's others, and how."""
        return [
            f"  {name}: {', '.join(f'{key} {value}' for key, value in changes.items())}"
            for name, method in self.study.methods.items()
            if method.training and (changes := method.training.model_dump())
        ]

    def _lost_line(self) -> list[str]:
        if not self.lost:
            return []
        first = ", ".join(trial.name for trial in self.lost[:3])
        more = f" and {len(self.lost) - 3} more" if len(self.lost) > 3 else ""
        count = plural(len(self.lost), "finished cell")
        return [
            f"  damaged: the tables of {count} are damaged or gone, so they count as missing: {first}{more}"
        ]

    def about_rendering(self) -> list[str]:
        """Say what was dropped, and what makes it impossible to repeat the study on another day."""
        lines, rendering = [], self.rendering
        if rendering and rendering.dropped:
            counts = ", ".join(f"{count} {reason}" for reason, count in rendering.dropped.items())
            lines.append(f"dropped after the chat template and max_length: {counts}")
        dated, random = template_surprises(self.study.model.path)
        if (dated or (rendering and rendering.written_on)) and not self.study.prompt.date:
            today = datetime.date.today().isoformat()
            lines.append(
                "the model's chat template writes the date, so cells of another day do not count; "
                f"set prompt.date, for example {today}"
            )
        if random or (rendering and rendering.random):
            lines.append("the model's chat template draws a random value, so the study cannot be repeated")
        return lines

    def _legend(self) -> str:
        shown = marks().items()
        return "  ".join(
            f"{mark} {status}" for status, mark in shown if self.study.adaptive or status != CellStatus.LATER
        )

    def _open_arms(self) -> int:
        return sum(len(trial.arms) for trial in self.open)

    def _time_from_record(self) -> str:
        """Estimate the time of the open cells from finished ones, which have the same steps and batches."""
        arm_seconds = [
            self.cell_seconds[trial.trial_id] / len(trial.arms)
            for trial in self.trials
            if trial.trial_id in self.cell_seconds
        ]
        if not arm_seconds:
            return "time: unknown until a cell of this study is finished; --probe trains a few steps"
        return self.time_needed(median(arm_seconds), f"median of {plural(len(arm_seconds), 'finished cell')}")


def _length(training: TrainingSpec) -> str:
    """Return how long an arm trains, such as `60 steps`."""
    if training.epochs is None:
        return f"{training.max_steps} steps"
    return f"{training.epochs:g} epoch{'' if training.epochs == 1 else 's'} in batches"


def _adapters(study: Study) -> str:
    """Return what the plan adds to a model's name if adapters are trained in place of its weights."""
    lora = study.model.lora
    return f" (adapters of rank {lora.r}{', on 4 bits' if lora.quantise else ''})" if lora else ""


def make_agenda(
    study: Study,
    trials: Sequence[Trial],
    statuses: Mapping[str, CellStatus],
    recorded: "RecordedCells | None",
) -> Agenda:
    """Return the agenda that a study's seeds need.

    Args:
        trials: The study's whole grid.
        statuses: trial_id -> status, for the cells in the record.
        recorded: The cells of the record; None if there is no record yet.
    """
    if not study.adaptive:
        return Listed(trials, statuses)

    from orchestrator.plan.adaptive import Adaptive  # other plans need neither pandas nor scipy

    return Adaptive(study, trials, statuses, recorded)


def _wanting_models(
    study: Study, trials: Sequence[Trial], recorded: dict[str, CellStatus], ledger: "Ledger | None"
) -> tuple[dict[str, CellStatus], list[str]]:
    """Open the finished cells whose models the study wants and the record lacks; also return a line."""
    if ledger is None or study.keep.models == "none":
        return recorded, []
    kept = ledger.models.kept()
    wanting = {
        trial.trial_id
        for trial in trials
        if recorded.get(trial.trial_id) == CellStatus.FINISHED and trial.trial_id not in kept
    }
    if not wanting:
        return recorded, []
    left = {trial_id: status for trial_id, status in recorded.items() if trial_id not in wanting}
    return left, [f"keep.models: {plural(len(wanting), 'finished cell')} without models, to be trained again"]


def _changes(trials: Sequence[Trial], recorded: Mapping[str, CellStatus], ledger: "Ledger") -> list[str]:
    """Say what made cells of the record count no longer; whole runs are read only if there are such cells."""
    planned = {trial.trial_id for trial in trials}
    orphans = {
        trial_id
        for trial_id, status in recorded.items()
        if status == CellStatus.FINISHED and trial_id not in planned
    }
    if not orphans:
        return []
    open_trials = [trial for trial in trials if recorded.get(trial.trial_id) != CellStatus.FINISHED]
    return changes(ledger.cells.identities(orphans), open_trials)


def _together(resources: Resources) -> str:
    """Return what the plan says of cells side by side; nothing if arms are trained one after another."""
    if resources.cells_together is None:
        return ""
    if resources.cells_together == "auto":
        return "as many cells side by side as pay and fit, "
    return f"{plural(resources.cells_together, 'cell')} side by side, "


def _gpus(resources: Resources) -> str:
    return "auto" if resources.gpus_per_worker == "auto" else f"{resources.gpus:g}"
