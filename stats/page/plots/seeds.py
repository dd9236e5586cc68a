"""The figure of the diffs by seed: a heatmap with every number printed in it."""

import numpy as np
from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.page.plots.canvas import finish
from stats.page.plots.split_axis import row_figure
from stats.page.words import Words

ROOMY = 8  # columns in which a number has room for a decimal


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
    roomy = wide.shape[1] <= ROOMY
    digits, size = (1, 7) if roomy else (0, 5)
    figure, (ax,) = row_figure(len(wide))
    limit = max(1.0, float(np.nanmax(np.abs(values))))
    image = ax.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:+.{digits}f}" if np.isfinite(value) else "–"
        colour = "white" if abs(value) > 0.6 * limit else "black"
        ax.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    names = list(map(str, wide.columns))
    ax.set_xticks(range(len(names)), names, rotation=0 if roomy else 90)
    ax.set_yticks(range(len(wide)), list(map(str, wide.index)))
    ax.set_xlabel(say.word("seed"))
    bar = figure.colorbar(image, ax=ax, shrink=0.8)
    bar.set_label(say("A minus B (pp)"))
    apart = np.nanmax(np.nanmax(values, axis=1) - np.nanmin(values, axis=1))
    title = say("Training tail: the seeds of one split lie up to {apart:.1f} pp apart", apart=apart)
    return finish(figure, title)
