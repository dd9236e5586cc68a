"""Assign users to group A or B, and draw the users and items whose pairs are held out, never single rows."""

from typing import Literal

import numpy as np
import pandas as pd

from training.data.corpus import Corpus
from training.data.items import items_of
from training.errors import StudyError
from training.hints import suggestion
from training.spec import CategorySplit, HeldOut, MedianSplit, QuantileSplit, SplitSpec
from training.table_data import level_text


def assign(corpus: Corpus, held_out: HeldOut, split: SplitSpec | None, place: str = "split") -> pd.DataFrame:
    """Return the group and the fold of each pair of a split, in the order of the corpus.

    Args:
        corpus: Pairs and users.
        held_out: Share and seed of the held-out users and items, and which of both are drawn; besides these,
            only the ids of users and items decide.
        split: How users fall into A and B; None puts all users into one group.
        place: The key of the split, for error messages.

    Returns:
        One row per pair: pair_id, user_id, item, group, fold. group is "A" or "B", or "all" without a split;
        pairs of users in neither group are left out. fold is "train" or "heldout". Where users and items are
        held out, a pair of a held-out user on an item that is trained on is left out, and so is a pair of
        another user on a held-out item.

    Raises:
        StudyError: A column, category or source model is missing, or a group has no user.
    """
    users = corpus.users.sort_values("user_id", ignore_index=True)
    table = corpus.pairs[["pair_id", "user_id"]].assign(item=items_of(corpus.pairs))
    table["group"] = "all" if split is None else table["user_id"].map(_groups(users, split, place))
    table["fold"] = _folds(table, users["user_id"], held_out)
    table = table[table["group"].notna() & table["fold"].notna()]
    if split is not None:
        table = _condition(corpus, table, split, held_out.seed, place)
    if split is not None and split.match_pairs:
        table = _match(table, None, held_out.seed)
    return table.reset_index(drop=True)


def _condition(corpus: Corpus, table: pd.DataFrame, split: SplitSpec, seed: int, place: str) -> pd.DataFrame:
    """Return the pairs that satisfy a split's conditions on source models."""
    models = corpus.pairs.set_index("pair_id")["source_model"]
    if (split.source_models or split.match_source_models) and models.isna().all():
        raise StudyError(f"{place}: these pairs have no source models; remove the condition")
    if split.source_models:
        present = set(models.dropna().unique())
        for name in split.source_models:
            if name not in present:
                raise StudyError(
                    f"{place}.source_models: no pair is of model {name!r}; {suggestion(name, present)}"
                )
        table = table[table["pair_id"].map(models).isin(split.source_models)]
    if split.match_source_models:
        with_model = table.assign(source_model=table["pair_id"].map(models)).dropna(subset="source_model")
        table = _match(with_model, "source_model", seed).drop(columns="source_model")
    return table


def _groups(users: pd.DataFrame, split: SplitSpec, place: str) -> pd.Series:
    """Return "A" or "B" by user_id; users in neither group are missing."""
    if isinstance(split, CategorySplit):
        values = _column(users, split.column, place).map(level_text)
        present = set(values.dropna().unique())
        for key in ("a", "b"):
            for category in getattr(split, key):
                if category not in present:
                    raise StudyError(
                        f"{place}.{key}: no user has {category!r}, or it is one of data.missing_values; "
                        f"{suggestion(category, present)}"
                    )
        in_both = sorted(set(split.a) & set(split.b))
        if in_both:
            raise StudyError(f"{place}: {in_both[0]!r} is in a and in b; a user is in one group only")
        in_a, in_b = values.isin(split.a), values.isin(split.b)
    elif isinstance(split, MedianSplit):
        values = _numbers(users, split.column, place)
        in_a, in_b = values >= values.median(), values < values.median()
    elif isinstance(split, QuantileSplit):
        values = _numbers(users, split.column, place)
        above, below = values.quantile(split.above), values.quantile(split.below)
        if below >= above:
            raise StudyError(
                f"{place}: the quantiles {split.below:g} and {split.above:g} of {split.column!r} are "
                f"{below:g} and {above:g}, so a user would be in A and in B; set above and "
                "below further apart"
            )
        in_a, in_b = values >= above, values <= below
    else:
        half = np.random.default_rng(split.seed).permutation(len(users)) % 2
        in_a, in_b = pd.Series(half == 0), pd.Series(half == 1)
    groups = pd.Series(np.select([in_a, in_b], ["A", "B"], default="neither"), index=users["user_id"])
    for group in ("A", "B"):
        if not (groups == group).any():
            raise StudyError(f"{place}: group {group} has no user; choose another {split.by} split")
    return groups[groups != "neither"]


