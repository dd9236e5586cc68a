"""The sections of a report about curves, power and the published rule: frames of a comparison as Markdown."""

import pandas as pd
from scipy.stats import binom

from stats.comparison import Comparison
from stats.names import BASELINE
from stats.page.markdown import plain, signed, spans
from stats.page.page import Page
from stats.page.words import Words
from stats.status import STATUSES_WITH_NUMBERS


def curves(comparison: Comparison, page: Page) -> list[str]:
    if comparison.window.empty:
        return []
    start, end = comparison.options.window
    found = comparison.window
    shown = pd.DataFrame(
        {
            "method": found["method"],
            "split": found["split"],
            "seeds": found["n_seeds"],
            "logged steps": found["points"],
            "pp": found["mean"].map(signed),
            f"{comparison.options.level:.0%}": spans(found["low"], found["high"]),
            "captures": page.say.each(found["captures"].where(found["note"] == "", found["note"])),
        }
    )
    return [
        page.say("## Learning curves"),
        page.say(
            "Training-batch accuracy, A minus B, mean of the logged steps {start} to {end}:",
            start=start,
            end=end,
        ),
        page.table(shown),
        *_steps(comparison, page),
        *page.picture("curves"),
    ]


def _steps(comparison: Comparison, page: Page) -> list[str]:
    names = ["A/steps_to_60pct", "B/steps_to_60pct"]
    cells = comparison.cells
    rows = cells[(cells["split"] != BASELINE) & cells["status"].isin(STATUSES_WITH_NUMBERS)]
    if rows.empty or not set(names) & set(rows):
        return []
    shown = rows[["method", "split", "seed"]].copy()
    for name in names:
        shown[name] = [
            f"{value:.0f}" if pd.notna(value) else page.say("never")
            for value in rows.get(name, [None] * len(rows))
        ]
    return [page.say("First logged step with accuracy of at least 60 %:"), page.table(shown)]


def power(comparison: Comparison, page: Page) -> list[str]:
    say = page.say
    parts = [say("### Power: what this design could have seen")]
    if len(comparison.tail_power):
        shown = comparison.tail_power
        parts += [
            say("The published metric. Smallest diff seen with 80 % power (one test at 5 %):"),
            page.table(
                pd.DataFrame(
                    {
                        "design": say.each(shown["design"]),
                        "spread": say.each(shown["spread"]),
                        "sd_pp": shown["sd_pp"].map(plain),
                        "smallest_pp": shown["smallest_pp"].map(plain),
                    }
                )
            ),
            say(
                "What a stated diff would need. Seeds of the mean against zero, with the pairs there are "
                "(`adjusted`: after Holm over the splits); or pairs behind each accuracy, for the mean of "
                "the reference's number of seeds, and for one seed against those. The observed spread "
                "between seeds is taken as sampling of the tail's pairs, which more pairs buy down, and a "
                "rest, which more seeds do."
            ),
            page.table(_tail_needed(comparison.tail_needed, page)),
        ]
    if len(comparison.detectable):
        shown = comparison.detectable.drop(columns="study")
        shown["quantity"] = say.each(shown["quantity"])
        for column in ("seed_sd", "smallest_pp", "smallest_adjusted_pp"):
            shown[column] = shown[column].map(plain)
        wanted = comparison.needed.drop(columns="study")
        wanted["quantity"] = say.each(wanted["quantity"])
        wanted = wanted.assign(**{name: page.counts(wanted[name]) for name in ("seeds", "pairs")})
        parts += [
            say("Held-out users. Smallest diff seen with 80 % power, by the variances found here:"),
            page.table(shown),
            say(
                "Seeds (with these held-out pairs), or held-out pairs (with these seeds), that would be "
                "needed:"
            ),
            page.table(wanted),
        ]
    return [*parts, *page.picture("power")] if len(parts) > 1 else []


def _tail_needed(needed: pd.DataFrame, page: Page) -> pd.DataFrame:
    titles = {
        "diff_pp": "diff pp",
        "seeds": "seeds",
        "seeds_adjusted": "seeds, adjusted",
        "pairs": "pairs, mean of seeds",
        "pairs_one_seed": "pairs, one seed against the reference",
    }
    shown = needed.rename(columns=titles)
    return shown.assign(**{name: page.counts(shown[name]) for name in list(titles.values())[1:]})


def rule(comparison: Comparison, page: Page) -> list[str]:
    """What the published rule prints about nothing at all."""
    found, say = comparison.errors, page.say
    if found.empty:
        return []
    rows = []
    for (method, seeds, quantity), part in found.groupby(["method", "seeds", "quantity"], sort=False):
        shares = [f"{label} {share:.0%}" for label, share in zip(part["label"], part["share"], strict=True)]
        rows.append((method, seeds, say.of(str(quantity)), ", ".join(shares)))
    return [
        say("### What the published rule prints when nothing is there"),
        say(
            "Simulated: both arms equally accurate, {pairs} independent pairs behind each accuracy, the "
            "seeds of this study. Share of splits with each label:",
            pairs=comparison.options.tail_pairs,
        ),
        page.table(pd.DataFrame(rows, columns=["method", "seeds", "label of", "share"])),
        *_several(comparison, say),
        *page.picture("rule"),
    ]


def _several(comparison: Comparison, say: Words) -> list[str]:
    """How often two or more splits would be FIXED by a method that does nothing."""
    judged, errors = comparison.verdicts, comparison.errors
    missed = int(((judged["method"] == comparison.reference) & (judged["verdict"] == "MISMATCH")).sum())
    found = errors[(errors["label"] == "MATCH") & (errors["method"] != comparison.reference)]
    if missed < 2 or found.empty:
        return []
    return [
        say(
            "{reference} has {missed} directed splits at MISMATCH. Of studies by a method in which nothing "
            "is there, two or more of them would be FIXED in {shares}.",
            reference=comparison.reference,
            missed=missed,
            shares=", ".join(
                f"{binom.sf(1, missed, share):.0%} ({method})"
                for method, share in zip(found["method"], found["share"], strict=True)
            ),
        )
    ]
