"""Kill a worker and the driver of a tiny study on this cluster, and check that its numbers stay the same."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from orchestrator import cli
from orchestrator.record.ledger import Ledger
from orchestrator.run.sweep_process import SweepProcess
from stats.status import CellStatus

ARM_STEPS, CHECKPOINT_EVERY = 120, 10
DRILL_STUDY = f"""
study: drill
data: {{source: twin, users: 40, history: none}}
splits: {{S1: {{by: random, predicted: A = B}}}}
methods: {{dpo: {{}}}}
seeds: [42]
training:
  {{max_steps: {ARM_STEPS}, batch_size: 4, max_length: 128, dtype: float32, logging_steps: 10}}
resources: {{cpus_per_worker: 0.9, lanes: 1}}
faults: {{backoff_s: 1, checkpoint_every: {CHECKPOINT_EVERY}}}
"""


@dataclass(frozen=True)
class FaultRow:
    """The effect of a fault on a study: one row of the table of faults."""

    fault: str
    injections: int
    lost: int  # cells without a result
    doubled: int  # results beyond the first of their cell
    extra: float  # steps beyond those of an undisturbed study, as a share of the latter
    extra_is_bound: bool = False  # `extra` was not counted; the checkpoints allow no more

    def __str__(self) -> str:
        extra = f"{'at most ' if self.extra_is_bound else ''}{self.extra:.1%}"
        return f"| {self.fault} | {self.injections} | {self.lost} | {self.doubled} | {extra} |"


def fault_table(rows: Iterable[FaultRow]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| fault | injections | cells lost | cells doubled | extra steps |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *map(str, rows)])


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.drill") -> int:
    """Run the study twice, undisturbed and disturbed, and print the table of faults.

    The exit code is 0 if both runs have the same cells and numbers, otherwise 1.
    """
    flags = cli.Flags(prog=program, description=__doc__)
    flags.add_argument("--home", type=Path, help="folder that every node reaches (default: a temporary one)")
    home = flags.parse_args(argv).home or Path(tempfile.mkdtemp(prefix="drill-"))
    home = home.resolve()
    config = home / "drill.yaml"
    cli.write(config, DRILL_STUDY, "--home")
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # the drill keeps its record apart from the user's
    print(f"a tiny study, undisturbed and disturbed, in {home}", flush=True)
    undisturbed = SweepProcess(home, config, "calm").start()
    undisturbed.finish()
    print("undisturbed: done", flush=True)

    disturbed = SweepProcess(home, config, "hit").start()
    disturbed.wait_until(disturbed.is_in_the_middle_of_an_arm)
    disturbed.kill_worker()
    print("killed a worker in the middle of an arm", flush=True)
    disturbed.wait_until(lambda: disturbed.has_printed(": done"))
    disturbed.kill_driver()
    print("killed the driver; running the same command again", flush=True)
    disturbed.start().finish()

    cells = _cells(disturbed)
    lost = int((cells["status"] != CellStatus.FINISHED).sum())
    doubled = Ledger(disturbed.places).cells.doubled()
    difference = _largest_difference(_cells(undisturbed), cells)
    # Each kill can cost at most the steps since the newest checkpoint.
    steps = ARM_STEPS * sum(len(trial.arms) for trial in disturbed.trials)
    fault = "kill -9 of a worker and of the driver"
    most_extra = 2 * CHECKPOINT_EVERY / steps
    print(fault_table([FaultRow(fault, 2, lost, doubled, most_extra, extra_is_bound=True)]))
    print(f"largest difference of any number from the undisturbed study: {difference:g}")
    return 0 if lost == doubled == difference == 0 else 1


def _cells(sweep: SweepProcess) -> pd.DataFrame:
    """Return one row per cell of a sweep's study, with method, split and seed as the index."""
    return Ledger(sweep.places).cells.table(sweep.trials).set_index(["method", "split", "seed"])


def _largest_difference(undisturbed: pd.DataFrame, disturbed: pd.DataFrame) -> float:
    """Return the largest absolute difference between the same number of the same cell in two sweeps."""
    numbers = undisturbed.select_dtypes("number").columns
    return float((disturbed.reindex(columns=numbers) - undisturbed[numbers]).abs().max().max())


if __name__ == "__main__":
    cli.exit_with(main)
