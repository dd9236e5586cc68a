"""A sweep in a separate process, into which faults can be injected. `orchestrator.drill` uses this."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from orchestrator.plan.plan import Plan
from orchestrator.record.places import Places
from orchestrator.run.kill import kill_train_workers
from orchestrator.study.files import load
from orchestrator.study.trial import Trial
from training.checkpoint_store import CheckpointStore

TIMEOUT_S = 600.0


class SweepProcess:
    """`python -m orchestrator.sweep` on a study file, under another study name.

    Args:
        home: Folder of the record, which is kept apart from the user's.
        config: The study file.
        name: The name that replaces the study's.
    """

    def __init__(self, home: Path, config: Path, name: str) -> None:
        self.places = Places(name, home)
        self._study = load(config, [f"study={name}"])
        self._command = [
            sys.executable, "-m", "orchestrator.sweep", "--config", str(config), f"study={name}",
        ]  # fmt: skip
        self._log = home / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def trials(self) -> Sequence[Trial]:
        """The cells of the study, as its record knows them."""
        return Plan.from_record(self._study, self.places).trials

    def start(self) -> "SweepProcess":
        """Start the sweep, or start it again, and return this object."""
        environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment | {"ORCHESTRATOR_HOME": str(self.places.root), "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def finish(self) -> None:
        """Wait for the sweep to end.

        Raises:
            RuntimeError: The sweep failed.
        """
        assert self._process is not None
        if self._process.wait(TIMEOUT_S):
            raise RuntimeError(f"the sweep failed; see {self._log}")

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds while the sweep runs.

        Raises:
            RuntimeError: The sweep ended first, or the wait took too long.
        """
        assert self._process is not None
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the sweep did not get to where the fault strikes; see {self._log}")
            time.sleep(0.05)

    def is_in_the_middle_of_an_arm(self) -> bool:
        """Return whether a cell has a checkpoint of an unfinished arm."""
        work = self.places.work
        return any(
            CheckpointStore(f"{work}/{cell}/{arm}").names()
            for cell in CheckpointStore(work).names()
            for arm in CheckpointStore(f"{work}/{cell}").names()
            if arm.endswith("-unfinished")
        )

    def has_printed(self, text: str) -> bool:
        """Return whether the sweep has printed a text, in any of its starts."""
        return text in self._log.read_text()

    def kill_worker(self) -> None:
        """Send SIGKILL to the processes that train, on every node."""
        assert self._process is not None
        if os.environ.get("RAY_ADDRESS"):
            kill_train_workers(os.environ["RAY_ADDRESS"])
            return
        for child in psutil.Process(self._process.pid).children(recursive=True):
            if " ".join(child.cmdline()).startswith("ray::RayTrainWorker"):
                child.kill()

    def kill_driver(self) -> None:
        """Send SIGKILL to the driver alone, and give the processes that it started time to notice."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        time.sleep(5)
