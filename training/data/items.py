"""Name the item of each pair: what several users may have rated."""

import hashlib
import json

import pandas as pd


def item_ids(pairs: pd.DataFrame) -> "pd.Series[str]":
    """Return the item of each pair, indexed like `pairs`.

    The item is the one that the data names in a column `item`. Where it names none, the item is the prompt
    with both answers, whichever was chosen. Two items of different names with the same text are one item, so
    that no text is trained on and held out.

    Args:
        pairs: Columns prompt (chat messages), chosen, rejected, and perhaps item.
    """
    texts = pd.Series(
        [
            hashlib.sha256(json.dumps([prompt, *sorted((chosen, rejected))]).encode()).hexdigest()[:16]
            for prompt, chosen, rejected in zip(
                pairs["prompt"], pairs["chosen"], pairs["rejected"], strict=True
            )
        ],
        index=pairs.index,
        dtype=object,
    )
    if "item" not in pairs or pairs["item"].isna().all():
        return texts
    named = pairs["item"].astype(object).where(pairs["item"].notna(), texts).astype(str)
    return _joined(named, texts)


def _joined(names: pd.Series, texts: pd.Series) -> pd.Series:
    """Give the same name to rows that share a name or a text, directly or through other rows."""
    while True:
        joined = names.groupby(texts).transform("min")
        joined = joined.groupby(names).transform("min")
        if (joined == names).all():
            return names
        names = joined
