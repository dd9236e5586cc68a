"""Published numbers, read back as exactly as they can be."""

import numpy as np
import pandas as pd

TAIL_PAIRS = 128  # 16 logged batches of 8 pairs: the published accuracy counts in 128ths
ROUNDING_PP = 0.0051  # published to 0.01 pp


def restore(diffs: pd.DataFrame, pairs: int = TAIL_PAIRS) -> pd.DataFrame:
    """Diffs with the exact values behind two published decimals, where all of them are multiples of 1/pairs.

    A published +1.56 is 2/128 = 1.5625 pp; means of the rounded values print other second decimals than the
    study did. A table with any value that is no rounded multiple is returned as it is.
    """
    values = diffs["diff_pp"].to_numpy(dtype=float)
    exact = np.round(values * pairs / 100) * 100 / pairs
    if np.isfinite(values).all() and np.all(np.abs(values - exact) <= ROUNDING_PP):
        return diffs.assign(diff_pp=exact)
    return diffs
