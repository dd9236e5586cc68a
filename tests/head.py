"""A Ray head node for one test, with its own token and folder; no other Ray process is touched."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services import free_port

BIN = Path(sys.executable).parent


@dataclass
class Head:
    """A head node and the environment that its users need. `options` go to `ray start`."""

    port: int
    dashboard: int
    environment: dict[str, str]
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # --block keeps the head in a process group of its own, so that only it is ended. Another Ray on this
        # machine may hold the default ports, and a head without an agent accepts no job.
        ports = [f"--port={self.port}", f"--dashboard-port={self.dashboard}"]
        ports += [
            f"--{name}={free_port()}" for name in ("dashboard-agent-listen-port", "ray-client-server-port")
        ]
        self.process = subprocess.Popen(
            [BIN / "ray", "start", "--head", "--block", *self.options, *ports],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=300)

    @property
    def submitter(self) -> dict[str, str]:
        return self.environment | {"RAY_ADDRESS": f"http://127.0.0.1:{self.dashboard}"}

    @property
    def driver(self) -> dict[str, str]:
        return self.environment | {"RAY_ADDRESS": f"127.0.0.1:{self.port}"}


@contextmanager
def own_head(folder: Path, *options: str, port: int | None = None, **more: str) -> Iterator[Head]:
    """Start a head, yield it, and stop it. `more` holds further variables of its environment."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "RAY_"))}
    environment |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "ORCHESTRATOR_HOME": str(folder / "home"),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # else it waits half a minute
        "RAY_TMPDIR": tempfile.mkdtemp(prefix="ray-", dir="/tmp"),  # its sockets need a short path
        **more,
    }
    (folder / "token").write_text(os.urandom(32).hex())
    head = Head(port or free_port(), free_port(), environment, options)
    head.start()
    try:
        yield head
    finally:
        head.stop()
        shutil.rmtree(environment["RAY_TMPDIR"], ignore_errors=True)
