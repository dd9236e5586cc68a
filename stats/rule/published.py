"""Read published numbers, and recover the exact values behind their two decimals."""

from pathlib import Path

import numpy as np
import pandas as pd

from stats.errors import TableError

TAIL_PAIRS = 128  # 16 logged batches of 8 pairs: a published accuracy is a multiple of 1/128
TAIL_ACCURACY = 0.915  # middle of the published arms, which end at 84 to 97 %
ROUNDING_PP = 0.0051  # the numbers are published to 0.01 pp
TEXT_COLUMNS = ["study", "method", "split", "predicted"]


def restore(diffs: pd.DataFrame, pairs: int = TAIL_PAIRS) -> pd.DataFrame:
    """Recover the exact diffs behind two published decimals, where they are multiples of 1/pairs.

    A published +1.56 is 2/128 = 1.5625 pp, and means of the rounded values would differ from the study's in
    the second decimal. If any value of a (study, method) is not a rounded multiple, all its values stay as
    they are. So the result for one method does not depend on what else the table holds.

    Args:
        diffs: study, method, diff_pp (percentage points) and any other columns.
        pairs: number of pairs behind one accuracy.

    Returns:
        The same table with the exact values in diff_pp.
    """
    values = pd.to_numeric(diffs["diff_pp"], errors="coerce")
    exact = (values * pairs / 100).round() * 100 / pairs
    near = (values - exact).abs() <= ROUNDING_PP
    whole_method_near = near.groupby([diffs["study"], diffs["method"]]).transform("all")
    return diffs.assign(diff_pp=diffs["diff_pp"].where(~whole_method_near, exact))


def counts_in_128ths(diffs: pd.DataFrame) -> bool:
    """Return whether every diff is a multiple of 1/128, as the published ones are."""
    return bool(np.all(diffs["diff_pp"].to_numpy(dtype=float) * TAIL_PAIRS / 100 % 1 == 0))


def read(path: Path) -> pd.DataFrame:
    """Read a CSV of diffs or predictions; labels stay text (a split may be called 1, or NA).

    Raises:
        TableError: The file does not exist or is not a CSV.
    """
    try:
        text_types = dict.fromkeys(TEXT_COLUMNS, str)
        return pd.read_csv(path, dtype=text_types, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: not readable as a CSV: {' '.join(str(error).split())}") from error
