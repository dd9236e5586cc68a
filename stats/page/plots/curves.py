"""The figures of the learning curves: A minus B of the training and of the held-out accuracy by step."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.evidence.possible import LARGEST_PP
from stats.page.plots.canvas import LINE_STYLES, colour, finish, new_figure
from stats.page.words import Words

LEAST_FOR_BAND = 3  # seeds; a band over two would be wider than what accuracies can differ by


def curves(comparison: Comparison, say: Words) -> Figure | None:
    """Draw the accuracy on the training batch."""
    return _panels(comparison.curves.by_step, say("Training batches: A minus B while the arms train"), say)


def heldout_curves(comparison: Comparison, say: Words) -> Figure | None:
    """Draw the accuracy on each arm's own held-out pairs, where it was scored along the run."""
    return _panels(comparison.curves.heldout, say("Held-out pairs: A minus B while the arms train"), say)


def _panels(steps: pd.DataFrame, title: str, say: Words) -> Figure | None:
    """Draw one panel per split and one line per method, with pointwise bands from three seeds on."""
    if steps.empty:
        return None
    splits, methods = (list(dict.fromkeys(steps[column])) for column in ("split", "method"))
    columns = min(2, len(splits))
    rows = -(-len(splits) // columns)
    figure = new_figure(0.9 + 1.4 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for position, ax in enumerate(panels):
        if position >= len(splits):
            figure.delaxes(ax)
            continue
        for method, part in steps[steps["split"] == splits[position]].groupby("method", sort=False):
            _draw_method(ax, part, methods.index(str(method)), str(method))
        ax.axhline(0, color="0.4", linewidth=0.8)
        ax.set_title(splits[position])
        if position + columns >= len(splits):
            ax.tick_params(labelbottom=True)
            ax.set_xlabel(say("optimiser step"))
        if position % columns == 0:
            ax.set_ylabel(say("A minus B (pp)"))
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(max(low, -LARGEST_PP), min(high, LARGEST_PP))
    if (steps["n_seeds"] >= LEAST_FOR_BAND).any():
        title += say("; bands: 95% intervals over seeds")
    return finish(figure, title)


def _draw_method(ax: Axes, steps: pd.DataFrame, index: int, method: str) -> None:
    line = LINE_STYLES[index % len(LINE_STYLES)]
    ax.plot(steps["step"], steps["mean"], line, color=colour(index), linewidth=1.2, label=method)
    band = steps[steps["n_seeds"] >= LEAST_FOR_BAND]
    ax.fill_between(band["step"], band["low"], band["high"], color=colour(index), alpha=0.12, linewidth=0)
    for edge in ("low", "high"):
        ax.plot(band["step"], band[edge], line, color=colour(index), linewidth=0.5)
