"""Propose splits by the traits of a table, and a share of held-out users with which they can be evaluated."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from training.data.corpus import Corpus
from training.data.splits import assign
from training.errors import StudyError
from training.spec import HeldOut, SplitSpec
from training.table_data import TableData

MOST_SPLITS = 3  # by traits; one of random halves follows
SHARES = (0.2, 0.3, 0.4, 0.5)  # of users that are held out; the first that fits is proposed
BATCH = 8  # training pairs that a group needs at least
BY_LENGTH = {"by": "median", "column": "median_prompt_length", "predicted": "exploratory"}
RANDOM = {"by": "random", "seed": 0, "predicted": "A = B"}
_SPLIT: TypeAdapter[SplitSpec] = TypeAdapter(SplitSpec)


@dataclass(frozen=True)
class Proposal:
    """The `splits:` block, and the share of users to hold out."""

    splits: dict[str, dict[str, Any]]
    held_out_share: float


def proposed_splits(data: TableData, corpus: Corpus) -> Proposal:
    """Return splits by traits and one of random halves, with the smallest share that serves most of them.

    A numeric trait is split at its median; of a category, the most common level makes up A and the others B.
    A split with a group that holds out no pair, or has too few to train on, is left out; if all are, the
    random halves stay, and the sweep says what they lack.
    """
    by_trait = {trait: _split(trait, corpus.users[trait]) for trait in data.traits}
    wanted = {trait: split for trait, split in by_trait.items() if split} or {"prompt_length": BY_LENGTH}
    fitting = {
        share: {trait: split for trait, split in wanted.items() if _fits(corpus, split, share)}
        for share in SHARES
        if _fits(corpus, RANDOM, share)
    }
    share = max(fitting, key=lambda share: len(fitting[share]), default=SHARES[0])
    chosen = list(fitting.get(share, {}).items())[:MOST_SPLITS]
    splits = {f"S{number}_{trait}": split for number, (trait, split) in enumerate(chosen, start=1)}
    return Proposal(splits | {f"S{len(splits) + 1}_random": RANDOM}, share)


def _split(trait: str, users: pd.Series) -> dict[str, Any] | None:
    """Return the split by a trait; None if all users are alike."""
    values = users.dropna()
    if values.nunique() < 2:
        return None
    if pd.api.types.is_numeric_dtype(values):
        return {"by": "median", "column": trait, "predicted": "exploratory"}
    counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    most, *others = (str(level) for level in counts.index)
    return {"by": "category", "column": trait, "a": [most], "b": sorted(others), "predicted": "exploratory"}


def _fits(corpus: Corpus, split: dict[str, Any], share: float) -> bool:
    """Return whether both groups of a split have held-out pairs and a batch of training pairs."""
    try:
        table = assign(corpus, HeldOut(share=share), _SPLIT.validate_python(split))
    except StudyError:  # a group without a user
        return False
    sizes = table.groupby(["group", "fold"]).size()
    return all(
        sizes.get((group, "train"), 0) >= BATCH and sizes.get((group, "heldout"), 0) > 0 for group in "AB"
    )
