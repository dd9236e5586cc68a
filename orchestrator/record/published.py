"""Published numbers in place of a method's cells: read from a CSV and kept in MLflow beside what ran here."""

import hashlib
from pathlib import Path

import pandas as pd

from orchestrator.record.ledger import Ledger
from orchestrator.study.files import CONFIGS
from orchestrator.study.study import Study
from stats.errors import TableError
from stats.rule.published import read, restore
from stats.rule.verdicts import check_diffs
from training.errors import StudyError


def tables(study: Study) -> dict[Path, pd.DataFrame]:
    """The published diffs of a study's methods by file: study, method, split, seed, diff_pp.

    Raises:
        StudyError: a file that cannot be read, or that holds no diff of the method in a split of the study.
    """
    found: dict[Path, list[pd.DataFrame]] = {}
    for method, path in study.published.items():
        file = path if path.exists() else CONFIGS / path
        place = f"methods.{method}.published"
        try:
            rows = read(file)
            check_diffs(rows)
        except TableError as error:
            raise StudyError(f"{place}: {error}") from error
        mine = rows[(rows["method"] == method) & rows["split"].isin(study.grid_splits)]
        if mine.empty:
            raise StudyError(
                f"{place}: {path} has no diff of {method!r} in a split of the study; it has "
                f"{', '.join(sorted(set(rows['method'] + ' ' + rows['split'])))}"
            )
        found.setdefault(file, []).append(restore(mine).assign(study=study.study))
    return {file: pd.concat(parts, ignore_index=True) for file, parts in found.items()}


def cells(study: Study, ledger: Ledger) -> pd.DataFrame:
    """Rows of published numbers as `Ledger.cells` has them, status `published`; they are in MLflow now."""
    rows = [
        ledger.published(table, file.name, hashlib.sha256(file.read_bytes()).hexdigest())
        for file, table in tables(study).items()
    ]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
