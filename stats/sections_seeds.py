"""The section of a report about verdicts that were settled seed by seed: decisions as Markdown."""

import pandas as pd

from stats.markdown import count, plain, probability, signed, spans, table
from stats.sequential import OPEN, Looks


def render(decided: pd.DataFrame, looks: Looks) -> list[str]:
    """Verdicts, seeds spent, and what would decide the rest.

    Args:
        decided: of `stats.sequential.decide`.
    """
    shown = pd.DataFrame(
        {
            "method": decided["method"],
            "split": decided["split"],
            "predicted": decided["predicted"],
            "verdict": decided["state"],
            "seeds": decided["seeds"],
            "settled at": [plain(look, 0) for look in decided["look"]],
            "pp": decided["estimate"].map(signed),
            "repeated interval": spans(decided["low"], decided["high"]),
            "Holm": decided["p_holm"].map(probability),
            "seeds to decide": _amounts(decided["needed_seeds"]),
            "pairs to decide": _amounts(decided["needed_pairs"]),
            "cheaper": decided["cheaper"].replace("", "-"),
            "chance": [plain(chance) for chance in decided["chance"]],
            "note": decided["note"].replace("", "-"),
        }
    )
    cells, most = int(decided["seeds"].sum()), looks.most * len(decided)
    still = int((decided["state"] == OPEN).sum())
    error = f"{1 - looks.level:.0%}"
    return [
        "## Verdicts, seed by seed",
        f"Every split was judged after each of its seeds, {looks.start} to {looks.most}, and got no more "
        f"once settled: {cells} cells instead of {most}."
        + (f" {still} of the verdicts are still open." if still else ""),
        "Looking so often is accounted for. Over all looks and predicted splits of a method, a difference is "
        f"claimed where there is none with at most {error} (Holm over sequential p values), and a diff "
        f"called practically null (inside ±{looks.margin_pp:g} pp) that is not with at most {error}. The "
        "repeated intervals capture new seeds and new users; those of all looks and predicted splits hold "
        f"their truths together with {looks.level:.0%}, so Holm may settle a split whose interval still "
        "touches zero. An exploratory split's interval holds for it alone. A diff that settled early is on "
        "average printed a little too large; its interval allows for that.",
        table(shown),
        "`seeds to decide` (with these pairs) and `pairs to decide` (held-out, with these seeds) would each "
        "settle the split with 80 % power if the printed diff were the truth; cheaper is what has to grow by "
        f"the smaller factor. `chance`: that seeds up to {looks.most} decide; below {looks.futility:g} a "
        "split stops.",
    ]


def _amounts(needed: "pd.Series[float]") -> list[str]:
    return ["-" if pd.isna(number) else count(number) for number in needed]
