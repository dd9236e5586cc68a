"""How far a running cell has got."""

import re
from dataclasses import dataclass

from orchestrator.study.trial import Trial


@dataclass(frozen=True)
class Progress:
    """The arm that a running cell trains, and its optimiser step; arms side by side are joined by "+"."""

    arm: str
    step: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "Progress | None":
        """Return the progress that a text such as `B 20/60` says; None if it says something else."""
        found = re.fullmatch(r"(\S+) (\d+)/(\d+)", text)
        return cls(found[1], int(found[2]), int(found[3])) if found else None

    def __str__(self) -> str:
        return f"{self.arm} {self.step}/{self.total}"


def steps_made(trial: Trial, progress: Progress) -> int:
    """Count the optimiser steps that a running cell has made so far."""
    first, *others = progress.arm.split("+")
    return trial.arms.index(first) * progress.total + (1 + len(others)) * progress.step


def steps_in_all(trial: Trial) -> int:
    """Count the optimiser steps of a whole cell, over all its arms; epochs have no number of steps yet."""
    return len(trial.arms) * trial.training.max_steps
