"""Say in a few lines what a study's data hold."""

import pandas as pd

from training.data.corpus import Corpus
from training.table_data import BEHAVIOUR

MOST_LEVELS = 8  # levels of a trait that are listed


def summary(corpus: Corpus) -> list[str]:
    """Return lines of plain text: pairs, users, pairs per user, what was dropped, items, and each trait."""
    pairs, users = corpus.pairs, corpus.users
    per_user = users["n_pairs"]
    who = "prompts, because nobody is named" if corpus.anonymous else "users"
    lines = [
        f"{len(pairs)} pairs of {len(users)} {who}",
        f"pairs per user: {per_user.median():g} (median), {per_user.min()} to {per_user.max()}",
    ]
    dropped = ", ".join(f"{count} {reason}" for reason, count in corpus.dropped.items() if count)
    lines.append(f"dropped: {dropped or 'nothing'}")
    if pairs["item"].notna().any():
        raters = pairs.groupby("item")["user_id"].nunique()
        shared = int((raters > 1).sum())
        lines.append(f"items: {len(raters)}, of which {shared} were judged by several users")
    if pairs["score_gap"].notna().any():
        low, middle, high = pairs["score_gap"].quantile([0.25, 0.5, 0.75])
        lines.append(f"score gap: quartiles {low:g}, {middle:g}, {high:g}")
    if pairs["source_model"].notna().any():
        lines.append(f"source models: {pairs['source_model'].nunique()}")
    traits = [str(name) for name in users if name not in ("user_id", *BEHAVIOUR)]
    return [*lines, *(_trait(name, users[name]) for name in traits)]


def _trait(name: str, values: pd.Series) -> str:
    missing = f"; {values.isna().mean():.0%} missing" if values.isna().any() else ""
    if pd.api.types.is_numeric_dtype(values):
        return (
            f"trait {name}: {values.min():g} to {values.max():g}, median {values.median():g}{missing}"
            if values.notna().any()
            else f"trait {name}: 100% missing"
        )
    counts = values.value_counts()
    levels = ", ".join(f"{level} {count}" for level, count in counts.head(MOST_LEVELS).items())
    more = f" and {len(counts) - MOST_LEVELS} more levels" if len(counts) > MOST_LEVELS else ""
    return f"trait {name}: {levels}{more}{missing}"
