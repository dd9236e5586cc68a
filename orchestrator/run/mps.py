"""NVIDIA MPS for lanes that share cards: their kernels then run concurrently instead of taking turns.

A GPU node that has `nvidia-cuda-mps-control` gets a daemon for the sweep's user and for as long as the sweep
runs, with its pipes in a private folder. A node that lacks it, or already runs a daemon, is left as it is.
A CUDA program that is given a folder without a daemon runs as it would without MPS. The compute mode of the
cards is never touched.
"""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
DEFAULT_PIPES = "/tmp/nvidia-mps"  # where a daemon has its pipes if it was given no other folder
LOOK_FOR_NODES_EVERY_S = 5.0  # a lane on a new node needs longer than this to start CUDA
DAEMON_PATIENCE_S = 20.0  # how long a daemon may take to start or to end
PR_SET_PDEATHSIG = 1


class Keeper:
    """Runs a node's daemon. As a Ray actor it ends with the driver, and the daemon ends with it.

    Args:
        folder: The daemon's folder, which `start` creates and `stop` removes.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self, node_environment: Mapping[str, str] | None = None) -> bool:
        """Start a daemon unless one is running, and return whether one answers in `folder`/pipe.

        Args:
            node_environment: The environment that the node's Ray was started with. By default that of the
                parent process, since Ray hides the cards from this one.
        """
        if node_environment is None:
            node_environment = psutil.Process(os.getppid()).environ()
        control = shutil.which(CONTROL)
        if control is None or not _are_first_cards(node_environment.get("CUDA_VISIBLE_DEVICES")):
            return False
        try:
            self._folder.mkdir(mode=0o700)
        except FileExistsError:  # a keeper of another Ray node on this machine created it
            return False
        running_pipes = Path(node_environment.get(PIPES, DEFAULT_PIPES))
        if (running_pipes / "control").exists():
            (self._folder / "pipe").symlink_to(running_pipes)
            return True
        for name in ("pipe", "log"):
            (self._folder / name).mkdir()
        self._daemon = subprocess.Popen(
            [control, "-f"], env=self._with_folders(node_environment), preexec_fn=_end_with_parent,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + DAEMON_PATIENCE_S
        while time.monotonic() < deadline and self._daemon.poll() is None:
            if (self._folder / "pipe" / "control").exists():
                return True
            time.sleep(0.05)
        self.stop()
        return False

    def stop(self) -> None:
        """End the daemon that `start` started, if any, and remove the folder."""
        if self._daemon is not None:
            if self._daemon.poll() is None:
                self._quit(self._daemon)
            self._daemon = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _quit(self, daemon: "subprocess.Popen[bytes]") -> None:
        try:
            subprocess.run(
                [CONTROL], input=f"quit -t {DAEMON_PATIENCE_S:.0f}\n", env=self._with_folders(os.environ),
                text=True, capture_output=True, timeout=2 * DAEMON_PATIENCE_S, check=False,
            )  # fmt: skip
            daemon.wait(DAEMON_PATIENCE_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _with_folders(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {**environment, PIPES: str(self._folder / "pipe"), LOGS: str(self._folder / "log")}


@contextmanager
def sharing(gpus_per_worker: Iterable[float]) -> Iterator[dict[str, str]]:
    """Yield the environment variables that workers need before CUDA starts; none if no workers share a card.

    While the block runs, every GPU node of the connected cluster has a keeper, even one that joins later.

    Args:
        gpus_per_worker: GPUs per worker, for each shape of lane.
    """
    if not any(0 < share < 1 for share in gpus_per_worker):
        yield {}
        return
    import ray
    from ray.exceptions import RayError

    folder = f"{tempfile.gettempdir()}/orchestrator-mps-{secrets.token_hex(8)}"
    keepers: dict[str, Any] = {}
    ended = threading.Event()

    def watch_for_nodes() -> None:
        while not ended.wait(LOOK_FOR_NODES_EVERY_S):
            _start_keepers(keepers, folder)

    _start_keepers(keepers, folder)
    watch = threading.Thread(target=watch_for_nodes, name="mps", daemon=True)
    watch.start()
    try:
        yield {PIPES: f"{folder}/pipe"}
    finally:
        ended.set()
        watch.join()
        for keeper in keepers.values():
            try:
                ray.get(keeper.stop.remote(), timeout=4 * DAEMON_PATIENCE_S)
            except RayError:  # its node is gone, and the daemon with it
                continue


def _start_keepers(keepers: dict[str, Any], folder: str) -> None:
    """Start a keeper on each GPU node that has none. A node that is lost meanwhile does not matter."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    starting = []
    for node in ray.nodes():
        node_id = node["NodeID"]
        if node["Alive"] and node["Resources"].get("GPU") and node_id not in keepers:
            there = NodeAffinitySchedulingStrategy(node_id, soft=False)
            keeper = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=there).remote(folder)
            keepers[node_id] = keeper
            starting.append(keeper.start.remote())
    if starting:
        ray.wait(starting, num_returns=len(starting), timeout=2 * DAEMON_PATIENCE_S)


def _are_first_cards(devices: str | None) -> bool:
    """Return whether these are a machine's first cards, in order.

    Only then does a card's number mean the same to the daemon, which counts the cards that it sees, and to a
    worker, to which Ray gives the machine's number.
    """
    return devices is None or devices.split(",") == [str(card) for card in range(devices.count(",") + 1)]


def _end_with_parent() -> None:
    """Have the kernel end this process, the daemon, when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
