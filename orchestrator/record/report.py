"""The report of a study, written from its record to disk and to MLflow."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from orchestrator.record.bar import bar_while
from orchestrator.record.judged import StudyRecord, judged
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.replaced import replaced
from orchestrator.record.verdict_runs import verdict_rows
from orchestrator.study.selection import Selection
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.evidence.looks import Looks
from stats.page import report
from stats.page.formats import MAIN_FILES, USUAL_FORMATS, ReportFormat, discard_others, main_file
from training.data.corpus import Corpus

WRITING = "drawing the figures and writing the page"


@dataclass(frozen=True)
class WrittenReport:
    """A report on disk and in MLflow, and how complete its study is."""

    path: Path
    page: str
    cells: int
    finished: int
    open: tuple[Trial, ...]  # the cells that are missing or failed

    @property
    def complete(self) -> bool:
        return not self.open

    def complete_but_for(self, only: Selection | None) -> bool:
        """Return whether all cells are finished, or all chosen ones if only some were to be trained."""
        return not (only.of(self.open) if only else self.open)

    def __str__(self) -> str:
        head = f"{self.finished} of {self.cells} cells finished" if self.cells else "no cell to train"
        if self.open:
            head += f"; missing or failed: {', '.join(trial.name for trial in self.open)}"
        return f"{head}\nreport: {self.path}\nMLflow: {self.page}"


def write(
    study: Study,
    corpus: Corpus,
    trials: Sequence[Trial],
    ledger: Ledger,
    places: Places,
    decisions: tuple[pd.DataFrame, Looks] | None = None,
    other: pd.DataFrame | None = None,
    formats: Collection[ReportFormat] = USUAL_FORMATS,
) -> WrittenReport:
    """Compare the finished cells with the reference, and write the report to disk and to MLflow.

    Args:
        study: The study; its predictions, reference and rule decide the verdicts.
        corpus: The study's data, which the report describes.
        trials: The cells that the study plans.
        ledger: The study's record, which is read and then keeps the report.
        places: Where the report goes on disk.
        decisions: The verdicts so far and the looks at the evidence, where the evidence decides how many
            seeds there are (`Agenda.seed_decisions`).
        other: The verdicts.csv of another version's report, to compare with.
        formats: What to write to disk; MLflow keeps the usual formats in any case.
    """
    record, comparison, about, changed = judged(study, corpus, trials, ledger, decisions)
    with replaced(places.report) as folder:
        with bar_while(WRITING):
            report.write(
                comparison,
                about,
                corpus.generated,
                folder,
                other,
                study.language,
                decisions,
                changed,
                {*USUAL_FORMATS, *formats},
            )
        ledger.verdicts.update(verdict_rows(comparison, decisions[0] if decisions else None))
        kept = _publish(folder, record, ledger)
        discard_others(folder, formats)
    path = main_file(places.report, formats)
    finished = set(record.finished["trial_id"])
    unfinished = tuple(trial for trial in trials if trial.trial_id not in finished)
    page = ledger.page if kept else f"{ledger.page}; it keeps the complete report that was there before"
    return WrittenReport(path, page, len(trials), len(finished), unfinished)


def description(report: str) -> str:
    """Return a report's title and first section, without front matter and images."""
    body = report.split("\n---\n", 1)[1] if report.startswith("---\n") else report
    title, *sections = body.split("\n## ")
    lines = "\n## ".join([title, *sections[:1]]).strip().splitlines()
    return "\n".join(line for line in lines if not line.startswith("!["))


def _publish(folder: Path, record: StudyRecord, ledger: Ledger) -> bool:
    """Keep the report's folder in MLflow, and make its beginning the experiment's description.

    A report of some cells does not replace one of all cells. Returns whether the report was kept.
    """
    before = ledger.study_run.tags()
    was_complete = "finished" in before and before["finished"] == before["cells"]
    if was_complete and len(record.finished) < len(record.planned):
        return False
    counts = {"cells": str(len(record.planned)), "finished": str(len(record.finished))}
    run_id = ledger.study_run.publish(folder, "report", counts)
    text = description((folder / MAIN_FILES[ReportFormat.MARKDOWN]).read_text(encoding="utf-8"))
    ledger.study_run.describe(text, run_id, "report/report.html")
    return True
