"""Check the environment, this machine and a study's record, each with the way out; repair a moved record."""

from collections.abc import Iterator, Sequence

from orchestrator import cli
from orchestrator.plan.recorded import existing_ledger, recorded_grid
from orchestrator.record.finding import Finding, problem
from orchestrator.record.lock import sole_driver
from orchestrator.record.places import Places, places_of
from orchestrator.study.study import Study
from training.errors import StudyError


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.doctor") -> int:
    """Print one line per check: OK, a note, or a problem with the way out. A problem makes the exit code 1.

    Checked are the versions, the cards, Ray, the folders, the disk, the clock, MLflow, and every table of the
    study's finished cells. Runs whose tables are damaged or gone are marked, and the next sweep trains their
    cells again.
    """
    flags = cli.parser(program, __doc__)
    flags.add_argument(
        "--move",
        action="store_true",
        help="first make the record name the tables in this project, after its folder was moved or copied",
    )
    study, args = cli.study_of(flags, argv)
    places = places_of(study)
    if args.move:
        from orchestrator.record.moved import move

        with sole_driver(places):
            print(move(places))
    problems = 0
    for finding in _findings(study, places):
        print(finding, flush=True)
        problems += finding.is_problem
    return 1 if problems else 0


def _findings(study: Study, places: Places) -> Iterator[Finding]:
    from orchestrator.record.check_places import check_places
    from orchestrator.record.check_record import check_mlflow
    from orchestrator.record.check_versions import check_versions
    from orchestrator.run.check_machine import check_cards, check_ray

    yield check_versions()
    yield from check_cards(study)
    yield from check_ray()
    yield from check_places(places)
    store, *server = check_mlflow(places)
    yield from (store, *server)
    if not store.is_problem:
        yield _check_record(study, places)


def _check_record(study: Study, places: Places) -> Finding:
    """Read every table of the study's finished cells, unless a sweep of it runs."""
    try:
        ledger = existing_ledger(places)
        if ledger is None:
            return Finding("record", f"nothing is recorded under the name {study.study}")
        with sole_driver(places):
            trials, _ = recorded_grid(study, ledger)
            ledger.mark_damaged(trials)
            lost, finished_ids = ledger.cells.lost(), ledger.cells.finished()
    except StudyError as error:  # its record was moved or deleted, or a sweep runs
        return problem("record", str(error))
    finished = sum(trial.trial_id in finished_ids for trial in trials)
    damaged = [trial.name for trial in trials if trial.trial_id in lost]
    text = f"{finished} finished cells are whole, {len(damaged)} are damaged"
    if damaged:
        return problem("record", f"{text}: {', '.join(damaged)}; the next sweep trains them again")
    return Finding("record", text)


if __name__ == "__main__":
    cli.exit_with(main)
