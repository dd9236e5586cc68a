"""Measure features that an answer to any prompt can have more or less of, to compare preferences by them."""

import numpy as np
import pandas as pd

PATTERNS = {
    "refusal": r"\b(?:unable to|can ?not|can['’]t|won['’]t|rather not|decline|as an? (?:ai|language))\b",
    "hedge": r"\b(?:may|might|could|perhaps|possibly|depends?|not sure|limited|hard to say|varies)\b",
    "courtesy": r"\b(?:please|thank|thanks|happy to|glad|sorry|apologi[sz]e|good luck|love)\b",
    "example": r"\b(?:for example|for instance|such as|e\.g\.|as an illustration|consider|like my)\b",
    "steps": r"\b(?:first|then|next|finally|step)\b|(?m:^\s*(?:\d+[.)]|[-*•])\s)",
    "question": r"\?",
    "exclamation": r"!",
}


def differences(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the features of the chosen answer minus those of the rejected one.

    Args:
        pairs: Columns chosen, rejected, chosen_model, rejected_model.

    Returns:
        One row per pair and one column per feature. `length` is in log characters; each of `PATTERNS` is
        log(1 + number of occurrences). If there are pairs between models, there is one more column per source
        model: 1 where it wrote the chosen answer, -1 where it wrote the rejected one.
    """
    columns = {"length": np.log(pairs["chosen"].str.len()) - np.log(pairs["rejected"].str.len())}
    texts = {side: pairs[side].str.lower() for side in ("chosen", "rejected")}
    for name, pattern in PATTERNS.items():
        chosen_count, rejected_count = (
            np.log1p(texts[side].str.count(pattern)) for side in ("chosen", "rejected")
        )
        columns[name] = chosen_count - rejected_count
    between = pairs["chosen_model"].notna() & (pairs["chosen_model"] != pairs["rejected_model"])
    for model in sorted(set(pairs.loc[between, ["chosen_model", "rejected_model"]].to_numpy().ravel())):
        chosen, rejected = (
            (pairs[f"{side}_model"] == model).astype(float) for side in ("chosen", "rejected")
        )
        columns[f"model {model}"] = (chosen - rejected).where(between, 0.0)
    return pd.DataFrame(columns, index=pairs.index, dtype=float)
