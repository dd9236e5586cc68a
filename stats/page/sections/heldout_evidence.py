"""The section about the evidence from held-out users."""

import numpy as np
import pandas as pd

from stats.comparison import Comparison
from stats.evidence.contrasts import ACCURACY
from stats.evidence.estimate import WITH_ITEMS
from stats.evidence.possible import LARGEST_PP
from stats.page.markdown import NO_VALUE, interval, intervals, plain, probability, signed
from stats.page.page import Page


def heldout_evidence(comparison: Comparison, page: Page) -> list[str]:
    """Return the diffs, the changes from the reference, the contrasts between groups, and every interval."""
    heldout, say = comparison.heldout, page.say
    if heldout is None or heldout.diffs.empty:
        return []
    level = f"{comparison.options.level:.0%}"
    parts = [
        say("### Evidence from held-out users"),
        say(
            "Accuracy, A minus B, in pp. Each arm is scored on pairs of its own group, from users on whom no "
            "arm trained. The interval in the column `adjusted` and Holm's p decide: they hold for all "
            "predicted splits of the method together, also for those that failed. The {level} intervals add "
            "up the chance of new seeds and of new users (Banerjee 1960); the spread over seeds of each "
            "split is steadied by that of the method's other splits. The last column says which uncertainty "
            "they capture. `sign flip` needs no normal distribution, but with n seeds it cannot fall below "
            "2 / 2^n. `e signs`: an e-value from the signs of the seeds, which holds for any distribution "
            "and any stopping; 20 or more is evidence at the 5% level. `null p`: two one-sided tests that "
            "the true value lies inside ±{margin:g} pp. `shrunken`: the effect when the splits' effects have "
            "a common distribution (a hierarchical model), which takes back what chance added to the largest "
            "ones. `effect / null`: the estimate over the spread of the null control's seeds.",
            level=level,
            margin=comparison.options.margin_pp,
        ),
        say(
            "Which of these decides: the adjusted interval. The other columns answer other questions, and "
            "where they disagree with it, it counts. New users are new held-out users: the users who train "
            "are the same in every seed, and only random halves show what others would have done. Splits "
            "share users, seeds and the reference, so they do not err independently; the level of the family "
            "holds all the same. Groups differ in size, and so in how often a pair is trained, unless the "
            "split has `match_pairs`."
        ),
    ]
    if heldout.diffs["captures"].isin(list(WITH_ITEMS.values())).any():
        parts.append(
            say(
                "Several users rated the same held-out items (one prompt with its answers), and what an arm "
                "makes of an item is the same for each of them. So items are a source of chance beside "
                "users: the intervals also hold for new items (two-way clustering; Cameron, Gelbach & "
                "Miller 2011), with as many degrees of freedom as there are items to learn from. Where this "
                "would make an interval narrower, that of the users remains."
            )
        )
    parts.append(_estimates(heldout.diffs, level, page))
    if len(heldout.changes):
        parts += [
            say("#### Change from {reference} on the same pairs and seeds", reference=comparison.reference),
            _estimates(heldout.changes, level, page),
        ]
    if len(heldout.advantages):
        parts += [
            say("#### Own-group advantage: each arm beside the other one on the same pairs"),
            say(
                "A minus B also holds how hard the pairs of each group are. The own-group advantage does "
                "not: it is what an arm gains over the other arm on its own group's pairs, on average over "
                "both groups. Where groups are predicted to differ, on either side, it is predicted to be "
                "above zero. It is a family of its own."
            ),
            _estimates(heldout.advantages, level, page),
        ]
    if len(heldout.contrasts):
        parts += _contrasts(heldout.contrasts, page)
    if heldout.intervals.empty:
        return parts
    summary = say("The interval that counts, and those of the kinds of chance that it holds")
    every_interval = _every_interval(heldout.intervals, level, page)
    return [*parts, *page.folded(summary, every_interval)]


def _estimates(estimates: pd.DataFrame, level: str, page: Page) -> str:
    """Return one row per method and split: estimate, intervals, p values and evidence."""
    columns = {
        "method": estimates["method"],
        "split": estimates["split"],
        "seeds": estimates["n_seeds"],
        "users": estimates["users"],
        "pairs": estimates["pairs"],
        "pp": estimates["estimate"].map(signed),
        level: intervals(estimates["low"], estimates["high"]),
        "adjusted": intervals(estimates["low_adjusted"], estimates["high_adjusted"]),
        "p": estimates["p"].map(probability),
        "Holm": estimates["p_holm"].map(probability),
        "BH": estimates["p_bh"].map(probability),
        "sign flip": estimates["p_sign_flip"].map(probability),
        "e signs": estimates["e_sign"].map(plain),
        "null p": estimates["p_equivalent"].map(probability),
        "shrunken": [
            f"{signed(value, 1)} {its_interval}" if np.isfinite(value) else NO_VALUE
            for value, its_interval in zip(
                estimates["shrunken"],
                intervals(estimates["low_shrunken"], estimates["high_shrunken"]),
                strict=True,
            )
        ],
    }
    if "effect_vs_null" in estimates:
        columns["effect / null"] = estimates["effect_vs_null"].map(signed)
    columns |= {"evidence": page.say.words(estimates["evidence"]), "captures": page.captures(estimates)}
    return page.table(pd.DataFrame(columns))


def _contrasts(contrasts: pd.DataFrame, page: Page) -> list[str]:
    text = [
        f"{signed(value, 1)} {its_interval}"
        for value, its_interval in zip(
            contrasts["estimate"], intervals(contrasts["low"], contrasts["high"]), strict=True
        )
    ]
    wide = contrasts.assign(text=text).pivot_table(
        index=["method", "split"], columns="contrast", values="text", aggfunc="first", sort=False
    )
    return [
        page.say("#### Train group x test group"),
        page.say(
            "The own-group diff is the sum of two parts: how the arms differ on the same pairs, and how the "
            "groups' pairs differ under the same arms. The own-group advantage is what an arm gains on its "
            "own group beyond both parts."
        ),
        page.table(wide.reset_index()),
    ]


def _every_interval(rows: pd.DataFrame, level: str, page: Page) -> str:
    say = page.say
    quantities = zip(say.words(rows["quantity"]), say.words(rows["metric"]), strict=True)
    return page.table(
        pd.DataFrame(
            {
                "method": rows["method"],
                "split": rows["split"],
                "quantity": [f"{quantity}, {metric}" for quantity, metric in quantities],
                "interval": say.words(rows["interval"]),
                "estimate": rows["estimate"].map(signed) + " " + rows["unit"],
                level: [
                    interval(low, high, largest=LARGEST_PP if unit == ACCURACY.unit else np.inf)
                    for low, high, unit in zip(rows["low"], rows["high"], rows["unit"], strict=True)
                ],
                "captures": page.captures(rows),
            }
        )
    )
