"""Published numbers: read back as exactly as they can be, and judged without any run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from stats import report
from stats.comparison import TAIL, Comparison, compare
from stats.errors import TableError
from stats.options import Options
from stats.verdicts import PUBLISHED, PublishedRule, check_diffs
from stats.words import Language, Words

TAIL_PAIRS = 128  # 16 logged batches of 8 pairs: the published accuracy counts in 128ths
TAIL_ACCURACY = 0.915  # middle of the published arms, which end at 84 to 97 %
ROUNDING_PP = 0.0051  # published to 0.01 pp
LABELS = ["study", "method", "split", "predicted"]


def restore(diffs: pd.DataFrame, pairs: int = TAIL_PAIRS) -> pd.DataFrame:
    """Diffs with the exact values behind two published decimals, where they are multiples of 1/pairs.

    A published +1.56 is 2/128 = 1.5625 pp; means of the rounded values print other second decimals than the
    study did. A method of a study any of whose values is no rounded multiple keeps all of them as they are,
    so what is restored of one does not depend on what else a table holds.
    """
    values = pd.to_numeric(diffs["diff_pp"], errors="coerce")
    exact = (values * pairs / 100).round() * 100 / pairs
    near = (values - exact).abs() <= ROUNDING_PP
    whole = near.groupby([diffs["study"], diffs["method"]]).transform("all")
    return diffs.assign(diff_pp=diffs["diff_pp"].where(~whole, exact))


def counted(diffs: pd.DataFrame) -> bool:
    """Whether every diff is a multiple of 1/128, as the published ones are."""
    return bool(np.all(diffs["diff_pp"].to_numpy(dtype=float) * TAIL_PAIRS / 100 % 1 == 0))


def read(path: Path) -> pd.DataFrame:
    """A CSV of diffs or predictions; labels stay text (a split may be called 1, or NA).

    Raises:
        TableError: no such file, or not a CSV.
    """
    try:
        return pd.read_csv(path, dtype=dict.fromkeys(LABELS, str), keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: not readable as a CSV: {' '.join(str(error).split())}") from error


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
        TableError: what `stats.verdicts` refuses, an empty table, or a reference without diffs.
    """
    check_diffs(diffs)
    if reference not in set(diffs["method"]):
        methods = ", ".join(sorted(set(diffs["method"])))
        raise TableError(f"reference: no diffs of {reference!r}; methods: {methods or 'none'}")
    exact = restore(diffs)
    chosen = options or Options()
    if counted(exact) and chosen.tail_pairs is None:
        chosen = replace(chosen, tail_pairs=TAIL_PAIRS, tail_accuracy=TAIL_ACCURACY)
    cells = exact[["study", "method", "split", "seed"]].assign(
        status="published", error=None, **{f"diff/{TAIL}": exact["diff_pp"] / 100}
    )
    return compare(cells, predictions, reference, rule, options=chosen)


def published_report(
    diffs: pd.DataFrame,
    predictions: pd.DataFrame,
    reference: str,
    out: Path,
    rule: PublishedRule = PUBLISHED,
    options: Options | None = None,
    other: pd.DataFrame | None = None,
    language: Language = "en",
) -> Path:
    """Write report.md, verdicts.csv, changes.csv, further tables and figures; returns the report's path."""
    say = Words(language)
    comparison = compare_published(diffs, predictions, reference, rule, options)
    found = diffs.groupby(["study", "method"], sort=False)["seed"].nunique().reset_index()
    methods = [
        f"{method} ({study}, {say.times(seeds, 'seed')})"
        for study, method, seeds in found.itertuples(index=False, name=None)
    ]
    without = [split for split in dict.fromkeys(predictions["split"]) if split not in set(diffs["split"])]
    metric = say("accuracy of the implicit reward on the training tail, A minus B")
    if counted(restore(diffs)):
        metric += say(", read as multiples of 1/128")
    setup = {
        "study": say(" and ").join(dict.fromkeys(diffs["study"])),
        "source": say(
            "a table of {count} published diffs; nothing was trained or scored here", count=len(diffs)
        ),
        "methods": ", ".join(methods),
        "reference": reference,
        "metric": metric,
        "predicted, but without any diff": ", ".join(without) or say("none"),
    }
    return report.write(comparison, setup, generated=False, out=out, other=other, language=language)
