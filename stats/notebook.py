"""Judge a table in a notebook, with the functions that a report uses; `stats` exports them."""

from math import inf

import numpy as np
import pandas as pd

from stats.errors import TableError
from stats.evidence.contrasts import ACCURACY
from stats.evidence.family import family_sizes
from stats.evidence.held_out import judge_by_method
from stats.evidence.options import Options
from stats.evidence.possible import LARGEST_PP
from stats.evidence.power import DesignVariance, smallest_effect
from stats.evidence.quantity import advantage_predictions, advantages, quantities
from stats.evidence.seed_power import seeds_for_effect
from stats.evidence.sums import user_sums
from stats.names import BASELINE, CELL, SPLIT
from stats.rule.changes import changes
from stats.rule.labels import Verdict
from stats.rule.published import restore
from stats.rule.thresholds import PUBLISHED, PublishedRule
from stats.rule.verdicts import check_diffs, check_predictions, prediction_for, verdicts

JUDGED_COLUMNS = {
    "contrast": "contrast",
    "n_seeds": "seeds",
    "estimate": "estimate_pp",
    "low": "low95_pp",
    "high": "high95_pp",
    "low_adjusted": "low_pp",
    "high_adjusted": "high_pp",
    "p": "p",
    "p_holm": "p_holm",
    "evidence": "evidence",
    "regime": "regime",
}
FIXED_DESIGN = "fixed design"  # the number of seeds did not depend on the outcomes
PUBLISHED_COLUMNS = [
    *(*SPLIT, "predicted", "seeds", "mean_pp", "std_pp", "direction", "x_of_n"),
    *("verdict", "reference_verdict", "change"),
]


