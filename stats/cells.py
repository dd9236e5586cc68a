"""The planned cells of a study: which of them count, and what was planned for each split."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stats.evidence.beforehand import DivergedCells
from stats.evidence.divergence import has_diverged
from stats.evidence.gates import gates
from stats.evidence.missing import Planned
from stats.evidence.options import Options
from stats.names import ARMS, BASELINE, CELL, HELD_OUT_METRIC, SPLIT, TAIL_METRIC
from stats.rule.changes import SplitKey
from stats.status import STATUSES_WITH_NUMBERS


@dataclass(frozen=True)
class CellTables:
    """The cells of a study, and which of them are complete and valid.

    table: one row per planned cell, with status (`stats.status.CellStatus`), error, and metrics by name.
    diffs: study, method, split, seed, diff_pp (training tail, the published metric), heldout_pp; percentage
        points, A minus B; the cells that count.
    counts: study, method, split, planned, finished (numbers of cells).
    control_diffs: as `diffs`, for the random halves of the users that were trained as controls.
    gates: the result of `stats.evidence.gates.gates`.
    left_out: the cells of added seeds that have no numbers yet, so that their splits do not wait for them.
    diverged: the cells that diverged (`stats.evidence.divergence`).
    """

    table: pd.DataFrame
    diffs: pd.DataFrame
    counts: pd.DataFrame
    control_diffs: pd.DataFrame
    gates: pd.DataFrame
    left_out: pd.DataFrame
    diverged: pd.DataFrame

    @property
    def complete(self) -> bool:
        """Whether every planned cell has numbers."""
        return bool(self.table["status"].isin(STATUSES_WITH_NUMBERS).all())


def cell_tables(cells: pd.DataFrame, reference: str, options: Options) -> CellTables:
    """Take the diffs from the cells that count, count them, and check each of them.

    A cell of an added seed does not count before it has numbers: it would take the verdict that its split
    had, for as long as it is missing.

    Args:
        cells: as `stats.compare.compare` takes it.
        reference: the method that the others are compared with.
    """
    planned = cells[cells["split"] != BASELINE]
    diverged = _rows_where(planned, lambda cell: has_diverged(cell, options.diverged_ratio))
    has_numbers = planned["status"].isin(STATUSES_WITH_NUMBERS)
    if options.diverged == DivergedCells.AS_MISSING:
        has_numbers &= ~diverged
    is_control, is_added = (
        planned.get(name, pd.Series(False, index=planned.index)).astype(bool) for name in ("control", "added")
    )
    left_out = is_added & ~has_numbers
    finished = planned[has_numbers]
    diffs = finished[CELL].copy()
    for column, metric in (("diff_pp", TAIL_METRIC), ("heldout_pp", HELD_OUT_METRIC)):
        name = f"diff/{metric}"
        diffs[column] = 100 * finished[name] if name in finished else np.nan
    judged = planned.loc[~is_control, SPLIT].assign(planned=~left_out, finished=has_numbers)
    counts = judged.groupby(SPLIT, sort=False)[["planned", "finished"]].sum()
    of_controls = is_control[diffs.index]
    return CellTables(
        table=cells,
        diffs=diffs[~of_controls].reset_index(drop=True),
        counts=counts.reset_index(),
        control_diffs=diffs[of_controls].reset_index(drop=True),
        gates=gates(cells, reference, options),
        left_out=planned.loc[left_out, CELL],
        diverged=planned.loc[diverged, CELL],
    )


def _rows_where(cells: pd.DataFrame, condition: Callable[[Mapping[Hashable, Any]], bool]) -> pd.Series:
    answers = [condition(cell) for cell in cells.to_dict("records")]
    return pd.Series(answers, index=cells.index, dtype=bool)


def planned_splits(cells: CellTables) -> dict[SplitKey, Planned]:
    """Return what was planned for each split: its seeds, and held-out pairs that no arm could score."""
    table = cells.table[cells.table["split"] != BASELINE]
    names = {arm: f"{arm}/heldout_dropped" for arm in ARMS}
    return {
        (str(study), str(method), str(split)): Planned(
            frozenset(part["seed"]),
            {
                arm: float(part[name].max())
                for arm, name in names.items()
                if name in part and part[name].any()
            },
        )
        for (study, method, split), part in table.groupby(SPLIT, sort=False)
    }
