"""One MLflow run per method and split: its verdict so far, with intervals, for the UI's tables and charts."""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from mlflow.entities import Metric, Param, RunTag

from orchestrator.record.experiment import Experiment, RunKind, RunStatus, now_ms
from stats.comparison import Comparison
from stats.evidence.decision import SplitState
from stats.evidence.possible import says_something
from stats.evidence.quantity import CHANGE, DIFF
from stats.evidence.words import EvidenceWord
from stats.rule.changes import SplitKey
from stats.status import CellStatus

NOTHING = "-"
OPEN, DECIDED, UNDECIDED = "open", "decided", "undecided"
INTERVAL = {"estimate": "pp", "low_adjusted": "low", "high_adjusted": "high"}


@dataclass(frozen=True)
class VerdictRow:
    """The verdict of one method and split.

    metrics: `seeds`, and `diff/pp`, `diff/low`, `diff/high`, `change/pp`, ... where they are known: estimates
        and adjusted intervals in percentage points.
    tags: predicted, label and change (of the published rule), evidence and change_evidence,
        each `open` while more cells come; and state: open, decided or undecided (no more cells come).
    """

    method: str
    split: str
    metrics: dict[str, float]
    tags: dict[str, str]


def verdict_rows(comparison: Comparison, decisions: pd.DataFrame | None = None) -> list[VerdictRow]:
    """Return what a comparison says about each method and split, in its order.

    Args:
        comparison: In which cells that have not finished are missing or count as added.
        decisions: The verdicts of an adaptive study (`stats.evidence.sequential.decide`).
    """
    changes = _by_split(comparison.change_labels)
    cells = comparison.cells
    to_come = cells.table.loc[[not CellStatus(status).has_ended for status in cells.table["status"]]]
    short = _by_split(cells.counts[cells.counts["finished"] < cells.counts["planned"]])
    waiting = {*(short.keys() & _by_split(to_come).keys()), *_by_split(cells.left_out)}
    still_open = _open_in(decisions)
    rows = []
    for key, label in _by_split(comparison.labels).items():
        _, method, split = key
        change = changes.get(key)
        values = {"seeds": float(label["n_seeds"]), **_numbers("diff", label)}
        evidence = {"evidence": label["evidence"], "change_evidence": NOTHING, "change": NOTHING}
        if change:
            values |= _numbers("change", change)
            evidence |= {"change_evidence": change["evidence"], "change": change["change"]}
        words = {evidence["evidence"], evidence["change_evidence"]} - {NOTHING}
        is_open = key in waiting if decisions is None else (method, split) in still_open
        if is_open:  # a label or a word of evidence is of the whole split, not of its first cells
            evidence = dict.fromkeys(evidence, OPEN)
        settled = DECIDED if words - {EvidenceWord.UNDECIDED} else UNDECIDED
        tags = {
            "predicted": str(label["predicted"]),
            "label": OPEN if is_open else str(label["verdict"] or NOTHING),
            **{name: str(word) for name, word in evidence.items()},
            "state": OPEN if is_open else settled,
        }
        rows.append(VerdictRow(method, split, values, tags))
    return rows


class VerdictRuns:
    """The verdict runs of a study's experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._written: dict[tuple[str, str], VerdictRow] = {}

    def update(self, rows: Iterable[VerdictRow]) -> None:
        """Write the verdicts that changed. A run of a split that is no longer planned is set aside."""
        rows = list(rows)
        run_ids: dict[tuple[str, str], str] = {}
        for run in list(self._experiment.runs(RunKind.VERDICT)):
            named, run_id = run.data.params, str(run.info.run_id)
            if named.keys() >= {"method", "split"}:
                run_ids[named["method"], named["split"]] = run_id
            else:  # a driver that was killed had only opened it
                self._set_aside(run_id)
                self._experiment.close_run(run_id, RunStatus.KILLED)
        for row in rows:
            key = row.method, row.split
            if self._written.get(key) != row:
                self._write(row, run_ids.get(key))
                self._written[key] = row
        for key in run_ids.keys() - {(row.method, row.split) for row in rows}:
            self._set_aside(run_ids[key])

    def _set_aside(self, run_id: str) -> None:
        self._experiment.tag_run(run_id, {"kind": RunKind.PAST_VERDICT})

    def _write(self, row: VerdictRow, run_id: str | None) -> None:
        if run_id is None:
            name = f"{row.method}/{row.split}"
            run_id = self._experiment.open_run(RunKind.VERDICT, name, row.tags)
            self._experiment.close_run(run_id, RunStatus.FINISHED)
        now, seeds = now_ms(), int(row.metrics["seeds"])
        metrics = [Metric(name, value, now, seeds) for name, value in row.metrics.items()]
        tags = [RunTag(name, value) for name, value in row.tags.items()]
        params = [Param("method", row.method), Param("split", row.split)]
        self._experiment.client.log_batch(run_id, metrics=metrics, params=params, tags=tags)


def _open_in(decisions: pd.DataFrame | None) -> set[tuple[str, str]]:
    if decisions is None or decisions.empty:
        return set()
    table = decisions[decisions["quantity"].isin([DIFF, CHANGE]) & (decisions["state"] == SplitState.OPEN)]
    return set(zip(table["method"], table["split"], strict=True))


def _by_split(table: pd.DataFrame) -> dict[SplitKey, dict[Hashable, Any]]:
    rows = table.to_dict("records")
    return {(row["study"], row["method"], row["split"]): row for row in rows}


def _numbers(quantity: str, row: Mapping[Hashable, Any]) -> dict[str, float]:
    """Return the estimate and the ends of its interval, without those that are unknown or say nothing yet."""
    numbers = {short: float(row.get(name, math.nan)) for name, short in INTERVAL.items()}
    if not says_something(numbers["low"], numbers["high"]):
        numbers |= {"low": math.nan, "high": math.nan}
    return {f"{quantity}/{short}": value for short, value in numbers.items() if math.isfinite(value)}
