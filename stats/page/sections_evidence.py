"""The honest section of a report: what the evidence supports, and what it rests on. Frames as Markdown."""

import pandas as pd

from stats.comparison import Comparison
from stats.evidence.judge import CARRIED_BY
from stats.page.markdown import probability, signed, spans
from stats.page.page import Page
from stats.rule.verdicts import INCOMPLETE
from stats.status import CellStatus
from stats.text import tally


def supported(comparison: Comparison, page: Page) -> list[str]:
    """What the evidence supports, in words, label by label."""
    say = page.say
    if not comparison.heldout:
        source = say("From diffs by seed (there are no held-out outcomes)")
    elif (comparison.cells["status"] == CellStatus.PUBLISHED).any():
        source = say(
            "From held-out outcomes (published numbers have none: for them, and for changes from them, "
            "diffs by seed)"
        )
    else:
        source = say("From held-out outcomes")
    rows = []
    for labels, name in ((comparison.labels, "verdict"), (comparison.change_labels, "change")):
        said = labels[labels[name].isin(list(CARRIED_BY))]
        for method, part in said.groupby("method", sort=False):
            yes, no = (part[part["carried"] == answer] for answer in ("yes", "no"))
            rows.append(
                {
                    "method": method,
                    "labels": say.of(f"{name}s"),
                    "printed": len(part),
                    **{
                        title: ", ".join(f"{a} {b}" for a, b in zip(some["split"], some[name], strict=True))
                        or say("none")
                        for title, some in (("supported", yes), ("not supported", no))
                    },
                }
            )
    return [
        say("## What the evidence supports"),
        say(
            "{source}: a label is supported if the interval, adjusted for the number of splits, lies on "
            "its side of zero, or inside ±{margin:g} pp for a label that claims nothing is there. A label "
            "that is not supported may be true; these data do not show it.",
            source=source,
            margin=comparison.options.margin_pp,
        ),
        page.table(pd.DataFrame(rows)) if rows else say("No split has a label."),
        *_plainly(comparison, page),
    ]


def _plainly(comparison: Comparison, page: Page) -> list[str]:
    """The published metric in three sentences: what is printed, and what its seeds can carry."""
    own, changed, reference = comparison.tail, comparison.tail_changes, comparison.reference
    tested = own[(own["method"] == reference) & own["p_holm"].notna()] if len(own) else own
    if tested.empty:
        return []
    lines = [
        page.say(
            "- After Holm's adjustment, {differ} of {tested} means of {reference} differ from zero; the "
            "smallest p is {p}.",
            differ=int((tested["p_holm"] < 1 - comparison.options.level).sum()),
            tested=len(tested),
            reference=reference,
            p=probability(tested["p_holm"].min()),
        )
    ]
    printed = comparison.change_labels[comparison.change_labels["change"].isin(list(CARRIED_BY))]
    for method, part in printed.groupby("method", sort=False):
        inside = changed.loc[changed["method"] == method, "inside"].dropna().tolist() if len(changed) else []
        if inside:
            lines.append(
                page.say(
                    "- The {level:.0%} prediction interval of one more {reference} seed holds {method}'s "
                    "mean in {inside} of {splits} splits. The published rule prints: {labels}.",
                    level=comparison.options.level,
                    reference=reference,
                    method=method,
                    inside=sum(inside),
                    splits=len(inside),
                    labels=tally(part["change"]),
                )
            )
    return [page.say("The published metric, the training tail, plainly:"), "\n".join(lines)]


def evidence(comparison: Comparison, page: Page) -> list[str]:
    found, say = comparison.heldout, page.say
    if found is None or found.diffs.empty:
        return []
    level = f"{comparison.options.level:.0%}"
    parts = [
        say("### Evidence from held-out users"),
        say(
            "Accuracy on pairs of users no arm trained on, own group, A minus B, pp. {level} intervals by "
            "crossed ANOVA over seeds and users with Satterthwaite's degrees of freedom; they capture what "
            "the last column says. `adjusted`: all predicted splits of the method hold together. `null p`: "
            "two one-sided tests that the truth is inside ±{margin:g} pp. `effect / null`: over the spread "
            "of the null control's seeds.",
            level=level,
            margin=comparison.options.margin_pp,
        ),
        _judged(found.diffs, level, page),
    ]
    if len(found.changes):
        parts += [
            say("#### Change from {reference}, same pairs, same seeds", reference=comparison.reference),
            _judged(found.changes, level, page),
        ]
    if len(found.contrasts):
        parts += _contrasts(found.contrasts, page)
    every = found.intervals
    shown = pd.DataFrame(
        {
            "method": every["method"],
            "split": every["split"],
            "quantity": [
                f"{say.of(a)}, {say.of(b)}" for a, b in zip(every["quantity"], every["metric"], strict=True)
            ],
            "interval": say.each(every["interval"]),
            "estimate": every["estimate"].map(signed) + " " + every["unit"],
            level: spans(every["low"], every["high"]),
            "captures": page.captured(every),
        }
    )
    summary = say("Every interval, and which uncertainty it captures")
    return [*parts, f"<details><summary>{summary}</summary>", page.table(shown), "</details>"]


