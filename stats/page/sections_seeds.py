"""The section of a report about verdicts that were settled seed by seed: decisions as Markdown."""

import pandas as pd

from stats.evidence.sequential import OPEN, Looks
from stats.page.markdown import plain, probability, signed, spans
from stats.page.page import Page


def decisions(decided: pd.DataFrame, looks: Looks, page: Page) -> list[str]:
    """Verdicts, seeds spent, and what would decide the rest.

    Args:
        decided: of `stats.evidence.sequential.decide`.
    """
    if decided.empty:
        return []
    say = page.say
    shown = pd.DataFrame(
        {
            "method": decided["method"],
            "split": decided["split"],
            "predicted": decided["predicted"],
            "verdict": say.each(decided["state"]),
            "seeds": decided["seeds"],
            "settled at": [
                "-" if state == OPEN else plain(look, 0)
                for state, look in zip(decided["state"], decided["look"], strict=True)
            ],
            "pp": decided["estimate"].map(signed),
            "repeated interval": spans(decided["low"], decided["high"]),
            "Holm": decided["p_holm"].map(probability),
            "seeds to decide": page.counts(decided["needed_seeds"]),
            "pairs to decide": page.counts(decided["needed_pairs"]),
            "cheaper": say.each(decided["cheaper"].replace("", "-")),
            "chance": [plain(chance) for chance in decided["chance"]],
            "note": say.each(decided["note"].replace("", "-")),
        }
    )
    still = int((decided["state"] == OPEN).sum())
    spent = say(
        "Every split was judged after each of its seeds, {start} to {most}, and got no more once settled: "
        "{cells} cells instead of {all}.",
        start=looks.start,
        most=looks.most,
        cells=int(decided["seeds"].sum()),
        all=looks.most * len(decided),
    )
    return [
        say("### Verdicts, seed by seed"),
        spent + (say(" Verdicts that are still open: {still}.", still=still) if still else ""),
        say(
            "Looking so often is accounted for. Over all looks and predicted splits of a method, a "
            "difference is claimed where there is none with at most {error:.0%} (Holm over sequential p "
            "values), and a diff called practically null (inside ±{margin:g} pp) that is not with at most "
            "{error:.0%}. The repeated intervals capture new seeds and new users; those of all looks and "
            "predicted splits hold their truths together with {level:.0%}, so Holm may settle a split whose "
            "interval still touches zero. An exploratory split's interval holds for it alone. A diff that "
            "settled early is on average printed a little too large; its interval allows for that.",
            error=1 - looks.level,
            margin=looks.margin_pp,
            level=looks.level,
        ),
        page.table(shown),
        say(
            "`seeds to decide` (with these pairs) and `pairs to decide` (held-out, with these seeds) would "
            "each settle the split with 80 % power if the printed diff were the truth; `cheaper` is what has "
            "to grow by the smaller factor. `chance`: that seeds up to {most} decide. A split stops where no "
            "number of further seeds decides with a chance of {worth:g} for each of them.",
            most=looks.most,
            worth=looks.worth,
        ),
    ]
