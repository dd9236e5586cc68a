"""Markdown tables, and numbers as they are printed in them."""

import math
from typing import Any

import pandas as pd

NO_VALUE = "-"


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


def probability(value: object) -> str:
    """Return a p value with three decimals, never 0.000; `-` where it is missing."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NO_VALUE
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def intervals(low: "pd.Series[Any]", high: "pd.Series[Any]", digits: int = 1) -> list[str]:
    """Return each interval as text, such as [+1.0, +2.0]; `-` where an end is missing or infinite."""
    return [
        f"[{a:+.{digits}f}, {b:+.{digits}f}]" if math.isfinite(a) and math.isfinite(b) else NO_VALUE
        for a, b in zip(low, high, strict=True)
    ]
