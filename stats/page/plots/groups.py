"""The figure of how much the users of a group differ."""

import pandas as pd
from matplotlib.figure import Figure

from stats.page.page import FIGURE_TITLES
from stats.page.plots.canvas import finish, new_figure
from stats.page.words import Words

MEASURE_TITLES = {
    "gap_icc": "Between-user share of\nscore-gap variance",
    "consistency": "Consistency of\ndirections",
}
GROUP_MARKERS = {"A": ("o", "black", +0.16), "B": ("s", "white", -0.16)}  # marker, face, vertical offset


def heterogeneity(measures: pd.DataFrame, say: Words) -> Figure:
    """Draw both measures by split, A (dot) above B (open square), with their intervals.

    An interval without an upper end runs off the panel on the right.

    Args:
        measures: `Heterogeneity.measures` of `stats.survey.heterogeneity`, with a column split.
    """
    splits = list(dict.fromkeys(measures["split"]))
    names = [name for name in MEASURE_TITLES if name in set(measures["measure"])]
    figure = new_figure(1.3 + 0.42 * len(splits))
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for ax, name in zip(panels, names, strict=True):
        for group, (marker, face, offset) in GROUP_MARKERS.items():
            rows = measures[(measures["measure"] == name) & (measures["group"] == group)]
            rows = rows[rows["estimate"].notna()]
            positions = [len(splits) - 1 - splits.index(split) + offset for split in rows["split"]]
            ax.hlines(positions, rows["low"], rows["high"].clip(upper=5), color="0.4", linewidth=1)
            ax.plot(
                rows["estimate"],
                positions,
                marker,
                color="black",
                markerfacecolor=face,
                label=f"{say.word('group')} {group}",
            )
        ax.set_title(say.word(MEASURE_TITLES[name]))
        ax.set_yticks(range(len(splits)), splits[::-1])
        ax.set_ylim(-0.6, len(splits) - 0.4)
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]), right=max(1.0, min(2.0, ax.get_xlim()[1])))
        ax.grid(axis="x", color="0.9")
        ax.set_axisbelow(True)
    return finish(figure, say(FIGURE_TITLES["heterogeneity"]))
