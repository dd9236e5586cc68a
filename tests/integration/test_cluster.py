"""The cluster that a sweep starts for itself admits nobody without this user's token, nor into its folder."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
import ray

from orchestrator.run.cluster import cluster

pytestmark = pytest.mark.integration
JOIN = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print('in')"


def test_a_sweeps_own_cluster_requires_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def joining(address: str, home: Path, **more: str) -> subprocess.Popen[str]:
        environment = {"HOME": str(home), "PATH": os.environ["PATH"], **more}
        command = [sys.executable, "-c", JOIN, address]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    with cluster():
        address = ray.get_runtime_context().gcs_address
        ours = joining(address, Path.home(), RAY_AUTH_MODE="token")  # this user's other programs
        others = [
            joining(address, tmp_path, RAY_AUTH_MODE="disabled"),
            joining(address, tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64),
        ]
        outputs = {process: process.communicate(timeout=1500)[0] for process in (ours, *others)}
        assert ours.returncode == 0, outputs[ours]
        assert all(other.returncode != 0 for other in others), outputs
        dashboard = {
            socket.laddr.ip
            for child in psutil.Process().children(recursive=True)
            if "dashboard.py" in " ".join(child.cmdline())
            for socket in child.net_connections(kind="inet")
            if socket.status == psutil.CONN_LISTEN and socket.laddr.port in range(8265, 8400)
        }
    assert dashboard <= {"127.0.0.1"}


def test_a_sweeps_own_cluster_closes_its_folder_though_the_newest_session_is_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray does not replace a link to the newest session that leads nowhere."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Ray's sockets need a short path, and its last processes may still write while the folder is deleted.
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as room:
        monkeypatch.setenv("RAY_TMPDIR", room)
        sessions = Path(room) / "ray"
        sessions.mkdir()
        (sessions / "session_latest").symlink_to("deleted_by_a_cleaner")
        with cluster():
            (session,) = sessions.glob("session_2*")
            assert stat.S_IMODE(session.stat().st_mode) == 0o700
