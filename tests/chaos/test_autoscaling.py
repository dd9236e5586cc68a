"""A cluster that grows with a sweep and is released after it, by Ray's own autoscaler on this machine."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from head import BIN, Head, own_head
from ray.util import get_node_ip_address as node_ip
from services import free_port

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

CLUSTER_CONFIG = {
    "cluster_name": "grows",
    "max_workers": 2,
    "idle_timeout_minutes": 0.05,
    "available_node_types": {
        # The head has room for bookkeeping, but not for a lane.
        "ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "worker": {"resources": {"CPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": 2},
    },
    "head_node_type": "ray.head.default",
    "upscaling_speed": 1.0,
    "auth": {"ssh_user": "nobody"},
    "file_mounts": {},
    "file_mounts_sync_continuously": False,
    **{name: [] for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
    **{
        f"{part}_commands": []
        for part in (
            "initialization",
            "setup",
            "head_setup",
            "worker_setup",
            "head_start_ray",
            "worker_start_ray",
        )
    },
}
STUDY_FILE = """
study: grows
data: {source: twin, users: 40, history: none}
splits: {S1: {by: random, predicted: A = B}}
methods: {dpo: {}}
seeds: [1, 2]
training: {max_steps: 2, batch_size: 4, max_length: 52, dtype: float32, logging_steps: 1}
resources: {cpus_per_worker: 2}
"""
# If nothing is requested, the autoscaler removes idle nodes. Its made-up nodes here never count as idle.
NOTHING_REQUESTED = re.compile(r"From request_resources:\n \(none\)")
PRINT_ALIVE_NODES = (
    "import ray; ray.init(log_to_driver=False); print('alive', sum(node['Alive'] for node in ray.nodes()))"
)


def count_nodes(head: Head) -> int:
    """Return how many nodes are alive; 0 while the head does not answer yet."""
    output = subprocess.run(
        [sys.executable, "-c", PRINT_ALIVE_NODES],
        env=head.driver,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    ).stdout
    alive = re.search(r"alive (\d+)", output)
    return int(alive[1]) if alive else 0


def status(head: Head) -> str:
    return subprocess.run(
        [BIN / "ray", "status"], env=head.driver, capture_output=True, text=True, timeout=600, check=False
    ).stdout


def test_nodes_are_added_for_the_lanes_and_released_afterwards(tmp_path: Path) -> None:
    port = free_port()
    provider = {"type": "fake_multinode", "launch_multiple": True, "disable_node_updaters": True}
    provider |= {"gcs_address": f"{node_ip()}:{port}"}
    (tmp_path / "cluster.json").write_text(json.dumps(CLUSTER_CONFIG | {"provider": provider}))
    (tmp_path / "study.yaml").write_text(STUDY_FILE)
    scaling = (f"--autoscaling-config={tmp_path / 'cluster.json'}", "--num-cpus=1")
    environment = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    with own_head(tmp_path, *scaling, port=port, **environment) as head:
        while not count_nodes(head):
            time.sleep(1)
        sweep = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.sweep", "--config", str(tmp_path / "study.yaml")],
            env=head.driver,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        most = 0
        while sweep.poll() is None:
            most = max(most, count_nodes(head))
        assert sweep.returncode == 0, sweep.communicate()[0]
        assert most >= 3  # the head and one node per lane; the autoscaler may start one too many
        deadline = time.monotonic() + 300
        while not NOTHING_REQUESTED.search(status(head)):
            assert time.monotonic() < deadline, f"room is requested although nothing runs: {status(head)}"
