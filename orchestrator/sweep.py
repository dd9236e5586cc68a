"""Run a study of (method, split, seed) cells on Ray, to a report: python -m orchestrator.sweep."""

from collections.abc import Sequence
from functools import partial

from orchestrator import cli
from orchestrator.plan.plan import Plan
from orchestrator.record.lock import sole_driver
from orchestrator.record.places import places
from orchestrator.study import grid


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 when every planned cell is finished, 1 when one is not."""
    flags = cli.parser("sweep", __doc__)
    flags.add_argument("--dry-run", action="store_true", help="print the plan and what is done; run nothing")
    flags.add_argument(
        "--probe", action="store_true", help="--dry-run, and a few steps trained here to tell what it takes"
    )
    flags.add_argument("-v", "--verbose", action="store_true", help="also what Ray and the workers print")
    study, args = cli.study_of(flags, argv)
    trials = grid.expand(study)
    here = places(study)
    plan = Plan.of(study, trials, here)
    print(plan)
    if args.probe and plan.open:
        from orchestrator.plan.tables import tables
        from orchestrator.run import probe

        print(probe.estimate(plan, tables(study), args.verbose))
    if args.dry_run or args.probe:
        return 0

    # From here on ray, mlflow and pandas' readers are needed; a plan does without them.
    from orchestrator.plan.display import watching
    from orchestrator.plan.tables import tables
    from orchestrator.record import report
    from orchestrator.record.lease import lease
    from orchestrator.record.ledger import Ledger
    from orchestrator.record.provenance import provenance
    from orchestrator.run import schedule, share
    from orchestrator.run.cluster import cluster
    from orchestrator.run.jobs import jobs
    from training.checkpoint_store import CheckpointStore

    data = tables(study)
    CheckpointStore(here.work).open()
    with sole_driver(here), lease(ledger := Ledger(here, study.faults.record_timeout_s)):
        ledger.close_abandoned()
        plan = Plan.of(study, trials, here)  # another sweep may have ended just now
        if plan.open:
            where = f"logs: {here.logs}\nMLflow: {ledger.page}"
            with cluster(args.verbose), watching(study, trials, plan.status, where) as watcher:
                fitted = share.sized(study, here.cache)
                prepare = partial(jobs, fitted, data, here)
                schedule.run(fitted, here, plan.agenda, prepare, trials, ledger, provenance(), watcher)
        written = report.write(study, data.corpus, plan.agenda.planned, ledger, here, plan.agenda.decided)
    print(written)
    return 0 if written.complete else 1


if __name__ == "__main__":
    cli.exit_with(main)
