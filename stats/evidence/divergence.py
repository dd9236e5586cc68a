"""Cells that diverged, by a rule that is fixed before any outcome is known.

Whether a seed diverges depends on what its outcome would be, so leaving such seeds out afterwards biases what
is left. A study file says beforehand what becomes of them: they count as they are, or they count as missing.
"""

from collections.abc import Mapping
from math import nan
from typing import Any

from stats.names import ARMS


def has_diverged(metrics: Mapping[Any, Any], loss_ratio: float) -> bool:
    """Return whether an arm ended with a loss above `loss_ratio` times that of step 0.

    Args:
        metrics: a cell's metrics by name, with `X/loss_step0` and `X/loss_tail` (nats) of each arm X that it
            has; NaN or absent for an arm that it does not have.
    """
    for arm in ARMS:
        start, tail = (float(metrics.get(f"{arm}/{name}", nan)) for name in ("loss_step0", "loss_tail"))
        if tail > loss_ratio * start:
            return True
    return False
