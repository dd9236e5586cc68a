"""The tables that a report writes beside its page."""

import pandas as pd

from stats.comparison import Comparison
from stats.rule.changes import changes_as_published


def tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Return file name -> table.

    The verdicts are always there, and so are the changes where the reference has verdicts. Other tables are
    left out where they are empty.
    """
    verdicts = comparison.published.verdicts
    candidates = {
        "cells": comparison.cells.table.drop(columns=["run_id"], errors="ignore"),
        "diffs": comparison.cells.diffs,
        "gates": comparison.cells.gates,
        "leave_one_out": comparison.published.sensitivity,
        "evidence_tail": comparison.tail.diffs,
        "evidence_tail_changes": comparison.tail.changes,
        "power_detectable": comparison.heldout_power.detectable,
        "power_needed": comparison.heldout_power.needed,
        "power_tail": comparison.tail_power.designs,
        "power_tail_seeds": comparison.tail_power.by_seeds,
        "power_tail_needed": comparison.tail_power.needed,
        "curves": comparison.curves.by_step,
        "heldout_curves": comparison.curves.heldout,
        "curves_window": comparison.curves.window,
        "rule_errors": comparison.published.rule_errors,
    }
    if comparison.heldout:
        candidates |= {
            "evidence": comparison.heldout.diffs,
            "evidence_changes": comparison.heldout.changes,
            "evidence_advantages": comparison.heldout.advantages,
            "intervals": comparison.heldout.intervals,
            "contrasts": comparison.heldout.contrasts,
            "variances": comparison.heldout.variances,
        }
    if comparison.controls:
        candidates |= {
            "control_rates": comparison.controls.rates,
            "control_ranks": comparison.controls.ranks,
        }
    if comparison.pooled is not None:
        candidates["pooled_arm"] = comparison.pooled
    filled = {name: table for name, table in candidates.items() if len(table)}
    if (verdicts["method"] == comparison.reference).any():
        filled["changes"] = changes_as_published(verdicts, comparison.reference)
    return {"verdicts": verdicts, **filled}
