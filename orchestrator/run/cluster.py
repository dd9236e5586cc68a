"""The Ray cluster that a sweep runs on: the one that RAY_ADDRESS names, or one started for this sweep."""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from orchestrator.run.address import LOCAL, ray_address
from orchestrator.run.exposure import exposed
from orchestrator.run.lane import stop_lanes
from training.errors import StudyError

log = logging.getLogger(__name__)

TUNE_ENVIRONMENT = {
    # Tune's own result files repeat what the ledger holds, and its snapshots serve a restore, which a sweep
    # never makes.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # By default Tune starts a searcher's trials one at a time, each in its own process. Here the searcher
    # itself limits how many there are at the same time.
    "TUNE_MAX_PENDING_TRIALS_PG": "200",
    # Tune would end as if all were well; `plan/interrupted.py` ends the sweep instead.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}

MAX_CLUSTER_STARTS = 3
# A cluster of one machine for one sweep does not need these, and each would be one more process to start.
LOCAL_OPTIONS = {"include_dashboard": False}
LOCAL_ENVIRONMENT = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}  # nothing drains the only node

# One thread per process: lanes share the cores between them, and the order of a sum stays the same.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    # glibc keeps what a step frees, in large pages, for the next step; otherwise the kernel would have to
    # clear it again. One arena, since Ray Train trains in a thread, and the arenas of threads keep nothing.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(256 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


@contextmanager
def cluster(verbose: bool = False) -> Iterator[None]:
    """Connect to the cluster that RAY_ADDRESS names; without this variable, start one here.

    Ray sets the variable in a submitted job. Ray's own search for a running cluster is not used, since it
    also finds traces of dead ones and waits for them.

    Args:
        verbose: Whether to print Ray's and the workers' output.

    Raises:
        StudyError: RAY_ADDRESS names a job server, or Ray does not start here in time.
    """
    for name, value in TUNE_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not verbose:  # LedgerCallback reports what failed, and why
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    _start(verbose)
    for line in exposed(_session()):
        log.warning("%s", line)
    try:
        yield
    finally:
        stop_lanes()
        ray.shutdown()


def can_grow() -> bool:
    """Return whether nodes may join the cluster: all may, except one that was started here for one sweep."""
    return ray_address() != LOCAL


def _start(verbose: bool) -> None:
    address = ray_address()
    is_local = address == LOCAL
    for attempt in range(1, MAX_CLUSTER_STARTS + 1):
        try:
            ray.init(
                address=address,
                log_to_driver=verbose,  # what a cell prints goes to its log file either way
                logging_level=logging.INFO if verbose else logging.ERROR,
                runtime_env={"env_vars": WORKER_ENVIRONMENT | (LOCAL_ENVIRONMENT if is_local else {})},
                **(LOCAL_OPTIONS if is_local else {}),
            )
            if is_local:
                _session().chmod(stat.S_IRWXU)  # Ray lets everybody change it
            return
        except Exception as error:
            # Ray gives a node 30 s to start, however busy the machine is, and has no error type for that.
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            if attempt == MAX_CLUSTER_STARTS:
                raise StudyError(
                    f"Ray: not started after {attempt} times 30 s, as on a machine that is too busy; run the "
                    "same command later, or start Ray (ray start --head) and set RAY_ADDRESS=auto"
                ) from error


def _session() -> Path:
    """Return the session folder of the cluster that this process is connected to, as its node names it.

    Ray's link to the newest session may lead to another cluster's, or to one that a cleaner has deleted: Ray
    does not replace a link that leads nowhere.
    """
    here = ray.get_runtime_context().get_node_id()
    socket = next(node["RayletSocketName"] for node in ray.nodes() if node["NodeID"] == here)
    return Path(socket).parent.parent  # SESSION/sockets/raylet
