"""The page about a study's groups: who is in them, and how much their users differ."""

from pathlib import Path

import pandas as pd

from stats.page import html
from stats.page.fonts import figure_words
from stats.page.language import Language
from stats.page.markdown import plain, probability
from stats.page.page import Page, title_lines
from stats.page.plots.canvas import save
from stats.page.plots.groups import heterogeneity
from stats.page.words import Words


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
    """Write groups.md, the same page as HTML, its tables as CSV and its figure into `out`.

    Args:
        sizes: split, group, users, pairs, train, heldout; with published numbers also published_users and
            published_pairs.
        measures: how much users differ, from `stats.survey.heterogeneity`, with a column split.
        features: what users prefer, from `stats.survey.heterogeneity`, with a column split.
        left_out: split -> why its heterogeneity is not known.
        study: the study's name.
        generated: whether the data of the study were generated.
        out: a folder, made where it is missing.
        language: the language of the page and the figure.

    Returns:
        The path of groups.md.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in (("sizes", sizes), ("measures", measures), ("features", features)):
        frame.to_csv(out / f"{name}.csv", index=False)
    say = Words(language)
    figures = {}
    if not measures.empty:
        with figure_words(say) as labels:
            path = save(heterogeneity(measures, labels), out / "heterogeneity.png")
        figures["heterogeneity"] = path.name
    page = Page(say, figures)
    parts = title_lines(say("{study}: groups", study=study), generated, say)
    parts += [
        say("## Sizes"),
        page.table(sizes),
        say("## How much users differ"),
        *(say("{split} is left out: {why}.", split=split, why=why) for split, why in left_out.items()),
        *_without_gaps(measures, say),
    ]
    if not measures.empty:
        parts += [
            say(
                "`gap_icc`: between-user share of the variance of logit(score gap / 100). `consistency`: how "
                "well the preferred directions of two users agree, relative to how well those of one user "
                "agree with each other; 1: all users want the same, 0: each user wants something different. "
                "The intervals are 95% intervals. The p of a group tests whether its users differ; the p of "
                "A - B tests whether the groups differ."
            ),
            *page.pictures("heterogeneity"),
            page.table(_measure_rows(measures)),
            say("## What users prefer"),
            say(
                "`preferred`: among the pairs whose answers differ in a feature, the share in which the "
                "chosen answer has more of it. `user_sd`: how far users spread around that share beyond "
                "chance; `p` tests whether they do."
            ),
            page.table(_feature_rows(features)),
        ]
    path = out / "groups.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    html.write(path, f"{study}: groups", language)
    return path


def _without_gaps(measures: pd.DataFrame, say: Words) -> list[str]:
    if measures.empty or "gap_icc" in set(measures["measure"]):
        return []
    return [
        say(
            "`gap_icc` is left out: the pairs have no score gap, or `data.score_range` does not say how "
            "large it can be."
        )
    ]


def _feature_rows(features: pd.DataFrame) -> pd.DataFrame:
    numbers = {name: features[name].map(plain) for name in ("preferred", "user_sd", "differing")}
    return features.assign(**numbers, p=features["p"].map(probability))


def _measure_rows(measures: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "split": measures["split"],
            "measure": measures["measure"],
            "group": measures["group"],
            "estimate": [
                f"{plain(row.estimate, 3)} [{plain(row.low, 3)}, {plain(row.high, 3)}]"
                for row in measures.itertuples()
            ],
            "p": measures["p"].map(probability),
            "users": measures["users"],
            "pairs": measures["pairs"],
        }
    )
