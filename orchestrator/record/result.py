"""The result of a finished cell, on its way from a worker to the record."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training import origin

if TYPE_CHECKING:
    import pandas as pd

# Tags of a cell's run: how long lanes held the cell in one sweep, over all its attempts, and this times the
# cards that it held.
CELL_SECONDS, GPU_SECONDS = "seconds_cell", "gpu_seconds"
MODEL_COMMIT = "model_commit"  # the commit of the hub that `model.revision` stood for; absent for local files


@dataclass(frozen=True)
class TrialResult:
    """The result of training a cell.

    Attributes:
        metrics: Final numbers by MLflow name (`A/pref_acc_tail`, `diff/margin_heldout`; fractions, nats).
        curves: Columns arm, step, metric, value.
        outcomes: One row per held-out pair that an arm scored: arm, eval_group, user_id, item,
            pair_id, source_model, score_gap, margin (nats, without beta), correct.
        facts: Where and how the cell ran (hardware, geometry, code, versions, seconds, notes); recorded, not
            hashed. Where the arms differ in one, it says so: `A: ...; B: ...`.
    """

    trial_id: str
    metrics: dict[str, float]
    curves: "pd.DataFrame"
    outcomes: "pd.DataFrame"
    facts: dict[str, str]


def facts_of_arms(origins: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the facts of a cell whose arms were made as `origins` (arm -> name -> value) says."""
    facts = {}
    for name in dict.fromkeys(name for made in origins.values() for name in made):
        values = {arm: made.get(name, "unknown") for arm, made in origins.items()}
        distinct = set(values.values())
        facts[name] = (
            distinct.pop() if len(distinct) == 1 else "; ".join(f"{arm}: {v}" for arm, v in values.items())
        )
    return facts


def values_of_arms(fact: str) -> list[str]:
    """Return the distinct values that a fact has for the arms of a cell, those of resumed arms in turn."""
    of_arms = re.split(r"(?:^|; )[AB]: ", fact)[1:] or [fact]
    return list(dict.fromkeys(value for of_arm in of_arms for value in origin.values(of_arm)))
