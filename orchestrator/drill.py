"""Kill a worker and the driver of a tiny study on this cluster; the same table must come out:
python -m orchestrator.drill.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil

from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.run.kill import kill_train_workers
from orchestrator.study import grid
from orchestrator.study.files import load
from orchestrator.study.trial import Trial
from training.checkpoint_store import CheckpointStore

STEPS, EVERY = 120, 10
STUDY = f"""
study: drill
data: {{source: twin, users: 40, history: none}}
splits: {{S1: {{by: random, predicted: A = B}}}}
methods: {{dpo: {{}}}}
seeds: [42]
training: {{max_steps: {STEPS}, batch_size: 4, max_length: 128, dtype: float32, logging_steps: 10}}
resources: {{cpus_per_worker: 0.9, lanes: 1}}
faults: {{backoff_s: 1, checkpoint_every: {EVERY}}}
"""
WAIT_S = 600


@dataclass(frozen=True)
class Row:
    """What a fault did to a study. `extra`: steps beyond an undisturbed study's, as a share of those."""

    fault: str
    injections: int
    lost: int
    doubled: int
    extra: float


def table(rows: Iterable[Row]) -> str:
    """Rows as Markdown."""
    lines = ["| fault | injections | cells lost | cells doubled | extra steps |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.fault} | {row.injections} | {row.lost} | {row.doubled} | {row.extra:.1%} |" for row in rows
    ]
    return "\n".join(lines)


class Sweep:
    """The main job on the drill's study under one name, as a process to kill."""

    def __init__(self, home: Path, name: str) -> None:
        config = home / "drill.yaml"
        config.write_text(STUDY)
        self.places = Places(name, home)
        self.trials: list[Trial] = grid.expand(load(config, [f"study={name}"]))
        self._command = [
            sys.executable, "-m", "orchestrator.sweep", "--config", str(config), f"study={name}",
        ]  # fmt: skip
        self._log = home / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Sweep":
        # The drill's own record: nothing of it gets among a user's studies.
        kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=kept | {"ORCHESTRATOR_HOME": str(self.places.root), "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def finish(self) -> None:
        assert self._process is not None
        if self._process.wait(WAIT_S):
            raise RuntimeError(f"the sweep failed; see {self._log}")

    def until(self, seen: Callable[[], object]) -> None:
        assert self._process is not None
        end = time.monotonic() + WAIT_S
        while not seen():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the fault found nothing to hit; see {self._log}")
            time.sleep(0.05)

    def amid_an_arm(self) -> bool:
        """Whether a cell has a checkpoint of an unfinished arm."""
        arms = [f"{self.places.work}/{trial.trial_id}/{arm}" for trial in self.trials for arm in trial.arms]
        return any(CheckpointStore(f"{arm}-unfinished").names() for arm in arms)

    def a_cell_is_done(self) -> bool:
        return ": done" in self._log.read_text()

    def kill_worker(self) -> None:
        """kill -9 of the process that trains, wherever it is."""
        assert self._process is not None
        if os.environ.get("RAY_ADDRESS"):
            kill_train_workers(os.environ["RAY_ADDRESS"])
            return
        for child in psutil.Process(self._process.pid).children(recursive=True):
            if " ".join(child.cmdline()).startswith("ray::RayTrainWorker"):
                child.kill()

    def kill_driver(self) -> None:
        """kill -9 of the sweep alone; what it started notices by itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        time.sleep(5)

    def cells(self) -> pd.DataFrame:
        return Ledger(self.places).cells(self.trials).set_index(["method", "split", "seed"])

    def doubled(self) -> int:
        return Ledger(self.places).doubled()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 when the disturbed study has the undisturbed one's cells and numbers, 1 when not."""
    flags = argparse.ArgumentParser(prog="python -m orchestrator.drill", description=__doc__)
    flags.add_argument("--home", type=Path, help="folder that every node reaches (default: a temporary one)")
    home = flags.parse_args(argv).home or Path(tempfile.mkdtemp(prefix="drill-"))
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    print(f"a tiny study, undisturbed and disturbed, in {home}", flush=True)
    calm = Sweep(home, "calm").start()
    calm.finish()
    print("undisturbed: done", flush=True)

    hit = Sweep(home, "hit").start()
    hit.until(hit.amid_an_arm)
    hit.kill_worker()
    print("a worker was killed amid an arm", flush=True)
    hit.until(hit.a_cell_is_done)
    hit.kill_driver()
    print("the driver was killed; the same command again", flush=True)
    hit.start().finish()

    wanted, found = calm.cells(), hit.cells()
    lost = int((found["status"] != "finished").sum())
    numbers = wanted.select_dtypes("number").columns
    off = (found.reindex(columns=numbers) - wanted[numbers]).abs().max().max()
    doubled = hit.doubled()
    arms = sum(len(trial.arms) for trial in hit.trials)
    # What a kill can cost: the steps since the newest checkpoint.
    print(table([Row("kill -9 of a worker and of the driver", 2, lost, doubled, 2 * EVERY / (arms * STEPS))]))
    print(f"largest difference of any number from the undisturbed study: {off:g}")
    return 0 if lost == doubled == off == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
