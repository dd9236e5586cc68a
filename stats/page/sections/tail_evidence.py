"""The section about the published metric: what its seeds alone can show."""

import pandas as pd

from stats.comparison import Comparison
from stats.page.markdown import intervals, plain, probability, signed
from stats.page.page import Page


def tail_evidence(comparison: Comparison, page: Page) -> list[str]:
    """Return the evidence from the training-tail diffs, and how one more reference seed would compare."""
    diffs, say = comparison.tail.diffs, page.say
    if diffs.empty:
        return []
    level = f"{comparison.options.level:.0%}"
    rows = pd.DataFrame(
        {
            "method": diffs["method"],
            "split": diffs["split"],
            "seeds": diffs["n_seeds"],
            "pp": diffs["estimate"].map(signed),
            level: intervals(diffs["low"], diffs["high"]),
            "p": diffs["p"].map(probability),
            "Holm": diffs["p_holm"].map(probability),
            "sign flip": diffs["p_sign_flip"].map(probability),
            "e signs": diffs["e_sign"].map(plain),
            "evidence": say.words(diffs["evidence"]),
            "captures": page.captures(diffs),
        }
    )
    return [
        say("### The published metric: what its seeds can show"),
        say(
            "t intervals over the seeds of the training-tail diffs. The spread over seeds of each split is "
            "steadied by that of the method's other splits. Holm's adjustment is over the predicted splits "
            "of a method. The tail holds pairs that were trained on, most of them before, so it says nothing "
            "about new people."
        ),
        page.table(rows),
        *_one_more_seed(comparison, level, page),
    ]


def _one_more_seed(comparison: Comparison, level: str, page: Page) -> list[str]:
    changes, say, reference = comparison.tail.changes, page.say, comparison.reference
    if changes.empty:
        return []
    rows = pd.DataFrame(
        {
            "method": changes["method"],
            "split": changes["split"],
            "seeds": changes["n_seeds"],
            "change pp": changes["estimate"].map(signed),
            level: intervals(changes["low"], changes["high"]),
            "Holm": changes["p_holm"].map(probability),
            "one more reference seed": intervals(changes["reference_low"], changes["reference_high"]),
            "contains the method": page.yes_no(changes["inside"]),
        }
    )
    return [
        say("#### Would one more {reference} seed look like the method?", reference=reference),
        say(
            "Where the {level} prediction interval for one more {reference} seed contains the method's mean, "
            "the method looks like another seed of the reference.",
            level=level,
            reference=reference,
        ),
        page.table(rows),
    ]
