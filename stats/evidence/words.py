"""What an interval says about a prediction, in one word, and whether it bears out a published label."""

from collections.abc import Mapping
from enum import StrEnum

from stats.rule.labels import Change, Prediction, Verdict


class EvidenceWord(StrEnum):
    """What an interval says about a prediction."""

    SUPPORTED = "supported"  # The interval lies on the predicted side of zero.
    CONTRADICTED = "contradicted"  # It lies on the other side; for `A = B`, on either side.
    PRACTICALLY_NULL = "practically null"  # It lies inside the margin around zero.
    UNDECIDED = "undecided"  # None of these, or there is no interval.


# These changes are statements about two verdicts, so they are borne out only if both verdicts are.
OF_TWO_VERDICTS = frozenset({Change.FIXED, Change.IMPROVED, Change.REGRESSED})
# Published label -> the evidence that bears it out.
CARRIED_BY: Mapping[str, frozenset[EvidenceWord]] = {
    Verdict.MATCH: frozenset({EvidenceWord.SUPPORTED}),
    Verdict.LEAN: frozenset({EvidenceWord.SUPPORTED}),
    Verdict.WEAK: frozenset({EvidenceWord.SUPPORTED}),
    Verdict.MISMATCH: frozenset({EvidenceWord.CONTRADICTED, EvidenceWord.PRACTICALLY_NULL}),
    Verdict.OK: frozenset({EvidenceWord.PRACTICALLY_NULL}),
    Verdict.NOT_NULL: frozenset({EvidenceWord.CONTRADICTED}),
    Change.FIXED: frozenset({EvidenceWord.SUPPORTED}),
    Change.IMPROVED: frozenset({EvidenceWord.SUPPORTED}),
    Change.REGRESSED: frozenset({EvidenceWord.CONTRADICTED}),
    Change.WEAKENED: frozenset({EvidenceWord.CONTRADICTED}),
    Change.STABLE: frozenset({EvidenceWord.PRACTICALLY_NULL}),
    Change.UNCHANGED: frozenset({EvidenceWord.PRACTICALLY_NULL}),
}


def word_for(predicted: str, interval: tuple[float, float] | None, margin: float) -> EvidenceWord:
    """Return what a (multiplicity-adjusted) interval says about a prediction.

    An interval inside +-margin is practically null, whatever its sign. Otherwise the prediction is supported
    if the interval lies entirely on the predicted side of zero, contradicted if it lies on the other side
    (for `A = B`, on either side), and undecided if it contains zero.
    """
    if interval is None or predicted == Prediction.EXPLORATORY:
        return EvidenceWord.UNDECIDED
    low, high = interval
    if -margin < low and high < margin:
        return EvidenceWord.PRACTICALLY_NULL
    if low <= 0 <= high:
        return EvidenceWord.UNDECIDED
    as_predicted = (predicted == Prediction.A_ABOVE_B and low > 0) or (
        predicted == Prediction.A_BELOW_B and high < 0
    )
    return EvidenceWord.SUPPORTED if as_predicted else EvidenceWord.CONTRADICTED


def carried(
    label: str | None, predicted: str, evidence: str, interval: tuple[float, float], null_pp: float
) -> str:
    """Return whether the evidence bears out a published label: yes, no, or - if there is no label.

    Args:
        label: a published verdict or change.
        predicted: the prediction about the split. What fixes a null control (`A = B`) moves it, to whichever
            side, so there the evidence for FIXED is a change beyond zero.
        evidence: what the adjusted interval says about the prediction.
        interval: that interval (percentage points); NaN where there is none.
        null_pp: the rule's threshold. NOT NULL claims a diff of at least this size, not only one beyond zero.
    """
    if label is None or label not in CARRIED_BY:
        return "-"
    if label == Change.FIXED and predicted == Prediction.EQUAL:
        return "yes" if evidence == EvidenceWord.CONTRADICTED else "no"
    is_large = interval[0] >= null_pp or interval[1] <= -null_pp
    return "yes" if evidence in CARRIED_BY[label] and (label != Verdict.NOT_NULL or is_large) else "no"
