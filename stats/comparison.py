"""From the cells table to what a report says: per-seed diffs, verdicts, changes."""

from dataclasses import dataclass

import pandas as pd

from stats.verdicts import PUBLISHED, PublishedRule, changes, verdicts

TAIL, HELD_OUT = "pref_acc_tail", "pref_acc_heldout"
BASELINE = "baseline"


@dataclass(frozen=True)
class Comparison:
    """A study's methods against their reference.

    cells: one row a planned cell, with status (finished, failed, missing, published), error, metrics by name.
    diffs: study, method, split, seed, diff_pp (training tail, the published metric), heldout_pp.
    verdicts, changes: of `stats.verdicts`, for splits all of whose planned cells are there.
    incomplete: method, split, cells planned, cells there.
    """

    reference: str
    cells: pd.DataFrame
    diffs: pd.DataFrame
    verdicts: pd.DataFrame
    changes: pd.DataFrame
    incomplete: pd.DataFrame

    @property
    def complete(self) -> bool:
        return bool(self.cells["status"].isin(["finished", "published"]).all())


def compare(
    cells: pd.DataFrame, predictions: pd.DataFrame, reference: str, rule: PublishedRule = PUBLISHED
) -> Comparison:
    """Judge every split of every method whose cells are all there.

    Args:
        cells: study, method, split, seed, status, error and the metrics `diff/pref_acc_tail` and
            `diff/pref_acc_heldout` (fractions, A minus B); baseline cells have none.
        predictions: study, split, predicted.
    """
    there = cells["status"].isin(["finished", "published"])
    planned = cells[cells["split"] != BASELINE].assign(there=there)
    counts = (
        planned.groupby(["method", "split"], sort=False)["there"]
        .agg(planned="size", there="sum")
        .reset_index()
    )
    incomplete = counts[counts["there"] < counts["planned"]]
    lacking = pd.MultiIndex.from_frame(incomplete[["method", "split"]])
    done = planned[planned["there"]]
    diffs = done[["study", "method", "split", "seed"]].copy()
    for column, metric in (("diff_pp", TAIL), ("heldout_pp", HELD_OUT)):
        name = f"diff/{metric}"
        diffs[column] = 100 * done[name] if name in done else float("nan")
    diffs = diffs.reset_index(drop=True)
    whole = diffs[~pd.MultiIndex.from_frame(diffs[["method", "split"]]).isin(lacking)]
    judged = verdicts(whole, predictions, rule)
    has_reference = bool((judged["method"] == reference).any())
    changed = changes(judged, reference) if has_reference else pd.DataFrame(columns=["split", "change"])
    return Comparison(reference, cells, diffs, judged, changed, incomplete)
