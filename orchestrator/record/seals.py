"""Sealed plans: how a study was going to judge its outcomes, kept with the date before there were any."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from orchestrator.record.study_run import StudyRun
from orchestrator.study.judging import Judging, differences, digest
from stats.page.plan_change import PlanChange

FOLDER, FILE = "plan", "seals.json"
KEYS_SHOWN = 5


@dataclass(frozen=True)
class Seal:
    """A plan as it was sealed.

    digest: its hash. at: when, in UTC (ISO 8601). finished, planned: how many cells had finished, of how
    many. by_hand: whether `orchestrator.seal` wrote it. judging: the plan.
    """

    digest: str
    at: str
    finished: int
    planned: int
    by_hand: bool
    judging: Judging

    @property
    def name(self) -> str:
        """How a report names it."""
        return f"{self.digest}, {self.at}"


class Seals:
    """The plans that a study has been judged by, oldest first, in the artifacts of its study run."""

    def __init__(self, study_run: StudyRun) -> None:
        self._study_run = study_run

    def all(self) -> list[Seal]:
        """Return the seals of the record; none if nothing was sealed."""
        text = self._study_run.read(FOLDER, FILE)
        return [Seal(**entry) for entry in json.loads(text)] if text else []

    def add(self, judging: Judging, finished: int, planned: int, by_hand: bool = False) -> Seal:
        """Seal a plan unless the newest seal is of the same plan, and return the newest seal.

        A seal that a sweep wrote before any cell had finished is replaced: without outcomes, a change is no
        more than a better plan. One that was written by hand stays.

        Args:
            judging: How the study judges its outcomes.
            finished: How many of its cells have finished.
            planned: How many cells it plans.
            by_hand: Whether a person asked for it.
        """
        seals = self.all()
        if seals and seals[-1].digest == digest(judging):
            return seals[-1]
        new = Seal(digest(judging), _now(), finished, planned, by_hand, judging)
        kept = [seal for seal in seals if seal.by_hand or seal.finished or finished]
        with tempfile.TemporaryDirectory() as scratch:
            entries = [asdict(seal) for seal in [*kept, new]]
            (Path(scratch) / FILE).write_text(json.dumps(entries, indent=1, ensure_ascii=False))
            self._study_run.publish(Path(scratch), FOLDER, {"plan": new.name})
        return new


def with_plan(seals: Sequence[Seal], judging: Judging, finished: int, planned: int) -> list[Seal]:
    """Return the seals, and a last one for a plan that differs from the newest and was not sealed."""
    if not seals or seals[-1].digest == digest(judging):
        return list(seals)
    return [*seals, Seal(digest(judging), _now(), finished, planned, False, judging)]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="minutes")


def plan_changes(seals: Sequence[Seal]) -> list[PlanChange]:
    """Return what each seal changed in the plan of the one before it, oldest first."""
    changes = []
    for before, after in pairwise(seals):
        keys = differences(before.judging, after.judging)
        more = f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else ""
        changes.append(PlanChange(after.finished, after.planned, "; ".join(keys[:KEYS_SHOWN]) + more))
    return changes
