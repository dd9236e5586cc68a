"""An arm's checkpoints: put on a shelf whole, the newest whole one taken back, nothing in it unpickled."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

from training.checkpoint_store import CheckpointStore, Damaged

KEPT = 2  # the newest, and the one before in case the newest is damaged


@dataclass(frozen=True)
class Checkpoints:
    """Where an arm saves itself and resumes from. `every`: optimiser steps between two checkpoints; None
    saves only where the arm is asked to stop. `kept(uri, step)` is told by each worker of what it kept."""

    shelf: CheckpointStore
    every: int | None
    kept: Callable[[str, int], None] = lambda uri, step: None

    def save(self, folder: Path, step: int) -> None:
        """Put this process's part of a checkpoint on the shelf; all of an arm's workers call it. Raises
        OSError where the store fails or is full, and then keeps the checkpoints before this one."""
        rank, workers = _place()
        try:
            self.shelf.put(folder, _name(step), rank, workers)
        except OSError:
            self.shelf.drop(_name(step))
            raise
        finally:
            shutil.rmtree(folder)
        if rank == 0:
            for old in sorted(map(_step, self.shelf.names()))[:-KEPT]:
                self.shelf.drop(_name(old))
        self.kept(f"{self.shelf.uri}/{_name(step)}", step)

    def newest(self, scratch: Path) -> tuple[Path | None, list[str]]:
        """The newest whole checkpoint, copied under `scratch`, or None; and why newer ones were passed over.

        All of an arm's workers call it and take the one that the first of them finds whole.
        """
        rank, workers = _place()
        said: list[str] = []
        found: int | None = None
        if rank == 0:
            for step in sorted(map(_step, self.shelf.names()), reverse=True):
                try:
                    self.shelf.fetch(_name(step), scratch / _name(step), workers)
                except Damaged as damage:
                    said.append(f"passed over {damage}")
                    shutil.rmtree(scratch / _name(step))
                else:
                    found = step
                    break
        (found,) = broadcast_object_list([found])
        if found is None:
            return None, said
        if rank != 0:
            self.shelf.fetch(_name(found), scratch / _name(found), workers)
        return scratch / _name(found), said


def _place() -> tuple[int, int]:
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _name(step: int) -> str:
    return f"checkpoint-{step}"


def _step(name: str) -> int:
    return int(name.removeprefix("checkpoint-"))


@contextlib.contextmanager
def nothing_unpickled() -> Iterator[None]:
    """Let DeepSpeed read its states without running what a file may hold: it unpickles them as they come.

    A file that holds more than tensors and plain values raises pickle.UnpicklingError. The Trainer's own
    states (optimizer, schedule, random generators) are read so already, and weights come as safetensors.
    """
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    def member(of: Any, name: str) -> ZeroStageEnum:
        if of is not ZeroStageEnum:
            raise UnpicklingError(
                f"attribute {name!r} of {of!r}: only {ZeroStageEnum.__name__} has members here"
            )
        return ZeroStageEnum[name]

    # All that is in there beside tensors and numbers. Python 3.11.2, Debian 12's, pickles an enum's member as
    # getattr(class, name).
    plain = [LossScaler, ZeroStageEnum, fragment_address, (member, "builtins.getattr")]
    usual = TorchCheckpointEngine.load

    def load(_: TorchCheckpointEngine, path: str, map_location: Any = None) -> Any:
        with torch.serialization.safe_globals(plain):
            return torch.load(path, map_location=map_location, weights_only=True)

    TorchCheckpointEngine.load = load
    try:
        yield
    finally:
        TorchCheckpointEngine.load = usual
