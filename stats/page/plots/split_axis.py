"""Figures with one row per split: the place of each method in it, its intervals, and the axis of splits."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stats.evidence.possible import says_something
from stats.page.plots.canvas import MARKERS, new_figure


def row_figure(rows: int, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure high enough for `rows` rows, with `columns` panels that share the vertical axis."""
    figure = new_figure(1.3 + 0.3 * rows)
    return figure, list(figure.subplots(1, columns, sharey=columns > 1, squeeze=False).ravel())


def split_positions(splits: Sequence[str], method_index: int, methods: int) -> dict[str, float]:
    """Return the vertical position of every split for one of several methods."""
    offset = (method_index - (methods - 1) / 2) * 0.7 / methods
    return {split: index + offset for index, split in enumerate(splits)}


def draw_intervals(
    ax: Axes, rows: pd.DataFrame, positions: Sequence[float], method_index: int, method: str
) -> None:
    """Draw estimates with their intervals; without an interval that says something, a marker stands alone.

    Args:
        rows: one row per estimate, with the columns estimate, low and high (percentage points).
    """
    ends = zip(rows["low"], rows["high"], strict=True)
    told = np.array([says_something(low, high) for low, high in ends], dtype=bool)
    low = (rows["estimate"] - rows["low"]).where(told).fillna(0).to_numpy()
    high = (rows["high"] - rows["estimate"]).where(told).fillna(0).to_numpy()
    ax.errorbar(
        rows["estimate"],
        positions,
        xerr=[low, high],
        fmt=MARKERS[method_index % len(MARKERS)],
        color=f"C{method_index}",
        markerfacecolor="white",
        markersize=5,
        elinewidth=1.2,
        linestyle="none",
        label=method,
    )


def finish_split_axis(ax: Axes, splits: Sequence[str], title: str, unit: str) -> None:
    """Add the line at zero, the names of the splits from top to bottom, the title and the unit."""
    ax.axvline(0, color="0.4", linewidth=0.8)
    ax.set_yticks(range(len(splits)), splits, fontsize=8)
    ax.set_ylim(len(splits) - 0.5, -0.5)
    ax.set_xlabel(unit, fontsize=9)
    ax.set_title(title, fontsize=9)
