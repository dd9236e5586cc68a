"""A study's methods against their reference: the published way and the honest way, side by side."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stats.errors import TableError
from stats.evidence import curves as learning
from stats.evidence import power
from stats.evidence.evidence import Evidence, evidence
from stats.evidence.gates import gates
from stats.evidence.judge import carried
from stats.evidence.options import Options
from stats.evidence.quantity import DIFF
from stats.evidence.seed_evidence import seed_evidence
from stats.names import BASELINE, CELL, HELD_OUT, SPLIT, TAIL
from stats.rule.published import TAIL_ACCURACY, TAIL_PAIRS, counted, restore
from stats.rule.rule_errors import Nothing, rule_errors
from stats.rule.sensitivity import leave_one_out
from stats.rule.thresholds import PUBLISHED, PublishedRule
from stats.rule.verdicts import (
    INCOMPLETE,
    VERDICT_COLUMNS,
    WITHHELD,
    check_diffs,
    every_change,
    prediction,
    verdicts,
)
from stats.status import STATUSES_WITH_NUMBERS, CellStatus

SIMULATED = 2000  # studies in which there is nothing
SEEDS_SHOWN = (2, 3, 5, 10, 20)


@dataclass(frozen=True)
class Comparison:
    """What a report prints. Diffs, estimates and intervals are percentage points, A minus B.

    cells: one row a planned cell, with status (finished, failed, missing, published), error, metrics by name.
    diffs: study, method, split, seed, diff_pp (training tail, the published metric), heldout_pp.
    verdicts: of `stats.rule.verdicts.verdicts` for every planned split; INCOMPLETE where a planned cell is
        missing, WITHHELD where one failed a gate.
    changes: of `stats.rule.verdicts.every_change`.
    incomplete: study, method, split, planned, there.
    gates: of `stats.evidence.gates.gates`. sensitivity: of `stats.rule.sensitivity.leave_one_out`.
    tail, tail_changes: of `stats.evidence.seed_evidence.seed_evidence`: the published metric, seeds
    only. heldout: of `stats.evidence.evidence.evidence`, or None without outcomes.
    detectable, needed, grid: of `stats.evidence.power`, from the held-out variances; tail_power, tail_seeds,
        tail_needed: of the published design.
    curves, window: of `stats.evidence.curves`, accuracy on the training batch.
    errors: of `stats.rule.rule_errors`, with `seeds` and `method` in front.
    """

    reference: str
    options: Options
    cells: pd.DataFrame
    diffs: pd.DataFrame
    verdicts: pd.DataFrame
    changes: pd.DataFrame
    incomplete: pd.DataFrame
    gates: pd.DataFrame
    sensitivity: pd.DataFrame
    tail: pd.DataFrame
    tail_changes: pd.DataFrame
    heldout: Evidence | None
    detectable: pd.DataFrame
    needed: pd.DataFrame
    grid: pd.DataFrame
    tail_power: pd.DataFrame
    tail_seeds: pd.DataFrame
    tail_needed: pd.DataFrame
    curves: pd.DataFrame
    window: pd.DataFrame
    errors: pd.DataFrame

    @property
    def complete(self) -> bool:
        return bool(self.cells["status"].isin(STATUSES_WITH_NUMBERS).all())

    @property
    def labels(self) -> pd.DataFrame:
        """Verdicts with the evidence beside them: estimate, low_adjusted, high_adjusted, evidence, carried.

        The evidence is the held-out one where there are outcomes, else that of the seeds' tail diffs:
        published cells have no outcomes.
        """
        return _beside(self.verdicts, "verdict", self.tail, self.heldout.diffs if self.heldout else None)

    @property
    def change_labels(self) -> pd.DataFrame:
        """Changes with the evidence beside them, as in `labels`."""
        heldout = self.heldout.changes if self.heldout else None
        return _beside(self.changes, "change", self.tail_changes, heldout)


def compare(
    cells: pd.DataFrame,
    predictions: pd.DataFrame,
    reference: str,
    rule: PublishedRule = PUBLISHED,
    *,
    sums: pd.DataFrame | None = None,
    curves: pd.DataFrame | None = None,
    options: Options | None = None,
) -> Comparison:
    """Judge every split of every method.

    Args:
        cells: study, method, split, seed, status, error and metrics by name (fractions):
            `diff/pref_acc_tail`, `diff/pref_acc_heldout`, and what `stats.evidence.gates` checks; baseline
            cells have no diffs.
        predictions: study, split, predicted.
        sums: of `stats.evidence.sums.user_sums`; without them the evidence rests on seeds alone.
        curves: study, method, split, seed, arm, step, metric, value.

    Raises:
        TableError: a table that cannot be judged; it names the row.
    """
    options = options or Options()
    planned = cells[cells["split"] != BASELINE]
    done = planned[planned["status"].isin(STATUSES_WITH_NUMBERS)]
    diffs = done[CELL].copy()
    for column, metric in (("diff_pp", TAIL), ("heldout_pp", HELD_OUT)):
        name = f"diff/{metric}"
        diffs[column] = 100 * done[name] if name in done else np.nan
    diffs = diffs.reset_index(drop=True)
    checked = gates(cells, reference, options)
    counts = (
        planned[SPLIT]
        .assign(there=planned["status"].isin(STATUSES_WITH_NUMBERS))
        .groupby(SPLIT, sort=False)["there"]
        .agg(planned="size", there="sum")
        .reset_index()
    )
    incomplete = counts[counts["there"] < counts["planned"]].reset_index(drop=True)
    failed = checked.loc[~checked["passed"].astype(bool), SPLIT].drop_duplicates()
    judged = _verdicts(diffs, predictions, rule, counts, incomplete, failed)
    valid = judged[~judged["verdict"].isin([INCOMPLETE, WITHHELD])]
    kept = diffs.merge(valid[SPLIT], on=SPLIT)
    predicted = {
        (study, split): expected
        for study, split, expected in judged[["study", "split", "predicted"]].itertuples(
            index=False, name=None
        )
    }
    tail, tail_changes = seed_evidence(kept, predicted, reference, options)
    heldout = None
    if sums is not None:
        whole = sums.merge(valid[SPLIT], on=SPLIT)
        heldout = evidence(
            whole, dict(zip(valid["split"], valid["predicted"], strict=True)), reference, options
        )
    variances = heldout.variances if heldout else pd.DataFrame()
    tests = int((valid.drop_duplicates("split")["predicted"] != "exploratory").sum())
    alpha = 1 - options.level
    tail_power, tail_seeds, tail_needed = _tail_power(kept, done, reference, options, max(1, tests))
    return Comparison(
        reference=reference,
        options=options,
        cells=cells,
        diffs=diffs,
        verdicts=judged,
        changes=every_change(judged, reference) if (judged["method"] == reference).any() else NO_CHANGES,
        incomplete=incomplete,
        gates=checked,
        sensitivity=leave_one_out(kept, predictions, reference, rule),
        tail=tail,
        tail_changes=tail_changes,
        heldout=heldout,
        detectable=power.detectable(variances, alpha, tests) if len(variances) else pd.DataFrame(),
        needed=power.needed(variances, options.stated_pp, alpha) if len(variances) else pd.DataFrame(),
        grid=power.power_curves(variances[variances["quantity"] == DIFF], alpha, SEEDS_SHOWN)
        if len(variances)
        else pd.DataFrame(),
        tail_power=tail_power,
        tail_seeds=tail_seeds,
        tail_needed=tail_needed,
        curves=learning.by_step(curves, "accuracy", options.level) if curves is not None else pd.DataFrame(),
        window=learning.between(curves, "accuracy", options.window, options.level)
        if curves is not None
        else pd.DataFrame(),
        errors=_errors(kept, done, reference, rule, options),
    )


NO_CHANGES = pd.DataFrame(
    columns=["study", "method", "split", "reference_verdict", "method_verdict", "change"]
)


def _verdicts(
    diffs: pd.DataFrame,
    predictions: pd.DataFrame,
    rule: PublishedRule,
    counts: pd.DataFrame,
    incomplete: pd.DataFrame,
    failed: pd.DataFrame,
) -> pd.DataFrame:
    """Verdicts of every planned split, in the order of the plan."""
    found = verdicts(diffs, predictions, rule)
    table = counts[SPLIT].merge(found, on=SPLIT, how="left")
    nothing = table["predicted"].isna()
    table.loc[nothing, "predicted"] = [
        prediction(predictions, study, split)
        for study, split in table.loc[nothing, ["study", "split"]].itertuples(index=False, name=None)
    ]
    table.loc[nothing, ["direction", "x_of_n"]] = "-"
    table["n_seeds"] = table["n_seeds"].fillna(0).astype(int)
    table["verdict"] = table["verdict"].astype(object).where(table["verdict"].notna(), None)
    keys = pd.MultiIndex.from_frame(table[SPLIT])
    table.loc[keys.isin(pd.MultiIndex.from_frame(failed)), "verdict"] = WITHHELD
    table.loc[keys.isin(pd.MultiIndex.from_frame(incomplete[SPLIT])), "verdict"] = INCOMPLETE
    return table[VERDICT_COLUMNS]


def _accuracy(done: pd.DataFrame) -> float | None:
    """Typical accuracy of an arm on the tail; published cells tell none."""
    names = [name for name in (f"A/{TAIL}", f"B/{TAIL}") if name in done]
    known = done[names].dropna().to_numpy(dtype=float)
    return float(known.mean()) if known.size else None


def _tail_power(
    kept: pd.DataFrame, done: pd.DataFrame, reference: str, options: Options, splits: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Smallest diffs, smallest diffs by seeds, and what stated diffs need: empty where it is not known how
    many pairs stand behind an accuracy, or how much the reference's seeds differ."""
    seeds = kept[kept["method"] == reference].groupby("split").size()
    accuracy = options.tail_accuracy or _accuracy(done)
    pairs, alpha = options.tail_pairs, 1 - options.level
    if pairs is None or accuracy is None or not (seeds > 1).any():
        return pd.DataFrame(), pd.DataFrame(), pd.DataFrame()
    smallest = power.seed_power(kept, reference, pairs, accuracy, alpha)
    _, sd = power.pooled_sd(kept, reference)
    return (
        smallest,
        power.by_seeds(sd, alpha, splits),
        power.seed_needed(kept, reference, pairs, accuracy, options.stated_pp, alpha, splits),
    )


