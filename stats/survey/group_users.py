"""The users of a group, as codes."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from stats.errors import TableError


def user_codes(user_ids: "pd.Series[str]", group: str, *, sort: bool = False) -> npt.NDArray[np.intp]:
    """Return a code for each pair's user, counted from 0.

    Raises:
        TableError: Fewer than two users have two pairs each.
    """
    codes = pd.factorize(user_ids, sort=sort)[0]
    if (np.bincount(codes) >= 2).sum() < 2:
        raise TableError(
            f"group {group}: fewer than two users with two pairs each; how they differ is not known"
        )
    return codes
