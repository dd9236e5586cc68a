"""Check the tables of a study's record, and repair a record whose project folder was moved."""

from collections.abc import Sequence

from orchestrator import cli
from orchestrator.plan.recorded import recorded_grid
from orchestrator.record.lock import sole_driver
from orchestrator.record.places import places_of


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.doctor") -> int:
    """Read every table of the finished cells, and mark the runs whose tables are damaged or gone.

    The exit code is 0 if every finished cell is whole, otherwise 1; the next sweep trains the others again.
    """
    flags = cli.parser(program, __doc__)
    flags.add_argument(
        "--move",
        action="store_true",
        help="first make the record name the tables in this project, after its folder was moved or copied",
    )
    study, args = cli.study_of(flags, argv)
    places = places_of(study)

    from orchestrator.record.ledger import Ledger
    from orchestrator.record.moved import move

    with sole_driver(places):
        if args.move:
            print(move(places))
        ledger = Ledger(places)
        trials, _ = recorded_grid(study, ledger)
        ledger.mark_damaged(trials)
        lost = ledger.cells.lost()
    finished = sum(trial.trial_id in ledger.cells.finished() for trial in trials)
    damaged = [trial.name for trial in trials if trial.trial_id in lost]
    print(f"{finished} finished cells are whole, {len(damaged)} are damaged: {', '.join(damaged) or 'none'}")
    return 1 if damaged else 0


if __name__ == "__main__":
    cli.exit_with(main)
