"""What of a study is done, failed or missing, read from the record: python -m orchestrator.status."""

from collections.abc import Sequence

from orchestrator import cli
from orchestrator.plan.plan import Plan
from orchestrator.record.places import places
from orchestrator.study import grid


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 when every planned cell is finished, 1 when one is not."""
    study, _ = cli.study_of(cli.parser("status", __doc__), argv)
    plan = Plan.of(study, grid.expand(study), places(study))
    print(plan)
    return 1 if plan.open else 0


if __name__ == "__main__":
    cli.exit_with(main)
