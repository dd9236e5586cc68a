"""NVIDIA MPS, for lanes that share cards: their kernels then run at once, where they would take turns.

A GPU node that has `nvidia-cuda-mps-control` gets a daemon for the sweep's own user and time, with its pipes
in a private folder; one that has none, or already runs a daemon, is left as it is. A CUDA program that is
told of a folder without a daemon runs as without MPS. The cards' compute mode is never touched.
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
DEFAULT_PIPES = "/tmp/nvidia-mps"  # of a daemon that was told of no other folder
LOOK_EVERY_S = 5.0  # for nodes that have come; a lane needs longer until its CUDA starts
PATIENCE_S = 20.0
PR_SET_PDEATHSIG = 1


class Keeper:
    """Runs a node's daemon. As a Ray actor it ends with the driver, and the daemon with it. Knows no ray."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self, given: Mapping[str, str] | None = None) -> bool:
        """Whether a daemon answers in `folder`/pipe now. `given`: the environment that the node's Ray was
        started with, by default that of the parent process, since Ray hides the cards from this one."""
        given = psutil.Process(os.getppid()).environ() if given is None else given
        control = shutil.which(CONTROL)
        if control is None or not _whole(given.get("CUDA_VISIBLE_DEVICES")):
            return False
        try:
            self._folder.mkdir(mode=0o700)
        except FileExistsError:  # another Ray node on this machine has been here
            return False
        theirs = Path(given.get(PIPES, DEFAULT_PIPES))
        if (theirs / "control").exists():
            (self._folder / "pipe").symlink_to(theirs)
            return True
        for name in ("pipe", "log"):
            (self._folder / name).mkdir()
        self._daemon = subprocess.Popen(
            [control, "-f"], env=self._environment(given), preexec_fn=_end_with_parent,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self._daemon.poll() is None:
            if (self._folder / "pipe" / "control").exists():
                return True
            time.sleep(0.05)
        self.stop()
        return False

    def stop(self) -> None:
        """End the daemon that `start` started, and take its folder away; another's is left alone."""
        if self._daemon is not None:
            if self._daemon.poll() is None:
                self._quit()
            self._daemon = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _quit(self) -> None:
        assert self._daemon is not None
        try:
            subprocess.run(
                [CONTROL], input=f"quit -t {PATIENCE_S:.0f}\n", env=self._environment(os.environ), text=True,
                capture_output=True, timeout=2 * PATIENCE_S, check=False,
            )  # fmt: skip
            self._daemon.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()

    def _environment(self, base: Mapping[str, str]) -> dict[str, str]:
        return {**base, PIPES: str(self._folder / "pipe"), LOGS: str(self._folder / "log")}


@contextmanager
def sharing(gpus: Iterable[float]) -> Iterator[dict[str, str]]:
    """What the sweep's workers need in their environment before CUDA starts; empty where none share a card.

    `gpus`: a worker's, of each kind of lane. Inside the block every GPU node of the connected cluster is
    looked after, those that come later, too.
    """
    if not any(0 < share < 1 for share in gpus):
        yield {}
        return
    import ray
    from ray.exceptions import RayError

    folder = f"{tempfile.gettempdir()}/orchestrator-mps-{secrets.token_hex(8)}"
    keepers: dict[str, Any] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY_S):
            _cover(keepers, folder)

    _cover(keepers, folder)
    watch = threading.Thread(target=look, name="mps", daemon=True)
    watch.start()
    try:
        yield {PIPES: f"{folder}/pipe"}
    finally:
        over.set()
        watch.join()
        for keeper in keepers.values():
            try:
                ray.get(keeper.stop.remote(), timeout=4 * PATIENCE_S)
            except RayError:  # its node is gone, and the daemon with it
                continue


def _cover(keepers: dict[str, Any], folder: str) -> None:
    """Start a keeper on each GPU node that has none; a node that is lost meanwhile is no concern."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    started = []
    for node in ray.nodes():
        name = node["NodeID"]
        if node["Alive"] and node["Resources"].get("GPU") and name not in keepers:
            here = NodeAffinitySchedulingStrategy(name, soft=False)
            keepers[name] = ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=here).remote(folder)
            started.append(keepers[name].start.remote())
    if started:
        ray.wait(started, num_returns=len(started), timeout=2 * PATIENCE_S)


def _whole(devices: str | None) -> bool:
    """Whether these are a node's first cards in their order: only then does a card's number mean the same to
    the daemon, which counts those it sees, and to a worker, which Ray tells a number of the machine's."""
    return devices is None or devices.split(",") == [str(k) for k in range(devices.count(",") + 1)]


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
