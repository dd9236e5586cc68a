"""The sections of a report about estimates, power and curves: frames of a comparison as Markdown."""

import pandas as pd
from scipy.stats import binom

from stats.comparison import THERE, Comparison
from stats.gates import BASELINE
from stats.markdown import count, plain, probability, signed, spans, table
from stats.sections import Figures, picture


def evidence(comparison: Comparison, figures: Figures) -> list[str]:
    found = comparison.heldout
    if found is None or found.diffs.empty:
        return []
    level = f"{comparison.options.level:.0%}"
    parts = [
        "## Evidence from held-out users",
        f"Accuracy on pairs of users no arm trained on, own group, A minus B, pp. {level} intervals by "
        "crossed ANOVA over seeds and users with Satterthwaite's degrees of freedom; they capture what the "
        "last column says. `adjusted`: all predicted splits of the method hold together. `null p`: two "
        f"one-sided tests that the truth is inside ±{comparison.options.margin_pp:g} pp. `effect / null`: "
        "over the spread of the null control's seeds.",
        _judged(found.diffs, level),
    ]
    if len(found.changes):
        parts += [
            f"### Change from {comparison.reference}, same pairs, same seeds",
            _judged(found.changes, level),
        ]
    if len(found.contrasts):
        wide = found.contrasts.assign(
            text=[
                f"{signed(value, 1)} {span}"
                for value, span in zip(
                    found.contrasts["estimate"],
                    spans(found.contrasts["low"], found.contrasts["high"]),
                    strict=True,
                )
            ]
        ).pivot_table(
            index=["method", "split"], columns="contrast", values="text", aggfunc="first", sort=False
        )
        parts += [
            "### Train group x test group",
            "The own-group diff is the sum of two parts: what the arms do to the same pairs, and how the "
            "groups' pairs differ under the same arms. The own-group advantage is what an arm gains on its "
            "own group beyond both.",
            table(wide.reset_index()),
        ]
    every = found.intervals
    shown = pd.DataFrame(
        {
            "method": every["method"],
            "split": every["split"],
            "quantity": every["quantity"] + ", " + every["metric"],
            "interval": every["interval"],
            "estimate": every["estimate"].map(signed) + " " + every["unit"],
            level: spans(every["low"], every["high"]),
            "captures": every["captures"].where(
                every["note"] == "", every["captures"] + " (" + every["note"] + ")"
            ),
        }
    )
    parts += ["<details><summary>Every interval, and which uncertainty it captures</summary>"]
    return [*parts, table(shown), "</details>"]


def _judged(found: pd.DataFrame, level: str) -> str:
    shown = {
        "method": found["method"],
        "split": found["split"],
        "seeds": found["n_seeds"],
        "users": found["users"],
        "pairs": found["pairs"],
        "pp": found["estimate"].map(signed),
        level: spans(found["low"], found["high"]),
        "adjusted": spans(found["low_adjusted"], found["high_adjusted"]),
        "p": found["p"].map(probability),
        "Holm": found["p_holm"].map(probability),
        "BH": found["p_bh"].map(probability),
        "sign flip": found["p_sign_flip"].map(probability),
        "null p": found["p_equivalent"].map(probability),
    }
    if "effect_vs_null" in found:
        shown["effect / null"] = found["effect_vs_null"].map(signed)
    captures = found["captures"].where(found["note"] == "", found["captures"] + " (" + found["note"] + ")")
    return table(pd.DataFrame({**shown, "evidence": found["evidence"], "captures": captures}))


