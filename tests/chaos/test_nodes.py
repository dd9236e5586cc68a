"""Nodes that join late, are drained, or are cut off from the others for a while."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from driver_process import DriverProcess
from fake_study import Setting, journal_entries
from fixtures import own_environment, table_of_faults  # noqa: F401
from judge import Record, judge
from moments import has_made
from services import free_port

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(5400)]
BIN = Path(sys.executable).parent
HEAD, FAR = "10.213.0.1", "10.213.0.2"


def test_a_node_joins_late_and_another_is_drained(tmp_path: Path, record: Record) -> None:
    from ray.cluster_utils import Cluster

    setting = Setting(tmp_path, cells=8, lanes=3, step_s=0.5)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        first = cluster.add_node(num_cpus=1)
        driver = DriverProcess(setting, RAY_ADDRESS=cluster.address).start()
        driver.wait_until(has_made(setting, 8))
        before = {entry.pid for entry in journal_entries(setting)}
        cluster.add_node(num_cpus=1)
        driver.wait_until(lambda: {entry.pid for entry in journal_entries(setting)} - before)
        drain(cluster.address, first.node_id)
        assert driver.finish() == 0, driver.output[-3000:]
    finally:
        cluster.shutdown()
    record(judge("a node joins late, another is drained", 2, setting))


def test_cells_of_two_shapes_when_the_only_wide_node_is_drained(tmp_path: Path, record: Record) -> None:
    """Cells that need two cores can run on one node alone, and then on the one that replaces it."""
    from ray.cluster_utils import Cluster

    setting = Setting(tmp_path, cells=8, lanes=2, step_s=0.5, wide_cpus=1.8)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        first = cluster.add_node(num_cpus=2)
        driver = DriverProcess(setting, RAY_ADDRESS=cluster.address).start()
        driver.wait_until(lambda: {entry.cell % 2 for entry in journal_entries(setting)} == {0, 1})
        drain(cluster.address, first.node_id)
        cluster.add_node(num_cpus=2)
        assert driver.finish() == 0, driver.output[-3000:]
    finally:
        cluster.shutdown()
    record(judge("cells of two shapes, the only wide node drained and replaced", 1, setting))


def drain(address: str, node_id: str) -> None:
    """Tell Ray that a node is taken away in 20 s, as a spot reclaim does."""
    command = [
        BIN / "ray", "drain-node", f"--address={address}", f"--node-id={node_id}",
        "--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=reclaimed",
        "--deadline-remaining-seconds=20",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def two_machines() -> Iterator[tuple[str, ...]]:
    """Join this machine to a network namespace, and yield what runs a command there."""
    space = f"chaos{os.getpid()}"
    near = f"ve{os.getpid()}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    inside = ("ip", "netns", "exec", space)
    ip("netns", "add", space)
    try:
        ip("link", "add", near, "type", "veth", "peer", "name", "far", "netns", space)
        ip("addr", "add", f"{HEAD}/24", "dev", near)
        ip("link", "set", near, "up")
        for words in (
            ("addr", "add", f"{FAR}/24", "dev", "far"),
            ("link", "set", "far", "up"),
            ("link", "set", "lo", "up"),
        ):
            subprocess.run([*inside, "ip", *words], check=True)
        yield inside
    finally:
        ip("netns", "del", space)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace, which needs root")
@pytest.mark.parametrize("seconds", [10, 90])
def test_a_node_is_cut_off(tmp_path: Path, record: Record, seconds: int) -> None:
    """The node goes on working. If it was taken for dead meanwhile, its cells were retried elsewhere."""
    port = free_port()
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    setting = Setting(tmp_path, cells=8, lanes=2, step_s=1.0)
    nodes: list[subprocess.Popen[bytes]] = []
    start = [BIN / "ray", "start", "--block", "--disable-usage-stats"]
    with two_machines() as inside:
        link = (*inside, "ip", "link", "set", "far")
        try:
            head = [*start, "--head", f"--port={port}", f"--node-ip-address={HEAD}", "--num-cpus=1"]
            head += ["--include-dashboard=false", f"--temp-dir=/tmp/rc{os.getpid()}"]
            nodes.append(
                subprocess.Popen(head, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
            )
            time.sleep(20)
            far = [*inside, *start, f"--address={HEAD}:{port}", f"--node-ip-address={FAR}", "--num-cpus=1"]
            nodes.append(
                subprocess.Popen(far, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
            )
            driver = DriverProcess(setting, RAY_ADDRESS=f"{HEAD}:{port}", RAY_AUTH_MODE="disabled").start()
            driver.wait_until(lambda: len({entry.pid for entry in journal_entries(setting)}) > 1)
            subprocess.run([*link, "down"], check=True)
            time.sleep(seconds)
            subprocess.run([*link, "up"], check=True)
            assert driver.finish() == 0, driver.output[-3000:]
        finally:
            for node in nodes:
                node.terminate()
            for node in nodes:
                node.wait(timeout=120)
    record(judge(f"a node is cut off for {seconds} s", 1, setting))
