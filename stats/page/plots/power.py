"""The figure of the power: the smallest diff that a design detects with 80% power."""

from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.evidence.possible import LARGEST_PP
from stats.page.plots.canvas import LINE_STYLES, MARKERS
from stats.page.plots.split_axis import row_figure
from stats.page.words import Words


def power(comparison: Comparison, say: Words) -> Figure | None:
    """Draw the smallest diff by the number of held-out pairs, with one line per number of seeds.

    Where there are no held-out pairs, draw it by the number of seeds.
    """
    designs = comparison.heldout_power.designs
    if len(designs):
        designs = designs[designs["smallest_pp"] <= LARGEST_PP]  # no accuracies differ by more
    if designs.empty:
        return _by_seeds(comparison, say)
    figure, (ax,) = row_figure(6)
    for index, (seeds, part) in enumerate(designs.groupby("seeds")):
        style = f"{MARKERS[index % len(MARKERS)]}{LINE_STYLES[index % len(LINE_STYLES)]}"
        label = say.plural(seeds, "seed")
        ax.plot(part["pairs"], part["smallest_pp"], style, label=label, markersize=4, linewidth=1.2)
    ax.set_xscale("log")
    pairs = sorted(set(designs["pairs"]))
    ax.set_xticks(pairs, [f"{count:,}" for count in pairs])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)
    ax.set_xlabel(say("held-out pairs of both groups"))
    ax.set_ylabel(say("smallest diff (pp), 80% power"))
    ax.set_title(
        say("After adjusting for the splits, with the variances of this study"),
        fontsize=9,
    )
    ax.grid(color="0.9")
    ax.legend(frameon=False, fontsize=8)
    return figure


def _by_seeds(comparison: Comparison, say: Words) -> Figure | None:
    by_seeds, designs = comparison.tail_power.by_seeds, comparison.tail_power.designs
    if by_seeds.empty:
        return None
    figure, (ax,) = row_figure(6)
    for style, column, label in (
        (LINE_STYLES[0], "smallest_pp", say("one test at the 5% level")),
        (LINE_STYLES[1], "smallest_adjusted_pp", say("after Holm's adjustment over the splits")),
    ):
        ax.plot(by_seeds["seeds"], by_seeds[column], style, color="black", label=label, linewidth=1.2)
    for row in designs[designs["spread"] == designs["spread"].iloc[0]].to_dict("records"):
        ax.axhline(row["smallest_pp"], color="0.6", linewidth=0.8)
        ax.annotate(
            say.word(row["design"]),
            (by_seeds["seeds"].max(), row["smallest_pp"]),
            fontsize=7,
            ha="right",
            va="bottom",
        )
    ax.set_ylim(0, 1.15 * float(designs["smallest_pp"].max()))
    ax.set_xlabel(say.word("seeds"))
    ax.set_ylabel(say("smallest diff (pp), 80% power"))
    ax.set_title(say("Mean over seeds against zero, at the observed spread between seeds"), fontsize=9)
    ax.grid(color="0.9")
    ax.legend(frameon=False, fontsize=8, loc="center")
    return figure
