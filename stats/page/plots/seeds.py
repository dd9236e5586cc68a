"""The figure of the diffs by seed: a heatmap with every number printed in it."""

import numpy as np
from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.page.plots.split_axis import row_figure
from stats.page.words import Words


def seeds(comparison: Comparison, say: Words) -> Figure | None:
    """Draw the training-tail diff of every split and method (rows) by seed (columns)."""
    diffs = comparison.cells.diffs
    if diffs["diff_pp"].isna().all():
        return None
    wide = diffs.assign(row=diffs["split"] + " " + diffs["method"]).pivot_table(
        index="row", columns="seed", values="diff_pp", sort=False
    )
    wide = wide.loc[sorted(wide.index), sorted(wide.columns)]
    values = wide.to_numpy(dtype=float)
    figure, (ax,) = row_figure(len(wide))
    limit = max(1.0, float(np.nanmax(np.abs(values))))
    image = ax.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:+.1f}" if np.isfinite(value) else say("none")
        colour = "white" if abs(value) > 0.7 * limit else "black"
        ax.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    ax.set_xticks(range(wide.shape[1]), list(map(str, wide.columns)), fontsize=8)
    ax.set_yticks(range(len(wide)), list(map(str, wide.index)), fontsize=8)
    ax.set_xlabel(say.word("seed"))
    ax.set_title(say("Training tail, A minus B (pp)"), fontsize=9)
    figure.colorbar(image, ax=ax, shrink=0.8)
    return figure
