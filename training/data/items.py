"""Name the item of each pair: what several users may have rated."""

import hashlib
import json

import pandas as pd


def items_of(pairs: pd.DataFrame) -> "pd.Series[str]":
    """Return the column `item`, where it names the item of every pair, or else `item_ids`."""
    return pairs["item"] if "item" in pairs and pairs["item"].notna().all() else item_ids(pairs)


def text_ids(pairs: pd.DataFrame) -> "pd.Series[str]":
    """Return a hash of each pair's prompt and answers that ignores which of them was chosen."""
    return pd.Series(
        [
            hashlib.sha256(json.dumps([prompt, *sorted((chosen, rejected))]).encode()).hexdigest()[:16]
            for prompt, chosen, rejected in zip(
                pairs["prompt"], pairs["chosen"], pairs["rejected"], strict=True
            )
        ],
        index=pairs.index,
        dtype=object,
    )


def item_ids(pairs: pd.DataFrame, texts: "pd.Series[str] | None" = None) -> "pd.Series[str]":
    """Return the item of each pair, indexed like `pairs`.

    The item is the one that the data names in a column `item`. Where it names none, the item is the prompt
    with both answers, whichever was chosen. Two items of different names with the same text are one item, so
    that no text is trained on and held out.

    Args:
        pairs: Columns prompt (chat messages), chosen, rejected, and perhaps item.
        texts: The result of `text_ids`, where it is known already.
    """
    texts = text_ids(pairs) if texts is None else texts
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
