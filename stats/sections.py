"""The sections of a report about labels, seeds and cells: frames of a comparison as Markdown."""

from collections.abc import Mapping

import pandas as pd

from stats.comparison import HELD_OUT, TAIL, THERE, Comparison
from stats.gates import BASELINE
from stats.judge import CARRIED_BY
from stats.markdown import plain, probability, signed, spans, table, tally, times
from stats.verdicts import INCOMPLETE

Figures = Mapping[str, str]  # name -> file in the report's folder


def supported(comparison: Comparison) -> list[str]:
    """What the evidence supports, in words, label by label."""
    source = "held-out outcomes" if comparison.heldout else "diffs by seed (there are no held-out outcomes)"
    if comparison.heldout and (comparison.cells["status"] == "published").any():
        source += " (published numbers have none: for them, and for changes from them, diffs by seed)"
    margin = comparison.options.margin_pp
    rows = []
    for labels, name in ((comparison.labels, "verdict"), (comparison.change_labels, "change")):
        said = labels[labels[name].isin(list(CARRIED_BY))]
        for method, part in said.groupby("method", sort=False):
            yes, no = (part[part["carried"] == answer] for answer in ("yes", "no"))
            rows.append(
                {
                    "method": method,
                    "labels": f"{name}s",
                    "printed": len(part),
                    "supported": ", ".join(f"{a} {b}" for a, b in zip(yes["split"], yes[name], strict=True))
                    or "none",
                    "not supported": ", ".join(f"{a} {b}" for a, b in zip(no["split"], no[name], strict=True))
                    or "none",
                }
            )
    return [
        "## What the evidence supports",
        f"From {source}: a label is supported if the interval, adjusted for the number of splits, lies on "
        f"its side of zero, or inside ±{margin:g} pp for a label that claims nothing is there. A label that "
        "is not supported may be true; these data do not show it.",
        table(pd.DataFrame(rows)) if rows else "No split has a label.",
        *_plainly(comparison),
    ]


def _plainly(comparison: Comparison) -> list[str]:
    """The published metric in three sentences: what is printed, and what its seeds can carry."""
    own, changed, reference = comparison.tail, comparison.tail_changes, comparison.reference
    tested = own[(own["method"] == reference) & own["p_holm"].notna()] if len(own) else own
    if tested.empty:
        return []
    differ = int((tested["p_holm"] < 1 - comparison.options.level).sum())
    lines = [
        f"- After Holm's adjustment, {differ} of {len(tested)} means of {reference} differ from zero; the "
        f"smallest p is {probability(tested['p_holm'].min())}."
    ]
    printed = comparison.change_labels[comparison.change_labels["change"].isin(list(CARRIED_BY))]
    for method, part in printed.groupby("method", sort=False):
        inside = changed.loc[changed["method"] == method, "inside"].dropna().tolist() if len(changed) else []
        if not inside:
            continue
        lines.append(
            f"- The {comparison.options.level:.0%} prediction interval of one more {reference} seed holds "
            f"{method}'s mean in {sum(inside)} of {len(inside)} splits. The published rule prints: "
            f"{tally(part['change'])}."
        )
    return ["The published metric, the training tail, plainly:", "\n".join(lines)]


def splits(comparison: Comparison, figures: Figures) -> list[str]:
    labels, changed = comparison.labels, comparison.change_labels
    shown = pd.DataFrame(
        {
            "method": labels["method"],
            "split": labels["split"],
            "predicted": labels["predicted"],
            "seeds": labels["n_seeds"],
            "mean pp": labels["mean_pp"].map(signed),
            "std pp": labels["std_pp"].map(plain),
            "direction": labels["direction"],
            "x/N": labels["x_of_n"],
            "published verdict": [verdict or "exploratory" for verdict in labels["verdict"]],
            "evidence": labels["evidence"],
            "label supported": labels["carried"],
        }
    )
    change = pd.DataFrame(
        {
            "method": changed["method"],
            "split": changed["split"],
            comparison.reference: changed["reference_verdict"],
            "method's": changed["method_verdict"],
            "change": changed["change"],
            "evidence": changed["evidence"],
            "label supported": changed["carried"],
            "change pp": changed["estimate"].map(signed),
            "adjusted interval": spans(changed["low_adjusted"], changed["high_adjusted"]),
        }
    )
    return [
        "## Splits: the published verdict, and the evidence",
        "Mean, population standard deviation and count over seeds of A minus B on the training tail, and the "
        "published rule's label. The rule knows no uncertainty; the last two columns do.",
        table(shown),
        f"### Change from {comparison.reference}",
        table(change) if len(change) else "No other method has a split to compare.",
        *picture(figures, "forest", "changes"),
    ]