def _numbers(users: pd.DataFrame, name: str, place: str) -> pd.Series:
    values = _column(users, name, place)
    if not pd.api.types.is_numeric_dtype(values):
        known = values.dropna()
        texts = known[pd.to_numeric(known, errors="coerce").isna()]
        found = f"a user has {texts.iloc[0]!r}" if len(texts) else "no user has a value"
        raise StudyError(f"{place}.column: {name!r} is not numeric ({found}); use `by: category`")
    return values


def _column(users: pd.DataFrame, name: str, place: str) -> pd.Series:
    if name not in users or name == "user_id":
        traits = [column for column in users.columns if column != "user_id"]
        raise StudyError(f"{place}.column: no trait is named {name!r}; {suggestion(name, traits)}")
    return users[name]


def held_out_by(pairs: pd.DataFrame, held_out: HeldOut) -> Literal["user", "item", "both"]:
    """Return what is held out; `pairs` has the columns user_id and item."""
    return held_out.by or ("both" if len(_shared_items(pairs)) else "user")


def _folds(table: pd.DataFrame, user_ids: pd.Series, held_out: HeldOut) -> pd.Series:
    """Return the fold of each pair (columns user_id, item): train, heldout, or None for a pair left out."""
    by = held_out_by(table, held_out)
    of_user = table["user_id"].isin(_drawn(user_ids, held_out))
    if by == "user":
        held, trained = of_user, ~of_user
    elif by == "item":
        held = table["item"].isin(_drawn(table["item"].drop_duplicates(), held_out))
        trained = ~held
    else:  # an item that one user rated goes with its user
        shared = _shared_items(table)
        of_item, is_shared = table["item"].isin(_drawn(shared, held_out)), table["item"].isin(shared)
        held, trained = of_user & (of_item | ~is_shared), ~of_user & ~of_item
    return pd.Series(np.select([held, trained], ["heldout", "train"], default=""), table.index).replace(
        "", None
    )


def _shared_items(table: pd.DataFrame) -> pd.Series:
    """Return the items that several users rated."""
    raters = table.groupby("item")["user_id"].nunique()
    return pd.Series(raters.index[raters > 1])


def _drawn(ids: pd.Series, held_out: HeldOut) -> set[str]:
    """Draw the share of users or items that is held out, at least one if there are any."""
    in_order = np.sort(ids.to_numpy(dtype=str))
    number = max(1, round(held_out.share * len(in_order)))
    drawn: list[str] = np.random.default_rng(held_out.seed).permutation(in_order)[:number].tolist()
    return set(drawn)


def _match(table: pd.DataFrame, stratum: str | None, seed: int) -> pd.DataFrame:
    """Drop training pairs at random until A has as many as B, in every stratum of the column `stratum`."""
    train = table[table["fold"] == "train"].sort_values("pair_id")
    shuffled = train.sample(frac=1, random_state=np.random.default_rng(seed))
    keys = [stratum, "group"] if stratum else ["group"]
    rank = shuffled.groupby(keys).cumcount()
    if stratum:
        counts = train.groupby(keys).size().unstack("group", fill_value=0)
        size = shuffled[stratum].map(counts.min(axis=1))
    else:
        size = pd.Series(train.groupby("group").size().min(), index=shuffled.index)
    kept = set(shuffled.loc[rank < size, "pair_id"])
    return table[(table["fold"] == "heldout") | table["pair_id"].isin(kept)]
