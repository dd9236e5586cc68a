"""Take the runs that a study's present plan does not need out of its views in MLflow; delete nothing."""

from collections.abc import Sequence

from orchestrator import cli
from orchestrator.plan.recorded import existing_ledger, recorded_grid
from orchestrator.record.lock import sole_driver
from orchestrator.record.places import places_of
from stats.text import plural


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.tidy") -> int:
    """Mark the runs of removed, failed, cut-off and damaged cells, as each sweep does at its start.

    After a change of the study file, this brings the views up to date without training. A marked run keeps
    everything, and counts again as soon as the study plans its cell again.
    """
    study, _ = cli.study_of(cli.parser(program, __doc__), argv)
    places = places_of(study)
    ledger = existing_ledger(places)
    if ledger is None:
        print(f"nothing is recorded under the name {study.study}")
        return 0
    from orchestrator.record.lease import lease

    with sole_driver(places), lease(ledger):
        ledger.close_abandoned()
        trials, _ = recorded_grid(study, ledger)
        reasons = ledger.show(trials)
    runs = plural(reasons.total(), "run")
    print(f"{runs} taken out of the views; none is deleted, and tags.plan = 'past' finds them in MLflow")
    for reason, count in reasons.most_common():
        print(f"  {count}: {reason}")
    return 0


if __name__ == "__main__":
    cli.exit_with(main)
