"""The groups of each split, as files that the workers read."""

import hashlib
from pathlib import Path

import pandas as pd
from filelock import FileLock

from orchestrator.plan.tables import StudyTables
from orchestrator.study.canonical import canonical
from orchestrator.study.study import Study
from training.data.fingerprint import fingerprint


def write_group_files(study: Study, tables: StudyTables, cache: Path) -> dict[str, Path]:
    """Write each split's groups below `cache`, unless a file with the same content exists.

    Returns:
        Split -> Parquet file: the columns of the split's groups, `source_model` and `score_gap`.
    """
    about_pairs = tables.corpus.pairs[["pair_id", "source_model", "score_gap"]]
    folder = cache / "groups"
    folder.mkdir(parents=True, exist_ok=True)
    tokens = tables.rendered.tokens if tables.rendered else None
    files = {split: folder / f"{_content_key(study, split, tokens)}.parquet" for split in tables.groups}
    for split, file in files.items():
        _write_once(tables.groups[split], about_pairs, file)
    return files


def _content_key(study: Study, split_name: str, tokens: str | None) -> str:
    """Return a hash of everything that decides a split's groups; `tokens` decides which pairs are left."""
    split = study.grid_splits.get(split_name)
    identity = canonical(
        {
            "data": fingerprint(study.data),
            "tokens": tokens,
            "held_out": study.held_out.model_dump(mode="json"),
            "split": split.model_dump(mode="json", exclude={"predicted"}) if split else None,
        }
    )
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _write_once(groups: pd.DataFrame, about_pairs: pd.DataFrame, file: Path) -> None:
    """Write a split's groups, with facts about each pair, unless the file exists."""
    with FileLock(f"{file}.lock"):
        if not file.exists():
            unfinished = file.with_suffix(".tmp")
            groups.merge(about_pairs, on="pair_id", how="left").to_parquet(unfinished, index=False)
            unfinished.rename(file)
