"""Show the live table of a sweep that runs elsewhere: in another terminal, or as a submitted job."""

import time
from collections.abc import Callable, Sequence

from orchestrator import cli
from orchestrator.plan.plan import Plan
from orchestrator.plan.recorded import existing_ledger
from orchestrator.record.places import Places, places_of


def main(
    argv: Sequence[str] | None = None,
    program: str = "python -m orchestrator.watch",
    wait: Callable[[float], None] = time.sleep,
) -> int:
    """Show a study's sweep from its record until it ends. The exit code is the sweep's.

    If no sweep runs and cells are missing, wait for one. The steps of the running cells are as old as the
    sweep's last note of them, at most half a minute. What a sweep does before its first cell runs is only in
    its own output.

    Args:
        argv: The words after the command.
        program: The command as the user types it.
        wait: Waits for a number of seconds.
    """
    flags = cli.parser(program, __doc__)
    cli.add_only(flags)
    study, args = cli.study_of(flags, argv)
    places = places_of(study)
    Plan.from_record(study, places, args.only)  # refuses a glob that matches nothing
    try:
        _wait_for_record(places, wait)
        from orchestrator.plan.following import FollowedSweep
        from orchestrator.record.ledger import Ledger

        ledger = Ledger(places, study.faults.record_timeout_s)
        ending = FollowedSweep(study, places, ledger, args.only, wait).follow()
    except KeyboardInterrupt:
        print("no longer watched; the sweep itself goes on")
        return 130
    if ending is None:
        return 0
    print(f"the sweep has ended with exit status {ending.code}: {ending.text}")
    return ending.code


def _wait_for_record(places: Places, wait: Callable[[float], None]) -> None:
    """Return once something is recorded under the study's name; watching creates nothing."""
    from orchestrator.plan.following import LOOK_EVERY_S

    told = False
    while existing_ledger(places) is None:
        if not told:
            print(f"nothing is recorded under the name {places.study} yet; waiting for a sweep", flush=True)
            told = True
        wait(LOOK_EVERY_S)


if __name__ == "__main__":
    cli.exit_with(main)
