"""`ray start --head`, `ray job submit`: as the README says, with token authentication on."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A head node of its own; yields the environment that a submitter needs."""
    folder = tmp_path_factory.mktemp("head")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "RAY_"))}
    environment |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "ORCHESTRATOR_HOME": str(folder / "home"),
        "RAY_TMPDIR": tempfile.mkdtemp(prefix="ray-", dir="/tmp"),  # its sockets want a short path
    }
    (folder / "token").write_text(os.urandom(32).hex())
    port, dashboard = free_port(), free_port()
    # --block keeps the head in a process group of its own, so that it alone is ended.
    head = subprocess.Popen(
        [
            BIN / "ray",
            "start",
            "--head",
            "--block",
            f"--port={port}",
            f"--dashboard-port={dashboard}",
            "--num-cpus=2",
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield environment | {"RAY_ADDRESS": f"http://127.0.0.1:{dashboard}"}
    finally:
        head.terminate()
        head.wait(timeout=60)
        shutil.rmtree(environment["RAY_TMPDIR"])


def submit(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        BIN / "ray",
        "job",
        "submit",
        "--working-dir",
        ".",
        "--",
        "python",
        "-m",
        "orchestrator.sweep",
        *words,
    ]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


SMALL = """
study: job
data: {source: twin, users: 40, history: none}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [42]
training: {max_steps: 2, batch_size: 4, max_length: 128, dtype: float32, logging_steps: 1}
resources: {cpus_per_worker: 0.9, lanes: 1}
"""


def test_a_submitted_sweep_ends_in_mlflow(cluster: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text(SMALL)
    for _ in range(30):  # the head node takes a while to answer
        done = submit(cluster, "--config", str(config))
        if not re.search("Failed to connect|No available agent", done.stdout + done.stderr):
            break
        time.sleep(2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 cells finished" in done.stdout
    client = MlflowClient(f"sqlite:///{cluster['ORCHESTRATOR_HOME']}/mlflow.db")
    experiment = client.get_experiment_by_name("job")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.kind = 'cell'")
    assert sorted(run.info.run_name for run in runs) == ["dpo/S1/42", "dpo/baseline/42"]


def test_without_the_token_a_submission_is_refused(cluster: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("0" * 64)
    refused = submit(cluster | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "wrong")}, "--dry-run")
    assert refused.returncode != 0
    assert "study demo" not in refused.stdout


def test_a_mistake_fails_the_job(cluster: dict[str, str]) -> None:
    failed = submit(cluster, "methods.dpo.betta=1")
    assert failed.returncode != 0
    assert "methods.dpo.betta" in failed.stdout
