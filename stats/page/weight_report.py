"""The weight analysis as a page: shares with intervals beside the four pictures."""

from pathlib import Path

import pandas as pd

from stats.page import html
from stats.page import weight_plots as plots
from stats.page.fonts import labelled
from stats.page.language import Language
from stats.page.page import Page, titled
from stats.page.words import Words
from stats.survey import weights

TERMS = {
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
    """Write weights.md, its tables as CSV and its figures into `out`; returns the page's path.

    Args:
        pairs: of `stats.survey.weights.explained`. groups: split, pair_id, group. Pictures that need a
        source model
            or a score are left out, with a line saying so, where the pairs have none.
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
    parts = titled(
        say("{study}: WPO weights of {count} pairs", study=study, count=len(pairs)), generated, say
    )
    parts += [
        say(
            "Weights under the reference model, before training: min(w_chosen w_rejected, 1), sampled "
            "alignment. All intervals are 95 % over users."
        ),
        say("## What explains the variance of log weight"),
        say(
            "`alone`: share explained by the term by itself; `beyond`: share lost without it. For users: "
            "between users, after all terms."
        ),
        page.table(_printed(shares, say)),
        say("## Distribution"),
        say(
            "`at_cap`: share of pairs whose product is 1 or more before the clamp; `effective`: effective "
            "sample size, (sum w)^2 / sum w^2, as a share of the pairs."
        ),
        page.table(spread.round(4)),
        *page.picture("histogram"),
        say("## Weight against score gap"),
        *(page.picture("score_gap") or [say("Left out: these pairs came without scores.")]),
        say("## Weight by source model"),
        *(
            page.picture("source_model")
            or [say("Left out: these pairs came without the name of the model that wrote them.")]
        ),
        say("## A against B"),
        *page.picture("splits"),
        page.table(_rounded(by_split)),
    ]
    path = out / "weights.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    html.write(path, f"{study}: weights", language)
    return path


def _draw(pairs: pd.DataFrame, tables: dict[str, pd.DataFrame], out: Path, say: Words) -> dict[str, str]:
    """The pictures that there are tables for; name -> file."""
    with labelled(say) as shown:
        drawn = [plots.histogram(pairs, out / "histogram.png", shown)]
        for name, make in (
            ("score_gap", plots.score_gap),
            ("source_model", plots.source_model),
            ("splits", plots.splits),
        ):
            if name in tables:
                drawn.append(make(tables[name], out / f"{name}.png", shown))
    return {path.stem: path.name for path in drawn}


def _printed(shares: pd.DataFrame, say: Words) -> pd.DataFrame:
    def cell(row: pd.Series, name: str) -> str:
        return f"{row[name]:.1%} [{row[f'{name}_low']:.1%}, {row[f'{name}_high']:.1%}]"

    return pd.DataFrame(
        {
            "term": say.each(shares["term"].map(TERMS)),
            "alone": [cell(row, "alone") for _, row in shares.iterrows()],
            "beyond": [cell(row, "beyond") for _, row in shares.iterrows()],
        }
    )


def _rounded(means: pd.DataFrame) -> pd.DataFrame:
    return means.assign(
        **{name: [f"{value:.4f}" for value in means[name]] for name in ("mean", "low", "high")}
    )
