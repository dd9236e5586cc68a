"""Predictions about a split, and the published rule's labels. Imports no pandas, so a plan can use them."""

from enum import StrEnum


class Prediction(StrEnum):
    """What a study expects of the diff A minus B of a split."""

    A_ABOVE_B = "A > B"  # The diff is positive.
    A_BELOW_B = "A < B"  # The diff is negative.
    EQUAL = "A = B"  # The split is a null control: the diff is zero.
    EXPLORATORY = "exploratory"  # Nothing is predicted, so the split gets no verdict and is not tested.


class Verdict(StrEnum):
    """The published rule's label of a (study, method, split)."""

    MATCH = "MATCH"  # The mean and enough seeds are on the predicted side.
    LEAN = "LEAN"  # The mean is on the predicted side, but too few seeds are.
    WEAK = "WEAK"  # There is a single seed: it is on the predicted side, but close to zero.
    MISMATCH = "MISMATCH"  # The mean is not on the predicted side, or most seeds are not.
    OK = "OK"  # A null control's mean is near zero.
    NOT_NULL = "NOT NULL"  # A null control's mean is not near zero.
    INCOMPLETE = "INCOMPLETE"  # A planned cell is missing.
    WITHHELD = "WITHHELD"  # A cell failed a validity gate.


class Change(StrEnum):
    """The label of a change from the reference's verdict to a method's.

    The published notes name FIXED, IMPROVED, UNCHANGED and STABLE; the others complete them.
    """

    FIXED = "FIXED"  # From MISMATCH or NOT NULL to MATCH or OK.
    IMPROVED = "IMPROVED"  # One step better: to LEAN or WEAK, or from there to MATCH.
    STABLE = "STABLE"  # MATCH before and after.
    UNCHANGED = "UNCHANGED"  # Neither better nor worse, and not MATCH.
    REGRESSED = "REGRESSED"  # Worse, to MISMATCH or NOT NULL.
    WEAKENED = "WEAKENED"  # Worse, from MATCH to LEAN or WEAK.
    INCOMPLETE = "INCOMPLETE"  # One side has no verdict, or its verdict is INCOMPLETE or WITHHELD.


UNLABELLED = frozenset({Verdict.INCOMPLETE, Verdict.WITHHELD})  # verdicts that the rule did not give
