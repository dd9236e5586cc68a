"""Derive splits from the traits that a survey model selects."""

import numpy as np
import pandas as pd

from stats.survey.defaults import Correction
from stats.survey.ordered_logit import SurveyFit


def predicted_splits(fit: SurveyFit, alpha: float, correction: Correction = "holm") -> pd.DataFrame:
    """Derive a split from each trait whose joint test, corrected over the traits, has p < alpha.

    A numeric trait is split at its median, A above: a positive beta predicts larger gaps there, "A > B".
    Levels of a categorical trait whose coefficient is above the mean go to A, the others to B (the
    reference's coefficient is 0); this split predicts "A > B" by construction. Levels that the model left out
    are in neither group.

    Returns:
        trait, p_adjusted, predicted, a, b (levels; missing for a numeric trait).
    """
    selected = fit.traits[fit.traits[f"p_{correction}"] < alpha]
    rows: list[dict[str, object]] = []
    for trait, p_adjusted in zip(selected["trait"], selected[f"p_{correction}"], strict=True):
        terms = fit.table[fit.table["trait"] == trait]
        row: dict[str, object] = {"trait": trait, "p_adjusted": p_adjusted}
        if terms["reference"].isna().all():
            larger = terms["beta"].item() > 0
            rows.append(row | {"predicted": "A > B" if larger else "A < B", "a": None, "b": None})
            continue
        beta = {
            str(terms["reference"].iloc[0]): 0.0,
            **dict(zip(terms["level"], terms["beta"], strict=True)),
        }
        middle = float(np.mean(list(beta.values())))
        sides = {
            "a": [level for level, value in beta.items() if value > middle],
            "b": [level for level, value in beta.items() if value <= middle],
        }
        rows.append(row | {"predicted": "A > B", **sides})
    return pd.DataFrame(rows, columns=["trait", "p_adjusted", "predicted", "a", "b"])