def tail(comparison: Comparison, figures: Figures) -> list[str]:
    """What the published metric's seeds alone can say."""
    own, changed = comparison.tail, comparison.tail_changes
    if own.empty:
        return []
    level = f"{comparison.options.level:.0%}"
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
            "evidence": own["evidence"],
            "captures": own["captures"].where(own["note"] == "", own["captures"] + " (" + own["note"] + ")"),
        }
    )
    parts = [
        "## The published metric: what its seeds can say",
        "t intervals over seeds of the training-tail diffs; Holm's adjustment over a method's splits.",
        table(shown),
    ]
    if len(changed):
        shown = pd.DataFrame(
            {
                "method": changed["method"],
                "split": changed["split"],
                "seeds": changed["n_seeds"],
                "change pp": changed["estimate"].map(signed),
                level: spans(changed["low"], changed["high"]),
                "Holm": changed["p_holm"].map(probability),
                "one more reference seed": spans(changed["reference_low"], changed["reference_high"]),
                "holds the method": changed["inside"].map({True: "yes", False: "no"}).fillna("-"),
            }
        )
        parts += [
            f"### Would one more seed of {comparison.reference} look like the method?",
            f"Where the {level} prediction interval of one more {comparison.reference} seed holds the "
            "method's mean, the method looks like more seeds of the reference.",
            table(shown),
        ]
    return parts


def by_seed(comparison: Comparison, figures: Figures) -> list[str]:
    parts = ["## Diffs by seed (pp, A minus B)"]
    for column, title in (("diff_pp", "Training tail"), ("heldout_pp", "Held-out users")):
        if comparison.diffs[column].notna().any():
            wide = comparison.diffs.pivot_table(
                index=["split", "method"], columns="seed", values=column, sort=False, observed=True
            )
            parts += [f"### {title}", table(wide.map(signed).reset_index())]
    return [*parts, *picture(figures, "seeds")]


def gates(comparison: Comparison, figures: Figures) -> list[str]:
    found = comparison.gates
    if found.empty:
        return []
    bad = found[~found["passed"].astype(bool)]
    parts = [
        "## Validity gates",
        f"{len(found) - len(bad)} of {len(found)} cells passed: loss log 2 at step 0, both arms moved, equal "
        "pairs and near-equal tokens in both arms, geometry and data as the reference's.",
    ]
    return [*parts, table(bad.drop(columns=["study", "passed"]))] if len(bad) else parts


def deciding(comparison: Comparison, figures: Figures) -> list[str]:
    found = comparison.sensitivity
    rows = []
    for lost, part in found.groupby("lost", sort=False):
        gone = part[part["verdict_without"] == INCOMPLETE]
        altered = [
            f"{method}: {times(len(some), 'split')} INCOMPLETE" for method, some in gone.groupby("method")
        ]
        for row in part.drop(gone.index).to_dict("records"):
            name = "change" if row["verdict"] == row["verdict_without"] else "verdict"
            altered.append(f"{row['method']}/{row['split']} {row[name]} to {row[f'{name}_without']}")
        rows.append(
            {"without": lost, "labels": "; ".join(altered), "counts then": _counts(part, "counts_without")}
        )
    return [
        "## Which cell decides",
        "Every label and count again with one cell, one split or one seed gone; what nothing alters is left "
        f"out. With all cells: {_counts(found, 'counts') or '-'}.",
        table(pd.DataFrame(rows)) if rows else "No single loss changes a label.",
    ]


def _counts(found: pd.DataFrame, column: str) -> str:
    """Counts of every method that is there."""
    each = found.drop_duplicates("method")
    return "; ".join(f"{a}: {b}" for a, b in zip(each["method"], each[column], strict=True))


def baselines(comparison: Comparison, figures: Figures) -> list[str]:
    cells = comparison.cells
    rows = cells[(cells["split"] == BASELINE) & cells["status"].isin(THERE)]
    wanted = {f"all/{TAIL}": "tail accuracy %", f"all/{HELD_OUT}": "held-out accuracy %"}
    have = {name: title for name, title in wanted.items() if name in rows}
    if rows.empty or not have:
        return []
    shown = rows[["method", "seed"]].assign(
        **{title: [plain(100 * value) for value in rows[name]] for name, title in have.items()}
    )
    return ["## Baselines (all pairs)", table(shown)]


def crosscheck(checked: pd.DataFrame) -> list[str]:
    """Another version's verdicts on the same variables (of `stats.crosscheck`)."""
    title = "## Cross-check with another version"
    if checked.empty:
        return [title, "No method has a verdict on the same variable in both."]
    shown = checked.assign(
        **{name: checked[name].map(signed) for name in ("mean_pp", "mean_pp_other")},
        **{name: checked[name].map({True: "yes", False: "no"}) for name in ("agree", "same_direction")},
    ).rename(
        columns={"mean_pp": "mean pp", "mean_pp_other": "mean pp, other", "verdict_other": "verdict, other"}
        | {"agree": "Agree?", "same_direction": "same direction"}
    )
    agreed, same = int(checked["agree"].sum()), int(checked["same_direction"].sum())
    return [
        title,
        f"Same verdict: {agreed} of {len(checked)}; same direction: {same} of {len(checked)}.",
        table(shown),
    ]


def picture(figures: Figures, *names: str) -> list[str]:
    titles = {
        "forest": "A minus B by split, with intervals and seeds",
        "changes": "Change from the reference by split",
        "seeds": "Diffs by seed",
        "curves": "A minus B by step",
        "power": "Smallest diff with 80 % power",
        "rule": "Labels of the published rule when nothing is there",
    }
    return [f"![{titles[name]}]({figures[name]})" for name in names if name in figures]
