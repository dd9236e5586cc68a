"""Adjusted p values of a family of tests."""

import numpy as np

from stats.arrays import Floats


def holm(p: Floats) -> Floats:
    """Return adjusted p values [..., k] of families of k (Holm 1979).

    statsmodels' function runs the garbage collector at each call, which is slow.
    """
    order = np.argsort(p, axis=-1)
    steps = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(steps)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(steps, axis=-1), -1)
    return np.minimum(adjusted, 1.0)
