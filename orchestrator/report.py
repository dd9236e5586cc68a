"""The report of a study, from what the ledger holds: python -m orchestrator.report."""

import argparse
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd

from orchestrator import cli, grid, published
from orchestrator.adaptive import Adaptive, looks
from orchestrator.agenda import Agenda
from orchestrator.ledger import Ledger
from orchestrator.places import Places, places
from orchestrator.plan import Plan
from orchestrator.prepare import Tables, tables
from orchestrator.study import Study
from stats import report
from stats.comparison import compare
from stats.errors import TableError
from stats.options import Options
from stats.published import published_report, read
from stats.sums import SCORED, user_sums
from stats.words import Language, Words
from training.errors import StudyError


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
    tables: Tables,
    asked: Agenda,
    ledger: Ledger,
    here: Places,
    other: pd.DataFrame | None = None,
) -> Written:
    """Compare what is finished with the reference; the report goes to disk and into MLflow. `other`: verdicts
    of another version of the study."""
    trials = asked.planned
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
    about = setup(study, tables, run_here[finished])
    decided = (asked.verdicts, looks(study)) if isinstance(asked, Adaptive) else None
    generated = tables.corpus.generated
    path = report.write(comparison, about, generated, here.report, other, study.language, decided)
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


def setup(study: Study, tables: Tables, finished: pd.DataFrame) -> dict[str, str]:
    """What a reader has to know to read the numbers. `finished`: those rows of `Ledger.cells`."""
    corpus, training, say = tables.corpus, study.training, Words(study.language)
    pairs = corpus.pairs
    dropped = [
        say("{count} {why}", count=count, why=say.of(why)) for why, count in corpus.dropped.items() if count
    ]
    methods = [
        say("{name} (published: {file})", name=name, file=study.published[name].name)
        if name in study.published
        else name
        for name in study.methods
    ]
    return {
        "study": study.study,
        "model": study.model.path,
        "data": say(
            "{source}: {pairs} pairs of {users} users",
            source=study.data.source,
            pairs=len(pairs),
            users=pairs["user_id"].nunique(),
        ),
        "dropped": ", ".join(dropped) or say("none"),
        **_length_limit(training.max_length, finished, say),
        "held out": say("{share:.0%} of users", share=study.held_out.share),
        "splits": str(len(study.grid_splits)),
        "seeds": "; ".join(
            f"{name}: {', '.join(map(str, study.seeds_of(name)))}"
            for name in study.methods
            if name not in study.published
        ),
        "methods": ", ".join(methods),
        "reference": study.reference,
        "training": say(
            "{steps} steps of {pairs} pairs, learning rate {rate:g}, {dtype}",
            steps=training.max_steps,
            pairs=training.batch_size,
            rate=training.learning_rate,
            dtype=training.dtype,
        ),
    }


def _length_limit(max_length: int, finished: pd.DataFrame, say: Words) -> dict[str, str]:
    """What max_length did to the pairs of the cells that are there."""
    if not len(finished):
        return {}
    parts = ("train", "truncated", "dropped")
    train, truncated, dropped = (
        finished.filter(regex=f"/pairs_{part}$").stack().dropna().to_numpy() for part in parts
    )
    share = truncated / train
    return {
        "length limit": say(
            "{tokens} tokens: an answer of {least:.0%} to {most:.0%} of an arm's training pairs truncated; "
            "up to {dropped:.0f} of a cell's pairs had no room for one",
            tokens=max_length,
            least=share.min(),
            most=share.max(),
            dropped=dropped.max(),
        )
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 when every planned cell is finished, 1 when one is not."""
    flags = cli.parser("report", __doc__)
    flags.add_argument(
        "--crosscheck", type=Path, metavar="CSV", help="verdicts.csv of another version's report"
    )
    flags.add_argument(
        "--language", choices=get_args(Language), help="of the report (default: the study's; en)"
    )
    alone = flags.add_argument_group("published numbers, without a study or its record")
    alone.add_argument("--diffs", type=Path, help="CSV of study, method, split, seed, diff_pp")
    alone.add_argument("--predictions", type=Path, help="CSV of study, split, predicted")
    alone.add_argument("--reference", default="dpo", help="method the others are compared with")
    alone.add_argument("--out", type=Path, default=Path("report"), help="folder of the report")
    if flags.parse_known_args(argv)[0].diffs:
        return _published(flags.parse_args(argv))
    study, args = cli.study_of(flags, argv)
    if args.language:
        study = study.model_copy(update={"language": args.language})
    here = places(study)
    try:
        other = read(args.crosscheck) if args.crosscheck else None
        plan = Plan.of(study, grid.expand(study), here)
        written = write(study, tables(study), plan.agenda, Ledger(here), here, other)
    except TableError as error:
        raise StudyError(str(error)) from error
    print(written)
    return 0 if written.complete else 1


def _published(args: argparse.Namespace) -> int:
    if not args.predictions:
        raise StudyError("--predictions: a CSV of study, split, predicted is needed beside --diffs")
    try:
        diffs, predicted = (read(path) for path in (args.diffs, args.predictions))
        other = read(args.crosscheck) if args.crosscheck else None
        print(
            published_report(
                diffs, predicted, args.reference, args.out, other=other, language=args.language or "en"
            )
        )
    except TableError as error:
        raise StudyError(str(error)) from error
    except OSError as error:
        raise StudyError(f"--out: {args.out} cannot be written ({error.strerror}); name a folder") from error
    return 0


if __name__ == "__main__":
    cli.exit_with(main)
