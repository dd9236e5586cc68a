"""The tables that a study needs before any cell runs: its checked data, and who is in which group."""

from dataclasses import dataclass

import pandas as pd

from orchestrator.record.published import published_diffs
from orchestrator.study.study import Study
from stats.names import BASELINE
from training import model_path
from training.data import sources
from training.data.corpus import Corpus
from training.data.splits import assign
from training.errors import StudyError


@dataclass(frozen=True)
class StudyTables:
    """A study's checked data.

    Attributes:
        corpus: The study's pairs and users.
        groups: Name of a split, or `baseline` -> one row per pair, with its group and fold.
    """

    corpus: Corpus
    groups: dict[str, pd.DataFrame]


def load_tables(study: Study) -> StudyTables:
    """Load and check a study's data before any cluster starts.

    Raises:
        StudyError: The model, the data or the published diffs cannot be read, a split names a column that
            does not exist, or a group is empty, smaller than one batch or without a held-out pair.
    """
    model_path.check(study.model, "model")
    published_diffs(study)  # read only to refuse a wrong file early
    corpus = sources.load_corpus(study.data)
    groups = {BASELINE: assign(corpus, study.held_out, None)}
    for name, split in study.grid_splits.items():
        groups[name] = assign(corpus, study.held_out, split, place=f"splits.{name}")
    for name, table in groups.items():
        _check_sizes(study, name, table)
    return StudyTables(corpus, groups)


def _check_sizes(study: Study, split: str, table: pd.DataFrame) -> None:
    """Refuse a split with a group that fills no batch or holds out no pair."""
    place = "data" if split == BASELINE else f"splits.{split}"
    sizes = table.groupby(["group", "fold"]).size()
    for group in sorted(table["group"].unique()):
        training, held_out = int(sizes.get((group, "train"), 0)), int(sizes.get((group, "heldout"), 0))
        if training < study.training.batch_size:
            raise StudyError(
                f"{place}: group {group} has {training} training pairs, fewer than one batch "
                f"(training.batch_size {study.training.batch_size}); widen the group or shrink the batch"
            )
        if not held_out:
            raise StudyError(
                f"{place}: group {group} has no held-out pair at "
                f"held_out.share {study.held_out.share}; raise it"
            )
