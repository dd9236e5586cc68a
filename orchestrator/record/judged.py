"""What a study's record says, judged by the study's predictions, its reference and its rule."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from orchestrator.record.bar import bar_while, with_bar
from orchestrator.record.ledger import Ledger
from orchestrator.record.published_cells import published_cells
from orchestrator.record.seals import plan_changes, with_plan
from orchestrator.record.setup import other_origins_row, setup
from orchestrator.study.grid import rendering_key
from orchestrator.study.judging import Judging, added_seeds, judging_of
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.compare import compare
from stats.comparison import Comparison
from stats.evidence.looks import Looks
from stats.evidence.options import Options
from stats.evidence.pooled_arm import pooled_arm
from stats.evidence.sums import CELL_OUTCOMES, user_sums
from stats.page.plan_change import PlanChange
from stats.status import CellStatus
from training.data.corpus import Corpus

# Passes on the tables of so many cells.
Seen = Callable[[Iterable[pd.DataFrame], int], Iterable[pd.DataFrame]]


@dataclass(frozen=True)
class StudyRecord:
    """A study's record, read once.

    Attributes:
        planned: One row per cell that the study plans (`RecordedCells.table`).
        published: One row per published diff (`keep_diffs`).
        sums: Held-out outcomes summed by user (`stats.evidence.sums`); None before the first finished cell.
        curves: The logged points of all finished cells but baselines; None before the first finished cell.
    """

    planned: pd.DataFrame
    published: pd.DataFrame
    sums: pd.DataFrame | None
    curves: pd.DataFrame | None

    @property
    def cells(self) -> pd.DataFrame:
        return pd.concat([self.planned, self.published], ignore_index=True)

    @property
    def finished(self) -> pd.DataFrame:
        return self.planned[self.planned["status"] == CellStatus.FINISHED]


def judged(
    study: Study,
    corpus: Corpus,
    trials: Sequence[Trial],
    ledger: Ledger,
    decisions: tuple[pd.DataFrame, Looks] | None,
) -> tuple[StudyRecord, Comparison, dict[str, str], list[PlanChange]]:
    """Return what the record holds, what it says, what a reader has to know, and how the plan was changed."""
    record = read_record(study, trials, ledger, partial(with_bar, title="reading outcomes"))
    seals = with_plan(ledger.seals.all(), judging_of(study), len(record.finished), len(trials))
    first_plan = seals[0].judging if seals else judging_of(study)
    pooled = _pooled_arm(trials, record, ledger)
    with bar_while("judging the evidence"):
        comparison = comparison_of(study, record, first_plan, decisions[0] if decisions else None)
    comparison = replace(comparison, pooled=pooled)
    about = setup(study, corpus, record.finished, ledger.renderings.get(rendering_key(study)))
    if seals:
        about["plan sealed"] = seals[0].name
    about |= other_origins_row(ledger.other_origins(trials), study.language)
    if again := ledger.superseded(trials):
        about["trained again after they had finished"] = ", ".join(again)
    return record, comparison, about, plan_changes(seals)


def read_record(
    study: Study, trials: Sequence[Trial], ledger: Ledger, seen: Seen = lambda tables, cells: tables
) -> StudyRecord:
    """Read what the record holds of the planned cells; `seen` may show how far the reading is.

    This also marks finished runs whose tables are damaged, which do not count, and keeps the study's
    published diffs in the record.
    """
    ledger.mark_damaged(trials)
    compared = [trial for trial in trials if trial.groups]
    outcomes = ledger.cells.outcomes(compared, CELL_OUTCOMES)
    return StudyRecord(
        planned=ledger.cells.table(trials),
        published=published_cells(study, ledger.experiment),
        sums=_concatenated(map(user_sums, seen(outcomes, len(compared)))),
        curves=_concatenated(ledger.cells.curves(compared)),
    )


def comparison_of(
    study: Study, record: StudyRecord, first_plan: Judging, decisions: pd.DataFrame | None = None
) -> Comparison:
    """Judge a study's record by its predictions, its reference and its rule.

    Args:
        first_plan: The plan that was sealed first, which tells the seeds that were added later.
        decisions: The verdicts so far, where the evidence decides how many seeds there are.
    """
    return compare(
        with_roles(record.cells, study, first_plan),
        predictions_of(study),
        study.reference,
        study.verdicts,
        sums=record.sums,
        curves=record.curves,
        options=options_of(study),
        decisions=decisions,
    )


def with_roles(cells: pd.DataFrame, study: Study, first_plan: Judging) -> pd.DataFrame:
    """Return the cells with two columns more: `added` (its seed came later) and `control` (a random half)."""
    splits = {*cells["split"]}
    added = {
        (method, split): added_seeds(first_plan, study, method, split)
        for method in study.methods
        for split in splits
    }
    rows = zip(cells["method"], cells["split"], cells["seed"], strict=True)
    return cells.assign(
        added=[seed in added[method, split] for method, split, seed in rows],
        control=cells["split"].isin(study.controls.splits),
    )


def predictions_of(study: Study) -> pd.DataFrame:
    """Return study, split, predicted: what the study file predicts for each split."""
    rows = [(study.study, name, split.predicted) for name, split in study.grid_splits.items()]
    return pd.DataFrame(rows, columns=["study", "split", "predicted"])


def options_of(study: Study) -> Options:
    """Return the margins and tolerances that follow from the study."""
    training = study.training
    lengths = {study.training_of(name).max_steps for name in study.methods if name not in study.published}
    by_epochs = any(study.training_of(name).epochs for name in study.methods)
    one_length = not by_epochs and len(lengths) < 2
    logged_points = -(-max(lengths, default=training.max_steps) // training.logging_steps)
    return Options(
        margin_pp=study.equivalence_margin_pp,
        missing=study.missing,
        diverged=study.divergence.count,
        diverged_ratio=study.divergence.loss_ratio,
        stated_pp=study.stated_diffs_pp,
        window=study.curve_window,
        # bfloat16 keeps 8 bits, and policy and reference differ in the last of them before any training
        loss_tolerance=1e-3 if training.dtype == "float32" else 5e-3,
        # Tails of several lengths have no common number of pairs, so the rule's errors are not simulated.
        tail_pairs=max(1, logged_points // 5) * training.batch_size if one_length else None,
    )


def _pooled_arm(trials: Sequence[Trial], record: StudyRecord, ledger: Ledger) -> pd.DataFrame | None:
    """Compare the baselines' arm with the groups' own; None where either has no finished cell."""
    baselines = [trial for trial in trials if not trial.groups]
    sums = _concatenated(map(user_sums, ledger.cells.outcomes(baselines, CELL_OUTCOMES)))
    return None if sums is None or record.sums is None else pooled_arm(pd.concat([record.sums, sums]))


def _concatenated(tables: Iterable[pd.DataFrame]) -> pd.DataFrame | None:
    """Return all tables as one; None if there are none."""
    parts = list(tables)
    return pd.concat(parts, ignore_index=True) if parts else None
