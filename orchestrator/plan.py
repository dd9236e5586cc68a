"""What a study asks for, what is done and what is open: the sweep's plan, printable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.places import Places
from orchestrator.study import BASELINE, Study
from orchestrator.trial import Trial

MARKS = {"finished": "●", "failed": "✗", "missing": "·"}


@dataclass(frozen=True)
class Plan:
    """The declared grid against the ledger. A failed cell is open: the next sweep tries it again."""

    study: Study
    trials: tuple[Trial, ...]
    status: Mapping[str, str]  # trial_id -> finished | failed | missing
    places: Places

    @classmethod
    def of(cls, study: Study, trials: Sequence[Trial], places: Places) -> "Plan":
        known = _record(places)
        status = {trial.trial_id: known.get(trial.trial_id, "missing") for trial in trials}
        return cls(study, tuple(trials), status, places)

    @property
    def open(self) -> list[Trial]:
        return [trial for trial in self.trials if self.status[trial.trial_id] != "finished"]

    def __str__(self) -> str:
        study, arms = self.study, sum(len(trial.arms) for trial in self.open)
        finished = len(self.trials) - len(self.open)
        resources = study.resources
        width = max(len(name) for name in [BASELINE, *study.grid_splits])
        lines = [
            f"study {study.study}: {len(self.trials)} cells, {finished} finished, {len(self.open)} to train "
            f"({arms} arms x {study.training.max_steps} steps of {study.training.batch_size} pairs)",
            f"  model {study.model.path}, data {study.data.source}, reference {study.reference}",
            f"  a cell: {resources.workers} worker(s) x ({resources.cpus_per_worker:g} CPU, "
            f"{resources.gpus_per_worker:g} GPU), DeepSpeed {resources.deepspeed}, "
            f"at most {study.faults.max_attempts} attempts",
            f"  record {self.places.tracking_uri}",
            f"  logs {self.places.logs}/<method>-<split>-<seed>.log",
        ]
        for method in study.methods:
            if method in study.published:
                lines.append(f"  {method}: published numbers of {study.published[method]}, not trained")
                continue
            lines.append(f"  {method}, seeds {', '.join(map(str, study.seeds_of(method)))}")
            for split in [BASELINE, *study.grid_splits]:
                marks = "".join(
                    MARKS[self.status[trial.trial_id]]
                    for trial in self.trials
                    if (trial.method, trial.split) == (method, split)
                )
                lines.append(f"    {split:<{width}}  {marks}")
        lines.append("  " + "  ".join(f"{mark} {meaning}" for meaning, mark in MARKS.items()))
        return "\n".join(lines)


def _record(places: Places) -> dict[str, str]:
    """trial_id -> finished or failed. A store that does not exist yet is not made just to be asked."""
    if places.tracking_uri.startswith("sqlite:///"):
        path = Path(places.tracking_uri.removeprefix("sqlite:///"))
        if not path.exists():
            return {}

    from orchestrator.ledger import Ledger

    return Ledger(places).status()
