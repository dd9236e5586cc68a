"""Learning curves: A minus B by step, estimated over seeds, and its mean between two steps."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from stats.errors import TableError
from stats.evidence.options import Options
from stats.evidence.seeds import mean_estimate
from stats.names import ARMS, CELL, SPLIT

SCALES = {
    "accuracy": (100.0, "pp"),
    "margin": (1.0, "nats"),
    "heldout_accuracy": (100.0, "pp"),
    "heldout_margin": (1.0, "nats"),
}
BAND = "new seeds and training batches, pointwise: not for all steps at once"
HELD_OUT_BAND = "new seeds, pointwise: not for all steps at once, nor for other held-out users"
WINDOW = "new seeds and batches"


@dataclass(frozen=True)
class LearningCurves:
    """Curves of accuracy, in percentage points; empty where no curve was logged.

    by_step: the result of `by_step`, on the training batch. window: the result of `between`, likewise.
    heldout: the result of `by_step` on each arm's own held-out pairs; they are the same at every step.
    """

    by_step: pd.DataFrame = field(default_factory=pd.DataFrame)
    window: pd.DataFrame = field(default_factory=pd.DataFrame)
    heldout: pd.DataFrame = field(default_factory=pd.DataFrame)


def learning_curves(curves: pd.DataFrame | None, options: Options) -> LearningCurves:
    """Compute a study's accuracy curves, and their means within `options.window`.

    Args:
        curves: study, method, split, seed, arm, step, metric, value; None if nothing was logged.

    Raises:
        TableError: See `by_step`.
    """
    if curves is None:
        return LearningCurves()
    return LearningCurves(
        by_step(curves, "accuracy", options.level),
        between(curves, "accuracy", options.window, options.level),
        by_step(curves, "heldout_accuracy", options.level),
    )


def by_step(curves: pd.DataFrame, metric: str, level: float) -> pd.DataFrame:
    """Estimate A minus B of a metric at every logged step.

    Args:
        curves: study, method, split, seed, arm, step, metric, value (fractions, nats).
        metric: A key of `SCALES`. level: coverage of the intervals.

    Returns:
        study, method, split, step, n_seeds, mean, low, high (pp or nats; t over seeds, NaN with one seed or
        where all seeds agree), captures.

    Raises:
        TableError: A value is not a number, or a point appears twice.
    """
    differences = _differences(curves, metric)
    rows = []
    for (study, method, split, step), part in differences.groupby([*SPLIT, "step"], sort=False):
        estimate = mean_estimate(part["diff"])
        low, high = estimate.interval(level) or (np.nan, np.nan)
        captures = HELD_OUT_BAND if metric.startswith("heldout") else BAND
        rows.append((study, method, split, step, len(part), estimate.value, low, high, captures))
    return pd.DataFrame(rows, columns=[*SPLIT, "step", "n_seeds", "mean", "low", "high", "captures"])


def between(curves: pd.DataFrame, metric: str, window: tuple[int, int], level: float) -> pd.DataFrame:
    """Estimate A minus B of a training metric, averaged by seed over the logged steps of a window.

    Args:
        curves, metric, level: as in `by_step`. window: first and last step, both included.

    Returns:
        study, method, split, n_seeds, points (logged steps in the window), mean, low, high, captures, note. A
        split without a point in the window has no mean; its `note` says so.
    """
    differences = _differences(curves, metric)
    inside = differences[differences["step"].between(*window)]
    rows = []
    for key in differences[SPLIT].drop_duplicates().itertuples(index=False, name=None):
        part = inside[(inside[SPLIT] == key).all(axis=1)]
        means = part.groupby("seed", sort=False)["diff"].mean()
        if means.empty:
            note = f"no logged step between {window[0]} and {window[1]}"
            rows.append((*key, 0, 0, np.nan, np.nan, np.nan, "", note))
            continue
        estimate = mean_estimate(means)
        low, high = estimate.interval(level) or (np.nan, np.nan)
        points = part["step"].nunique()
        rows.append((*key, len(means), points, estimate.value, low, high, WINDOW, estimate.note))
    columns = [*SPLIT, "n_seeds", "points", "mean", "low", "high", "captures", "note"]
    return pd.DataFrame(rows, columns=columns)


def _differences(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return study, method, split, seed, step, diff at the steps that both arms logged."""
    scale, _ = SCALES[metric]
    rows = curves[(curves["metric"] == metric) & curves["arm"].isin(ARMS)]
    point = [*CELL, "arm", "step"]
    for bad, why in (
        (~np.isfinite(rows["value"].astype(float)), f"has no number as its {metric}"),
        (rows.duplicated(point), "appears twice"),
    ):
        if bad.any():
            first = ", ".join(f"{name} {rows[bad].iloc[0][name]}" for name in point)
            raise TableError(f"curves: row {first} {why}")
    wide = rows.pivot_table(index=[*CELL, "step"], columns="arm", values="value", sort=False)
    if not set(ARMS) <= set(wide.columns):
        return pd.DataFrame(columns=[*CELL, "step", "diff"])
    differences = (scale * (wide["A"] - wide["B"])).rename("diff").dropna().reset_index()
    return differences.sort_values("step", kind="stable", ignore_index=True)
