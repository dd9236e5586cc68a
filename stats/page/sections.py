"""The sections of a report in the order of the study's notes, setup to cross-check: frames as Markdown."""

import pandas as pd

from stats.comparison import Comparison
from stats.names import BASELINE, HELD_OUT, TAIL
from stats.page.markdown import plain, signed, spans
from stats.page.page import Page
from stats.status import STATUSES_WITH_NUMBERS, CellStatus


def completeness(comparison: Comparison, page: Page) -> list[str]:
    """N of M, method by method, and the cells that failed a gate."""
    cells, say = comparison.cells, page.say
    rows = [
        {
            "method": method,
            "planned": len(part),
            "there": int(part["status"].isin(STATUSES_WITH_NUMBERS).sum()),
            **{
                name: int((part["status"] == name).sum())
                for name in (CellStatus.PUBLISHED, CellStatus.FAILED, CellStatus.MISSING)
            },
        }
        for method, part in cells.groupby("method", sort=False)
    ]
    parts = [say("## Completeness"), page.table(pd.DataFrame(rows))]
    found = comparison.gates
    if found.empty:
        return parts
    bad = found[~found["passed"].astype(bool)]
    parts.append(
        say(
            "{passed} of {cells} cells passed the validity gates: loss log 2 at step 0, both arms moved, "
            "equal pairs and near-equal tokens in both arms, geometry and data as the reference's.",
            passed=len(found) - len(bad),
            cells=len(found),
        )
    )
    return [*parts, page.table(bad.drop(columns=["study", "passed"]))] if len(bad) else parts


def weights(comparison: Comparison, page: Page) -> list[str]:
    """Pair weights as the arms saw them in training, of methods that weight."""
    cells = comparison.cells
    names = {f"{arm}/weight_{what}": arm for arm in "AB" for what in ("mean", "min", "capped_share")}
    if not set(names) <= set(cells):
        return []
    rows = cells[(cells["split"] != BASELINE) & cells["A/weight_mean"].notna()]
    shown = [
        {
            "method": method,
            "split": split,
            **{f"w_mean ({arm})": plain(float(part[f"{arm}/weight_mean"].mean()), 4) for arm in "AB"},
            **{f"w_min ({arm})": plain(float(part[f"{arm}/weight_min"].min()), 4) for arm in "AB"},
            **{f"at cap ({arm})": f"{part[f'{arm}/weight_capped_share'].mean():.1%}" for arm in "AB"},
        }
        for (method, split), part in rows.groupby(["method", "split"], sort=False)
    ]
    if not shown:
        return []
    return [
        page.say("## Weights"),
        page.say(
            "Weights of the pairs that the arms trained on, over all steps: mean over seeds, smallest of all "
            "seeds, and the share at the cap of 1. What decides a weight: python -m orchestrator.weights."
        ),
        page.table(pd.DataFrame(shown)),
    ]


def baselines(comparison: Comparison, page: Page) -> list[str]:
    cells = comparison.cells
    rows = cells[(cells["split"] == BASELINE) & cells["status"].isin(STATUSES_WITH_NUMBERS)]
    wanted = {f"all/{TAIL}": "tail accuracy %", f"all/{HELD_OUT}": "held-out accuracy %"}
    have = {name: title for name, title in wanted.items() if name in rows}
    if rows.empty or not have:
        return []
    means = rows.groupby("method", sort=False, as_index=False)[list(have)].mean()
    every = pd.concat([rows, means.assign(seed=page.say("mean"))], ignore_index=True)
    shown = every[["method", "seed"]].assign(
        **{title: [plain(100 * value) for value in every[name]] for name, title in have.items()}
    )
    return [page.say("## Baselines (all pairs)"), page.table(shown)]


def splits(comparison: Comparison, page: Page) -> list[str]:
    """The split comparison: verdicts and change labels, and beside them the evidence."""
    labels, changed, say = comparison.labels, comparison.change_labels, page.say
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
            "evidence": say.each(labels["evidence"]),
            "label supported": say.each(labels["carried"]),
        }
    )
    change = pd.DataFrame(
        {
            "method": changed["method"],
            "split": changed["split"],
            comparison.reference: changed["reference_verdict"],
            "method's": changed["method_verdict"],
            "change": changed["change"],
            "evidence": say.each(changed["evidence"]),
            "label supported": say.each(changed["carried"]),
            "change pp": changed["estimate"].map(signed),
            "adjusted interval": spans(changed["low_adjusted"], changed["high_adjusted"]),
        }
    )
    return [
        say("## Splits: the published verdict, and the evidence"),
        say(
            "Mean, population standard deviation and count over seeds of A minus B on the training tail, "
            "and the published rule's label. The rule knows no uncertainty; the last two columns do."
        ),
        page.table(shown),
        say("### Change from {reference}", reference=comparison.reference),
        page.table(change) if len(change) else say("No other method has a split to compare."),
        *_counted(changed, page),
        *page.picture("forest", "changes"),
    ]


def _counted(changed: pd.DataFrame, page: Page) -> list[str]:
    """Change labels of each method, how many and where."""
    lines = []
    for method, part in changed.groupby("method", sort=False):
        labels = [
            f"{label} {len(rows)}/{len(part)} ({', '.join(rows['split'])})"
            for label, rows in part.groupby("change", sort=True)
        ]
        lines.append(f"- {method}: {'; '.join(labels)}")
    return (
        [page.say("Changes, how many of the predicted splits and which:"), "\n".join(lines)] if lines else []
    )


def by_seed(comparison: Comparison, page: Page) -> list[str]:
    parts = [page.say("## Diffs by seed (pp, A minus B)")]
    for column, title in (
        ("diff_pp", page.say("### Training tail")),
        ("heldout_pp", page.say("### Held-out users")),
    ):
        if comparison.diffs[column].notna().any():
            wide = comparison.diffs.pivot_table(
                index=["split", "method"], columns="seed", values=column, sort=False, observed=True
            )
            parts += [title, page.table(wide.map(signed).reset_index())]
    return [*parts, *page.picture("seeds")]


def crosscheck(checked: pd.DataFrame, page: Page) -> list[str]:
    """Another version's verdicts on the same variables (of `stats.rule.crosscheck`)."""
    title = page.say("## Cross-check with another version")
    if checked.empty:
        return [title, page.say("No method has a verdict on the same variable in both.")]
    shown = checked.assign(
        **{name: checked[name].map(signed) for name in ("mean_pp", "mean_pp_other")},
        **{name: page.yes_no(checked[name]) for name in ("agree", "same_direction")},
    ).rename(
        columns={"mean_pp": "mean pp", "mean_pp_other": "mean pp, other", "verdict_other": "verdict, other"}
        | {"agree": "Agree?", "same_direction": "same direction"}
    )
    return [
        title,
        page.say(
            "Same verdict: {agreed} of {all}; same direction: {same} of {all}.",
            agreed=int(checked["agree"].sum()),
            same=int(checked["same_direction"].sum()),
            all=len(checked),
        ),
        page.table(shown),
    ]
