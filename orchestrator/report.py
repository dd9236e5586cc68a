"""Write the report of a study from its record, or of published numbers."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from orchestrator import cli
from orchestrator.record.bar import bar_while
from orchestrator.record.places import places_of
from orchestrator.study.study import Study
from stats.errors import TableError
from stats.page.formats import USUAL_FORMATS, ReportFormat
from stats.page.language import Language
from stats.page.published_report import published_report
from stats.rule.published import read
from training.errors import StudyError
from training.hints import suggestion
from training.importing import importing


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.report") -> int:
    """Write the report and print its path.

    With `--only`, the report shows those methods and splits, with the numbers that they have in the study.
    The exit code is 0 if every cell of the report is finished, and always for published numbers; otherwise
    it is 1.
    """
    flags = cli.parser(program, __doc__)
    cli.add_only(flags)
    flags.add_argument(
        "--crosscheck",
        type=Path,
        metavar="CSV",
        help="compare with the verdicts.csv of another version's report",
    )
    flags.add_argument(
        "--language",
        choices=get_args(Language),
        help="language of the report (default: the study's; en for published numbers)",
    )
    flags.add_argument(
        "--format",
        dest="formats",
        metavar=",".join(ReportFormat),
        action="extend",
        type=_formats,
        default=[],
        help=f"what to write, repeatable (default: {','.join(USUAL_FORMATS)})",
    )
    published = flags.add_argument_group("published numbers, without a study or its record")
    published.add_argument("--diffs", type=Path, help="CSV of study, method, split, seed, diff_pp")
    published.add_argument("--predictions", type=Path, help="CSV of study, split, predicted")
    published.add_argument("--reference", help="method with which the others are compared (default: dpo)")
    published.add_argument("--out", type=Path, help="folder of the report (default: report)")
    if flags.parse_known_args(argv)[0].diffs:
        return _of_published_numbers(flags.parse_args(argv))
    study, args = cli.study_of(flags, argv)
    for flag, instead in (
        ("predictions", "a study file predicts its splits itself"),
        ("out", f"the report of a study is in {places_of(study).report}"),
        ("reference", "a study file names its own; --set reference=METHOD changes it"),
    ):
        if getattr(args, flag):
            raise StudyError(f"--{flag}: goes with --diffs; {instead}")
    return _of_study(study, args)


def _of_study(study: Study, args: argparse.Namespace) -> int:
    # The record needs mlflow, which the report of published numbers does not.
    with importing():
        from orchestrator.plan.plan import Plan
        from orchestrator.plan.tables import load_tables
        from orchestrator.record.experiment import recorded_studies
        from orchestrator.record.ledger import Ledger
        from orchestrator.record.report import write
        from orchestrator.record.selected_report import write_selection

    if args.language:
        study = study.model_copy(update={"language": args.language})
    places = places_of(study)
    recorded = recorded_studies(places)
    if study.study not in recorded and not study.published:
        hint = suggestion(study.study, recorded) if recorded else "python -m orchestrator.sweep runs a study"
        raise StudyError(
            f"study {study.study}: nothing is recorded under this name at {places.record}; {hint}"
        )
    places.create()
    try:
        other_verdicts = read(args.crosscheck) if args.crosscheck else None
        agenda = Plan.from_record(study, places).agenda
        corpus, formats = load_tables(study).corpus, args.formats or USUAL_FORMATS
        record = study, corpus, agenda.planned, Ledger(places), places
        if args.only:
            written = write_selection(*record, args.only, agenda.seed_decisions, formats)
        else:
            written = write(*record, agenda.seed_decisions, other_verdicts, formats)
    except TableError as error:
        raise StudyError(str(error)) from error
    print(written)
    return 0 if written.complete else 1


def _of_published_numbers(args: argparse.Namespace) -> int:
    if args.only:
        raise StudyError("--only: goes with a study; leave rows out of no table that you judge")
    out = args.out or Path("report")
    if not args.predictions:
        raise StudyError("--predictions: a CSV of study, split, predicted is needed with --diffs")
    try:
        diffs, predictions = read(args.diffs), read(args.predictions)
        other_verdicts = read(args.crosscheck) if args.crosscheck else None
        language: Language = args.language or "en"
        with bar_while("judging and drawing"):
            path = published_report(
                diffs,
                predictions,
                args.reference or "dpo",
                out,
                other=other_verdicts,
                language=language,
                formats=args.formats or USUAL_FORMATS,
            )
        print(path)
    except TableError as error:
        raise StudyError(str(error)) from error
    except OSError as error:
        raise StudyError(f"--out: {out} cannot be written ({error.strerror}); name a folder") from error
    return 0


def _formats(text: str) -> list[ReportFormat]:
    """Return the formats of a list such as md,latex."""
    known = list(ReportFormat)
    for word in text.split(","):
        if word not in known:
            raise StudyError(f"--format {word!r}: no such format; choose from {', '.join(known)}")
    return [ReportFormat(word) for word in text.split(",")]


if __name__ == "__main__":
    cli.exit_with(main)
