"""Score an arm's held-out pairs along the run, without touching the run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset
from transformers import TrainerCallback

from training.arrays import IntArray
from training.evaluate import heldout_margins
from training.layout import Layout
from training.recorder import CurveRecorder


@dataclass(frozen=True)
class HeldOut:
    """Held-out pairs that are scored along the run.

    rows: Their row numbers in the scored table: shape [pairs].
    on_batch: `on_batch(done, total)` is called after each batch of answers.
    """

    rows: IntArray
    on_batch: Callable[[int, int], None] = lambda done, total: None


@dataclass
class HeldOutCurve(TrainerCallback):  # type: ignore[misc]
    """Adds `heldout_accuracy` and `heldout_margin` (nats) to the curve every `every` steps and at the last.

    They describe the weights after that step. Nothing is drawn at random and no gradient is recorded, so the
    arm ends with the weights that it would have had.
    """

    recorder: CurveRecorder
    scored: Dataset
    heldout: HeldOut
    max_length: int
    layout: Layout
    every: int
    name: str

    def on_step_end(self, args: Any, state: Any, control: Any, **trainer: Any) -> None:
        """Score the pairs where a point is due."""
        step = state.global_step
        if step % self.every and step != state.max_steps:
            return
        model = trainer["model"]
        margins = heldout_margins(
            model,
            self.scored,
            self.heldout.rows,
            self.max_length,
            f"{self.name} at step {step}",
            self.layout,
            self.heldout.on_batch,
        )
        model.train()
        self.recorder.heldout_points.append(heldout_point(step, margins))


def heldout_point(step: int, margins: pd.DataFrame) -> dict[str, float]:
    """Return a point of the held-out curve; `margins` is the table of `heldout_margins`."""
    values = margins["margin"].to_numpy()
    return {
        "step": step,
        "heldout_accuracy": float(np.mean(values > 0)),
        "heldout_margin": float(np.mean(values)),
    }
