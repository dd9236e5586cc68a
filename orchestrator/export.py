"""Write the tuned model of an arm to a folder that transformers loads."""

from collections.abc import Sequence
from pathlib import Path

from orchestrator import cli
from orchestrator.plan.recorded import existing_ledger, recorded_grid
from orchestrator.record.places import places_of
from orchestrator.study.trial import Trial
from training.errors import StudyError


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.export") -> int:
    """Copy a kept model out of the record. The exit code is 0."""
    flags = cli.parser(program, __doc__)
    flags.add_argument("arm", metavar="METHOD/SPLIT/SEED/ARM", help="which arm, for example dpo/S1_age/42/A")
    flags.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder")
    study, args = cli.study_of(flags, argv)
    ledger = existing_ledger(places := places_of(study))
    trials, _ = recorded_grid(study, ledger)
    trial, arm = _arm_of(trials, args.arm)
    if ledger is None:
        raise StudyError(
            f"study {study.study}: nothing is recorded under this name at {places.record}; run the sweep "
            "with keep: {models: final}"
        )
    ledger.models.export(trial, arm, args.folder)
    print(f"{args.arm}: {args.folder}")
    return 0


def _arm_of(trials: Sequence[Trial], name: str) -> tuple[Trial, str]:
    """Return the trial and arm with a name such as `dpo/S1_age/42/A`.

    Raises:
        StudyError: The study has no such arm; the message says what it has.
    """
    arms = {f"{trial.name}/{arm}": (trial, arm) for trial in trials for arm in trial.arms}
    if name not in arms:
        methods, splits, seeds = (
            ", ".join(dict.fromkeys(str(getattr(trial, part)) for trial in trials))
            for part in ("method", "split", "seed")
        )
        raise StudyError(
            f"{name}: no such arm in the study; name METHOD/SPLIT/SEED/ARM of methods {methods}, splits "
            f"{splits}, seeds {seeds}, and arms A, B, or all of the baseline"
        )
    return arms[name]


if __name__ == "__main__":
    cli.exit_with(main)
