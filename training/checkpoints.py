"""Save the checkpoints of an arm, and find the one that it resumes from.

A `CheckpointStore` (`training/checkpoint_store.py`) keeps the folders themselves.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from accelerate.utils import broadcast_object_list

from training.checkpoint_store import CheckpointStore, DamagedFolder

KEPT = 2  # the newest checkpoint, and the one before it in case the newest is damaged


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one arm.

    store: Where they are kept.
    every: Optimiser steps between two checkpoints; with None, the arm saves itself only when it is asked to
        stop.
    kept: Each worker calls `kept(uri, step)` for every checkpoint that it has kept.
    origin: What makes the arm now, by name (geometry, versions, ...); a checkpoint carries it.
    """

    store: CheckpointStore
    every: int | None
    kept: Callable[[str, int], None] = lambda uri, step: None
    origin: Mapping[str, str] = field(default_factory=dict)

    def save(self, folder: Path, step: int) -> None:
        """Put this process's part of a checkpoint into the store; all workers of the arm call this.

        Of the complete checkpoints up to this step, the newest `KEPT` are kept; this one is complete once all
        workers have put their parts. Raises OSError if the store fails or is full; earlier checkpoints are
        then kept.
        """
        rank, workers = _rank_and_workers()
        try:
            self.store.put(folder, _name(step), rank, workers)
        except OSError:
            self.store.drop(_name(step))
            raise
        finally:
            shutil.rmtree(folder)
        if rank == 0:
            up_to_now = sorted(kept for kept in map(_step, self.store.names()) if kept <= step)
            complete = [kept for kept in up_to_now if self.store.is_complete(_name(kept))]
            for old in set(up_to_now) - {*complete[-KEPT:], step}:
                self.store.drop(_name(old))
        self.kept(f"{self.store.uri}/{_name(step)}", step)

    def newest(
        self, scratch: Path, unusable: Callable[[Path], str] = lambda copy: ""
    ) -> tuple[Path | None, list[str]]:
        """Copy the newest checkpoint of use to a folder under `scratch`, and remove newer ones.

        All workers of the arm call this, and use the newest checkpoint that the first of them found whole and
        usable, whatever number of workers has put it. Newer ones are removed: otherwise they would count as
        the newest, and push out what the arm saves from here on.

        Args:
            scratch: The folder for the copies.
            unusable: Says why a whole checkpoint is of no use to this arm; "" if it is.

        Returns:
            The copy, or None if there is no such checkpoint; and a line for each newer checkpoint that was
            skipped.
        """
        rank, _ = _rank_and_workers()
        skipped: list[str] = []
        newest_whole: int | None = None
        if rank == 0:
            for step in sorted(map(_step, self.store.names()), reverse=True):
                try:
                    self.store.fetch(_name(step), scratch / _name(step))
                except DamagedFolder as damage:
                    reason = str(damage)
                else:
                    reason = unusable(scratch / _name(step))
                    if not reason:
                        newest_whole = step
                        break
                    reason = f"{_name(step)}: {reason}"
                skipped.append(f"skipped {reason}")
                shutil.rmtree(scratch / _name(step))
                skipped += self._remove(_name(step))
        (newest_whole,) = broadcast_object_list([newest_whole])
        if newest_whole is None:
            return None, skipped
        copy = scratch / _name(newest_whole)
        if rank != 0:
            self.store.fetch(_name(newest_whole), copy)
        return copy, skipped

    def _remove(self, name: str) -> list[str]:
        """Remove a checkpoint that cannot be used, and return a line if the store does not allow it."""
        try:
            self.store.drop(name)
        except OSError as error:
            return [f"could not remove {name}: {error}"]
        return []


def _rank_and_workers() -> tuple[int, int]:
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _name(step: int) -> str:
    return f"checkpoint-{step}"


def _step(name: str) -> int:
    return int(name.removeprefix("checkpoint-"))
