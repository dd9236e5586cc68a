"""The report of a study, from what the ledger holds: python -m orchestrator.report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from orchestrator import cli, grid
from orchestrator.ledger import Ledger
from orchestrator.places import Places, places
from orchestrator.prepare import Tables, tables
from orchestrator.study import Study
from orchestrator.trial import Trial
from stats import report
from stats.comparison import compare


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


def write(study: Study, tables: Tables, trials: Sequence[Trial], ledger: Ledger, here: Places) -> Written:
    """Compare what is finished with the reference; the report goes to disk and into MLflow."""
    cells = ledger.cells(trials)
    comparison = compare(cells, predictions(study), study.reference, study.verdicts)
    path = report.write(comparison, setup(study, tables), tables.corpus.generated, here.report)
    finished = cells["status"] == "finished"
    ledger.publish(here.report, {"cells": str(len(cells)), "finished": str(int(finished.sum()))})
    names = tuple(trial.name for trial, done in zip(trials, finished, strict=True) if not done)
    return Written(path, ledger.page, len(cells), int(finished.sum()), names)


def predictions(study: Study) -> pd.DataFrame:
    """study, split, predicted: what the study file expects of each split."""
    rows = [(study.study, name, split.predicted) for name, split in study.splits.items()]
    return pd.DataFrame(rows, columns=["study", "split", "predicted"])


def setup(study: Study, tables: Tables) -> dict[str, str]:
    """What a reader has to know to read the numbers."""
    corpus, training = tables.corpus, study.training
    users = corpus.pairs["user_id"].nunique()
    dropped = ", ".join(f"{count} {why}" for why, count in corpus.dropped.items() if count) or "none"
    return {
        "study": study.study,
        "model": study.model.path,
        "data": f"{study.data.source}: {len(corpus.pairs)} pairs of {users} users",
        "dropped": dropped,
        "held out": f"{study.held_out.share:.0%} of users",
        "methods": ", ".join(study.methods),
        "reference": study.reference,
        "training": f"{training.max_steps} steps of {training.batch_size} pairs, learning rate "
        f"{training.learning_rate:g}, {training.dtype}",
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 when every planned cell is finished, 1 when one is not."""
    study, _ = cli.study_of(cli.parser("report", __doc__), argv)
    here = places(study)
    written = write(study, tables(study), grid.expand(study), Ledger(here), here)
    print(written)
    return 0 if written.complete else 1


if __name__ == "__main__":
    cli.exit_with(main)
