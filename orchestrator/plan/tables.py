"""The tables a study needs: its data, checked, and who is in which group."""

from dataclasses import dataclass

import pandas as pd

from orchestrator.record import published
from orchestrator.study.study import Study
from stats.names import BASELINE
from training import model as models
from training.data import sources
from training.data.corpus import Corpus
from training.data.splits import assign
from training.errors import StudyError


@dataclass(frozen=True)
class StudyTables:
    """A study's data, checked: the corpus and, per split and for the baseline, who is in which group."""

    corpus: Corpus
    groups: dict[str, pd.DataFrame]


def tables(study: Study) -> StudyTables:
    """Load and check the data before any cluster starts.

    Raises:
        StudyError: unreadable data, a split that names no column, an empty group, or a group smaller
            than one batch.
    """
    models.check(study.model, "model")
    published.tables(study)
    corpus = sources.load(study.data)
    groups = {BASELINE: assign(corpus, study.held_out, None)}
    for name, split in study.grid_splits.items():
        groups[name] = assign(corpus, study.held_out, split, place=f"splits.{name}")
    for name, table in groups.items():
        sizes = table.groupby(["group", "fold"]).size()
        for group in sorted(table["group"].unique()):
            training, held_out = int(sizes.get((group, "train"), 0)), int(sizes.get((group, "heldout"), 0))
            if training < study.training.batch_size:
                raise StudyError(
                    f"splits.{name}: group {group} has {training} training pairs, fewer than one batch "
                    f"(training.batch_size {study.training.batch_size}); widen the group or shrink the batch"
                )
            if not held_out:
                raise StudyError(
                    f"splits.{name}: group {group} has no held-out pair at "
                    f"held_out.share {study.held_out.share}; raise it"
                )
    return StudyTables(corpus, groups)
