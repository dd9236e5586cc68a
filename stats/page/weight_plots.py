"""The four pictures of the weight analysis: histogram, score gap, source model, A against B."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stats.page.words import Words
from stats.survey.weights import weight

COLUMN_INCHES = 6.5


def histogram(pairs: pd.DataFrame, path: Path, say: Words) -> Path:
    """Distribution of the pair weights, with their mean and the share at the cap of 1."""
    values = weight(pairs)
    figure, axes = _figure(3.2)
    axes.hist(values, bins=np.linspace(0, 1, 41).tolist(), color="0.6", edgecolor="white")
    axes.axvline(values.mean(), color="black", linestyle="--")
    axes.set_xlabel(say("WPO weight of a pair, min(w_chosen w_rejected, 1)"))
    axes.set_ylabel(say.of("pairs"))
    title = say(
        "mean {mean:.3f} (dashed), {capped:.1%} at the cap of 1",
        mean=values.mean(),
        capped=np.mean(values >= 1),
    )
    axes.set_title(title)
    return _save(figure, path)


def score_gap(table: pd.DataFrame, path: Path, say: Words) -> Path:
    """Binned mean weight against the score gap (of `stats.survey.weights.by_score_gap`)."""
    figure, axes = _figure(3.2)
    _bars(axes, table["score_gap"].tolist(), table, vertical=True)
    axes.set_xlabel(say("score gap of the pair (bins of equal size, at their mean)"))
    axes.set_ylabel(say("mean weight, 95 % over users"))
    axes.set_ylim(bottom=0)
    return _save(figure, path)


def source_model(table: pd.DataFrame, path: Path, say: Words) -> Path:
    """Mean weight of every source model, ordered (of `stats.survey.weights.by_source_model`)."""
    figure, axes = _figure(1.2 + 0.24 * len(table))
    _bars(axes, list(range(len(table))), table, vertical=False)
    labels = [f"{name} ({count})" for name, count in zip(table["source_model"], table["pairs"], strict=True)]
    axes.set_yticks(range(len(table)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(say("mean weight, 95 % over users; pairs in brackets"))
    return _save(figure, path)


def splits(table: pd.DataFrame, path: Path, say: Words) -> Path:
    """Mean weight of A and B in every split (of `stats.survey.weights.by_split`)."""
    names = list(dict.fromkeys(table["split"]))
    figure, axes = _figure(1.2 + 0.4 * len(names))
    for group, offset, marker in (("A", -0.12, "o"), ("B", 0.12, "s")):
        rows = table[table["group"] == group]
        places = [names.index(split) + offset for split in rows["split"]]
        _bars(axes, places, rows, vertical=False, marker=marker, label=group)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(say("mean weight, 95 % over users"))
    axes.legend(frameon=False)
    return _save(figure, path)


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(COLUMN_INCHES, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _bars(
    axes: Axes,
    places: list[float],
    table: pd.DataFrame,
    vertical: bool,
    marker: str = "o",
    label: str | None = None,
) -> None:
    mean = table["mean"].to_numpy()
    spread = np.vstack([mean - table["low"].to_numpy(), table["high"].to_numpy() - mean])
    style: dict[str, Any] = {"fmt": marker, "color": "black", "markerfacecolor": "white", "capsize": 2}
    if vertical:
        axes.errorbar(places, mean, yerr=spread, label=label, **style)
    else:
        axes.errorbar(mean, places, xerr=spread, label=label, **style)


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path
