"""One cell of a study: its identity, the order that runs it, and what comes back. Frozen values."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.study.canonical import canonical
from training.spec import MethodSpec, SplitSpec, TrainingSpec

# Raised when the training code changes so that the same trial would give other numbers.
RECIPE = 3


@dataclass(frozen=True)
class Trial:
    """A cell (method, split, seed) and everything that can change its answer.

    `split` is None for a baseline cell, which trains one arm on all pairs. Names label a trial and
    are not part of its identity: two names for the same thing are one trial.
    """

    study: str
    method: str
    split: str
    seed: int
    model: str  # fingerprint
    data: str  # fingerprint
    held_out: dict[str, Any]
    groups: SplitSpec | None
    objective: MethodSpec
    training: TrainingSpec

    @property
    def name(self) -> str:
        return f"{self.method}/{self.split}/{self.seed}"

    @property
    def labels(self) -> dict[str, Any]:
        """What names a cell in every table."""
        return {name: getattr(self, name) for name in ("study", "method", "split", "seed", "trial_id")}

    @property
    def arms(self) -> tuple[str, ...]:
        return ("A", "B") if self.groups else ("all",)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What `trial_id` hashes. A prediction about a split changes no answer, so it stays out."""
        return {
            "recipe": RECIPE,
            "model": self.model,
            "data": self.data,
            "held_out": self.held_out,
            "groups": self.groups.model_dump(mode="json", exclude={"predicted"}) if self.groups else None,
            "objective": self.objective.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "seed": self.seed,
        }

    @cached_property
    def trial_id(self) -> str:
        return hashlib.sha256(canonical(self.identity).encode()).hexdigest()[:16]
