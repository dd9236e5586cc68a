"""Show which cells of a study are finished, failed or missing."""

from collections.abc import Sequence

from orchestrator import cli
from orchestrator.plan.plan import Plan
from orchestrator.plan.recorded import existing_ledger
from orchestrator.record.places import places_of


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.status") -> int:
    """Print the plan, and whether a sweep of it lives.

    The exit code is 0 if every planned cell, or every chosen one, is finished, otherwise 1.
    """
    flags = cli.parser(program, __doc__)
    cli.add_only(flags)
    study, args = cli.study_of(flags, argv)
    places = places_of(study)
    plan = Plan.from_record(study, places, args.only)
    print(plan)
    ledger = existing_ledger(places)
    if ledger is None:
        print(f"nothing is recorded under the name {study.study}")
    else:
        from orchestrator.record.liveness import driver_line

        if line := driver_line(ledger.claims):
            print(line)
    return 1 if plan.open else 0


if __name__ == "__main__":
    cli.exit_with(main)
