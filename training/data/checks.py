"""Drop pairs on which training makes little sense, whatever their source, and count them."""

import re
from collections.abc import Collection
from dataclasses import replace

import pandas as pd

from training.data.corpus import Corpus
from training.data.items import item_ids, text_ids
from training.data.user_traits import behaviour_of
from training.errors import StudyError
from training.spec import Checks

# Unicode's Default_Ignorable_Code_Point, and the control characters that are no whitespace.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


def checked(corpus: Corpus, checks: Checks) -> Corpus:
    """Return a corpus without the pairs that `checks` refuses; its `dropped` counts each of them once.

    The pairs get a column `item` (`training.data.items`).

    These are pairs whose last message or one of whose answers shows nothing or is a placeholder, pairs whose
    answers look the same, pairs that one user rated again, and pairs that one user labelled both ways. Where
    the study keeps the last two kinds, `kept` counts them.

    Raises:
        StudyError: No pair is left.
    """
    pairs = corpus.pairs
    prompts = pairs["prompt"].map(lambda chat: chat[-1]["content"])
    empty_prompt = _empty(prompts, checks.placeholders)
    empty_answer = _empty(pairs["chosen"], checks.placeholders) | _empty(
        pairs["rejected"], checks.placeholders
    )
    same = pairs["chosen"].map(_visible) == pairs["rejected"].map(_visible)
    text = text_ids(pairs)
    pairs = pairs.assign(item=item_ids(pairs, text))
    by_user = pd.DataFrame({"user": pairs["user_id"], "text": text, "chosen": pairs["chosen"]})
    contradictory = by_user.groupby(["user", "text"])["chosen"].transform("nunique") > 1
    repeated = by_user.duplicated() & ~contradictory
    reasons = {
        "empty prompt": (empty_prompt, True),
        "empty answer": (empty_answer, True),
        "answers that look the same": (same, True),
        "labelled both ways by one person": (contradictory, checks.contradictory == "drop"),
        "the same pair again": (repeated, checks.repeated == "drop"),
    }
    left = pd.Series(True, index=pairs.index)
    dropped, kept = dict(corpus.dropped), dict(corpus.kept)
    for reason, (rows, is_dropped) in reasons.items():
        counts = dropped if is_dropped else kept
        if count := int((rows & left).sum()):
            counts[reason] = counts.get(reason, 0) + count
        if is_dropped:
            left &= ~rows
    if left.all():
        return replace(corpus, pairs=pairs, dropped=dropped, kept=kept)
    if not left.any():
        why = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
        raise StudyError(f"data: none of {len(pairs)} pairs is left ({why}); see `checks`")
    pairs = pairs[left].reset_index(drop=True)
    return replace(corpus, pairs=pairs, users=_users(corpus.users, pairs), dropped=dropped, kept=kept)


def _visible(text: str) -> str:
    """Return a text without characters that show nothing, such as zero-width spaces, and trimmed."""
    return _INVISIBLE.sub("", text).strip()


def _empty(texts: pd.Series, placeholders: Collection[str]) -> pd.Series:
    return texts.map(_visible).isin(["", *placeholders])


def _users(users: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the users of the pairs that are left, with the traits that count these pairs."""
    users = users[users["user_id"].isin(pairs["user_id"])].reset_index(drop=True)
    again = behaviour_of(pairs)
    return users.assign(
        **{str(name): users["user_id"].map(again[name]) for name in again.columns if name in users}
    )
