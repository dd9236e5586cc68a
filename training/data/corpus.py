"""A study's data, whatever it comes from: pairs, users, and what was dropped on the way."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Corpus:
    """Preference pairs and the people they come from.

    pairs: pair_id (stable, unique), user_id, source_model (of both answers; missing where unknown or where
        two models wrote them), chosen_model, rejected_model, score_gap (missing where unknown), turn,
        prompt (chat messages, the last one the user's), chosen, rejected.
    users: user_id and one column a trait; users of pairs only.
    dropped: reason -> how many answers or pairs were dropped for it.
    generated: True for a twin, whose reports say so.
    """

    pairs: "pd.DataFrame"
    users: "pd.DataFrame"
    dropped: dict[str, int]
    generated: bool
