"""What an answer to any prompt can have more or less of: the features that preferences are compared by."""

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
    """Chosen minus rejected, one row a pair and one column a feature.

    length: log characters. Each of PATTERNS: log(1 + how often it occurs). With pairs between models, one
    column a source model: 1 where it wrote the chosen, -1 where it wrote the rejected answer.

    Args:
        pairs: chosen, rejected, chosen_model, rejected_model.
    """
    columns = {"length": np.log(pairs["chosen"].str.len()) - np.log(pairs["rejected"].str.len())}
    texts = {side: pairs[side].str.lower() for side in ("chosen", "rejected")}
    for name, pattern in PATTERNS.items():
        more, less = (np.log1p(texts[side].str.count(pattern)) for side in ("chosen", "rejected"))
        columns[name] = more - less
    between = pairs["chosen_model"].notna() & (pairs["chosen_model"] != pairs["rejected_model"])
    for model in sorted(set(pairs.loc[between, ["chosen_model", "rejected_model"]].to_numpy().ravel())):
        wrote = [(pairs[f"{side}_model"] == model).astype(float) for side in ("chosen", "rejected")]
        columns[f"model {model}"] = (wrote[0] - wrote[1]).where(between, 0.0)
    return pd.DataFrame(columns, index=pairs.index, dtype=float)
