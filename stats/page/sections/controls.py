"""The section about random halves: how often chance alone gives each label and each claim."""

import pandas as pd

from stats.comparison import Comparison
from stats.page.markdown import intervals, plain, probability, signed
from stats.page.page import Page


def controls(comparison: Comparison, page: Page) -> list[str]:
    """Return the error rates measured on random halves, and how each estimate ranks among theirs."""
    found, say = comparison.controls, page.say
    if found is None:
        return []
    rates, ranks = found.rates, found.ranks
    parts = [
        say("### What chance alone does: random halves of the users"),
        say(
            "Every method was also trained on random halves of the same users, training users included, and "
            "judged as if A > B had been predicted. Nothing is true there, so each claim is an error. "
            "`share`: the part of the halves with this label or claim, with its exact 95% interval. A claim "
            "of the held-out evidence should come up in hardly any half, and a 95% interval leave zero out "
            "in one of twenty; a label of the published rule is worth no more than its share here allows. "
            "`seeds`: those of each half. Where evidence chose the seeds of the splits, it did not for "
            "halves, which are judged once; labels depend on the number of seeds."
        ),
        page.table(
            pd.DataFrame(
                {
                    "method": rates["method"],
                    "label of": say.words(rates["quantity"]),
                    "label": say.words(rates["claim"]),
                    "seeds": rates["seeds"],
                    "halves": _fractions(rates["errors"], rates["halves"]),
                    "share": rates["share"].map(plain),
                    "95%": intervals(rates["low"], rates["high"], digits=2),
                }
            )
        ),
    ]
    if ranks.empty:
        return parts
    return [
        *parts,
        say(
            "How far from zero each held-out estimate is among those of the halves. `control p` assumes no "
            "distribution and holds everything that differs between groups by chance, but with n halves it "
            "cannot fall below 1 / (n + 1), and it is of one split, not of a family."
        ),
        page.table(
            pd.DataFrame(
                {
                    "method": ranks["method"],
                    "split": ranks["split"],
                    "quantity": say.words(ranks["quantity"]),
                    "pp": ranks["estimate"].map(signed),
                    "halves as large": _fractions(ranks["as_large"], ranks["halves"]),
                    "control p": ranks["p_control"].map(probability),
                }
            )
        ),
    ]


def _fractions(counts: "pd.Series[int]", of: "pd.Series[int]") -> list[str]:
    return [f"{count}/{all_of_them}" for count, all_of_them in zip(counts, of, strict=True)]
