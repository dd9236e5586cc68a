"""Tables and numbers as Markdown text."""

import math
from typing import Any

import pandas as pd

NOTHING = "-"


def table(frame: pd.DataFrame) -> str:
    """A pipe table; a `|` inside a cell is escaped."""
    rows = [
        list(map(str, frame.columns)),
        ["---"] * len(frame.columns),
        *frame.astype(str).to_numpy().tolist(),
    ]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def signed(value: object, digits: int = 2) -> str:
    """+1.56, or - where there is no number."""
    return f"{value:+.{digits}f}" if isinstance(value, int | float) and math.isfinite(value) else NOTHING


def plain(value: object, digits: int = 2) -> str:
    """1.56, or - where there is no number."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) and math.isfinite(value) else NOTHING


def probability(value: object) -> str:
    """A p value with three decimals, never 0."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NOTHING
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def spans(low: "pd.Series[Any]", high: "pd.Series[Any]", digits: int = 1) -> list[str]:
    """[+1.0, +2.0] of every pair of ends, - where there is none."""
    return [
        f"[{a:+.{digits}f}, {b:+.{digits}f}]" if math.isfinite(a) and math.isfinite(b) else NOTHING
        for a, b in zip(low, high, strict=True)
    ]
