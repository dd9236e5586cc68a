"""Validity gates: conditions that a cell must meet before its numbers mean anything."""

from collections.abc import Hashable, Mapping
from math import isfinite, log
from typing import Any

import pandas as pd

from stats.evidence.options import Options
from stats.names import ARMS, BASELINE, CELL
from stats.status import CellStatus

GATES = ("step0", "moved", "balance", "same_run")
PASSED = "ok"


def gates(cells: pd.DataFrame, reference: str, options: Options) -> pd.DataFrame:
    """Check every finished cell that has arms A and B.

    Args:
        cells: study, method, split, seed, status, geometry, data_fingerprint, model_commit (may be absent or
            empty: the model is no hub's) and, for both arms X, X/loss_step0 (nats), X/margin_tail (nats),
            X/pairs_seen, X/tokens_seen. Cells with status `published` were not run here: they cannot be
            checked and are not in the result.
        reference: the method that the others are compared with.
        options: the tolerances.

    Returns:
        study, method, split, seed, passed, and one column per gate, which is `ok` or says what is wrong:
        step0 (the loss is log 2), moved (the margins of both arms have left zero), balance (equally many
        pairs, and tokens within the tolerance), same_run (geometry and data fingerprint are those of the
        reference's cells of that split, the most common ones where these differ; and the model's commit is
        one for both arms, and that of the cell's baseline and of most cells of the study).
    """
    rows = []
    finished = cells[(cells["status"] == CellStatus.FINISHED) & (cells["split"] != BASELINE)]
    for cell in finished.to_dict("records"):
        results = {
            "step0": _step0(cell, options),
            "moved": _moved(cell, options),
            "balance": _balance(cell, options),
            "same_run": _same_run(cell, cells, reference),
        }
        identity = {column: cell[column] for column in CELL}
        rows.append({**identity, **results, "passed": set(results.values()) == {PASSED}})
    return pd.DataFrame(rows, columns=[*CELL, *GATES, "passed"])


def _number(cell: Mapping[Hashable, Any], name: str) -> float | None:
    value = cell.get(name)
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def _step0(cell: Mapping[Hashable, Any], options: Options) -> str:
    for arm in ARMS:
        loss = _number(cell, f"{arm}/loss_step0")
        if loss is None:
            return f"{arm}/loss_step0 is not recorded"
        if abs(loss - log(2)) > options.loss_tolerance:
            return f"{arm}/loss_step0 is {loss:.4f}, not log 2 = 0.6931"
    return PASSED


def _moved(cell: Mapping[Hashable, Any], options: Options) -> str:
    for arm in ARMS:
        margin = _number(cell, f"{arm}/margin_tail")
        if margin is None:
            return f"{arm}/margin_tail is not recorded"
        if abs(margin) <= options.moved_nats:
            return f"arm {arm} did not move: margin_tail {margin:.2g} nats"
    return PASSED


def _balance(cell: Mapping[Hashable, Any], options: Options) -> str:
    for name, tolerance in (("pairs_seen", 0.0), ("tokens_seen", options.token_tolerance)):
        a, b = (_number(cell, f"{arm}/{name}") for arm in ARMS)
        if a is None or b is None:
            return f"{name} is not recorded"
        if abs(a - b) > tolerance * max(a, b):
            return f"{name}: A {a:.0f}, B {b:.0f}"
    return PASSED


def _same_run(cell: Mapping[Hashable, Any], cells: pd.DataFrame, reference: str) -> str:
    """Compare a cell with the most common value of the reference's cells of its split."""
    of_reference = (
        (cells["method"] == reference)
        & (cells["split"] == cell["split"])
        & (cells["status"] == CellStatus.FINISHED)
    )
    for name in ("geometry", "data_fingerprint"):
        usual = cells.loc[of_reference, name].mode()
        if len(usual) and cell[name] != usual.iloc[0]:
            return f"{name}: {cell[name]}, the reference {usual.iloc[0]}"
    return _same_commit(cell, cells)


def _same_commit(cell: Mapping[Hashable, Any], cells: pd.DataFrame) -> str:
    """Compare the commit of a cell's model between its arms, with its baseline, and with other cells."""
    own = cell.get("model_commit")
    if not own or pd.isna(own):
        return PASSED
    if " " in own:  # of its arms, or of an arm that was resumed
        return f"model_commit: not one, but {own}"
    finished = cells[cells["status"] == CellStatus.FINISHED]
    baseline = (
        (finished["split"] == BASELINE)
        & (finished["method"] == cell["method"])
        & (finished["seed"] == cell["seed"])
    )
    for others, whose in ((finished[baseline], "its baseline"), (finished, "most cells")):
        usual = others["model_commit"].replace("", pd.NA).dropna().mode()
        if len(usual) and own not in set(usual):
            return f"model_commit: {own}, {whose} {usual.iloc[0]}"
    return PASSED
