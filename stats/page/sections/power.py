"""The section about power: which diffs the design could have detected, and what a given diff would take."""

import pandas as pd

from stats.comparison import Comparison
from stats.page.markdown import plain, possible_pp
from stats.page.page import Page


def power(comparison: Comparison, page: Page) -> list[str]:
    """Return the power of the published design and of the held-out one, where they are known."""
    parts = [*_published_metric(comparison, page), *_heldout(comparison, page)]
    if not parts:
        return []
    title = page.say("### Power: what this design could have detected")
    return [title, *page.pictures("power"), *page.folded(page.say("The numbers behind it"), *parts)]


def _published_metric(comparison: Comparison, page: Page) -> list[str]:
    designs, say = comparison.tail_power.designs, page.say
    if designs.empty:
        return []
    rows = pd.DataFrame(
        {
            "design": say.words(designs["design"]),
            "spread": say.words(designs["spread"]),
            "SD pp": designs["sd_pp"].map(plain),
            "smallest diff pp": say.words(designs["smallest_pp"].map(possible_pp)),
        }
    )
    return [
        say("The published metric: smallest diff detected with 80% power (one test at the 5% level):"),
        page.table(rows),
        say(
            "What it would take to detect a given diff: either seeds, with the present number of pairs, "
            "when their mean is compared with zero (`adjusted`: after Holm's adjustment over the splits); "
            "or pairs behind each accuracy, adjusted, too, for the mean of the reference's number of seeds "
            "and for one seed against those (one seed supports no verdict by itself, whatever its pairs). "
            "The observed spread between seeds is divided into the sampling of the tail's pairs, which "
            "more pairs reduce, and a remainder, which only more seeds reduce."
        ),
        page.table(_published_metric_needs(comparison.tail_power.needed, page)),
    ]


def _published_metric_needs(needed: pd.DataFrame, page: Page) -> pd.DataFrame:
    titles = {
        "diff_pp": "diff pp",
        "seeds": "seeds",
        "seeds_adjusted": "seeds, adjusted",
        "pairs": "pairs, mean of seeds",
        "pairs_one_seed": "pairs, one seed against the reference",
    }
    rows = needed.rename(columns=titles)
    return rows.assign(**{name: page.counts(rows[name]) for name in list(titles.values())[1:]})


def _heldout(comparison: Comparison, page: Page) -> list[str]:
    say = page.say
    if comparison.heldout_power.detectable.empty:
        return []
    found = comparison.heldout_power.detectable
    detectable = pd.DataFrame(
        {
            "method": found["method"],
            "split": found["split"],
            "quantity": say.words(found["quantity"]),
            "seeds": found["n_seeds"],
            "pairs": found["pairs"],
            "SD of seeds pp": found["seed_sd"].map(plain),
            "smallest diff pp": say.words(found["smallest_pp"].map(possible_pp)),
            "smallest, adjusted": say.words(found["smallest_adjusted_pp"].map(possible_pp)),
        }
    )
    wanted = comparison.heldout_power.needed
    needed = pd.DataFrame(
        {
            "method": wanted["method"],
            "split": wanted["split"],
            "quantity": say.words(wanted["quantity"]),
            "diff pp": wanted["diff_pp"],
            "seeds": page.counts(wanted["seeds"]),
            "pairs": page.counts(wanted["pairs"]),
        }
    )
    return [
        say("Held-out users: smallest diff detected with 80% power, given the variances estimated here:"),
        page.table(detectable),
        say("Seeds (with these held-out pairs) or held-out pairs (with these seeds) that would be needed:"),
        page.table(needed),
    ]
