"""What lanes work on: jobs (cells with everything their workers need) and parts of the scoring pass."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial
from training.layout import LayoutCheck
from training.model import ModelFiles


class Work(Protocol):
    """What a lane can be given: a `Job`, or a `training.shards.Shard` of the scoring pass."""

    @property
    def key(self) -> str:
        """The name of this work, unique within a sweep."""


@dataclass(frozen=True)
class Job:
    """A trial, with the files and settings that its workers need. Every node can reach the paths.

    Attributes:
        scored: Folder of the study's scored pairs.
        groups: Parquet file with the trial's groups and folds.
        store: Path or URI of the folder that keeps finished arms and checkpoints until the cell is recorded.
        log: File that receives what the libraries print.
        micro_batch: Pairs per forward pass of one worker.
        deepspeed: DeepSpeed's configuration; None without DeepSpeed.
        shape: What the lane that runs the job must have.
        checkpoint_every: Optimiser steps between two checkpoints; None saves an arm only when it is asked
            to stop.
        check: How the model was computed when the pairs were scored; None if nothing is known of it.
        keep_models: Whether the tuned model of each arm stays in the store, for the record.
    """

    trial: Trial
    model: ModelFiles
    scored: Path
    groups: Path
    store: str
    log: Path
    micro_batch: int
    deepspeed: dict[str, Any] | None
    shape: Shape
    checkpoint_every: int | None = None
    check: LayoutCheck | None = None
    keep_models: bool = False

    @property
    def key(self) -> str:
        return self.trial.trial_id


class Listener(Protocol):
    """Receives the progress of some work, in the worker that does it."""

    def __call__(self, arm: str, step: int, total: int) -> bool | None:
        """Report that `step` of `total` optimiser steps of an arm are done.

        Returns:
            True if the arm should save itself and stop.
        """

    def alive(self) -> bool | None:
        """Report that the work goes on, where it makes no optimiser step.

        Returns:
            True if the work should stop.
        """

    def told(self, text: str) -> None:
        """Report what a user should know of the work, in one line."""

    def kept(self, uri: str, step: int) -> None:
        """Report that a whole checkpoint was kept at `uri`. Every worker of the cell calls this."""
