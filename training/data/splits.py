"""Who is in group A, who in B, and whose pairs are held out: always by user, never by row."""

import difflib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from training.data.corpus import Corpus
from training.errors import StudyError
from training.spec import CategorySplit, HeldOut, MedianSplit, SplitSpec


def assign(corpus: Corpus, held_out: HeldOut, split: SplitSpec | None, place: str = "split") -> pd.DataFrame:
    """Groups and folds of the pairs of a split, in the corpus' order: pair_id, user_id, group, fold.

    group is "A" or "B" ("all" without a split); pairs of users in neither group are left out. fold is "train"
    or "heldout"; which users are held out depends on `held_out` and the user ids alone.

    Raises:
        StudyError: a column or category that is not there, or a group without users; `place` names the key.
    """
    users = corpus.users.sort_values("user_id", ignore_index=True)
    table = corpus.pairs[["pair_id", "user_id"]].copy()
    table["group"] = "all" if split is None else table["user_id"].map(_groups(users, split, place))
    table["fold"] = np.where(table["user_id"].isin(_held_out(users["user_id"], held_out)), "heldout", "train")
    table = table[table["group"].notna()]
    if split is not None:
        table = _condition(corpus, table, split, held_out.seed, place)
    if split is not None and split.match_pairs:
        table = _match(table, None, held_out.seed)
    return table.reset_index(drop=True)


def _condition(corpus: Corpus, table: pd.DataFrame, split: SplitSpec, seed: int, place: str) -> pd.DataFrame:
    """The pairs that a split's source models leave."""
    models = corpus.pairs.set_index("pair_id")["source_model"]
    if (split.source_models or split.match_source_models) and models.isna().all():
        raise StudyError(f"{place}: these pairs came without source models; take the condition out")
    if split.source_models:
        present = set(models.dropna().unique())
        for name in split.source_models:
            if name not in present:
                raise StudyError(f"{place}.source_models: no pair is of {name!r}; {_known(name, present)}")
        table = table[table["pair_id"].map(models).isin(split.source_models)]
    if split.match_source_models:
        known = table.assign(source_model=table["pair_id"].map(models)).dropna(subset="source_model")
        table = _match(known, "source_model", seed).drop(columns="source_model")
    return table


def _groups(users: pd.DataFrame, split: SplitSpec, place: str) -> pd.Series:
    """user_id -> "A", "B" or missing."""
    if isinstance(split, CategorySplit):
        values = _column(users, split.column, place)
        present = set(values.dropna().unique())
        for key in ("a", "b"):
            for category in getattr(split, key):
                if category not in present:
                    raise StudyError(f"{place}.{key}: no user has {category!r}; {_known(category, present)}")
        both = sorted(set(split.a) & set(split.b))
        if both:
            raise StudyError(f"{place}: {both[0]!r} stands in a and in b; a user is in one group")
        in_a, in_b = values.isin(split.a), values.isin(split.b)
    elif isinstance(split, MedianSplit):
        values = _column(users, split.column, place)
        if not pd.api.types.is_numeric_dtype(values):
            raise StudyError(f"{place}.column: {split.column!r} is not numeric; use `by: category`")
        in_a, in_b = values >= values.median(), values < values.median()
    else:
        half = np.random.default_rng(split.seed).permutation(len(users)) % 2
        in_a, in_b = pd.Series(half == 0), pd.Series(half == 1)
    groups = pd.Series(np.select([in_a, in_b], ["A", "B"], default="neither"), index=users["user_id"])
    for group in ("A", "B"):
        if not (groups == group).any():
            raise StudyError(f"{place}: group {group} has no user; another {split.by} split is needed")
    return groups[groups != "neither"]


def _column(users: pd.DataFrame, name: str, place: str) -> pd.Series:
    if name not in users or name == "user_id":
        traits = [column for column in users.columns if column != "user_id"]
        raise StudyError(f"{place}.column: no trait is named {name!r}; {_known(name, traits)}")
    return users[name]


def _known(wrong: str, valid: Iterable[str]) -> str:
    names = sorted(valid)
    nearest = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{hint}valid: {', '.join(names)}"


def _held_out(user_ids: pd.Series, held_out: HeldOut) -> set[str]:
    ids = np.sort(user_ids.to_numpy(dtype=str))
    number = max(1, round(held_out.share * len(ids)))
    drawn: list[str] = np.random.default_rng(held_out.seed).permutation(ids)[:number].tolist()
    return set(drawn)


def _match(table: pd.DataFrame, within: str | None, seed: int) -> pd.DataFrame:
    """Drop training pairs at random until A has as many as B, in every stratum of the column `within`."""
    train = table[table["fold"] == "train"].sort_values("pair_id")
    shuffled = train.sample(frac=1, random_state=np.random.default_rng(seed))
    keys = [within, "group"] if within else ["group"]
    place = shuffled.groupby(keys).cumcount()
    if within:
        counts = train.groupby(keys).size().unstack("group", fill_value=0)
        size = shuffled[within].map(counts.min(axis=1))
    else:
        size = pd.Series(train.groupby("group").size().min(), index=shuffled.index)
    kept = set(shuffled.loc[place < size, "pair_id"])
    return table[(table["fold"] == "heldout") | table["pair_id"].isin(kept)]
