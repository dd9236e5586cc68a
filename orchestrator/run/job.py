"""Work for a lane, and who hears of its progress."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial
from training.model import ModelFiles


class Listener(Protocol):
    """Who is told how far a cell is."""

    def __call__(self, arm: str, step: int, total: int) -> bool | None:
        """An optimiser step of so many in all was made; True asks the arm to save itself and stop."""

    def kept(self, uri: str, step: int) -> None:
        """A whole checkpoint is at `uri`; every worker of the cell says so."""


class Work(Protocol):
    """Something a lane does: a cell's job, or a part of the scoring pass. `key` names it."""

    @property
    def key(self) -> str: ...


@dataclass(frozen=True)
class Job:
    """A trial with the places it needs on the machines that run it: paths every node can reach.

    `work`: where it keeps finished arms and checkpoints until it is recorded, a path or a URI.
    `shape`: what its lane has to have.
    `checkpoint_every`: optimiser steps between two checkpoints; None keeps one only where it is stopped.
    """

    trial: Trial
    model: ModelFiles
    scored: Path
    groups: Path
    work: str
    log: Path
    micro_batch: int
    deepspeed: dict[str, Any]
    shape: Shape
    checkpoint_every: int | None = None

    @property
    def key(self) -> str:
        return self.trial.trial_id
