"""Markdown tables, and numbers as they are printed in them."""

import math
from typing import Any

import pandas as pd

from stats.evidence.possible import LARGEST_PP, says_something

NO_VALUE = "-"
NONE_YET = "none yet"


def table(frame: pd.DataFrame) -> str:
    """Return `frame` as a pipe table without its index; a `|` is escaped, and a missing value is a `-`."""
    rows = [
        list(map(str, frame.columns)),
        ["---"] * len(frame.columns),
        *frame.astype(object).where(frame.notna(), NO_VALUE).to_numpy().tolist(),
    ]
    return "\n".join(
        "| " + " | ".join(str(value).replace("|", "\\|") for value in row) + " |" for row in rows
    )


def signed(value: object, digits: int = 2) -> str:
    """Return the number with its sign, such as +1.56; `-` where it is missing or infinite."""
    return f"{value:+.{digits}f}" if isinstance(value, int | float) and math.isfinite(value) else NO_VALUE


def plain(value: object, digits: int = 2) -> str:
    """Return the number, such as 1.56; `-` where it is missing or infinite."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) and math.isfinite(value) else NO_VALUE


def possible_pp(value: object) -> str:
    """Return a size in percentage points as `plain` does; `none yet` if no accuracies can differ by it."""
    is_possible = not isinstance(value, int | float) or not value > LARGEST_PP
    return plain(value) if is_possible else NONE_YET


def probability(value: object) -> str:
    """Return a p value with three decimals, never 0.000; `-` where it is missing."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NO_VALUE
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def intervals(low: "pd.Series[Any]", high: "pd.Series[Any]", digits: int = 1) -> list[str]:
    """Return each interval in percentage points as text, such as [+1.0, +2.0].

    It is `-` where an end is missing or infinite, and `none yet` around zero with an end that no difference
    between accuracies reaches.
    """
    return [interval(a, b, digits) for a, b in zip(low, high, strict=True)]


def interval(low: float, high: float, digits: int = 1, largest: float = LARGEST_PP) -> str:
    """Return one interval as `intervals` does, of a quantity whose largest possible size is given."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NO_VALUE
    if not says_something(low, high, largest):
        return NONE_YET
    return f"[{low:+.{digits}f}, {high:+.{digits}f}]"
