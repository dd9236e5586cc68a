"""Turn the score gaps of an arm's pairs into weights and target margins, which are columns of its rows."""

import numpy as np

from training.arrays import FloatArray
from training.errors import StudyError
from training.spec import MethodSpec

WEIGHT, TARGET = "pair_weight", "target_margin"
GAP_COLUMNS = (WEIGHT, TARGET)


def gap_columns(method: MethodSpec, gaps: FloatArray | None, name: str) -> dict[str, FloatArray]:
    """Return what a method makes of the score gaps of an arm's training pairs, by column: shape [pairs].

    `pair_weight` is gap / mean gap. `target_margin` is margin_scale * gap, or margin_scale * log(gap).

    Args:
        method: The objective; its weights_from, margin_from and margin_scale apply.
        gaps: Score gaps of the pairs; None if they are not known.
        name: The trial and arm, for messages.

    Raises:
        StudyError: A pair has no score gap, or one that is not positive.
    """
    if not method.reads_gaps:
        return {}
    key = "weights_from" if method.weights_from else "margin_from"
    usable = np.zeros(0, dtype=bool) if gaps is None else np.isfinite(gaps) & (gaps > 0)
    if gaps is None or not usable.all():
        what = "no score gap" if gaps is None or np.isnan(gaps).any() else "a score gap of 0 or less"
        count = "the pairs have" if gaps is None else f"{(~usable).sum()} of {len(gaps)} pairs have"
        raise StudyError(
            f"{name}: {count} {what}, which the method's {key} needs; name the column in "
            "data.columns.score_gap, leave these pairs out with data.where, or remove "
            f"{key}"
        )
    columns: dict[str, FloatArray] = {}
    if method.weights_from:
        columns[WEIGHT] = gaps / gaps.mean()
    if method.margin_from:
        scale = method.margin_scale or 1.0
        columns[TARGET] = scale * (gaps if method.margin_from == "score_gap" else np.log(gaps))
    return columns
