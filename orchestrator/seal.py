"""Seal how a study will judge its outcomes: its predictions, splits, seeds, margins and thresholds."""

from collections.abc import Sequence

from orchestrator import cli
from orchestrator.plan.plan import Plan
from orchestrator.record.places import places_of
from orchestrator.study.judging import judging_of


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.seal") -> int:
    """Write the seal into the study's record and print it; the exit code is 0.

    A sweep does the same before it trains anything. By hand, a plan can be sealed earlier, for example to
    cite its hash. A report names the seal, and says at its top what was changed later.
    """
    study, _ = cli.study_of(cli.parser(program, __doc__), argv)
    places = places_of(study)
    plan = Plan.from_record(study, places)

    from orchestrator.record.ledger import Ledger

    planned = len(plan.agenda.planned)
    seal = Ledger(places).seals.add(judging_of(study), plan.finished, planned, by_hand=True)
    print(
        f"{study.study}: plan {seal.digest}, sealed {seal.at}, after {seal.finished} of {seal.planned} cells"
    )
    return 0


if __name__ == "__main__":
    cli.exit_with(main)
