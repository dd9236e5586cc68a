"""Figures of the effects: A minus B by split, and its change from the reference."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from stats.comparison import Comparison
from stats.evidence.words import EvidenceWord
from stats.page.markdown import NO_VALUE
from stats.page.plots.canvas import finish
from stats.page.plots.split_axis import (
    draw_intervals,
    finish_split_axis,
    mark_margin,
    mark_predicted,
    row_figure,
    split_positions,
)
from stats.page.words import Words


def forest(comparison: Comparison, say: Words) -> Figure | None:
    """Draw A minus B by split: the mean of every method with its interval, and one small dot per seed."""
    if comparison.tail.diffs.empty:
        return None
    panels = [(comparison.tail.diffs, "diff_pp", say("Training tail (published)\nover seeds"))]
    if comparison.heldout is not None and len(comparison.heldout.diffs):
        panels.append((comparison.heldout.diffs, "heldout_pp", say("Held-out users\nseeds and users")))
    verdicts = comparison.published.verdicts
    splits = list(dict.fromkeys(verdicts["split"]))
    methods = _with_numbers(verdicts["method"], [estimates for estimates, _, _ in panels])
    figure, axes = row_figure(len(splits) * len(methods), len(panels))
    for ax, (estimates, column, title) in zip(axes, panels, strict=True):
        for index, method in enumerate(methods):
            position = split_positions(splits, index, len(methods))
            rows = estimates[estimates["method"] == method]
            dots = comparison.cells.diffs[comparison.cells.diffs["method"] == method]
            rank_among_equals = dots.groupby(["split", column]).cumcount()  # equal diffs lie side by side
            dot_positions = [position[split] + 0.12 for split in dots["split"]] + 0.06 * rank_among_equals
            draw_intervals(ax, rows, [position[split] for split in rows["split"]], index, method)
            one_seed = say("one seed")
            ax.scatter(dots[column], dot_positions, s=9, color="0.35", marker=".", label=one_seed)
        finish_split_axis(ax, splits, title, say("A minus B (pp)"))
    margin = comparison.options.margin_pp
    mark_predicted(axes, splits, _predicted(verdicts), margin, say("predicted side"))
    lines = [
        say("{method}: of {all} predictions, {supported} supported and {contradicted} contradicted", **counts)
        for counts in _evidence_counts(comparison.labels, methods)
    ]
    return finish(figure, "\n".join(lines))


def changes(comparison: Comparison, say: Words) -> Figure | None:
    """Draw the change from the reference by split, with its interval and the published label beside it."""
    labels = comparison.change_labels
    estimates = comparison.heldout.changes if comparison.heldout else comparison.tail.changes
    if estimates.empty:
        return None
    splits = list(dict.fromkeys([*labels["split"], *estimates["split"]]))
    methods = _with_numbers(estimates["method"], [estimates])
    figure, (ax,) = row_figure(len(splits) * len(methods))
    for index, method in enumerate(methods):
        position = split_positions(splits, index, len(methods))
        rows = estimates[estimates["method"] == method]
        draw_intervals(ax, rows, [position[split] for split in rows["split"]], index, method)
        method_labels = labels[labels["method"] == method]
        for split, label in zip(method_labels["split"], method_labels["change"], strict=True):
            place = (1.01, position[split])
            ax.annotate(label, place, xycoords=("axes fraction", "data"), fontsize=7, va="center")
    margin = comparison.options.margin_pp
    finish_split_axis(ax, splits, say("the published label on the right"), say("change of A minus B (pp)"))
    mark_margin(ax, margin, say("practically null (±{margin:g} pp)", margin=margin))
    predicted = _predicted(comparison.published.verdicts)
    mark_predicted([ax], splits, predicted, margin, say("predicted side"))
    lines = [
        say(
            "{method}: of {all} changes from {reference}, {supported} are shown to go towards the "
            "prediction, {contradicted} away from it",
            reference=comparison.reference,
            **counts,
        )
        for counts in _evidence_counts(labels, methods)
    ]
    return finish(figure, "\n".join(lines))


def _with_numbers(methods: "pd.Series[str]", estimates: Sequence[pd.DataFrame]) -> list[str]:
    """Return the methods that have an estimate, in the study's order."""
    estimated = set(pd.concat(estimates)["method"])
    return [method for method in dict.fromkeys(methods) if method in estimated]


def _predicted(verdicts: pd.DataFrame) -> dict[str, str]:
    return dict(zip(verdicts["split"], verdicts["predicted"], strict=True))


def _evidence_counts(labels: pd.DataFrame, methods: Sequence[str]) -> list[dict[str, object]]:
    """Return what the evidence says of each method's splits that are predicted."""
    counts: list[dict[str, object]] = []
    for method in methods:
        words = labels.loc[
            (labels["method"] == method) & (labels["carried"] != NO_VALUE), "evidence"
        ].tolist()
        counts.append(
            {
                "method": method,
                "all": len(words),
                "supported": words.count(EvidenceWord.SUPPORTED),
                "contradicted": words.count(EvidenceWord.CONTRADICTED),
            }
        )
    return counts
