"""Figures with one row per split: the place of each method in it, its intervals, and the axis of splits."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stats.evidence.possible import says_something
from stats.page.plots.canvas import MARGIN_COLOUR, MARKERS, PREDICTED_COLOUR, colour, new_figure
from stats.rule.labels import Prediction


def row_figure(rows: int, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure high enough for `rows` rows, with `columns` panels that share both axes."""
    figure = new_figure(1.3 + 0.25 * rows)
    shared = columns > 1
    return figure, list(figure.subplots(1, columns, sharex=shared, sharey=shared, squeeze=False).ravel())


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
        color=colour(method_index),
        markerfacecolor="white",
        markersize=4.5,
        elinewidth=1.2,
        linestyle="none",
        label=method,
    )


def mark_predicted(
    axes: Sequence[Axes], splits: Sequence[str], predicted: Mapping[str, str], margin: float, label: str
) -> None:
    """Shade, in each split's row, the side of zero that was predicted; for A = B, what is inside the margin.

    The panels keep the limits that their data gave them.
    """
    low, high = axes[0].get_xlim()
    sides = {
        Prediction.A_ABOVE_B.value: (0.0, high),
        Prediction.A_BELOW_B.value: (low, 0.0),
        Prediction.EQUAL.value: (-margin, margin),
    }
    rows = [
        (index, *sides[predicted[split]]) for index, split in enumerate(splits) if predicted[split] in sides
    ]
    for ax in axes:
        if rows:
            indices, left, right = zip(*rows, strict=True)
            widths = [b - a for a, b in zip(left, right, strict=True)]
            ax.barh(indices, widths, left=left, height=0.92, color=PREDICTED_COLOUR, zorder=0, label=label)
        ax.set_xlim(low, high)


def mark_margin(ax: Axes, margin: float, label: str) -> None:
    """Shade what is practically null, with room on both sides."""
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, -2 * margin), max(high, 2 * margin))
    ax.axvspan(-margin, margin, facecolor=MARGIN_COLOUR, zorder=0.5, label=label)


def finish_split_axis(ax: Axes, splits: Sequence[str], title: str, unit: str) -> None:
    """Add the line at zero, the names of the splits from top to bottom, the panel's title and the unit."""
    ax.axvline(0, color="0.4", linewidth=0.8)
    ax.set_yticks(range(len(splits)), splits)
    ax.set_ylim(len(splits) - 0.5, -0.5)
    ax.set_xlabel(unit)
    ax.set_title(title)
