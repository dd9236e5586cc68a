"""The figure of the power: the smallest diff that a design detects with 80% power."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.evidence.possible import LARGEST_PP
from stats.page.plots.canvas import LINE_STYLES, MARKERS, colour, finish
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
    figure, (ax,) = row_figure(7)
    for index, (seeds, part) in enumerate(designs.groupby("seeds")):
        style = f"{MARKERS[index % len(MARKERS)]}{LINE_STYLES[index % len(LINE_STYLES)]}"
        label = say.plural(seeds, "seed")
        ax.plot(
            part["pairs"], part["smallest_pp"], style, label=label, color=colour(index), markersize=4, lw=1.2
        )
    ax.set_xscale("log")
    pairs = sorted(set(designs["pairs"]))
    ax.set_xticks(pairs, [f"{count:,}" for count in pairs])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)
    ax.set_xlabel(say("held-out pairs of both groups"))
    _finish_axis(ax, say)
    least, most = (designs.sort_values(["pairs", "seeds"]).iloc[end] for end in (0, -1))
    title = say(
        "Adjusted for the splits, {seeds} find diffs from {pp:.1f} pp on with {pairs:,} pairs, and {more} "
        "from {least:.1f} pp with {many:,}",
        seeds=say.plural(f"{least.seeds:.0f}", "seed"),
        pp=least.smallest_pp,
        pairs=int(least.pairs),
        more=say.plural(f"{most.seeds:.0f}", "seed"),
        least=most.smallest_pp,
        many=int(most.pairs),
    )
    return finish(figure, title)


def _by_seeds(comparison: Comparison, say: Words) -> Figure | None:
    by_seeds, designs = comparison.tail_power.by_seeds, comparison.tail_power.designs
    if by_seeds.empty:
        return None
    figure, (ax,) = row_figure(7)
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
    _finish_axis(ax, say)
    own = comparison.tail.diffs
    usual = own.loc[own["method"] == comparison.reference, "n_seeds"].max()
    found = by_seeds[by_seeds["seeds"] == usual]
    if found.empty:
        return finish(figure, say("The smallest diff that a mean over seeds tells from zero"))
    title = say(
        "{seeds} find diffs from {pp:.1f} pp on, and from {adjusted:.1f} pp after adjusting for the splits",
        seeds=say.plural(usual, "seed"),
        pp=found["smallest_pp"].iloc[0],
        adjusted=found["smallest_adjusted_pp"].iloc[0],
    )
    return finish(figure, title)


def _finish_axis(ax: Axes, say: Words) -> None:
    ax.set_ylabel(say("smallest diff (pp), 80% power"))
    ax.grid(color="0.9")
    ax.set_axisbelow(True)
