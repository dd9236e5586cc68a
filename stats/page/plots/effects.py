"""Figures of the effects: A minus B by split, and its change from the reference."""

from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.page.plots.split_axis import draw_intervals, finish_split_axis, row_figure, split_positions
from stats.page.words import Words


def forest(comparison: Comparison, say: Words) -> Figure | None:
    """Draw A minus B by split: the mean of every method with its interval, and one small dot per seed."""
    if comparison.tail.diffs.empty:
        return None
    panels = [(comparison.tail.diffs, "diff_pp", say("Training tail (published)\nt over seeds"))]
    if comparison.heldout is not None and len(comparison.heldout.diffs):
        panels.append((comparison.heldout.diffs, "heldout_pp", say("Held-out users\nseeds and users")))
    splits = list(dict.fromkeys(comparison.published.verdicts["split"]))
    methods = list(dict.fromkeys(comparison.published.verdicts["method"]))
    figure, axes = row_figure(len(splits) * len(methods), len(panels))
    for ax, (estimates, column, title) in zip(axes, panels, strict=True):
        for index, method in enumerate(methods):
            position = split_positions(splits, index, len(methods))
            rows = estimates[estimates["method"] == method]
            dots = comparison.cells.diffs[comparison.cells.diffs["method"] == method]
            rank_among_equals = dots.groupby(["split", column]).cumcount()  # equal diffs lie side by side
            dot_positions = [position[split] + 0.1 for split in dots["split"]] + 0.06 * rank_among_equals
            ax.scatter(dots[column], dot_positions, s=12, color="0.35", marker=".")
            draw_intervals(ax, rows, [position[split] for split in rows["split"]], index, method)
        finish_split_axis(ax, splits, title, say("A minus B (pp)"))
    axes[0].legend(frameon=False, fontsize=8, loc="best")
    return figure


def changes(comparison: Comparison, say: Words) -> Figure | None:
    """Draw the change from the reference by split, with its interval and the published label beside it."""
    labels = comparison.change_labels
    estimates = comparison.heldout.changes if comparison.heldout else comparison.tail.changes
    if estimates.empty:
        return None
    splits = list(dict.fromkeys([*labels["split"], *estimates["split"]]))
    methods = list(dict.fromkeys(estimates["method"]))
    figure, (ax,) = row_figure(len(splits) * len(methods))
    for index, method in enumerate(methods):
        position = split_positions(splits, index, len(methods))
        rows = estimates[estimates["method"] == method]
        draw_intervals(ax, rows, [position[split] for split in rows["split"]], index, method)
        method_labels = labels[labels["method"] == method]
        for split, label in zip(method_labels["split"], method_labels["change"], strict=True):
            ax.annotate(
                label,
                (1.01, position[split]),
                xycoords=("axes fraction", "data"),
                fontsize=7,
                va="center",
            )
    margin = comparison.options.margin_pp
    null = say("practically null (±{margin:g} pp)", margin=margin)
    ax.axvspan(-margin, margin, facecolor="0.9", zorder=0, label=null)
    title = say("Change from {reference}; the published label on the right", reference=comparison.reference)
    finish_split_axis(ax, splits, title, "pp")
    ax.legend(frameon=False, fontsize=8, loc="best")
    return figure
