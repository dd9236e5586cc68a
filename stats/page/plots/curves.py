"""The figures of the learning curves: A minus B of the training and of the held-out accuracy by step."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.page.plots.canvas import LINE_STYLES, new_figure
from stats.page.words import Words


def curves(comparison: Comparison, say: Words) -> Figure | None:
    """Draw the accuracy on the training batch."""
    return _panels(comparison.curves.by_step, say("A minus B (pp of batch accuracy)"), say)


def heldout_curves(comparison: Comparison, say: Words) -> Figure | None:
    """Draw the accuracy on each arm's own held-out pairs, where it was scored along the run."""
    return _panels(comparison.curves.heldout, say("A minus B (pp of held-out accuracy)"), say)


def _panels(steps: pd.DataFrame, label: str, say: Words) -> Figure | None:
    """Draw one panel per split and one line per method, with pointwise bands from three seeds on."""
    if steps.empty:
        return None
    splits = list(dict.fromkeys(steps["split"]))
    columns = min(2, len(splits))
    rows = -(-len(splits) // columns)
    figure = new_figure(0.6 + 1.9 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, split in zip(panels, splits, strict=False):
        for index, (method, part) in enumerate(steps[steps["split"] == split].groupby("method", sort=False)):
            _draw_method(ax, part, index, str(method))
        ax.axhline(0, color="0.4", linewidth=0.8)
        ax.set_title(split, fontsize=9)
    # A band over few seeds may be a hundred points wide, so the lines set the scale.
    reach = 1.5 * max(1.0, float(steps["mean"].abs().max()))
    panels[0].set_ylim(-reach, reach)
    for position, ax in enumerate(panels[len(splits) :], start=len(splits)):
        ax.set_visible(False)
        panels[position - columns].tick_params(labelbottom=True)
    panels[0].legend(frameon=False, fontsize=8)
    figure.supxlabel(say("optimiser step"), fontsize=9)
    figure.supylabel(label, fontsize=9)
    return figure


def _draw_method(ax: Axes, steps: pd.DataFrame, index: int, method: str) -> None:
    line, colour = LINE_STYLES[index % len(LINE_STYLES)], f"C{index}"
    ax.plot(steps["step"], steps["mean"], line, color=colour, linewidth=1.2, label=method)
    band = steps[steps["n_seeds"] > 2]  # a band over two seeds would be wider than the figure
    ax.fill_between(band["step"], band["low"], band["high"], color=colour, alpha=0.12, linewidth=0)
    for edge in ("low", "high"):
        ax.plot(band["step"], band[edge], line, color=colour, linewidth=0.5)
