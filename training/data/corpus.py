"""Hold a study's data, whatever its source: pairs, users, and what was dropped while reading."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Corpus:
    """Preference pairs and the people who made them.

    pairs: One row per pair: pair_id (stable, unique), user_id, item (what was judged; missing where it is
        unknown, until `training.data.checks` names it), source_model (of both answers; missing where it is
        unknown or two models wrote them), chosen_model, rejected_model, score_gap (missing where it is
        unknown), turn, prompt (chat messages, the last one the user's), chosen, rejected.
    users: One row per user of a pair: user_id and one column per trait.
    dropped: Number of answers or pairs that were dropped, by reason.
    generated: True for a twin; its reports say so.
    anonymous: True if nobody is named and the prompts stand for people; reports say so.
    kept: Number of pairs that are unusual and were kept, by what is unusual.
    """

    pairs: "pd.DataFrame"
    users: "pd.DataFrame"
    dropped: dict[str, int]
    generated: bool
    anonymous: bool = False
    kept: dict[str, int] = field(default_factory=dict)
