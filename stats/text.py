"""Counts as text."""

from collections import Counter
from collections.abc import Iterable


def times(number: object, what: str) -> str:
    """1 seed, 2 seeds."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def tally(labels: Iterable[str]) -> str:
    """2 FIXED, 1 IMPROVED; in alphabetical order."""
    return ", ".join(f"{number} {label}" for label, number in sorted(Counter(labels).items()))
