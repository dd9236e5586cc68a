"""How far a running cell has got."""

from dataclasses import dataclass

from orchestrator.study.trial import Trial


@dataclass(frozen=True)
class Progress:
    """The arm that a running cell trains, and its optimiser step; arms side by side are joined by "+"."""

    arm: str
    step: int
    total: int

    def __str__(self) -> str:
        return f"{self.arm} {self.step}/{self.total}"


def steps_made(trial: Trial, progress: Progress) -> int:
    """Count the optimiser steps that a running cell has made so far."""
    first, *others = progress.arm.split("+")
    return trial.arms.index(first) * progress.total + (1 + len(others)) * progress.step


def steps_in_all(trial: Trial) -> int:
    """Count the optimiser steps of a whole cell, over all its arms; epochs have no number of steps yet."""
    return len(trial.arms) * trial.training.max_steps
