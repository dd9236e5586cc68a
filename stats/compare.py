"""Compare a study's methods with their reference: the published labels and the evidence, side by side."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from stats.cells import CellTables, cell_tables, planned_splits
from stats.comparison import Comparison, PublishedLabels
from stats.errors import TableError
from stats.evidence.beforehand import MissingRule
from stats.evidence.controls import controls
from stats.evidence.curves import learning_curves
from stats.evidence.family import family_sizes
from stats.evidence.held_out import HeldOutEvidence, held_out_evidence
from stats.evidence.held_out_power import held_out_power
from stats.evidence.missing import Planned
from stats.evidence.options import Options
from stats.evidence.quantity import CHANGE, DIFF
from stats.evidence.regime import (
    described_only,
    of_adaptive_reference,
    of_fixed_designs,
    under_decisions,
    without_intervals,
)
from stats.evidence.seed_evidence import seed_evidence
from stats.evidence.seed_power import (
    SeedPower,
    pooled_sd,
    seeds_needed,
    smallest_by_comparison,
    smallest_by_seeds,
)
from stats.names import BASELINE, CELL, SPLIT, TAIL_METRIC
from stats.rule.changes import CHANGE_COLUMNS, SplitKey, changes
from stats.rule.labels import UNLABELLED, Verdict
from stats.rule.published import TAIL_ACCURACY, TAIL_PAIRS, counts_in_128ths, restore
from stats.rule.rule_errors import rule_errors_by_method
from stats.rule.sensitivity import leave_one_out
from stats.rule.thresholds import PUBLISHED, PublishedRule
from stats.rule.verdicts import VERDICT_COLUMNS, check_diffs, prediction_for, verdicts
from stats.status import STATUSES_WITH_NUMBERS, CellStatus

SIMULATED_STUDIES = 2000  # number of simulated studies without any effect


def compare(
    cells: pd.DataFrame,
    predictions: pd.DataFrame,
    reference: str,
    rule: PublishedRule = PUBLISHED,
    *,
    sums: pd.DataFrame | None = None,
    curves: pd.DataFrame | None = None,
    options: Options | None = None,
    decisions: pd.DataFrame | None = None,
) -> Comparison:
    """Judge every split of every method.

    Args:
        cells: study, method, split, seed, status, error and metrics by name (fractions):
            `diff/pref_acc_tail`, `diff/pref_acc_heldout`, `X/heldout_dropped` (number of held-out pairs of
            group X that could not be scored), and what `stats.evidence.gates` and `has_diverged` check;
            baseline cells have no diffs. Where they are given, `added` says that a cell's seed was added
            after the study's first cells, and `control` that its groups are random halves of the users.
        predictions: study, split, predicted.
        reference: the method that the others are compared with.
        rule: thresholds of the published rule.
        sums: the result of `stats.evidence.sums.user_sums`; without it the evidence rests on seeds alone.
        curves: study, method, split, seed, arm, step, metric, value; None if nothing was logged.
        options: levels and tolerances of the evidence.
        decisions: the result of `stats.evidence.sequential.decide`, where the evidence chose the number of
            seeds; then it is the evidence.

    Returns:
        The published labels, the evidence beside them, and what the design could have detected.

    Raises:
        TableError: A table cannot be judged; the message names the row.
    """
    options = options or Options()
    checked = cell_tables(cells, reference, options)
    labelled = _verdicts(checked, predictions, rule, options.missing)
    valid = labelled[~labelled["verdict"].isin(list(UNLABELLED))]
    diffs = checked.diffs.merge(valid[SPLIT], on=SPLIT)
    families = _families(labelled, predictions)
    splits = max(families.values(), default=1)
    accuracy = options.tail_accuracy or _typical_accuracy(cells)
    planned = planned_splits(checked) if options.missing == MissingRule.BOUND else {}
    heldout = _held_out(sums, diffs, valid, reference, options, families, planned)
    tail = seed_evidence(diffs, _predicted_by_study(labelled), reference, options, families, planned)
    judged = (heldout.diffs, heldout.changes, heldout.advantages) if heldout else 3 * (pd.DataFrame(),)
    of_controls = controls(checked.control_diffs, sums, judged, reference, rule, options, families)
    if decisions is not None:
        tail = replace(
            tail,
            diffs=described_only(tail.diffs, decisions),
            changes=of_adaptive_reference(described_only(tail.changes, decisions), decisions, reference),
        )
        heldout = heldout and replace(
            heldout,
            diffs=under_decisions(heldout.diffs, decisions, DIFF),
            changes=of_adaptive_reference(
                under_decisions(heldout.changes, decisions, CHANGE), decisions, reference
            ),
            advantages=described_only(heldout.advantages, decisions),
            intervals=of_fixed_designs(heldout.intervals, decisions, reference),
            contrasts=without_intervals(heldout.contrasts, decisions),
        )
    return Comparison(
        reference=reference,
        options=options,
        cells=checked,
        published=PublishedLabels(
            verdicts=labelled,
            changes=_changes(labelled, reference),
            sensitivity=leave_one_out(diffs, predictions, reference, rule),
            rule_errors=_rule_errors(diffs, accuracy, reference, rule, options),
            rule=rule,
        ),
        families=families,
        tail=tail,
        heldout=heldout,
        tail_power=_tail_power(diffs, accuracy, reference, max(1, splits), options),
        heldout_power=held_out_power(_fixed_variances(heldout, decisions), splits, options),
        curves=learning_curves(_of_splits(curves, labelled), options),
        controls=of_controls,
    )


def _families(labelled: pd.DataFrame, predictions: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Return (study, method) -> number of predicted splits, also of those of which no cell has come here.

    A split that vanished from a published table was predicted like the others, and keeps its place.
    """
    come = pd.MultiIndex.from_frame(labelled[["study", "split"]])
    gone = predictions[~pd.MultiIndex.from_frame(predictions[["study", "split"]]).isin(come)]
    methods = labelled[["study", "method"]].drop_duplicates()
    vanished = methods.merge(gone, on="study")
    return family_sizes(pd.concat([labelled[[*SPLIT, "predicted"]], vanished[[*SPLIT, "predicted"]]]))


