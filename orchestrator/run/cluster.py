"""The Ray cluster a sweep runs on: the one that RAY_ADDRESS names, or one here for the sweep's own time."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

# Tune's own result files repeat what the ledger holds, and its snapshots serve a restore we never use.
TUNE_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # Of a searcher's trials Tune would start one at a time, each with a process of its own; the searcher says
    # how many there may be at once.
    "TUNE_MAX_PENDING_TRIALS_PG": "200",
}

STARTS = 3  # of a cluster here
# What a cluster of one machine, for one sweep, has no use for: each is a process that starts with the sweep.
ALONE = {"include_dashboard": False}
ALONE_ENV = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}  # a drained node has to be another one

# One thread a process: lanes share the cores between them, and a sum's order stays the same.
WORKER_ENV = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    # glibc keeps what a step frees, in large pages, for the next step; else the kernel hands it out anew. One
    # arena, since Ray Train trains in a thread, and the arenas of threads keep nothing.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(256 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


@contextmanager
def cluster(verbose: bool = False) -> Iterator[None]:
    """Connect to the cluster of RAY_ADDRESS, which a submitted job has; otherwise start one here.

    Ray's own search for a running cluster is not used: it finds the traces of dead ones, too, and waits.
    """
    for name, value in TUNE_QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the recorder tells what failed, and why
    logging.getLogger("DeepSpeed").disabled = not verbose  # of this process, which trains nothing
    _start(verbose)
    try:
        yield
    finally:
        ray.shutdown()


def _start(verbose: bool) -> None:
    address = os.environ.get("RAY_ADDRESS", "local")
    alone = address == "local"
    for attempt in range(1, STARTS + 1):
        try:
            ray.init(
                address=address,
                log_to_driver=verbose,  # what a cell prints goes to its log file either way
                logging_level=logging.INFO if verbose else logging.ERROR,
                runtime_env={"env_vars": WORKER_ENV | (ALONE_ENV if alone else {})},
                **(ALONE if alone else {}),
            )
            return
        except Exception as error:
            # Ray gives a node 30 s to start, whatever else the machine does, and has no type for that.
            if "timed out during startup" not in str(error) or attempt == STARTS:
                raise
            ray.shutdown()