def _contrasts(contrasts: pd.DataFrame, page: Page) -> list[str]:
    text = [
        f"{signed(value, 1)} {span}"
        for value, span in zip(contrasts["estimate"], spans(contrasts["low"], contrasts["high"]), strict=True)
    ]
    wide = contrasts.assign(text=text).pivot_table(
        index=["method", "split"], columns="contrast", values="text", aggfunc="first", sort=False
    )
    return [
        page.say("#### Train group x test group"),
        page.say(
            "The own-group diff is the sum of two parts: what the arms do to the same pairs, and how the "
            "groups' pairs differ under the same arms. The own-group advantage is what an arm gains on its "
            "own group beyond both."
        ),
        page.table(wide.reset_index()),
    ]


def _judged(found: pd.DataFrame, level: str, page: Page) -> str:
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
    said = {"evidence": page.say.each(found["evidence"]), "captures": page.captured(found)}
    return page.table(pd.DataFrame({**shown, **said}))


def tail(comparison: Comparison, page: Page) -> list[str]:
    """What the published metric's seeds alone can say."""
    own, changed, say = comparison.tail, comparison.tail_changes, page.say
    if own.empty:
        return []
    level, reference = f"{comparison.options.level:.0%}", comparison.reference
    shown = pd.DataFrame(
        {
            "method": own["method"],
            "split": own["split"],
            "seeds": own["n_seeds"],
            "pp": own["estimate"].map(signed),
            level: spans(own["low"], own["high"]),
            "p": own["p"].map(probability),
            "Holm": own["p_holm"].map(probability),
            "sign flip": own["p_sign_flip"].map(probability),
            "evidence": say.each(own["evidence"]),
            "captures": page.captured(own),
        }
    )
    parts = [
        say("### The published metric: what its seeds can say"),
        say("t intervals over seeds of the training-tail diffs; Holm's adjustment over a method's splits."),
        page.table(shown),
    ]
    if changed.empty:
        return parts
    shown = pd.DataFrame(
        {
            "method": changed["method"],
            "split": changed["split"],
            "seeds": changed["n_seeds"],
            "change pp": changed["estimate"].map(signed),
            level: spans(changed["low"], changed["high"]),
            "Holm": changed["p_holm"].map(probability),
            "one more reference seed": spans(changed["reference_low"], changed["reference_high"]),
            "holds the method": page.yes_no(changed["inside"]),
        }
    )
    return [
        *parts,
        say("#### Would one more seed of {reference} look like the method?", reference=reference),
        say(
            "Where the {level} prediction interval of one more {reference} seed holds the method's mean, the "
            "method looks like more seeds of the reference.",
            level=level,
            reference=reference,
        ),
        page.table(shown),
    ]


def deciding(comparison: Comparison, page: Page) -> list[str]:
    found, say = comparison.sensitivity, page.say
    rows = []
    for lost, part in found.groupby("lost", sort=False):
        gone = part[part["verdict_without"] == INCOMPLETE]
        altered = [
            f"{method}: {say.times(len(some), 'split')} INCOMPLETE" for method, some in gone.groupby("method")
        ]
        for row in part.drop(gone.index).to_dict("records"):
            name = "change" if row["verdict"] == row["verdict_without"] else "verdict"
            cell = f"{row['method']}/{row['split']}"
            altered.append(say("{cell} {before} to {after}", cell=cell, before=row[name],
                               after=row[f"{name}_without"]))  # fmt: skip
        rows.append(
            {
                "without": say.of(str(lost)),
                "labels": "; ".join(altered),
                "counts then": _counts(part, "counts_without"),
            }
        )
    return [
        say("### Which cell decides"),
        say(
            "Every label and count again with one cell, one split or one seed gone; what nothing alters is "
            "left out. With all cells: {counts}.",
            counts=_counts(found, "counts") or "-",
        ),
        page.table(pd.DataFrame(rows)) if rows else say("No single loss changes a label."),
    ]


def _counts(found: pd.DataFrame, column: str) -> str:
    """Counts of every method that is there."""
    each = found.drop_duplicates("method")
    return "; ".join(f"{a}: {b}" for a, b in zip(each["method"], each[column], strict=True))
