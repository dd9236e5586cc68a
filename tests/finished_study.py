"""The tables of a finished study, simulated in a moment, and the comparison that a report prints of them."""

from functools import cache
from math import log
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from stats.compare import compare
from stats.comparison import Comparison
from stats.evidence.options import Options
from stats.evidence.simulate import SimulatedStudy, simulated_outcomes
from stats.evidence.sums import user_sums

SPLIT_PREDICTIONS = pd.DataFrame(
    [("s", "S1", "A > B"), ("s", "S2", "A = B"), ("s", "S3", "exploratory")],
    columns=["study", "split", "predicted"],
)
QUICK_OPTIONS = Options(tail_pairs=128, window=(10, 30), stated_pp=(2.5,))
ARM_ACCURACIES = {"S1": (0.85, 0.6), "S2": (0.7, 0.7), "S3": (0.7, 0.65)}
CURVE_COLUMNS = ["study", "method", "split", "seed", "arm", "step", "metric", "value"]


class FinishedTables(NamedTuple):
    """What the record of a finished study holds: its cells, its held-out outcomes and its learning curves."""

    cells: pd.DataFrame
    outcomes: pd.DataFrame
    curves: pd.DataFrame

    def compare(self) -> Comparison:
        return compare(
            self.cells,
            SPLIT_PREDICTIONS,
            "dpo",
            sums=user_sums(self.outcomes),
            curves=self.curves,
            options=QUICK_OPTIONS,
        )


def study_tables(seeds: int = 3, methods: tuple[str, ...] = ("dpo", "wpo")) -> FinishedTables:
    """Return the tables of a study in which A is better in S1 and the arms are equally good in S2."""
    rng = np.random.default_rng(0)
    outcome_tables, cells, curves = [], [], []
    for method in methods:
        for seed in range(seeds):
            cells.append({**_identity(method, "baseline", seed), "all/pref_acc_tail": 0.7})
        for split, (a, b) in ARM_ACCURACIES.items():
            simulated = SimulatedStudy(seeds, 25, 4, accuracy_a=a, accuracy_b=b)
            table = simulated_outcomes(
                simulated, np.random.default_rng(len(split) + ord(split[1])), method, split
            )
            outcome_tables.append(table.assign(study="s"))
            for seed in range(seeds):
                cells.append({**_identity(method, split, seed), **_metrics(a, b, rng)})
                for step in (10, 20, 30):
                    for arm, value in (("A", a), ("B", b)):
                        noisy = value + rng.normal(0, 0.02)
                        curves.append(("s", method, split, seed, arm, step, "accuracy", noisy))
    return FinishedTables(
        pd.DataFrame(cells),
        pd.concat(outcome_tables, ignore_index=True),
        pd.DataFrame(curves, columns=CURVE_COLUMNS),
    )


def finished_tables() -> FinishedTables:
    """Return the tables of a whole study, whose cells have end times and, for wpo on S1, pair weights."""
    tables = study_tables()
    cells = tables.cells
    cells["ended"] = pd.Timestamp("2026-03-04 23:59", tz="UTC")
    cells.loc[0, "ended"] = pd.Timestamp("2026-03-05 00:01", tz="UTC")
    weighted = (cells["method"] == "wpo") & (cells["split"] == "S1")
    for arm, means in (("A", [0.2, 0.3, 0.4]), ("B", [0.1, 0.1, 0.1])):
        cells.loc[weighted, f"{arm}/weight_mean"] = means
        cells.loc[weighted, f"{arm}/weight_min"] = [0.05, 0.03, 0.04]
        cells.loc[weighted, f"{arm}/weight_capped_share"] = 0.25
    return tables


@cache
def finished_comparison() -> Comparison:
    """Return the comparison of `finished_tables`, computed once; do not change its frames."""
    return finished_tables().compare()


def _identity(method: str, split: str, seed: int) -> dict[str, Any]:
    return {
        "study": "s",
        "method": method,
        "split": split,
        "seed": seed,
        "trial_id": f"{method}{split}{seed}",
        "status": "finished",
        "error": None,
        "geometry": "cpu x1",
        "data_fingerprint": "abc",
    }


def _metrics(a: float, b: float, rng: np.random.Generator) -> dict[str, float]:
    a, b = (rng.binomial(128, share) / 128 for share in (a, b))
    metrics = {"loss_step0": log(2), "margin_tail": 0.5, "pairs_seen": 480.0, "tokens_seen": 5000.0}
    both_arms = {f"{arm}/{name}": value for arm in "AB" for name, value in metrics.items()}
    accuracies = {"A/pref_acc_tail": a, "B/pref_acc_tail": b, "A/steps_to_60pct": 20.0}
    return {**both_arms, **accuracies, "diff/pref_acc_tail": a - b, "diff/pref_acc_heldout": a - b}
