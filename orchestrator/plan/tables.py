"""The tables that a study needs before any cell runs: its checked data, and who is in which group."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from orchestrator.record.published import published_diffs
from orchestrator.study.study import Study
from stats.names import BASELINE
from training import model_path
from training.data import sources
from training.data.checks import checked
from training.data.corpus import Corpus
from training.data.prompts import prompted
from training.data.splits import assign
from training.errors import StudyError
from training.rendering import Rendered, render
from training.score_gaps import gap_columns


@dataclass(frozen=True)
class StudyTables:
    """A study's checked data.

    Attributes:
        corpus: The study's pairs and users, as they are before the pairs are rendered.
        groups: Name of a split, or `baseline` -> one row per pair, with its group and fold.
        rendered: The token ids of the pairs; None before they are rendered.
    """

    corpus: Corpus
    groups: dict[str, pd.DataFrame]
    rendered: Rendered | None = None


def load_tables(study: Study) -> StudyTables:
    """Load and check a study's data before any cluster starts.

    Raises:
        StudyError: The model, the data or the published diffs cannot be read, a split names a column that
            does not exist, a method needs score gaps that pairs lack, or a group is empty, smaller than one
            batch or without a held-out pair.
    """
    model_path.check(study.model, "model")
    published_diffs(study)  # read only to refuse a wrong file early
    corpus = study_corpus(study)
    for name, method in study.methods.items():
        if name not in study.published:  # only to refuse pairs without a score gap early
            gap_columns(method.objective, corpus.pairs["score_gap"].to_numpy(dtype=float), f"methods.{name}")
    return StudyTables(corpus, _groups(study, corpus))


def study_corpus(study: Study) -> Corpus:
    """Return a study's people and pairs: read, checked, and with the prompts that the study asks for.

    Raises:
        StudyError: The data cannot be read, no pair passes the checks, or a prompt names an unknown trait.
    """
    return prompted(checked(sources.load_corpus(study.data), study.checks), study.prompt)


def render_tables(study: Study, tables: StudyTables, cache: Path) -> StudyTables:
    """Render the pairs as token ids, and draw the groups again from the pairs that are left.

    Held-out users stay the same ones. A group that is balanced is balanced after the drops. The dropped pairs
    stay in the groups, so that a cell can count them; no arm is trained on them or scores them.

    Raises:
        StudyError: No pair is left, or a group became smaller than one batch or lost all held-out pairs; the
            message says what was dropped.
    """
    corpus = tables.corpus
    rendered = render(
        corpus.pairs, study.model, study.data, study.training, cache, study.prompt, study.checks
    )
    dropped = {pair_id for ids in rendered.dropped.values() for pair_id in ids}
    if not dropped:
        return replace(tables, rendered=rendered)
    left = corpus.pairs[~corpus.pairs["pair_id"].isin(dropped)].reset_index(drop=True)
    why = ", ".join(f"{len(ids)} {reason}" for reason, ids in rendered.dropped.items())
    groups = {
        name: pd.concat([table, _of_pairs(tables.groups[name], dropped)], ignore_index=True)
        for name, table in _groups(study, replace(corpus, pairs=left), f", after drops ({why})").items()
    }
    return StudyTables(corpus, groups, rendered)


def _of_pairs(table: pd.DataFrame, pair_ids: set[str]) -> pd.DataFrame:
    return table[table["pair_id"].isin(pair_ids)]


def _groups(study: Study, corpus: Corpus, after: str = "") -> dict[str, pd.DataFrame]:
    """Return the checked groups of the baseline and of every split; `after` ends a message."""
    groups = {BASELINE: assign(corpus, study.held_out, None)}
    for name, split in study.grid_splits.items():
        groups[name] = assign(corpus, study.held_out, split, place=f"splits.{name}")
    for name, table in groups.items():
        arms = ("all",) if name == BASELINE else ("A", "B")
        _check_sizes(study, name, arms, table, after)
    return groups


def _check_sizes(study: Study, split: str, arms: tuple[str, ...], table: pd.DataFrame, after: str) -> None:
    """Refuse a split with a group that fills no batch or holds out no pair."""
    place = "data" if split == BASELINE else f"splits.{split}"
    sizes = table.groupby(["group", "fold"]).size()
    for group in arms:
        training, held_out = int(sizes.get((group, "train"), 0)), int(sizes.get((group, "heldout"), 0))
        if training < study.training.batch_size:
            raise StudyError(
                f"{place}: group {group} has {training} training pairs, fewer than one batch "
                f"(training.batch_size {study.training.batch_size}){after}; "
                "widen the group or shrink the batch"
            )
        if not held_out:
            raise StudyError(
                f"{place}: group {group} has no held-out pair at "
                f"held_out.share {study.held_out.share}{after}; "
                + ("raise training.max_length or the share" if after else "raise it")
            )
