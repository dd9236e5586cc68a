"""The result of a finished cell, on its way from a worker to the record."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

GPU_SECONDS = "gpu_seconds"  # a fact of every result: seconds times the cards that the cell held


@dataclass(frozen=True)
class TrialResult:
    """The result of training a cell.

    Attributes:
        metrics: Final numbers by MLflow name (`A/pref_acc_tail`, `diff/margin_heldout`; fractions, nats).
        curves: Columns arm, step, metric, value.
        outcomes: One row per held-out pair that an arm scored: arm, eval_group, user_id, item,
            pair_id, source_model, score_gap, margin (nats, without beta), correct.
        facts: Where and how the cell ran (hardware, geometry, seconds, notes); recorded, not hashed.
    """

    trial_id: str
    metrics: dict[str, float]
    curves: "pd.DataFrame"
    outcomes: "pd.DataFrame"
    facts: dict[str, str]
