"""The report of some methods and splits of a study, with the numbers that they have in the whole study."""

from collections.abc import Collection, Sequence

import pandas as pd

from orchestrator.record.bar import bar_while
from orchestrator.record.judged import judged
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.replaced import replaced
from orchestrator.record.report import WRITING, WrittenReport
from orchestrator.study.selection import Selection, whole_splits
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.evidence.looks import Looks
from stats.page import report
from stats.page.formats import USUAL_FORMATS, ReportFormat, main_file
from stats.selected import selected
from training.data.corpus import Corpus


def write_selection(
    study: Study,
    corpus: Corpus,
    trials: Sequence[Trial],
    ledger: Ledger,
    places: Places,
    only: Sequence[str],
    decisions: tuple[pd.DataFrame, Looks] | None = None,
    formats: Collection[ReportFormat] = USUAL_FORMATS,
) -> WrittenReport:
    """Write a report that shows some methods and splits, with the numbers that they have in the whole study.

    It goes to disk alone; MLflow and `places.report` keep the report of the whole study.

    Args:
        only: Globs over the names of cells, method/split/seed, each with all seeds of its splits.
        study, corpus, trials, ledger, places, decisions, formats: As for `write`.

    Raises:
        StudyError: A glob matches no cell, or not all seeds of a split.
    """
    record, comparison, about, changed = judged(study, corpus, trials, ledger, decisions)
    rows = zip(*(record.cells[name] for name in ("method", "split", "seed")), strict=True)
    shown = whole_splits(only, [f"{method}/{split}/{seed}" for method, split, seed in rows])
    about["selection"] = str(Selection(tuple(only), "--only"))
    if decisions is not None:
        verdicts, looks = decisions
        keys = zip(verdicts["method"], verdicts["split"], strict=True)
        decisions = verdicts.loc[[key in shown for key in keys]], looks
    with bar_while(WRITING), replaced(places.selection) as folder:
        report.write(
            selected(comparison, shown),
            about,
            corpus.generated,
            folder,
            None,
            study.language,
            decisions,
            changed,
            formats,
        )
    path = main_file(places.selection, formats)
    chosen = [trial for trial in trials if (trial.method, trial.split) in shown]
    finished = set(record.finished["trial_id"])
    unfinished = tuple(trial for trial in chosen if trial.trial_id not in finished)
    page = f"{ledger.page}; it keeps the report of the whole study"
    return WrittenReport(path, page, len(chosen), len(chosen) - len(unfinished), unfinished)