def compare_published(
    diffs: pd.DataFrame,
    predictions: pd.DataFrame,
    reference: str,
    rule: PublishedRule = PUBLISHED,
    options: Options | None = None,
) -> Comparison:
    """Judge a table of published diffs, for which nothing was trained here.

    Args:
        diffs: study, method, split, seed, diff_pp (percentage points, A minus B).
        predictions: study, split, predicted.
        reference: the method that the others are compared with.
        rule: thresholds of the published rule.
        options: levels and tolerances of the evidence; where all diffs are multiples of 1/128, `tail_pairs`
            and `tail_accuracy` are those of the published study unless `tail_pairs` is given.

    Returns:
        The result of `compare`; its evidence rests on the diffs by seed alone.

    Raises:
        TableError: The table is empty, the reference has no diffs, or `stats.rule.verdicts` refuses a row.
    """
    check_diffs(diffs)
    if reference not in set(diffs["method"]):
        methods = ", ".join(sorted(set(diffs["method"])))
        raise TableError(f"reference: no diffs of {reference!r}; methods: {methods or 'none'}")
    exact = restore(diffs)
    options = options or Options()
    if counts_in_128ths(exact) and options.tail_pairs is None:
        options = replace(options, tail_pairs=TAIL_PAIRS, tail_accuracy=TAIL_ACCURACY)
    metrics = {f"diff/{TAIL_METRIC}": exact["diff_pp"] / 100}
    cells = exact[CELL].assign(status=CellStatus.PUBLISHED, error=None, **metrics)
    return compare(cells, predictions, reference, rule, options=options)


def _verdicts(
    cells: CellTables, predictions: pd.DataFrame, rule: PublishedRule, missing: MissingRule
) -> pd.DataFrame:
    """Label every planned split, in the order of the plan."""
    table = cells.counts[SPLIT].merge(verdicts(cells.diffs, predictions, rule), on=SPLIT, how="left")
    without_diffs = table["predicted"].isna()
    table.loc[without_diffs, "predicted"] = [
        prediction_for(predictions, study, split)
        for study, split in table.loc[without_diffs, ["study", "split"]].itertuples(index=False, name=None)
    ]
    table.loc[without_diffs, ["direction", "x_of_n"]] = "-"
    table["n_seeds"] = table["n_seeds"].fillna(0).astype(int)
    table["verdict"] = table["verdict"].astype(object).where(table["verdict"].notna(), None)
    keys = pd.MultiIndex.from_frame(table[SPLIT])
    failed = cells.gates.loc[~cells.gates["passed"].astype(bool), SPLIT].drop_duplicates()
    enough = 1 if missing == MissingRule.BOUND else cells.counts["planned"].clip(lower=1)
    incomplete = cells.counts.loc[cells.counts["finished"] < enough, SPLIT]
    table.loc[keys.isin(pd.MultiIndex.from_frame(failed)), "verdict"] = Verdict.WITHHELD
    table.loc[keys.isin(pd.MultiIndex.from_frame(incomplete)), "verdict"] = Verdict.INCOMPLETE
    return table[VERDICT_COLUMNS]