def judge(
    outcomes: pd.DataFrame, predictions: pd.DataFrame, reference: str, *, margin_pp: float = 1.0
) -> pd.DataFrame:
    """Judge what the held-out outcomes of a study support, treating both seeds and users as samples.

    The splits that `predictions` lists are the plan: a method's predicted splits are one family, and with
    95 % probability, their adjusted intervals all contain their true values. One without outcomes keeps its
    place, because leaving out a split that failed would make the others look surer. Exploratory splits are
    outside the family (docs/statistics.md).

    A method with one seed borrows the reference's spread over seeds, which assumes that the two are equal; if
    the reference has one seed, too, its intervals are about new users alone. It is therefore undecided.

    Args:
        outcomes: one row per held-out pair that an arm scored, with study, method, split, arm ("A" or "B"),
            seed, eval_group (whose pair it is: "A" or "B"), user_id, pair_id, margin (nats), correct
            (margin > 0) and, where several users rated the same items, item: then items are a third sample.
            Further columns are ignored, and so are baseline cells.
        predictions: study, split, predicted ("A > B", "A < B", "A = B" or "exploratory"), of all splits that
            were planned.
        reference: the method that the others are compared with.
        margin_pp: a value whose interval lies inside +-margin_pp counts as practically null (percentage
            points).

    Returns:
        One row per method, split and contrast: study, method, split, contrast ("diff": arm A on A's pairs
        minus arm B on B's; "change": the diff minus the reference's; "advantage": what an arm gains over the
        other one on its own group's pairs, where both arms scored both groups), seeds (number), estimate_pp,
        low95_pp, high95_pp (95 % interval), low_pp, high_pp (interval adjusted over the family), all in
        percentage points; p (two-sided), p_holm (adjusted over the family), evidence ("supported",
        "contradicted", "practically null" or "undecided"), regime ("fixed design": the intervals hold if the
        number of seeds did not depend on the outcomes). A value is NaN where the data give no interval, and
        low_pp, high_pp and p_holm are NaN for an exploratory split.

    Raises:
        TableError: A column or prediction is missing, a row is contradictory or appears twice, or seeds or
            methods did not score the same pairs; the message names table and row.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> import stats
        >>> from stats.evidence.simulate import SimulatedStudy, simulated_outcomes
        >>> truth = SimulatedStudy(seeds=3, users=60, pairs_per_user=5, accuracy_a=0.8, accuracy_b=0.6)
        >>> dpo = simulated_outcomes(truth, np.random.default_rng(0), "dpo", "S1_age")
        >>> wpo = dpo.assign(method="wpo", correct=~dpo["correct"], margin=-dpo["margin"])
        >>> predictions = pd.DataFrame({"study": ["simulated"], "split": ["S1_age"], "predicted": ["A > B"]})
        >>> table = stats.judge(pd.concat([dpo, wpo]), predictions, reference="dpo")
        >>> print(table[["method", "contrast", "seeds", "estimate_pp", "evidence"]].round(1))
          method   contrast  seeds  estimate_pp      evidence
        0    dpo       diff      3         17.4     supported
        1    wpo       diff      3        -17.4  contradicted
        2    wpo     change      3        -34.7  contradicted
        3    dpo  advantage      3          0.5     undecided
        4    wpo  advantage      3         -0.5     undecided
    """
    sums = _sums_by_cell(outcomes)
    predicted = _one_prediction_per_split(sums, predictions)
    _check_reference(sums, reference, "outcomes")
    options = Options(margin_pp=margin_pp)
    families = _planned_families(sums, predictions)
    rng = np.random.default_rng(options.seed)
    tables = []
    diffs, moved = quantities(sums, predicted, reference, ACCURACY)
    of_advantages = advantage_predictions(predicted)
    for contrast, items, expected in (
        ("diff", diffs, predicted),
        ("change", moved, predicted),
        ("advantage", advantages(sums, predicted, reference, ACCURACY), of_advantages),
    ):
        table = judge_by_method(items, expected, options, families, rng)
        table = table.reindex(columns=[*SPLIT, *JUDGED_COLUMNS]).assign(
            contrast=contrast, regime=FIXED_DESIGN
        )
        tables.append(table.rename(columns=JUDGED_COLUMNS))
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def judge_published(
    diffs: pd.DataFrame, predictions: pd.DataFrame, reference: str, rule: PublishedRule = PUBLISHED
) -> pd.DataFrame:
    """Label a table of diffs by the published rule, which has no notion of uncertainty.

    Diffs that were published with two decimals are restored to multiples of 1/128 where all diffs of a method
    are rounded multiples, as in a report.

    Args:
        diffs: study, method, split, seed, diff_pp (A minus B, percentage points), one row per seed.
        predictions: study, split, predicted ("A > B", "A < B", "A = B" or "exploratory").
        reference: the method that the others are compared with.
        rule: thresholds of the published rule.

    Returns:
        One row per method and split: study, method, split, predicted, seeds (number), mean_pp, std_pp (over
        seeds, population), direction (sign of the mean), x_of_n (seeds with the sign of the mean), verdict
        (missing where the split is exploratory), reference_verdict and change (missing for the reference). A
        split that only the reference has is INCOMPLETE for the other methods, without numbers.

    Raises:
        TableError: A column or prediction is missing, a seed appears twice, a diff is not a number, or the
            reference has no diffs; the message names table and row.

    Example:
        >>> import pandas as pd
        >>> import stats
        >>> rows = [("dpo", 1, -1.2), ("dpo", 2, 0.4), ("dpo", 3, -0.3), ("wpo", 1, 2.1), ("wpo", 2, 1.4)]
        >>> diffs = pd.DataFrame(rows, columns=["method", "seed", "diff_pp"])
        >>> diffs = diffs.assign(study="v5", split="S1_age")
        >>> predictions = pd.DataFrame({"study": ["v5"], "split": ["S1_age"], "predicted": ["A > B"]})
        >>> table = stats.judge_published(diffs, predictions, reference="dpo")
        >>> print(table[["method", "seeds", "mean_pp", "x_of_n", "verdict", "change"]].round(2))
          method  seeds  mean_pp x_of_n   verdict change
        0    dpo      3    -0.37    2/3  MISMATCH    NaN
        1    wpo      2     1.75    2/2     MATCH  FIXED
    """
    check_diffs(diffs)
    _check_reference(diffs, reference, "diffs")
    labelled = verdicts(restore(diffs), predictions, rule).rename(columns={"n_seeds": "seeds"})
    changed = changes(labelled, reference)
    table = labelled.merge(changed, on=SPLIT, how="left")
    without_diffs = changed[~_split_index(changed).isin(_split_index(labelled))]
    if len(without_diffs):
        keys = without_diffs[["study", "split"]].itertuples(index=False, name=None)
        expected = [prediction_for(predictions, *key) for key in keys]
        added = without_diffs.assign(predicted=expected, seeds=0, verdict=Verdict.INCOMPLETE)
        table = pd.concat([table, added], ignore_index=True)
    return table.reindex(columns=PUBLISHED_COLUMNS)


