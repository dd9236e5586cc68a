"""Who is in the groups of a study's splits and how much they differ, as a page with tables and a figure."""

from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stats.page import html
from stats.page.fonts import labelled
from stats.page.language import Language
from stats.page.markdown import plain
from stats.page.page import Page, titled
from stats.page.words import Words

COLUMN_INCHES = 6.5
MEASURES = {
    "gap_icc": "Between-user share of\nscore-gap variance",
    "consistency": "Consistency of\ndirections",
}
STYLES = {"A": ("o", "black", +0.16), "B": ("s", "white", -0.16)}  # marker, its face, place beside the other


def write(
    sizes: pd.DataFrame,
    measures: pd.DataFrame,
    features: pd.DataFrame,
    left_out: dict[str, str],
    study: str,
    generated: bool,
    out: Path,
    language: Language = "en",
) -> Path:
    """Write groups.md, its tables as CSV and its figure into `out`; returns the page's path.

    Args:
        sizes: split, group, users, pairs, train, heldout; with published numbers also published_users,
            published_pairs. measures, features: of `stats.survey.heterogeneity`, with a column split.
        left_out: split -> why its heterogeneity is not known.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in (("sizes", sizes), ("measures", measures), ("features", features)):
        frame.to_csv(out / f"{name}.csv", index=False)
    say = Words(language)
    figures = {}
    if not measures.empty:
        with labelled(say) as shown:
            draw(measures, shown).savefig(out / "heterogeneity.png", dpi=150, metadata={"Software": None})
        figures["heterogeneity"] = "heterogeneity.png"
    page = Page(say, figures)
    parts = titled(say("{study}: groups", study=study), generated, say)
    parts += [
        say("## Sizes"),
        page.table(sizes.astype(object).where(sizes.notna(), "-")),
        say("## How much users differ"),
        *(say("{split} is left out: {why}.", split=split, why=why) for split, why in left_out.items()),
    ]
    if not measures.empty:
        parts += [
            say(
                "gap_icc: between-user share of the variance of logit(score gap / 100). consistency: two "
                "users' preferred directions against one user's with itself; 1: all want the same, 0: each "
                "their own. Intervals are 95 %. p of a group: that its users differ; p of A - B: that the "
                "groups do."
            ),
            *page.picture("heterogeneity"),
            page.table(_printed(measures)),
            say("## What they prefer"),
            say(
                "preferred: of the pairs that differ in a feature, the share whose chosen answer has more "
                "of it. user_sd: how far users spread about that beyond chance, p that they do."
            ),
            page.table(_features(features)),
        ]
    path = out / "groups.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    html.write(path, f"{study}: groups", language)
    return path


def _features(features: pd.DataFrame) -> pd.DataFrame:
    plainly = {name: features[name].map(plain) for name in ("preferred", "user_sd", "differing")}
    return features.assign(**plainly, p=features["p"].map(_p))


def draw(measures: pd.DataFrame, say: Words) -> Figure:
    """Both measures by split, A (dot) above B (open square), with intervals; an interval without an upper end
    leaves the panel at the right."""
    splits = list(dict.fromkeys(measures["split"]))
    names = [name for name in MEASURES if name in set(measures["measure"])]
    figure = Figure(figsize=(COLUMN_INCHES, 1.3 + 0.42 * len(splits)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for ax, name in zip(panels, names, strict=True):
        for group, (marker, face, beside) in STYLES.items():
            rows = measures[(measures["measure"] == name) & (measures["group"] == group)]
            rows = rows[rows["estimate"].notna()]
            place = [len(splits) - 1 - splits.index(split) + beside for split in rows["split"]]
            ax.hlines(place, rows["low"], rows["high"].clip(upper=5), color="0.4", linewidth=1)
            ax.plot(rows["estimate"], place, marker, color="black", markerfacecolor=face, label=group)
        ax.set_title(say.of(MEASURES[name]), fontsize=9)
        ax.set_yticks(range(len(splits)), splits[::-1], fontsize=8)
        ax.set_ylim(-0.6, len(splits) - 0.4)
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]), right=max(1.0, min(2.0, ax.get_xlim()[1])))
        ax.grid(axis="x", color="0.9")
        ax.set_axisbelow(True)
    panels[-1].legend(title=say.of("group"), fontsize=8, title_fontsize=8, frameon=False, loc="upper left",
                      bbox_to_anchor=(1.0, 1.0))  # fmt: skip
    return figure


def _printed(measures: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "split": measures["split"],
            "measure": measures["measure"],
            "group": measures["group"],
            "estimate": [
                f"{plain(row.estimate, 3)} [{plain(row.low, 3)}, {plain(row.high, 3)}]"
                for row in measures.itertuples()
            ],
            "p": measures["p"].map(_p),
            "users": measures["users"],
            "pairs": measures["pairs"],
        }
    )


def _p(value: float) -> str:
    return "-" if pd.isna(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