def power(comparison: Comparison, figures: Figures) -> list[str]:
    parts = ["## Power: what this design could have seen"]
    if len(comparison.tail_power):
        shown = comparison.tail_power
        parts += [
            "The published metric. Smallest diff seen with 80 % power (one test at 5 %):",
            table(shown.assign(sd_pp=shown["sd_pp"].map(plain), smallest_pp=shown["smallest_pp"].map(plain))),
            "What a stated diff would need. Seeds of the mean against zero, with the pairs there are "
            "(`adjusted`: after Holm over the splits); or pairs behind each accuracy, for the mean of the "
            "reference's number of seeds, and for one seed against those. The observed spread between seeds "
            "is taken as sampling of the tail's pairs, which more pairs buy down, and a rest, which more "
            "seeds do.",
            table(_tail_needed(comparison.tail_needed)),
        ]
    if len(comparison.detectable):
        shown = comparison.detectable.drop(columns="study")
        for column in ("seed_sd", "smallest_pp", "smallest_adjusted_pp"):
            shown[column] = shown[column].map(plain)
        wanted = comparison.needed.drop(columns="study")
        wanted = wanted.assign(seeds=wanted["seeds"].map(count), pairs=wanted["pairs"].map(count))
        parts += [
            "Held-out users. Smallest diff seen with 80 % power, by the variances found here:",
            table(shown),
            "Seeds (with these held-out pairs), or held-out pairs (with these seeds), that would be needed:",
            table(wanted),
        ]
    return [*parts, *picture(figures, "power")] if len(parts) > 1 else []


def _tail_needed(needed: pd.DataFrame) -> pd.DataFrame:
    titles = {
        "diff_pp": "diff pp",
        "seeds": "seeds",
        "seeds_adjusted": "seeds, adjusted",
        "pairs": "pairs, mean of seeds",
        "pairs_one_seed": "pairs, one seed against the reference",
    }
    shown = needed.rename(columns=titles)
    return shown.assign(**{name: shown[name].map(count) for name in list(titles.values())[1:]})


def curves(comparison: Comparison, figures: Figures) -> list[str]:
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
            "captures": found["captures"].where(found["note"] == "", found["note"]),
        }
    )
    return [
        "## Learning curves",
        f"Training-batch accuracy, A minus B, mean of the logged steps {start} to {end}:",
        table(shown),
        *_steps(comparison),
        *picture(figures, "curves"),
    ]


def _steps(comparison: Comparison) -> list[str]:
    names = ["A/steps_to_60pct", "B/steps_to_60pct"]
    cells = comparison.cells
    rows = cells[(cells["split"] != BASELINE) & cells["status"].isin(THERE)]
    if rows.empty or not set(names) & set(rows):
        return []
    shown = rows[["method", "split", "seed"]].copy()
    for name in names:
        shown[name] = [
            f"{value:.0f}" if pd.notna(value) else "never" for value in rows.get(name, [None] * len(rows))
        ]
    return ["First logged step with accuracy of at least 60 %:", table(shown)]


def rule(comparison: Comparison, figures: Figures) -> list[str]:
    """What the published rule prints about nothing at all."""
    found = comparison.errors
    if found.empty:
        return []
    rows = []
    for (method, seeds, quantity), part in found.groupby(["method", "seeds", "quantity"], sort=False):
        shares = [f"{label} {share:.0%}" for label, share in zip(part["label"], part["share"], strict=True)]
        rows.append((method, seeds, quantity, ", ".join(shares)))
    return [
        "## What the published rule prints when nothing is there",
        f"Simulated: both arms equally accurate, {comparison.options.tail_pairs} independent pairs behind "
        "each accuracy, the seeds of this study. Share of splits with each label:",
        table(pd.DataFrame(rows, columns=["method", "seeds", "label of", "share"])),
        *_several(comparison),
        *picture(figures, "rule"),
    ]


def _several(comparison: Comparison) -> list[str]:
    """How often two or more splits would be FIXED by a method that does nothing."""
    judged, errors = comparison.verdicts, comparison.errors
    missed = int(((judged["method"] == comparison.reference) & (judged["verdict"] == "MISMATCH")).sum())
    found = errors[(errors["label"] == "MATCH") & (errors["method"] != comparison.reference)]
    if missed < 2 or found.empty:
        return []
    said = [
        f"{binom.sf(1, missed, share):.0%} of studies ({method})"
        for method, share in zip(found["method"], found["share"], strict=True)
    ]
    return [
        f"{comparison.reference} has {missed} directed splits at MISMATCH. A method in which nothing "
        f"is there would have two or more of them FIXED in {', '.join(said)}."
    ]