def power(
    sd_pp: float,
    *,
    seeds: int | None = None,
    diff_pp: float | None = None,
    splits: int = 1,
    alpha: float = 0.05,
) -> float:
    """Return the smallest diff that `seeds` seeds detect with 80 % power, or the seeds that detect `diff_pp`.

    The test is the two-sided t test of a split's mean diff over seeds against zero. Give either `seeds` or
    `diff_pp`; the other is returned.

    Args:
        sd_pp: standard deviation over seeds of one seed's diff (percentage points). With 128 independent
            pairs behind each accuracy, sampling alone produces about 3.5 pp.
        seeds: number of seeds, two or more.
        diff_pp: the diff to detect (percentage points).
        splits: number of splits that are tested together, each at alpha / splits (Holm's first step).
        alpha: the family-wise error.

    Returns:
        A diff in percentage points, or a number of seeds; infinite where no two accuracies differ by enough,
        or 200 seeds are not enough.

    Raises:
        ValueError: Both or neither of `seeds` and `diff_pp` are given, or a number is out of range.

    Example:
        >>> import stats
        >>> round(stats.power(3.5, seeds=5), 1)
        5.9
        >>> stats.power(3.5, diff_pp=2.5, splits=7)
        29.0
    """
    if (seeds is None) == (diff_pp is None):
        raise ValueError("power: give either seeds or diff_pp; the other is returned")
    if sd_pp < 0 or splits < 1 or not 0 < alpha < 1:
        raise ValueError("power: sd_pp is at least 0, splits at least 1, alpha between 0 and 1")
    if diff_pp is not None:
        return seeds_for_effect(diff_pp, sd_pp, alpha / splits)
    assert seeds is not None
    if seeds < 2:
        raise ValueError(f"power: seeds is {seeds}, but a spread needs two or more; raise it")
    smallest = smallest_effect(DesignVariance(sd_pp**2 / seeds, seeds - 1), alpha / splits)
    return smallest if smallest <= LARGEST_PP else inf


def _sums_by_cell(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return `user_sums`, one cell at a time, so that a large table needs little memory beside itself."""
    if outcomes.empty or not set(CELL) <= set(outcomes):
        return user_sums(outcomes)
    parts = [user_sums(cell) for _, cell in outcomes.groupby(CELL, sort=False, dropna=False, observed=True)]
    return pd.concat(parts, ignore_index=True)


def _planned_families(sums: pd.DataFrame, predictions: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Return (study, method) -> number of predicted splits: those of the plan, with outcomes or without."""
    keys = sums.loc[sums["split"] != BASELINE, SPLIT]
    planned = pd.concat([predictions[["study", "split"]], keys[["study", "split"]]]).drop_duplicates()
    planned = planned[planned["study"].isin(keys["study"])]
    expected = [prediction_for(predictions, *key) for key in planned.itertuples(index=False, name=None)]
    methods = keys[["study", "method"]].drop_duplicates()
    return family_sizes(methods.merge(planned.assign(predicted=expected), on="study"))


def _one_prediction_per_split(sums: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, str]:
    """Return split -> predicted, in the order of the table, without baselines.

    Raises:
        TableError: A split has no prediction, or contradictory ones.
    """
    check_predictions(predictions)
    predicted: dict[str, str] = {}
    splits = sums.loc[sums["split"] != BASELINE, ["study", "split"]].drop_duplicates()
    for study, split in splits.itertuples(index=False, name=None):
        expected = prediction_for(predictions, study, split)
        if predicted.setdefault(split, expected) != expected:
            raise TableError(
                f"predictions: split {split!r} is predicted {predicted[split]} and {expected}; "
                "judge one study at a time"
            )
    return predicted


def _check_reference(table: pd.DataFrame, reference: str, name: str) -> None:
    methods = sorted(set(table["method"]))
    if reference not in methods:
        raise TableError(f"reference: no {name} of {reference!r}; methods: {', '.join(methods) or 'none'}")


def _split_index(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[SPLIT])
