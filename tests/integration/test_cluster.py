"""The cluster that a sweep starts for itself takes in nobody without this user's token."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import ray

from orchestrator.run.cluster import cluster

pytestmark = pytest.mark.integration
JOIN = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print('in')"


def test_a_sweeps_own_cluster_asks_for_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def join(address: str, home: str, **more: str) -> bool:
        environment = {"HOME": home, "PATH": os.environ["PATH"], **more}
        command = [sys.executable, "-c", JOIN, address]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=180, check=False
        )
        return done.returncode == 0

    with cluster():
        address = ray.get_runtime_context().gcs_address
        assert join(address, str(Path.home()), RAY_AUTH_MODE="token")  # this user's other programs
        assert not join(address, str(tmp_path), RAY_AUTH_MODE="disabled")
        assert not join(address, str(tmp_path), RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64)
        dashboard = {
            socket.laddr.ip
            for child in psutil.Process().children(recursive=True)
            if "dashboard.py" in " ".join(child.cmdline())
            for socket in child.net_connections(kind="inet")
            if socket.status == psutil.CONN_LISTEN and socket.laddr.port in range(8265, 8400)
        }
    assert dashboard <= {"127.0.0.1"}
