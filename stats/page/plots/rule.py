"""The figure of the published rule's errors: the labels that it prints when there is no effect."""

from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.evidence.words import CARRIED_BY
from stats.page.plots.canvas import HATCHES
from stats.page.plots.split_axis import row_figure
from stats.page.words import Words


def rule(comparison: Comparison, say: Words) -> Figure | None:
    """Draw the share of each label, with one bar per method and quantity."""
    errors = comparison.published.rule_errors
    if errors.empty:
        return None
    bars = [
        (f"{method}, {say.plural(seeds, 'seed')}:\n{say.word(str(quantity))}", part)
        for (method, seeds, quantity), part in errors.groupby(["method", "seeds", "quantity"], sort=False)
    ]
    figure, (ax,) = row_figure(2 * len(bars))
    for position, (_, part) in enumerate(bars):
        left = 0.0
        for label, share in zip(part["label"], part["share"], strict=True):
            hatch = HATCHES[list(CARRIED_BY).index(label) % len(HATCHES)]
            ax.barh(position, share, left=left, color="white", edgecolor="0.3", hatch=hatch, height=0.6)
            if share > 0.05:
                text = f"{label}\n{share:.0%}"
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
                ax.text(left + share / 2, position, text, ha="center", va="center", fontsize=6, bbox=box)
            left += share
    ax.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel(say("share of splits without an effect"))
    return figure
