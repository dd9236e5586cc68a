"""The weight analysis as a page: shares with intervals beside the four pictures."""

from pathlib import Path

import pandas as pd

from stats import html, weights
from stats import weight_plots as plots
from stats.markdown import table
from stats.page import titled
from stats.words import Words

TERMS = {
    "source_model": "source model",
    "score_gap": "score gap",
    "answer_tokens": "answer length",
    "user": "user",
}


def write(pairs: pd.DataFrame, groups: pd.DataFrame, study: str, generated: bool, out: Path) -> Path:
    """Write weights.md, its tables as CSV and its figures into `out`; returns the page's path.

    Args:
        pairs: of `stats.weights.explained`. groups: split, pair_id, group. Pictures that need a source model
            or a score are left out, with a line saying so, where the pairs have none.
    """
    out.mkdir(parents=True, exist_ok=True)
    shares = weights.explained(pairs)
    shares.to_csv(out / "shares.csv", index=False)
    spread = weights.distribution(pairs)
    spread.to_csv(out / "distribution.csv", index=False)
    parts = titled(f"{study}: WPO weights of {len(pairs)} pairs", generated, Words())
    parts += [
        "Weights under the reference model, before training: min(w_chosen w_rejected, 1), sampled alignment. "
        "All intervals are 95 % over users.",
        "## What explains the variance of log weight",
        "`alone`: share explained by the term by itself; `beyond`: share lost without it. For users: between "
        "users, after all terms.",
        table(_printed(shares)),
        "## Distribution",
        "`at_cap`: share of pairs whose product is 1 or more before the clamp; `effective`: effective sample "
        "size, (sum w)^2 / sum w^2, as a share of the pairs.",
        table(spread.round(4)),
        _picture(plots.histogram(pairs, out / "histogram.png")),
        "## Weight against score gap",
    ]
    if pairs["score_gap"].notna().any():
        by_gap = weights.by_score_gap(pairs)
        by_gap.to_csv(out / "score_gap.csv", index=False)
        parts.append(_picture(plots.score_gap(by_gap, out / "score_gap.png")))
    else:
        parts.append("Left out: these pairs came without scores.")
    parts.append("## Weight by source model")
    if pairs["source_model"].notna().any():
        by_model = weights.by_source_model(pairs)
        by_model.to_csv(out / "source_model.csv", index=False)
        parts.append(_picture(plots.source_model(by_model, out / "source_model.png")))
    else:
        parts.append("Left out: these pairs came without the name of the model that wrote them.")
    by_split = weights.by_split(pairs, groups)
    by_split.to_csv(out / "splits.csv", index=False)
    parts += [
        "## A against B",
        _picture(plots.splits(by_split, out / "splits.png")),
        table(_rounded(by_split)),
    ]
    page = out / "weights.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    html.write(page, f"{study}: weights")
    return page


def _printed(shares: pd.DataFrame) -> pd.DataFrame:
    def cell(row: pd.Series, name: str) -> str:
        return f"{row[name]:.1%} [{row[f'{name}_low']:.1%}, {row[f'{name}_high']:.1%}]"

    return pd.DataFrame(
        {
            "term": shares["term"].map(TERMS),
            "alone": [cell(row, "alone") for _, row in shares.iterrows()],
            "beyond": [cell(row, "beyond") for _, row in shares.iterrows()],
        }
    )


def _rounded(means: pd.DataFrame) -> pd.DataFrame:
    return means.assign(
        **{name: [f"{value:.4f}" for value in means[name]] for name in ("mean", "low", "high")}
    )


def _picture(path: Path) -> str:
    return f"![{path.stem.replace('_', ' ')}]({path.name})"
