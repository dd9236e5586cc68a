"""Figures of a comparison. No information by colour alone: methods differ in marker and row as well."""

from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMN_INCHES = 6.5
MARKERS = ("o", "s", "^", "D", "v", "P")


def forest(diffs: pd.DataFrame, column: str, title: str, path: Path) -> Path:
    """Diffs by split: a dot a seed, a bar their mean, a row a method.

    Args:
        diffs: method, split, seed and `column` (A minus B, percentage points).
    """
    methods, splits = list(dict.fromkeys(diffs["method"])), list(dict.fromkeys(diffs["split"]))
    figure = Figure(figsize=(COLUMN_INCHES, 1.2 + 0.35 * len(splits) * len(methods)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, method in enumerate(methods):
        rows = diffs[diffs["method"] == method]
        offset = (number - (len(methods) - 1) / 2) * 0.8 / len(methods)
        place = rows["split"].map({split: index for index, split in enumerate(splits)}) + offset
        marker, colour = MARKERS[number % len(MARKERS)], f"C{number}"
        axes.scatter(rows[column], place, marker=marker, facecolors="none", edgecolors=colour, label=method)
        means = rows.groupby("split", sort=False)[column].mean()
        places = [splits.index(str(split)) + offset for split in means.index]
        axes.scatter(means, places, marker="|", s=220, color=colour, linewidths=2.5)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(splits)), splits)
    axes.invert_yaxis()
    axes.set_xlabel("A minus B (percentage points); dots are seeds, bars their mean")
    axes.set_title(title)
    axes.legend(loc="best", frameon=False)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path