def _errors(
    kept: pd.DataFrame, done: pd.DataFrame, reference: str, rule: PublishedRule, options: Options
) -> pd.DataFrame:
    """What the published rule prints about nothing, for every method's number of seeds."""
    accuracy = options.tail_accuracy or _accuracy(done)
    seeds = kept.groupby(["method", "split"], sort=False).size().groupby("method", sort=False).median()
    if options.tail_pairs is None or accuracy is None or reference not in seeds:
        return pd.DataFrame()
    rng = np.random.default_rng(options.seed)
    frames = []
    for method, count in zip(seeds.index, seeds, strict=True):
        nothing = Nothing(int(count), int(seeds[reference]), options.tail_pairs, accuracy)
        found = rule_errors(nothing, rule, SIMULATED, rng)
        found.insert(0, "method", method)
        found.insert(1, "seeds", int(count))
        frames.append(found if method != reference else found[found["quantity"] != "change"])
    return pd.concat(frames, ignore_index=True)


def _beside(
    table: pd.DataFrame, label: str, tail: pd.DataFrame, heldout: pd.DataFrame | None
) -> pd.DataFrame:
    """`table` with the held-out evidence of each split, and the tail's where it has none."""
    columns = [*SPLIT, "estimate", "low_adjusted", "high_adjusted", "evidence"]
    sources = [
        frame.reindex(columns=columns) for frame in (heldout, tail) if frame is not None and len(frame)
    ]
    judged = pd.concat(sources).drop_duplicates(SPLIT) if sources else pd.DataFrame(columns=columns)
    found = table.merge(judged, on=SPLIT, how="left")
    found["evidence"] = found["evidence"].astype(object).where(found["evidence"].notna(), "-")
    found["carried"] = [carried(a, b) for a, b in zip(found[label], found["evidence"], strict=True)]
    return found


def compare_published(
    diffs: pd.DataFrame,
    predictions: pd.DataFrame,
    reference: str,
    rule: PublishedRule = PUBLISHED,
    options: Options | None = None,
) -> Comparison:
    """Judge a table of diffs that no run of this software made.

    Args:
        diffs: study, method, split, seed, diff_pp. predictions: study, split, predicted.

    Raises:
        TableError: what `stats.rule.verdicts` refuses, an empty table, or a reference without diffs.
    """
    check_diffs(diffs)
    if reference not in set(diffs["method"]):
        methods = ", ".join(sorted(set(diffs["method"])))
        raise TableError(f"reference: no diffs of {reference!r}; methods: {methods or 'none'}")
    exact = restore(diffs)
    chosen = options or Options()
    if counted(exact) and chosen.tail_pairs is None:
        chosen = replace(chosen, tail_pairs=TAIL_PAIRS, tail_accuracy=TAIL_ACCURACY)
    cells = exact[CELL].assign(
        status=CellStatus.PUBLISHED, error=None, **{f"diff/{TAIL}": exact["diff_pp"] / 100}
    )
    return compare(cells, predictions, reference, rule, options=chosen)
