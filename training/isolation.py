"""One training run after another in a process, none feeling the one before."""

import contextlib
import gc
import os
import socket
from collections.abc import Iterator
from functools import cache

import torch
from accelerate.state import AcceleratorState, GradientState
from transformers.integrations.deepspeed import unset_hf_deepspeed_config


@contextlib.contextmanager
def isolated(deepspeed: bool) -> Iterator[None]:
    """Libraries keep a run's settings in globals and in the environment: put them back before and after."""
    environment = dict(os.environ)
    if deepspeed and "RANK" not in os.environ:  # plain python: DeepSpeed wants a process group, here of one
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    if deepspeed:
        _compile_no_collective()
    _reset_accelerate()
    _leave_imports_alone()
    try:
        yield
    finally:
        _reset_accelerate()
        unset_hf_deepspeed_config()
        os.environ.clear()
        os.environ |= environment
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _compile_no_collective() -> None:
    """With its process group DeepSpeed compiles an all-reduce for inference on CPUs, which training never
    calls: half a minute in each new environment, and g++ needed."""
    from deepspeed import ops

    ops.__compatible_ops__["deepspeed_shm_comm"] = False


@cache
def _leave_imports_alone() -> None:
    """What the libraries made at their import stays as long as the process: that no collection looks at it
    saves a third of a second each, and an arm asks for two."""
    gc.collect()
    gc.freeze()


def _reset_accelerate() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
