"""Published diffs that replace a method's cells, read from CSV files."""

from pathlib import Path

import pandas as pd

from orchestrator.study.files import CONFIGS
from orchestrator.study.study import Study
from stats.errors import TableError
from stats.rule.published import read, restore
from stats.rule.verdicts import check_diffs
from training.errors import StudyError


def published_diffs(study: Study) -> dict[Path, pd.DataFrame]:
    """Read the published diffs of a study's methods.

    Returns:
        CSV file -> study, method, split, seed, diff_pp (percentage points).

    Raises:
        StudyError: A file cannot be read, or has no diff of its method in any split of the study.
    """
    diffs_by_file: dict[Path, list[pd.DataFrame]] = {}
    for method, path in study.published.items():
        file = path if path.exists() else CONFIGS / path
        diffs = _diffs_of(method, file, study)
        diffs_by_file.setdefault(file, []).append(restore(diffs).assign(study=study.study))
    return {file: pd.concat(diffs, ignore_index=True) for file, diffs in diffs_by_file.items()}


def _diffs_of(method: str, file: Path, study: Study) -> pd.DataFrame:
    """Return the rows of a file that are about a method in the study's splits; there is at least one."""
    place = f"methods.{method}.published"
    try:
        rows = read(file)
        check_diffs(rows)
    except TableError as error:
        raise StudyError(f"{place}: {error}") from error
    diffs = rows[(rows["method"] == method) & rows["split"].isin(study.grid_splits)]
    if diffs.empty:
        raise StudyError(
            f"{place}: {study.published[method]} has no diff of {method!r} in a split of the study; it has "
            f"{', '.join(sorted(set(rows['method'] + ' ' + rows['split'])))}"
        )
    return diffs
