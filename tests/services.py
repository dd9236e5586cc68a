"""Real services on loopback for tests: PostgreSQL, MLflow's server and an S3-compatible store. Each can be
killed and started again on the same port with the same data."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


class Service:
    """A process that answers on a port of this machine's loopback."""

    def __init__(self, command: Sequence[str | Path], port: int, log: Path, **popen: Any) -> None:
        self.command, self.port, self.log, self.popen = command, port, log, popen
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                self.command, stdout=stream, stderr=stream, start_new_session=True, **self.popen
            )
        until = time.monotonic() + 300
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.1)

    def kill(self) -> None:
        """Kill the process group at once, as the loss of a machine would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> "Service":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Postgres(Service):
    """A PostgreSQL cluster of its own; skips the test where PostgreSQL is not installed."""

    def __init__(self) -> None:
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not versions:
            pytest.skip("PostgreSQL is not installed; `make services` installs it")
        # pytest's folders belong to root alone, and PostgreSQL does not run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self.folder, "nobody", "nogroup")
        data, port = self.folder / "data", free_port()
        initdb = [versions[-1] / "initdb", "-D", data, "-U", "mlflow", "-A", "trust", "-N", "-E", "UTF8"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=self.folder, **owner)
        command = [
            versions[-1] / "postgres",
            "-D",
            data,
            "-p",
            str(port),
            "-k",
            self.folder,
            "-h",
            "127.0.0.1",
        ]
        super().__init__(command, port, self.folder / "log", cwd=self.folder, **owner)
        self.uri = f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def kill(self) -> None:
        """Crash PostgreSQL with SIGQUIT: it ends at once and recovers when it is started again. Its processes
        share memory, so SIGKILL to the postmaster would leave some of them behind."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=300)


class MlflowServer(Service):
    """`mlflow server` in front of a backend store; it serves artifacts from `artifacts` (a URI)."""

    def __init__(self, store: str, artifacts: str, folder: Path, environment: dict[str, str]) -> None:
        port = free_port()
        command = [
            BIN / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
            "--backend-store-uri", store, "--artifacts-destination", artifacts,
        ]  # fmt: skip
        keep = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        keep["PATH"] = f"{BIN}{os.pathsep}{keep['PATH']}"
        keep["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # seven processes that no test needs
        super().__init__(command, port, folder / "mlflow.log", env=keep | environment, cwd=folder)
        self.uri = f"http://127.0.0.1:{port}"


class S3(Service):
    """moto's S3 server on loopback, with one bucket. `environment` holds what its clients need."""

    BUCKET = "studies"

    def __init__(self, folder: Path) -> None:
        port = free_port()
        command = [BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
        super().__init__(command, port, folder / "s3.log", cwd=folder)
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }

    def start(self) -> None:
        super().start()
        import boto3

        keys = {name.lower(): value for name, value in self.environment.items() if name.startswith("AWS_")}
        client = boto3.client(
            "s3",
            endpoint_url=keys["aws_endpoint_url"],
            region_name=keys["aws_default_region"],
            aws_access_key_id=keys["aws_access_key_id"],
            aws_secret_access_key=keys["aws_secret_access_key"],
        )
        client.create_bucket(Bucket=self.BUCKET)
