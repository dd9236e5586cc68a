"""The survey models that turn traits of people into predicted splits."""

from pydantic import Field

from stats.survey.defaults import MIN_USERS, Correction
from training.table_data import Level
from training.values import Spec


class SurveyModel(Spec):
    """How `orchestrator.predict` models the survey: an ordered logit, and the binary logit W2."""

    traits: dict[str, Level | None] | None = Field(
        None,
        description="Each trait with its reference level; null for a numeric trait. If absent: PRISM's "
        "traits for PRISM and its twin, otherwise all traits of the data.",
    )
    cuts: tuple[float, ...] | None = Field(
        None,
        min_length=1,
        description="Cut points between the categories of the score gap. If absent: the published ones for "
        "PRISM and its twin, otherwise the quartiles of the score gap.",
    )
    min_users: int = Field(
        MIN_USERS, ge=2, description="A level that fewer users have is left out, together with them."
    )
    correction: Correction = Field(
        "holm",
        description="How the p values of the traits are corrected before a trait is selected: holm "
        "(family-wise error) or bh (Benjamini-Hochberg, false discovery rate).",
    )
    alpha: float = Field(
        0.05, gt=0, lt=1, description="A trait whose corrected p value is below this becomes a split."
    )
    w2_cut: float | None = Field(
        None,
        description="In W2, a score gap above this counts as large. If absent: the published cut for PRISM "
        "and its twin, otherwise the median of the score gap.",
    )
    w2_alpha: float = Field(0.1, gt=0, lt=1, description="`alpha` for W2.")
