"""Counts as text."""

from collections import Counter
from collections.abc import Iterable


def plural(number: object, noun: str) -> str:
    """Return a number with its noun: 1 seed, 2 seeds."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def tally(labels: Iterable[str]) -> str:
    """Count equal labels, in alphabetical order: 2 FIXED, 1 IMPROVED."""
    return ", ".join(f"{number} {label}" for label, number in sorted(Counter(labels).items()))
