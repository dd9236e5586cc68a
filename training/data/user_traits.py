"""What is known of each person: the traits that a table holds, and what the pairs themselves say."""

import numpy as np
import pandas as pd

from training.data.conversions import ages, levels, names, numbers
from training.data.tables import Table
from training.errors import StudyError
from training.table_data import Trait, level_text


def traits_of(table: Table, users: pd.Series, traits: dict[str, Trait]) -> pd.DataFrame:
    """Return one row per user: user_id, and one column per trait, a number or a text.

    Args:
        table: Rows with the traits' columns, each under the trait's name after `trait:`.
        users: Whose row it is: [rows].
        traits: The traits by name.

    Raises:
        StudyError: A value is impossible, or a trait differs between two rows of one user.
    """
    columns = {"user_id": users}
    for name, trait in traits.items():
        ours = f"trait:{name}"
        if trait.age_on:
            columns[name] = ages(table, ours, trait.age_on)
        elif trait.between:
            columns[name] = numbers(table, ours, required=False, between=trait.between)
        else:
            columns[name] = levels(table, ours)
        _refuse_differing(table, ours, users, columns[name])
    return pd.DataFrame(columns).groupby("user_id", as_index=False, sort=True).first()


def behaviour_of(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return what pairs say of their users, indexed by user_id.

    The columns are n_pairs, median_prompt_length (characters of the last message) and, if pairs have scores,
    mean_score_gap.
    """
    lengths = [len(prompt[-1]["content"]) for prompt in pairs["prompt"]]
    by_user = pairs.assign(prompt_length=lengths).groupby("user_id")
    behaviour = {"n_pairs": by_user.size(), "median_prompt_length": by_user["prompt_length"].median()}
    if pairs["score_gap"].notna().any():
        behaviour["mean_score_gap"] = by_user["score_gap"].mean()
    return pd.DataFrame(behaviour)


def known_users(corpus_pairs: pd.DataFrame, traits: pd.DataFrame | None, table: str) -> pd.DataFrame:
    """Return one row per user of a pair: user_id, the traits, and what the pairs say of him (`behaviour_of`).

    Args:
        corpus_pairs: `Corpus.pairs`. traits: As from `traits_of`, for these and other users. table: Name of
            the table of traits, for messages.

    Raises:
        StudyError: A user of a pair has no row among the traits.
    """
    counted = behaviour_of(corpus_pairs).reset_index()
    if traits is None:
        return counted.sort_values("user_id", ignore_index=True)
    unknown = np.setdiff1d(
        counted["user_id"].to_numpy(dtype=object), traits["user_id"].to_numpy(dtype=object)
    )
    if len(unknown):
        raise StudyError(
            f"data.people: user {unknown[0]!r} judged answers but has no row in {table}; add the row, or "
            f"remove the answers ({len(unknown)} of {len(counted)} users have none)"
        )
    return traits.merge(counted, on="user_id").sort_values("user_id", ignore_index=True)


def people_users(table: Table) -> pd.Series:
    """Return the users of a table of people."""
    return names(table, "user")


def _refuse_differing(table: Table, column: str, users: pd.Series, values: pd.Series) -> None:
    """Refuse a trait that has two values for one user."""
    given = values.notna()
    first = values[given].groupby(users[given]).transform("first")
    differing = values[given] != first
    if not differing.any():
        return
    row = int(differing.index[int(np.argmax(differing))])
    user = users[row]
    before = int(values[given & (users == user)].index[0])
    raise StudyError(
        f"{table.place(row, column)}: user {user!r} has {level_text(values[row])!r} here and "
        f"{level_text(values[before])!r} at "
        f"{table.place(before)}; a trait is the same in all rows of a user"
    )
