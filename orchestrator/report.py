"""The report of a study, from what the ledger holds: python -m orchestrator.report."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from orchestrator import cli
from stats.errors import TableError
from stats.page.language import Language
from stats.page.published_report import published_report
from stats.rule.published import read
from training.errors import StudyError


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

    # The record needs mlflow, which published numbers do without.
    from orchestrator.plan.plan import Plan
    from orchestrator.plan.tables import tables
    from orchestrator.record.ledger import Ledger
    from orchestrator.record.places import places
    from orchestrator.record.report import write
    from orchestrator.study import grid

    here = places(study)
    try:
        other = read(args.crosscheck) if args.crosscheck else None
        plan = Plan.of(study, grid.expand(study), here)
        written = write(
            study, tables(study).corpus, plan.agenda.planned, Ledger(here), here, plan.agenda.decided, other
        )
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
