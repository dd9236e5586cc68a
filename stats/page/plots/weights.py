"""Figures of the WPO pair weights: their distribution, and their means by score gap, model and split."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from stats.page.page import FIGURE_TITLES
from stats.page.plots.canvas import finish, new_figure, save
from stats.page.words import Words
from stats.survey.weights import weight


def histogram(pairs: pd.DataFrame, path: Path, say: Words) -> Path:
    """Draw the distribution of the pair weights, with their mean and the share at the cap of 1."""
    values = weight(pairs)
    figure = new_figure(3.2)
    ax = figure.subplots()
    ax.hist(values, bins=np.linspace(0, 1, 41).tolist(), color="0.6", edgecolor="white")
    ax.axvline(values.mean(), color="black", linestyle="--")
    ax.set_xlabel(say("WPO weight of a pair, min(w_chosen w_rejected, 1)"))
    ax.set_ylabel(say.word("pairs"))
    title = say(
        "mean {mean:.3f} (dashed), {capped:.1%} at the cap of 1",
        mean=values.mean(),
        capped=np.mean(values >= 1),
    )
    return save(finish(figure, title), path)


def score_gap(bins: pd.DataFrame, path: Path, say: Words) -> Path:
    """Draw the mean weight against the score gap.

    Args:
        bins: the result of `stats.survey.weights.by_score_gap`.
    """
    figure = new_figure(3.2)
    ax = figure.subplots()
    _means(ax, bins["score_gap"].tolist(), bins, vertical=True)
    ax.set_xlabel(say("score gap of the pair (mean of each bin; bins of equal size)"))
    ax.set_ylabel(say("mean weight, 95% interval over users"))
    ax.set_ylim(bottom=0)
    return save(finish(figure, say(FIGURE_TITLES["score_gap"])), path)


def source_model(models: pd.DataFrame, path: Path, say: Words) -> Path:
    """Draw the mean weight of every source model, in the order of the table.

    Args:
        models: the result of `stats.survey.weights.by_source_model`.
    """
    figure = new_figure(1.2 + 0.24 * len(models))
    ax = figure.subplots()
    _means(ax, list(range(len(models))), models, vertical=False)
    labels = [
        f"{name} ({count})" for name, count in zip(models["source_model"], models["pairs"], strict=True)
    ]
    ax.set_yticks(range(len(models)), labels)
    ax.invert_yaxis()
    ax.set_xlabel(say("mean weight, 95% interval over users; number of pairs in brackets"))
    return save(finish(figure, say(FIGURE_TITLES["source_model"])), path)


def splits(groups: pd.DataFrame, path: Path, say: Words) -> Path:
    """Draw the mean weight of groups A and B in every split.

    Args:
        groups: the result of `stats.survey.weights.by_split`.
    """
    names = list(dict.fromkeys(groups["split"]))
    figure = new_figure(1.2 + 0.4 * len(names))
    ax = figure.subplots()
    for group, offset, marker in (("A", -0.12, "o"), ("B", 0.12, "s")):
        rows = groups[groups["group"] == group]
        positions = [names.index(split) + offset for split in rows["split"]]
        _means(ax, positions, rows, vertical=False, marker=marker, label=group)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(say("mean weight, 95% interval over users"))
    return save(finish(figure, say(FIGURE_TITLES["splits"])), path)


def _means(
    ax: Axes,
    positions: list[float],
    rows: pd.DataFrame,
    vertical: bool,
    marker: str = "o",
    label: str | None = None,
) -> None:
    """Draw the columns mean, low and high of `rows` as markers with intervals."""
    mean = rows["mean"].to_numpy()
    spread = np.vstack([mean - rows["low"].to_numpy(), rows["high"].to_numpy() - mean])
    style: dict[str, Any] = {"fmt": marker, "color": "black", "markerfacecolor": "white", "capsize": 2}
    if vertical:
        ax.errorbar(positions, mean, yerr=spread, label=label, **style)
    else:
        ax.errorbar(mean, positions, xerr=spread, label=label, **style)
