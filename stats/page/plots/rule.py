"""The figure of the published rule's errors: the labels that it prints when there is no effect."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.evidence.words import CARRIED_BY
from stats.page.plots.canvas import finish
from stats.page.plots.split_axis import row_figure
from stats.page.words import Words
from stats.rule.labels import Change, Verdict

TINTS = ("#CFE2F3", "#FCE5CD", "#D9EAD3", "#EAD1DC", "#E6E6E6", "#FFF2CC")
WIDE_ENOUGH = 0.15  # a label fits into a segment of this share
NOT_SEEN = 0.005  # a share that would be printed as 0 %


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
        shares = zip(part["label"], part["share"], strict=True)
        _draw_bar(ax, position, [(label, share) for label, share in shares if share >= NOT_SEEN])
    ax.set_yticks(range(len(bars)), [name for name, _ in bars])
    ax.set_ylim(len(bars) - 0.6, -0.75)
    ax.set_xlim(0, 1)
    ax.set_xlabel(say("share of splits without an effect"))
    wanted = errors[errors["label"].isin([Verdict.MATCH, Change.FIXED])]
    found = [
        f"{row.method} {row.label} {row.share:.0%}"
        for row in wanted.sort_values("method", kind="stable").itertuples()
    ]
    return finish(figure, say("By chance alone: {labels}", labels=", ".join(found)))


def _draw_bar(ax: Axes, position: int, shares: list[tuple[str, float]]) -> None:
    """Draw one bar. The label of a narrow segment stands above the bar, further ones higher."""
    left, above = 0.0, 0
    for label, share in shares:
        tint = TINTS[list(CARRIED_BY).index(label) % len(TINTS)]
        ax.barh(position, share, left=left, color=tint, edgecolor="0.3", height=0.5, linewidth=0.6)
        middle = left + share / 2
        if share >= WIDE_ENOUGH:
            ax.text(middle, position, f"{label}\n{share:.0%}", ha="center", va="center", fontsize=7)
        else:
            side, edge = ("left", 0) if middle < 0.1 else ("right", 1) if middle > 0.9 else ("center", 0.5)
            line = {"arrowstyle": "-", "linewidth": 0.5, "color": "0.3", "shrinkA": 0, "shrinkB": 0}
            ax.annotate(
                f"{label} {share:.0%}",
                (middle, position - 0.25),
                (middle, position - 0.3 - 0.16 * (above % 2)),
                ha=side,
                va="bottom",
                fontsize=7,
                arrowprops={**line, "relpos": (edge, 0)},
            )
            above += 1
        left += share
