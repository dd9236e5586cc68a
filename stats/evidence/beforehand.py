"""What a study fixes beforehand about cells that are missing or diverged.

Imports no pandas, so that a plan can use it.
"""

from enum import StrEnum


class MissingRule(StrEnum):
    """What a split with missing outcomes gets."""

    REQUIRE = "require"  # No verdict until every planned cell has numbers; unscored pairs are left out.
    BOUND = "bound"  # Verdicts from the cells that have numbers; intervals hold whatever the others are.


class DivergedCells(StrEnum):
    """What becomes of a cell that diverged."""

    AS_THEY_ARE = "as_they_are"
    AS_MISSING = "as_missing"
