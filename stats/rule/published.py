"""Published numbers: read back as exactly as they can be, and judged without any run."""

from pathlib import Path

import numpy as np
import pandas as pd

from stats.errors import TableError

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
