"""The sweep of a chaos study as a process of its own, to kill."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import psutil
from fake_study import Setting

CHAOS_FOLDER = Path(__file__).resolve().parent


class DriverProcess:
    """The sweep of a setting, in a session of its own.

    Args:
        before: A command that goes before the sweep's own and starts it, such as `("nice", "-n", "5")`.
        environment: Variables beside those of this process, of which MLflow's are left out.
    """

    instances: ClassVar[list["DriverProcess"]] = []

    def __init__(self, setting: Setting, before: Sequence[str] = (), **environment: str) -> None:
        self.setting, self.before = setting, before
        setting.faults.mkdir(parents=True, exist_ok=True)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        self.environment = inherited | {"PYTHONUNBUFFERED": "1"} | environment
        if setting.tracking:
            self.environment["MLFLOW_TRACKING_URI"] = setting.tracking
        self.process: subprocess.Popen[str] | None = None
        DriverProcess.instances.append(self)

    def start(self) -> "DriverProcess":
        with self._output_file.open("a") as output:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, CHAOS_FOLDER / "driver.py", self.setting.save()],
                env=self.environment,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
                cwd=CHAOS_FOLDER.parents[1],
            )
        return self

    def finish(self, timeout_s: float = 1500) -> int:
        """Wait until the sweep ends by itself, and return its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the sweep did not end: {self.output[-3000:]}") from None

    def kill(self) -> None:
        """kill -9 of the driver and nothing else; what it started has to notice by itself."""
        assert self.process is not None
        started = self.children()
        self.process.kill()
        self.process.wait()
        # Processes that take a core or a card; Ray's two agents of the node go within a minute or so.
        workers = [process for process in started if "Agent" not in _title(process)]
        _, survivors = psutil.wait_procs(workers, timeout=300)
        assert not survivors, f"a dead driver's processes are still there: {survivors}"

    def children(self, title: str = "") -> list[psutil.Process]:
        """Return the processes below the driver, Ray's included, whose title starts with `title`."""
        assert self.process is not None
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [child for child in children if _title(child).startswith(title)]

    @property
    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def output(self) -> str:
        """Everything that the driver printed, over all its starts."""
        return self._output_file.read_text()

    @property
    def _output_file(self) -> Path:
        return self.setting.root / "output"

    def wait_until(self, condition: Callable[[], object], timeout_s: float = 1200) -> None:
        """Wait until a condition holds, while the driver is alive."""
        assert self.process is not None
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert not self.has_ended, self.output[-3000:]
            assert time.monotonic() < deadline, f"the condition did not hold in time: {self.output[-3000:]}"
            time.sleep(0.02)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
