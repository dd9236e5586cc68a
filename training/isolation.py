"""Run several trainings in one process, none of which affects the next."""

import contextlib
import gc
import os
import socket
import sys
from collections.abc import Iterator
from functools import cache

import torch
from accelerate.state import AcceleratorState, GradientState
from transformers.integrations.deepspeed import unset_hf_deepspeed_config


@contextlib.contextmanager
def isolated(deepspeed: bool) -> Iterator[None]:
    """Reset the settings that libraries keep in globals and in the environment, before and after the block.

    `deepspeed` says whether the run inside uses DeepSpeed, which needs a process group. Without it, a run is
    alone in any case: accelerate would wrap its model for a group of one, if a launcher has made one.
    """
    environment = dict(os.environ)
    if not deepspeed:
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            os.environ.pop(name, None)
    if deepspeed and "RANK" not in os.environ:  # under plain python, DeepSpeed gets a process group of one
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    if deepspeed:
        _compile_no_collective()
    _reset_accelerate()
    _freeze_imported_objects()
    linear = torch.nn.functional.linear  # ZeRO stage 3 puts its own in its place
    try:
        yield
    finally:
        torch.nn.functional.linear = linear
        _reset_accelerate()
        _reset_bitsandbytes()
        unset_hf_deepspeed_config()
        os.environ.clear()
        os.environ |= environment
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _compile_no_collective() -> None:
    """Keep DeepSpeed from compiling an all-reduce for inference on CPUs, which training never calls.

    DeepSpeed would do so with its process group; this takes half a minute in each new environment, and g++.
    """
    from deepspeed import ops

    ops.__compatible_ops__["deepspeed_shm_comm"] = False


@cache
def _freeze_imported_objects() -> None:
    """Exclude what the libraries created at import from garbage collection.

    These objects live as long as the process. Excluding them saves a third of a second per collection, and an
    arm needs two.
    """
    gc.collect()
    gc.freeze()


def _reset_accelerate() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def _reset_bitsandbytes() -> None:
    """Forget the modules and the bits that transformers registers for each optimiser with moments of 8 bits.

    Otherwise the embeddings of every arm stay in memory, and the next arm's first tensor takes their bits.
    """
    if library := sys.modules.get("bitsandbytes"):
        library.optim.GlobalOptimManager.get_instance().initialize()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
