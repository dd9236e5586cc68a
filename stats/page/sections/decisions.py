"""The section about verdicts that were settled seed by seed."""

import pandas as pd

from stats.evidence.decision import SplitState
from stats.evidence.looks import Looks
from stats.evidence.quantity import DIFF
from stats.page.markdown import NO_VALUE, intervals, plain, probability, signed
from stats.page.page import Page


def decisions(decided: pd.DataFrame, looks: Looks, page: Page) -> list[str]:
    """Return the verdicts, the seeds spent on them, and what would settle the open ones.

    Args:
        decided: the result of `stats.evidence.sequential.decide`.
        looks: when the evidence was looked at, and at which error rates.
    """
    if decided.empty:
        return []
    say = page.say
    rows = pd.DataFrame(
        {
            "method": decided["method"],
            "split": decided["split"],
            "quantity": say.words(decided["quantity"]),
            "predicted": decided["predicted"],
            "verdict": say.words(decided["state"]),
            "seeds": decided["seeds"],
            "settled at": [
                NO_VALUE if state == SplitState.OPEN else plain(look, 0)
                for state, look in zip(decided["state"], decided["look"], strict=True)
            ],
            "pp": decided["estimate"].map(signed),
            "repeated interval": intervals(decided["low"], decided["high"]),
            "Holm": decided["p_holm"].map(probability),
            "e signs": decided["e_sign"].map(plain),
            "seeds to decide": page.counts(decided["needed_seeds"]),
            "pairs to decide": page.counts(decided["needed_pairs"]),
            "cheaper": say.words(decided["cheaper"].replace("", NO_VALUE)),
            "chance": [plain(chance) for chance in decided["chance"]],
            "note": say.words(decided["note"].replace("", NO_VALUE)),
        }
    )
    of_diffs = decided[decided["quantity"] == DIFF]
    still_open = int((decided["state"] == SplitState.OPEN).sum())
    spent = say(
        "Every split was judged after each of its seeds, from {start} to {most}, and received no more once "
        "it was settled: {cells} cells instead of {all}.",
        start=looks.start,
        most=looks.most,
        cells=int(of_diffs["seeds"].sum()),
        all=looks.most * len(of_diffs),
    )
    return [
        say("### Verdicts, seed by seed"),
        spent + (say(" Verdicts that are still open: {still}.", still=still_open) if still_open else ""),
        say(
            "These verdicts are the evidence of this report: in its headline, its tables and its figures. "
            "The tests account for the repeated looks. Diffs and changes are a family each. Over all looks "
            "and predicted splits of a method, the probability of claiming a difference where there is none "
            "is at most {error:.0%} (Holm's adjustment of sequential p values), and so is the probability of "
            "calling a diff practically null (inside ±{margin:g} pp) when it is not. The repeated intervals "
            "capture new seeds and new users. With probability {level:.0%}, those of all looks and predicted "
            "splits contain their true values, so Holm's adjustment may settle a split whose interval still "
            "touches zero. The interval of an exploratory split holds for that split alone. A diff that "
            "settled early is, on average, slightly too large; its interval allows for that. These levels "
            "assume seeds that are about normal. `e signs` does not: whenever the study stops, it reaches 20 "
            "with a probability of at most 5% where a seed is as likely to lie above zero as below, even if "
            "a rare seed diverges.",
            error=1 - looks.level,
            margin=looks.margin_pp,
            level=looks.level,
        ),
        page.table(rows),
        say(
            "`seeds to decide` (with these pairs) and `pairs to decide` (held-out, with these seeds): how "
            "many would settle the split with 80% power if the printed diff were the true one. `cheaper`: "
            "which of the two has to grow by the smaller factor. `chance`: the probability that seeds up to "
            "{most} settle the split. A split stops when no number of further seeds would settle it with a "
            "probability of at least {worth:g} per further seed.",
            most=looks.most,
            worth=looks.worth,
        ),
    ]
