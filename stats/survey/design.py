"""The design of a survey model: which users and levels enter it, and as which columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd

from stats.arrays import Floats
from stats.errors import TableError
from stats.survey.identifiability import check_identifiable
from stats.text import plural


@dataclass(frozen=True)
class SurveyDesign:
    """Users with all their traits, and their pairs.

    rows: the pairs, with user (position) and score_gap. users: user_id by position. matrix: one column per
        term, [users, terms]. terms: trait, level, reference, users (number with that level); the last three
        are missing for a numeric trait.
    rare: trait, level, users of the levels that are left out. left_out: number of pairs without a score,
        without all traits of their user, or of a user with a rare level.
    """

    rows: pd.DataFrame
    users: list[object]
    matrix: Floats
    terms: pd.DataFrame
    rare: pd.DataFrame
    left_out: int


def survey_design(
    pairs: pd.DataFrame, users: pd.DataFrame, traits: Mapping[str, str | None], min_users: int
) -> SurveyDesign:
    """Build the design of a survey model.

    Args:
        pairs: user_id, score_gap. users: user_id and one column per trait.
        traits: trait -> reference level, or None for a numeric trait.
        min_users: a level with fewer users is left out, and so are its users: they count as users without
            that trait.

    Raises:
        TableError: A column, a user or a reference is unknown, a user is listed twice, a numeric trait has
            text, a trait has too few users beside its most common value, or traits cannot be told apart.
    """
    _check_tables(pairs, users, traits)
    scored = pairs[pairs["score_gap"].notna()]
    if scored.empty:
        raise TableError("pairs.score_gap: no pair has a score; a survey model needs some")
    people = users[users["user_id"].isin(scored["user_id"].unique())].dropna(subset=list(traits))
    people, rare = _without_rare_levels(people, traits, min_users)
    people = people.sort_values("user_id", ignore_index=True)
    terms: list[dict[str, object]] = []
    columns: list[Floats] = []
    for trait, reference in traits.items():
        values = people[trait]
        if reference is None:
            _check_spread(values, trait, min_users)
            terms.append({"trait": trait, "level": None, "reference": None, "users": None})
            columns.append(values.to_numpy(dtype=float))
            continue
        for level in sorted(set(values) - {reference}, key=str):
            column = (values == level).to_numpy(dtype=float)
            terms.append({"trait": trait, "level": level, "reference": reference, "users": int(column.sum())})
            columns.append(column)
    matrix = np.column_stack(columns)
    check_identifiable(matrix, [str(term["trait"]) for term in terms])
    position = pd.Series(people.index, index=people["user_id"])
    rows = scored.assign(user=scored["user_id"].map(position)).dropna(subset="user")
    rows = rows[["user", "score_gap"]].astype({"user": np.int64})
    return SurveyDesign(
        rows,
        people["user_id"].tolist(),
        matrix,
        pd.DataFrame(terms).astype({"users": "Int64"}),
        rare,
        len(pairs) - len(rows),
    )


def _without_rare_levels(
    people: pd.DataFrame, traits: Mapping[str, str | None], min_users: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out the users of rare levels until no level is rare; return also trait, level, users of those."""
    left_out: list[tuple[str, object, int]] = []
    while True:
        found: list[tuple[str, object, int]] = []
        for trait, reference in traits.items():
            if reference is None:
                continue
            counts = people[trait].value_counts()
            if counts.get(reference, 0) < min_users:
                number = plural(counts.get(reference, 0), "user")
                raise TableError(
                    f"traits.{trait}: the reference {reference!r} has only {number} with scored pairs and "
                    f"all traits, and at least {min_users} are needed; choose another reference or a smaller "
                    "min_users"
                )
            if (counts >= min_users).sum() < 2:
                raise TableError(
                    f"traits.{trait}: no level but {reference!r} has at least {min_users} users; leave the "
                    "trait out"
                )
            found += [(trait, level, int(number)) for level, number in counts.items() if number < min_users]
        if not found:
            break
        left_out += found
        for trait, level, _ in found:
            people = people[people[trait] != level]
    return people, pd.DataFrame(left_out, columns=["trait", "level", "users"])


def _check_spread(values: pd.Series, trait: str, min_users: int) -> None:
    """Refuse a numeric trait in which too few users differ from the most common value."""
    counts = values.value_counts()
    different = int(len(values) - counts.iloc[0]) if len(values) else 0
    if different < min_users:
        value = f"{counts.index[0]:g}" if len(values) else "no value"
        raise TableError(
            f"traits.{trait}: {plural(different, 'user')} with scored pairs and all traits differ from the "
            f"most common value, {value}, and at least {min_users} are needed; leave the trait out"
        )


def _check_tables(pairs: pd.DataFrame, users: pd.DataFrame, traits: Mapping[str, str | None]) -> None:
    for name, frame, columns in (
        ("pairs", pairs, ("user_id", "score_gap")),
        ("users", users, ("user_id",)),
    ):
        for column in columns:
            if column not in frame:
                raise TableError(f"{name}: no column {column!r}; columns are {_names(frame.columns)}")
    if not traits:
        raise TableError("traits: none is given; name at least one column of users")
    known = [column for column in users.columns if column != "user_id"]
    for trait, reference in traits.items():
        if trait not in known:
            raise TableError(f"traits: no column {trait!r} in users; columns are {_names(known)}")
        if reference is None:
            _check_numbers(users[trait], f"traits.{trait}", "name a reference level if it is a category")
        elif reference not in set(users[trait]):
            levels = _names(sorted(map(str, users[trait].dropna().unique())))
            raise TableError(f"traits.{trait}: no user has the reference {reference!r}; levels are {levels}")
    _check_numbers(pairs["score_gap"], "pairs.score_gap", "leave a pair without a score empty")
    twice = users["user_id"][users["user_id"].duplicated()]
    if not twice.empty:
        raise TableError(f"users: {twice.iloc[0]!r} is listed twice; keep one row per user")
    raters = pd.Series(pairs["user_id"].unique())
    strangers = raters[~raters.isin(users["user_id"])]
    if not strangers.empty:
        raise TableError(
            f"pairs: user {strangers.iloc[0]!r} is not in users; add the row, or leave the pairs out"
        )


def _check_numbers(values: pd.Series, place: str, way_out: str) -> None:
    """Refuse a value that is neither a finite number nor missing."""
    given = values.dropna()
    numeric = given if pd.api.types.is_numeric_dtype(given) else given.map(_number_or_nan)
    wrong = given[~np.isfinite(numeric.to_numpy(dtype=float))]
    if not wrong.empty:
        raise TableError(f"{place}: {str(wrong.iloc[0])!r} is not a number; {way_out}")


def _number_or_nan(value: object) -> float:
    return float(value) if isinstance(value, Real) else np.nan


def _names(columns: Iterable[object]) -> str:
    return ", ".join(map(str, columns))