def _changes(labelled: pd.DataFrame, reference: str) -> pd.DataFrame:
    has_reference = (labelled["method"] == reference).any()
    return changes(labelled, reference) if has_reference else pd.DataFrame(columns=CHANGE_COLUMNS)


def _predicted_by_study(labelled: pd.DataFrame) -> dict[tuple[str, str], str]:
    columns = labelled[["study", "split", "predicted"]]
    return {
        (study, split): predicted for study, split, predicted in columns.itertuples(index=False, name=None)
    }


def _held_out(
    sums: pd.DataFrame | None,
    counted: pd.DataFrame,
    valid: pd.DataFrame,
    reference: str,
    options: Options,
    families: Mapping[tuple[str, str], int],
    planned: Mapping[SplitKey, Planned],
) -> HeldOutEvidence | None:
    if sums is None:
        return None
    predicted = dict(zip(valid["split"], valid["predicted"], strict=True))
    of_counted = sums.merge(counted[CELL], on=CELL)
    return held_out_evidence(of_counted, predicted, reference, options, families, planned)


def _fixed_variances(heldout: HeldOutEvidence | None, decisions: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the variances of methods with a fixed number of seeds; `decide` says what the others need."""
    if heldout is None or heldout.variances.empty:
        return None
    return of_fixed_designs(heldout.variances, decisions)


def _of_splits(curves: pd.DataFrame | None, labelled: pd.DataFrame) -> pd.DataFrame | None:
    """Return the curves of the study's own splits, without those of controls."""
    return None if curves is None else curves[curves["split"].isin(labelled["split"])]


def _typical_accuracy(cells: pd.DataFrame) -> float | None:
    """Return the mean tail accuracy of the arms (share); None where no cell records it."""
    finished = cells[(cells["split"] != BASELINE) & cells["status"].isin(STATUSES_WITH_NUMBERS)]
    names = [name for name in (f"A/{TAIL_METRIC}", f"B/{TAIL_METRIC}") if name in finished]
    accuracies = finished[names].dropna().to_numpy(dtype=float)
    return float(accuracies.mean()) if accuracies.size else None


def _tail_power(
    diffs: pd.DataFrame, accuracy: float | None, reference: str, splits: int, options: Options
) -> SeedPower:
    """Compute the power of the published design.

    It is empty where the number of pairs behind an accuracy, or the spread of the reference's seeds, is
    unknown. Seeds that all agree, as in a handful of pairs, tell no spread.
    """
    seeds = diffs[diffs["method"] == reference].groupby("split").size()
    pairs, alpha = options.tail_pairs, options.alpha
    if pairs is None or accuracy is None or not (seeds > 1).any():
        return SeedPower()
    _, sd = pooled_sd(diffs, reference)
    if sd == 0:
        return SeedPower()
    return SeedPower(
        smallest_by_comparison(diffs, reference, pairs, accuracy, alpha),
        smallest_by_seeds(sd, alpha, splits),
        seeds_needed(diffs, reference, pairs, accuracy, options.stated_pp, alpha, splits),
    )


def _rule_errors(
    diffs: pd.DataFrame, accuracy: float | None, reference: str, rule: PublishedRule, options: Options
) -> pd.DataFrame:
    """Simulate what the published rule prints when there is no effect, for every method's number of seeds."""
    by_split = diffs.groupby(["method", "split"], sort=False).size()
    seeds = by_split.groupby("method", sort=False).median().astype(int)
    if options.tail_pairs is None or accuracy is None or reference not in seeds:
        return pd.DataFrame()
    rng = np.random.default_rng(options.seed)
    return rule_errors_by_method(
        dict(seeds), reference, options.tail_pairs, accuracy, rule, SIMULATED_STUDIES, rng
    )
