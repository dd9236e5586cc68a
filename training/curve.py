"""Turn an arm's curve into a table, and summarise it in final metrics."""

from collections.abc import Sequence

import pandas as pd

TAIL_SHARE = 5  # a tail metric averages the last fifth of the logged points
REACHED_ACCURACY = 0.6


def curve_table(
    points: list[dict[str, float]], heldout_points: Sequence[dict[str, float]] = ()
) -> pd.DataFrame:
    """Return the points of a curve (`CurveRecorder.points`) as a long table: step, metric, value."""
    tables = [pd.DataFrame(part).melt("step", var_name="metric") for part in (points, heldout_points) if part]
    return pd.concat(tables).dropna().reset_index(drop=True)


def summarise(points: list[dict[str, float]]) -> dict[str, float]:
    """Return the final metrics of a curve by name.

    `*_step0` and `*_final` are the first and the last point. `*_tail` averages the last 20 % of the logged
    points, at least one; the point of step 0 is not a logged one. `steps_to_60pct` is the first logged step
    with accuracy >= 0.6; it is absent if no step reached it.
    """
    logged = pd.DataFrame(points[1:])
    tail = logged.tail(max(1, len(logged) // TAIL_SHARE)).mean()
    first, last = points[0], points[-1]
    summary = {
        "pref_acc_tail": float(tail["accuracy"]),
        "train_loss_tail": float(tail["train_loss"]),
    }
    for metric in ("loss", "margin"):
        summary |= {
            f"{metric}_step0": first[metric],
            f"{metric}_final": last[metric],
            f"{metric}_tail": float(tail[metric]),
        }
    reached = logged.loc[logged["accuracy"] >= REACHED_ACCURACY, "step"]
    return summary if reached.empty else summary | {"steps_to_60pct": float(reached.iloc[0])}
