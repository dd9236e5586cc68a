"""The report of a study, from what the ledger holds."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from orchestrator.record import published
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.setup import setup
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.comparison import compare
from stats.evidence.options import Options
from stats.evidence.sequential import Looks
from stats.evidence.sums import SCORED, user_sums
from stats.page import report
from training.data.corpus import Corpus


@dataclass(frozen=True)
class Written:
    """A report on disk and in MLflow, and how complete it is."""

    path: Path
    page: str
    cells: int
    finished: int
    open: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not self.open

    def __str__(self) -> str:
        head = f"{self.finished} of {self.cells} cells finished"
        if self.open:
            head += f"; missing or failed: {', '.join(self.open)}"
        return f"{head}\nreport: {self.path}\nMLflow: {self.page}"


def write(
    study: Study,
    corpus: Corpus,
    trials: Sequence[Trial],
    ledger: Ledger,
    here: Places,
    decided: tuple[pd.DataFrame, Looks] | None = None,
    other: pd.DataFrame | None = None,
) -> Written:
    """Compare what is finished with the reference; the report goes to disk and into MLflow.

    Args:
        trials: the cells that the study asks for.
        decided: verdicts as they stand and when the evidence was looked at, where it asked for the seeds.
        other: verdicts of another version of the study.
    """
    run_here = ledger.cells(trials)
    cells = pd.concat([run_here, published.cells(study, ledger)], ignore_index=True)
    compared = [trial for trial in trials if trial.groups]
    comparison = compare(
        cells,
        predictions(study),
        study.reference,
        study.verdicts,
        sums=_joined(map(user_sums, ledger.outcomes(compared, SCORED))),
        curves=_joined(ledger.curves(compared)),
        options=options(study),
    )
    shutil.rmtree(here.report, ignore_errors=True)  # what an older report had and this one has not
    finished = run_here["status"] == "finished"
    about = setup(study, corpus, run_here[finished])
    path = report.write(comparison, about, corpus.generated, here.report, other, study.language, decided)
    counts = {"cells": str(len(run_here)), "finished": str(int(finished.sum()))}
    run_id = ledger.publish(here.report, "report", counts)
    ledger.describe(head(path.read_text(encoding="utf-8")), run_id, "report/report.html")
    names = tuple(trial.name for trial, done in zip(trials, finished, strict=True) if not done)
    return Written(path, ledger.page, len(run_here), int(finished.sum()), names)


def head(report: str) -> str:
    """A report's title and all up to its second section, without front matter and pictures."""
    body = report.split("\n---\n", 1)[1] if report.startswith("---\n") else report
    title, *sections = body.split("\n## ")
    lines = "\n## ".join([title, *sections[:1]]).strip().splitlines()
    return "\n".join(line for line in lines if not line.startswith("!["))


def _joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame | None:
    """One table of many; None of none."""
    found = list(frames)
    return pd.concat(found, ignore_index=True) if found else None


def predictions(study: Study) -> pd.DataFrame:
    """study, split, predicted: what the study file expects of each split."""
    rows = [(study.study, name, split.predicted) for name, split in study.grid_splits.items()]
    return pd.DataFrame(rows, columns=["study", "split", "predicted"])


def options(study: Study) -> Options:
    """Margins and tolerances that follow from the study."""
    training = study.training
    logged = -(-training.max_steps // training.logging_steps)
    return Options(
        margin_pp=study.equivalence_margin_pp,
        stated_pp=study.stated_diffs_pp,
        window=study.curve_window,
        # bfloat16 keeps 8 bits: policy and reference differ in the last ones before any training
        loss_tolerance=1e-3 if training.dtype == "float32" else 5e-3,
        tail_pairs=max(1, logged // 5) * training.batch_size,
    )
