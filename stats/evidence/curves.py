"""Learning curves: A minus B by step over seeds, and its value between two steps."""

import numpy as np
import pandas as pd

from stats.errors import TableError
from stats.evidence.anova import Estimate
from stats.evidence.seeds import mean_estimate
from stats.names import CELL, SPLIT

SCALES = {"accuracy": (100.0, "pp"), "margin": (1.0, "nats")}
BAND = "new seeds and training batches, pointwise: not for all steps at once"


def by_step(curves: pd.DataFrame, metric: str, level: float) -> pd.DataFrame:
    """A minus B of a training metric at every logged step.

    Args:
        curves: study, method, split, seed, arm, step, metric, value (fractions, nats).

    Returns:
        study, method, split, step, n_seeds, mean, low, high (pp or nats; t over seeds, NaN with one seed or
        where all seeds agree), captures.

    Raises:
        TableError: a value that is no number, or a point that stands twice.
    """
    wide = _differences(curves, metric)
    rows = []
    for (study, method, split, step), part in wide.groupby([*SPLIT, "step"], sort=False):
        found = mean_estimate(part["diff"])
        low, high = found.interval(level) or (np.nan, np.nan)
        rows.append((study, method, split, step, len(part), found.value, low, high, BAND))
    return pd.DataFrame(rows, columns=[*SPLIT, "step", "n_seeds", "mean", "low", "high", "captures"])


def between(curves: pd.DataFrame, metric: str, window: tuple[int, int], level: float) -> pd.DataFrame:
    """A minus B of a training metric, averaged over the logged steps of a window (ends included) by seed.

    Returns:
        study, method, split, n_seeds, points (logged steps in the window), mean, low, high, captures, note. A
        split without a point in the window has no mean and says so in `note`.
    """
    wide = _differences(curves, metric)
    inside = wide[wide["step"].between(*window)]
    rows = []
    for key in wide[SPLIT].drop_duplicates().itertuples(index=False, name=None):
        part = inside[(inside[SPLIT] == key).all(axis=1)]
        means = part.groupby("seed", sort=False)["diff"].mean()
        if means.empty:
            nothing = f"no logged step between {window[0]} and {window[1]}"
            rows.append((*key, 0, 0, np.nan, np.nan, np.nan, "", nothing))
            continue
        found: Estimate = mean_estimate(means)
        low, high = found.interval(level) or (np.nan, np.nan)
        points = part["step"].nunique()
        rows.append((*key, len(means), points, found.value, low, high, "new seeds and batches", found.note))
    return pd.DataFrame(
        rows, columns=[*SPLIT, "n_seeds", "points", "mean", "low", "high", "captures", "note"]
    )


def _differences(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """study, method, split, seed, step, diff: steps that both arms logged."""
    scale, _ = SCALES[metric]
    rows = curves[(curves["metric"] == metric) & curves["arm"].isin(["A", "B"])]
    point = [*CELL, "arm", "step"]
    for bad, why in (
        (~np.isfinite(rows["value"].astype(float)), f"has no number as its {metric}"),
        (rows.duplicated(point), "stands twice"),
    ):
        if bad.any():
            first = ", ".join(f"{name} {rows[bad].iloc[0][name]}" for name in point)
            raise TableError(f"curves: row {first} {why}")
    wide = rows.pivot_table(index=[*CELL, "step"], columns="arm", values="value", sort=False)
    if not {"A", "B"} <= set(wide.columns):
        return pd.DataFrame(columns=[*CELL, "step", "diff"])
    found = (scale * (wide["A"] - wide["B"])).rename("diff").dropna().reset_index()
    return found.sort_values("step", kind="stable", ignore_index=True)
