"""Show which cells of a study are finished, failed or missing."""

from collections.abc import Sequence

from orchestrator import cli
from orchestrator.plan.plan import Plan
from orchestrator.record.places import places_of


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.status") -> int:
    """Print the plan. The exit code is 0 when every planned cell is finished, otherwise 1."""
    study, _ = cli.study_of(cli.parser(program, __doc__), argv)
    plan = Plan.from_record(study, places_of(study))
    print(plan)
    return 1 if plan.open else 0


if __name__ == "__main__":
    cli.exit_with(main)
