"""Train the missing cells of a study on Ray and write its report."""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from orchestrator import cli
from orchestrator.plan.cards import cards_that_fit
from orchestrator.plan.interrupted import interruptible
from orchestrator.plan.notifier import Notifier, notifying
from orchestrator.plan.plan import Plan
from orchestrator.plan.recorded import recorded_grid
from orchestrator.record.lock import sole_driver
from orchestrator.record.places import Places, places_of
from orchestrator.study import grid
from orchestrator.study.judging import judging_of
from orchestrator.study.selection import selection
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.status import CellStatus
from stats.text import plural
from training.errors import StudyError
from training.importing import importing

if TYPE_CHECKING:
    from orchestrator.plan.tables import StudyTables
    from orchestrator.record.ledger import Ledger
    from orchestrator.run.submit import Submission


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.sweep") -> int:
    """Run a study. The exit code is 0 when every planned cell, or every chosen one, is finished, otherwise 1.

    A sweep that SIGINT or SIGTERM interrupts writes no report, and its exit code is 130 or 143. With `--on`,
    the exit code is 0 once the sweep is handed over.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    study, args = cli.study_of(_flags(program), words)
    places = places_of(study)
    logging.getLogger("DeepSpeed").disabled = not args.verbose  # in this process, which trains nothing
    if args.cards and not args.dry_run:
        raise StudyError("--cards: say --dry-run as well; a sweep runs on the cards that it finds")
    if args.on:
        print(_hand_over(study, places, args, words))
        return 0
    plan = Plan.from_record(study, places, args.only)
    print(plan)
    again = _finished_again(plan, args) if args.again else []
    if args.dry_run or args.probe or args.check:
        _look_ahead(plan, args)
        return 0
    if study.strict_code and plan.other_origins and not args.accept_code:
        raise StudyError(
            f"strict_code: {plan.other_origins[0]}; accept them with --accept-code, install what made them, "
            "or train all cells again under another name (study=...)"
        )

    # A plan needs neither ray nor mlflow nor pandas, so they are imported from here on.
    with importing():
        from orchestrator.plan.noting_end import noting_end
        from orchestrator.plan.tables import load_tables
        from orchestrator.record import report
        from orchestrator.record.bar import bar_while
        from orchestrator.record.endings import Ending
        from orchestrator.record.lease import lease
        from orchestrator.record.ledger import Ledger
        from orchestrator.run.address import ray_address
        from orchestrator.run.leaving import leaving
        from training.checkpoint_store import CheckpointStore

    if plan.open or again:
        ray_address()  # only to refuse a wrong one early
    print("reading the data", flush=True)
    with bar_while("so far"):
        data = load_tables(study)
    places.create()
    CheckpointStore(places.work).open()
    with (
        interruptible(),
        notifying(study) as notifier,
        sole_driver(places),
        lease(ledger := Ledger(places, study.faults.record_timeout_s)),
        noting_end(ledger) as note_end,
        ExitStack() as ray,
    ):
        ledger.close_abandoned()
        ledger.origins.keep_code()
        ledger.supersede(again)
        plan = _planned_now(plan, ledger)
        if plan.open:
            plan = _train(plan, data, ledger, notifier, args.verbose, ray)
        else:
            _begin(plan, ledger)
        with interruptible(), leaving(ray):  # in place of Ray's own handlers
            written = report.write(
                study, data.corpus, plan.agenda.planned, ledger, places, plan.agenda.seed_decisions
            )
            code, line = 0 if written.complete_but_for(plan.only) else 1, str(written).splitlines()[0]
            notifier.post("ended", line)
            note_end(Ending(code, line))
            print(written, flush=True)
    return code


def _look_ahead(plan: Plan, args: argparse.Namespace) -> None:
    """Print what `--probe`, `--check` or `--dry-run` say beyond the plan. No cell is trained."""
    if args.probe and not plan.open:
        print("--probe: no cell is left to train, so there is no time to estimate")
    elif args.probe:
        from orchestrator.plan.tables import load_tables
        from orchestrator.record.bar import bar_while
        from orchestrator.run import probe

        with bar_while("training a few steps"):
            estimate = probe.estimate(plan, load_tables(plan.study), args.verbose)
        print(estimate)
    if args.check:
        from orchestrator.plan.looking import look
        from orchestrator.plan.tables import load_tables

        for line in look(plan.study, load_tables(plan.study), plan.places.cache):
            print(line, flush=True)
    elif args.dry_run:
        from orchestrator.run.card_table import asked_cards, card_table, own_cards

        nodes = asked_cards(args.cards) if args.cards else own_cards()
        for text in (cards_that_fit(plan.study), card_table(plan, nodes)):
            if text:
                print(text)
        print("not looked at: the data, the model and the cluster; --check looks at the first two")


def _hand_over(study: Study, places: Places, args: argparse.Namespace, words: Sequence[str]) -> "Submission":
    """Submit the sweep to the cluster that `--on` names, once its study is found to be in order here."""
    from orchestrator.run.submit import submit

    if args.dry_run or args.check:
        raise StudyError(f"--on {args.on}: a job trains; leave it out to look at the plan or the data here")
    selection(args.only, grid.expand(study))  # refuses a glob that matches nothing
    on = [at for at, word in enumerate(words) if word == "--on"]
    gone = {place for at in on for place in (at, at + 1)}
    kept = [word for at, word in enumerate(words) if at not in gone and not word.startswith("--on=")]
    return submit(args.on, study, places, kept)


def _flags(program: str) -> argparse.ArgumentParser:
    flags = cli.parser(program, __doc__)
    cli.add_only(flags)
    flags.add_argument(
        "--again",
        action="store_true",
        help="train the cells of --only again, also finished ones; their old runs stay in the record",
    )
    flags.add_argument("--dry-run", action="store_true", help="print the plan and stop; nothing is trained")
    flags.add_argument(
        "--cards",
        metavar="2x24",
        help="with --dry-run: say what each card would do if there were two of 24 GB; 4x80,4x80 is two nodes",
    )
    flags.add_argument(
        "--check",
        action="store_true",
        help="print the plan, read the data, draw the groups, load the model, and stop; nothing is trained",
    )
    flags.add_argument(
        "--probe",
        action="store_true",
        help="print the plan, estimate the time from a few training steps, and stop; nothing is kept",
    )
    flags.add_argument(
        "--accept-code",
        action="store_true",
        help="go on, despite the study's strict_code, with cells that other code or libraries made",
    )
    flags.add_argument(
        "--on",
        choices=("slurm", "ray", "local"),
        help="submit the sweep as a job to SLURM, to the Ray cluster of RAY_ADDRESS or to this machine's "
        "background, print its id, log and watch command, and stop",
    )
    flags.add_argument(
        "-v", "--verbose", action="store_true", help="also print Ray's and the workers' output"
    )
    return flags


def _finished_again(plan: Plan, args: argparse.Namespace) -> list[Trial]:
    """Return the finished cells that are to be trained again, and say so.

    Raises:
        StudyError: No cells are chosen, or the study decides its seeds by the evidence.
    """
    if not args.only:
        raise StudyError("--again: say which finished cells, such as --only 'wpo/S4_safety/*'")
    if plan.study.adaptive:
        raise StudyError(
            "--again: this study judges its evidence after each seed (seeds.until), and a cell that is "
            "trained twice would be looked at twice; give the study another name (study=...)"
        )
    again = [trial for trial in plan.shown if plan.statuses[trial.trial_id] == CellStatus.FINISHED]
    print(f"--again: {plural(len(again), 'finished cell')} to be trained again, which the report will say")
    print("after an interruption, go on without --again")
    return again


def _planned_now(plan: Plan, ledger: "Ledger") -> Plan:
    """Return the plan as the record has it now; another sweep may have ended just now."""
    trials, _ = recorded_grid(plan.study, ledger)
    ledger.mark_damaged(trials)
    return _read_again(plan)


def _read_again(plan: Plan) -> Plan:
    """Return the plan of the same study and the same choice of cells, read from the record again."""
    return Plan.from_record(plan.study, plan.places, plan.only.globs if plan.only else ())


def _train(
    plan: Plan, data: "StudyTables", ledger: "Ledger", notifier: Notifier, verbose: bool, ray: ExitStack
) -> Plan:
    """Render the pairs while Ray and its lanes start, score them once, and run the plan's open cells.

    Results go into the ledger. Closing `ray` leaves the cluster. Returns the plan as it was run.
    """
    with importing():
        from orchestrator.plan.steady import SteadyWatcher
        from orchestrator.plan.watching import watching
        from orchestrator.record.bar import bar_while
        from orchestrator.record.provenance import provenance
        from orchestrator.run import schedule
        from orchestrator.run.cluster import cluster
        from orchestrator.run.jobs import make_jobs
        from orchestrator.run.share import resolve_auto

    print("starting Ray", flush=True)
    with bar_while("so far"):
        ray.enter_context(cluster(verbose))
        cells = Counter(trial.method for trial in plan.open)
        study = resolve_auto(plan.study, plan.places.cache, cells)
    with ExitStack() as shown:

        def prepare() -> schedule.Prepared:
            nonlocal plan
            plan, tables = _rendered(plan, data, ledger)
            _begin(plan, ledger)
            footer = f"logs: {plan.places.logs}\nMLflow: {ledger.page}"
            watcher = shown.enter_context(watching(plan.study, plan.shown, plan.statuses, footer))
            steady = SteadyWatcher(notifier.watch(watcher))
            steady.phase("starting the lanes")
            jobs = partial(make_jobs, study, tables, plan.places, phase=steady.phase)
            return schedule.Prepared(plan.agenda, plan.trials, jobs, steady)

        schedule.run(study, plan.places, plan.agenda, prepare, ledger, provenance())
    return plan


def _rendered(plan: Plan, data: "StudyTables", ledger: "Ledger") -> tuple[Plan, "StudyTables"]:
    """Return the data with the pairs as token ids, and the plan, in which a cell's identity holds them."""
    from orchestrator.plan.tables import render_tables
    from orchestrator.record.bar import bar_while

    study, places = plan.study, plan.places
    print("rendering the pairs as tokens", flush=True)
    with bar_while("so far"):
        data = render_tables(study, data, places.cache)
    assert data.rendered is not None
    ledger.renderings.add(grid.rendering_key(study), data.rendered)
    plan = _read_again(plan)
    for line in plan.about_rendering():
        print(line)
    return plan, data


def _begin(plan: Plan, ledger: "Ledger") -> None:
    """Have the record show the plan's cells, and seal how they will be judged."""
    ledger.show(plan.trials)
    ledger.seals.add(judging_of(plan.study), plan.finished, len(plan.agenda.planned))


if __name__ == "__main__":
    cli.exit_with(main)
