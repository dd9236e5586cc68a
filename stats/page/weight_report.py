"""The page of the weight analysis: what explains the WPO weights, and figures of them."""

from pathlib import Path

import pandas as pd

from stats.page import html
from stats.page.fonts import figure_words
from stats.page.language import Language
from stats.page.page import Page, title_lines
from stats.page.plots import weights as plots
from stats.page.words import Words
from stats.survey import weights

TERM_TITLES = {
    "source_model": "source model",
    "score_gap": "score gap",
    "answer_tokens": "answer length",
    "user": "user",
}


def write(
    pairs: pd.DataFrame,
    groups: pd.DataFrame,
    study: str,
    generated: bool,
    out: Path,
    language: Language = "en",
) -> Path:
    """Write weights.md, the same page as HTML, its tables as CSV and its figures into `out`.

    Where the pairs have no source model or no score, the figure that needs it is left out, and the page says
    so.

    Args:
        pairs: one row per pair, with the columns that `stats.survey.weights.explained` needs.
        groups: split, pair_id, group.
        study: the study's name.
        generated: whether the data of the study were generated.
        out: a folder, made where it is missing.
        language: the language of the page and the figures.

    Returns:
        The path of weights.md.
    """
    out.mkdir(parents=True, exist_ok=True)
    say = Words(language)
    shares, spread = weights.explained(pairs), weights.distribution(pairs)
    by_split = weights.by_split(pairs, groups)
    tables = {"shares": shares, "distribution": spread, "splits": by_split}
    if pairs["score_gap"].notna().any():
        tables["score_gap"] = weights.by_score_gap(pairs)
    if pairs["source_model"].notna().any():
        tables["source_model"] = weights.by_source_model(pairs)
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False)
    page = Page(say, _draw(pairs, tables, out, say))
    parts = title_lines(
        say("{study}: WPO weights of {count} pairs", study=study, count=len(pairs)), generated, say
    )
    parts += [
        say(
            "WPO weights under the reference model, before training: min(w_chosen w_rejected, 1) with "
            "sampled alignment. All intervals are 95% intervals over users."
        ),
        say("## What explains the variance of log weight"),
        say(
            "`alone`: the share that a term explains by itself. `beyond`: the share that is lost when the "
            "term is left out. For users, both are the share between users that remains after all other "
            "terms."
        ),
        page.table(_share_rows(shares, say)),
        say("## Distribution"),
        say(
            "`at_cap`: share of pairs whose product is 1 or more before it is capped. `effective`: effective "
            "sample size, (sum w)^2 / sum w^2, as a share of the pairs."
        ),
        page.table(spread.round(4)),
        *page.pictures("histogram"),
        say("## Weight against score gap"),
        *(page.pictures("score_gap") or [say("Left out: these pairs have no scores.")]),
        say("## Weight by source model"),
        *(
            page.pictures("source_model")
            or [say("Left out: these pairs do not name the model that wrote them.")]
        ),
        say("## A against B"),
        *page.pictures("splits"),
        page.table(_mean_rows(by_split)),
    ]
    path = out / "weights.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    html.write(path, f"{study}: weights", language)
    return path


def _draw(pairs: pd.DataFrame, tables: dict[str, pd.DataFrame], out: Path, say: Words) -> dict[str, str]:
    """Draw the figures that `tables` has data for, and return figure name -> file name in `out`."""
    with figure_words(say) as labels:
        drawn = [plots.histogram(pairs, out / "histogram.png", labels)]
        for name, make in (
            ("score_gap", plots.score_gap),
            ("source_model", plots.source_model),
            ("splits", plots.splits),
        ):
            if name in tables:
                drawn.append(make(tables[name], out / f"{name}.png", labels))
    return {path.stem: path.name for path in drawn}


def _share_rows(shares: pd.DataFrame, say: Words) -> pd.DataFrame:
    def cell(row: pd.Series, name: str) -> str:
        return f"{row[name]:.1%} [{row[f'{name}_low']:.1%}, {row[f'{name}_high']:.1%}]"

    return pd.DataFrame(
        {
            "term": say.words(shares["term"].map(TERM_TITLES)),
            "alone": [cell(row, "alone") for _, row in shares.iterrows()],
            "beyond": [cell(row, "beyond") for _, row in shares.iterrows()],
        }
    )


def _mean_rows(means: pd.DataFrame) -> pd.DataFrame:
    return means.assign(
        **{name: [f"{value:.4f}" for value in means[name]] for name in ("mean", "low", "high")}
    )
