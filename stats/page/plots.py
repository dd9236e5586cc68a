"""Figures of a comparison: frames in, matplotlib figures out.

Readable at column width and without colour: methods differ in marker, line style and row as well. Nothing is
drawn at random, and files carry no date, so the same tables give the same bytes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.evidence.judge import CARRIED_BY
from stats.page.fonts import labelled
from stats.page.words import Words

COLUMN_INCHES = 6.5
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", ":", "-.")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++")


def draw(comparison: Comparison, out: Path, say: Words) -> dict[str, str]:
    """Draw what the comparison has data for; figure name -> file name in `out`."""
    drawn = {}
    makers: dict[str, Callable[[Comparison, Words], Figure | None]] = {
        "forest": forest,
        "changes": changes,
        "seeds": seeds,
        "curves": curves,
        "power": power,
        "rule": rule,
    }
    with labelled(say) as shown:
        for name, make in makers.items():
            figure = make(comparison, shown)
            if figure is not None:
                figure.savefig(out / f"{name}.png", dpi=150, metadata={"Software": None})
                drawn[name] = f"{name}.png"
    return drawn


def forest(comparison: Comparison, say: Words) -> Figure | None:
    """A minus B by split: interval and mean of every method, a small dot a seed, side by side."""
    held = comparison.heldout
    panels = [(comparison.tail, "diff_pp", say("Training tail (published)\nt over seeds"))]
    if held is not None and len(held.diffs):
        panels.append((held.diffs, "heldout_pp", say("Held-out users\nseeds and users")))
    splits = list(dict.fromkeys(comparison.verdicts["split"]))
    methods = list(dict.fromkeys(comparison.verdicts["method"]))
    if comparison.tail.empty:
        return None
    figure, axes = _figure(len(splits) * len(methods), len(panels))
    for ax, (judged, column, title) in zip(axes, panels, strict=True):
        for number, method in enumerate(methods):
            place = _places(splits, number, len(methods))
            rows = judged[judged["method"] == method]
            dots = comparison.diffs[comparison.diffs["method"] == method]
            equal = dots.groupby(["split", column]).cumcount()  # equal diffs side by side, not on each other
            rows_of_dots = [place[split] + 0.1 for split in dots["split"]] + 0.06 * equal
            ax.scatter(dots[column], rows_of_dots, s=12, color="0.35", marker=".")
            _bars(ax, rows, [place[split] for split in rows["split"]], number, method)
        _finish(ax, splits, title, say("A minus B (pp)"))
    axes[0].legend(frameon=False, fontsize=8, loc="best")
    return figure


def changes(comparison: Comparison, say: Words) -> Figure | None:
    """Change from the reference by split, with its interval and the published label beside it."""
    found = comparison.change_labels
    source = comparison.heldout.changes if comparison.heldout else comparison.tail_changes
    if source.empty:
        return None
    splits = list(dict.fromkeys([*found["split"], *source["split"]]))
    methods = list(dict.fromkeys(source["method"]))
    figure, (ax,) = _figure(len(splits) * len(methods), 1)
    for number, method in enumerate(methods):
        place = _places(splits, number, len(methods))
        rows = source[source["method"] == method]
        _bars(ax, rows, [place[split] for split in rows["split"]], number, method)
        labels = found[found["method"] == method]
        for split, label in zip(labels["split"], labels["change"], strict=True):
            ax.annotate(
                label,
                (1.01, place[split]),
                xycoords=("axes fraction", "data"),
                fontsize=7,
                va="center",
            )
    margin = comparison.options.margin_pp
    null = say("practically null (±{margin:g} pp)", margin=margin)
    ax.axvspan(-margin, margin, facecolor="0.9", zorder=0, label=null)
    title = say("Change from {reference}; at the right the published label", reference=comparison.reference)
    _finish(ax, splits, title, "pp")
    ax.legend(frameon=False, fontsize=8, loc="best")
    return figure


def seeds(comparison: Comparison, say: Words) -> Figure | None:
    """Diffs of the training tail by seed: a heatmap with every number printed."""
    diffs = comparison.diffs
    if diffs["diff_pp"].isna().all():
        return None
    wide = diffs.assign(row=diffs["split"] + " " + diffs["method"]).pivot_table(
        index="row", columns="seed", values="diff_pp", sort=False
    )
    wide = wide.loc[sorted(wide.index), sorted(wide.columns)]
    values = wide.to_numpy(dtype=float)
    figure, (ax,) = _figure(len(wide), 1)
    most = max(1.0, float(np.nanmax(np.abs(values))))
    image = ax.imshow(values, cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = f"{value:+.1f}" if np.isfinite(value) else say("none")
        colour = "white" if abs(value) > 0.7 * most else "black"
        ax.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    ax.set_xticks(range(wide.shape[1]), list(map(str, wide.columns)), fontsize=8)
    ax.set_yticks(range(len(wide)), list(map(str, wide.index)), fontsize=8)
    ax.set_xlabel(say.of("seed"))
    ax.set_title(say("Training tail, A minus B (pp)"), fontsize=9)
    figure.colorbar(image, ax=ax, shrink=0.8)
    return figure


def curves(comparison: Comparison, say: Words) -> Figure | None:
    """A minus B of training accuracy by step, a panel a split, with pointwise bands from three seeds on."""
    found = comparison.curves
    if found.empty:
        return None
    splits = list(dict.fromkeys(found["split"]))
    columns = min(2, len(splits))
    rows = -(-len(splits) // columns)
    figure = Figure(figsize=(COLUMN_INCHES, 0.6 + 1.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, split in zip(grid, splits, strict=False):
        for number, (method, part) in enumerate(found[found["split"] == split].groupby("method", sort=False)):
            line = LINES[number % len(LINES)]
            ax.plot(part["step"], part["mean"], line, color=f"C{number}", linewidth=1.2, label=str(method))
            band = part[part["n_seeds"] > 2]  # of two seeds it would be wider than the figure
            ax.fill_between(
                band["step"], band["low"], band["high"], color=f"C{number}", alpha=0.12, linewidth=0
            )
            for edge in ("low", "high"):
                ax.plot(band["step"], band[edge], line, color=f"C{number}", linewidth=0.5)
        ax.axhline(0, color="0.4", linewidth=0.8)
        ax.set_title(split, fontsize=9)
    # A band of few seeds may be a hundred points wide: the lines set the scale.
    reach = 1.5 * max(1.0, float(found["mean"].abs().max()))
    grid[0].set_ylim(-reach, reach)
    for place, ax in enumerate(grid[len(splits) :], start=len(splits)):
        ax.set_visible(False)
        grid[place - columns].tick_params(labelbottom=True)
    grid[0].legend(frameon=False, fontsize=8)
    figure.supxlabel(say("optimiser step"), fontsize=9)
    figure.supylabel(say("A minus B (pp of batch accuracy)"), fontsize=9)
    return figure


def power(comparison: Comparison, say: Words) -> Figure | None:
    """Smallest diff seen with 80 % power: by held-out pairs, a line a number of seeds; by seeds where there
    are no held-out pairs."""
    grid = comparison.grid
    if grid.empty:
        return _power_of_seeds(comparison, say)
    figure, (ax,) = _figure(6, 1)
    for number, (count, part) in enumerate(grid.groupby("seeds")):
        style = f"{MARKERS[number % len(MARKERS)]}{LINES[number % len(LINES)]}"
        ax.plot(
            part["pairs"],
            part["smallest_pp"],
            style,
            label=say.times(count, "seed"),
            markersize=4,
            linewidth=1.2,
        )
    ax.set_xscale("log")
    pairs = sorted(set(grid["pairs"]))
    ax.set_xticks(pairs, [f"{count:,}" for count in pairs])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)
    ax.set_xlabel(say("held-out pairs of both groups"))
    ax.set_ylabel(say("smallest diff (pp), 80 % power"))
    ax.set_title(say("One test at 5 %, variances as found in this study"), fontsize=9)
    ax.grid(color="0.9")
    ax.legend(frameon=False, fontsize=8)
    return figure


def _power_of_seeds(comparison: Comparison, say: Words) -> Figure | None:
    found = comparison.tail_seeds
    if found.empty:
        return None
    figure, (ax,) = _figure(6, 1)
    for number, (name, label) in enumerate(
        (("smallest_pp", say("one test at 5 %")), ("smallest_adjusted_pp", say("after Holm over the splits")))
    ):
        ax.plot(found["seeds"], found[name], LINES[number], color="black", label=label, linewidth=1.2)
    design = comparison.tail_power
    for row in design[design["spread"] == design["spread"].iloc[0]].to_dict("records"):
        ax.axhline(row["smallest_pp"], color="0.6", linewidth=0.8)
        ax.annotate(
            say.of(row["design"]),
            (found["seeds"].max(), row["smallest_pp"]),
            fontsize=7,
            ha="right",
            va="bottom",
        )
    ax.set_ylim(0, 1.15 * float(design["smallest_pp"].max()))
    ax.set_xlabel(say.of("seeds"))
    ax.set_ylabel(say("smallest diff (pp), 80 % power"))
    ax.set_title(say("Mean over seeds against zero, at the observed spread between seeds"), fontsize=9)
    ax.grid(color="0.9")
    ax.legend(frameon=False, fontsize=8, loc="center")
    return figure


def rule(comparison: Comparison, say: Words) -> Figure | None:
    """Shares of labels that the published rule prints about nothing, a bar a method and quantity."""
    found = comparison.errors
    if found.empty:
        return None
    bars = [
        (f"{method}, {say.times(seeds, 'seed')}:\n{say.of(str(quantity))}", part)
        for (method, seeds, quantity), part in found.groupby(["method", "seeds", "quantity"], sort=False)
    ]
    figure, (ax,) = _figure(2 * len(bars), 1)
    for place, (_, part) in enumerate(bars):
        left = 0.0
        for label, share in zip(part["label"], part["share"], strict=True):
            hatch = HATCHES[list(CARRIED_BY).index(label) % len(HATCHES)]
            ax.barh(place, share, left=left, color="white", edgecolor="0.3", hatch=hatch, height=0.6)
            if share > 0.05:
                text = f"{label}\n{share:.0%}"
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
                ax.text(left + share / 2, place, text, ha="center", va="center", fontsize=6, bbox=box)
            left += share
    ax.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel(say("share of splits in which nothing is there"))
    return figure


def _figure(rows: int, columns: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(COLUMN_INCHES, 1.3 + 0.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, columns, sharey=columns > 1, squeeze=False).ravel())


def _places(splits: list[str], number: int, methods: int) -> dict[str, float]:
    """Row of every split for one of several methods."""
    offset = (number - (methods - 1) / 2) * 0.7 / methods
    return {split: index + offset for index, split in enumerate(splits)}


def _bars(ax: Axes, rows: pd.DataFrame, places: list[float], number: int, method: str) -> None:
    """Estimates with their intervals; one without interval is a marker alone."""
    low = (rows["estimate"] - rows["low"]).fillna(0).to_numpy()
    high = (rows["high"] - rows["estimate"]).fillna(0).to_numpy()
    ax.errorbar(
        rows["estimate"],
        places,
        xerr=[low, high],
        fmt=MARKERS[number % len(MARKERS)],
        color=f"C{number}",
        markerfacecolor="white",
        markersize=5,
        elinewidth=1.2,
        linestyle="none",
        label=method,
    )


def _finish(ax: Axes, splits: list[str], title: str, label: str) -> None:
    ax.axvline(0, color="0.4", linewidth=0.8)
    ax.set_yticks(range(len(splits)), splits, fontsize=8)
    ax.set_ylim(len(splits) - 0.5, -0.5)
    ax.set_xlabel(label, fontsize=9)
    ax.set_title(title, fontsize=9)
