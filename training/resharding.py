"""Continue a checkpoint that DeepSpeed wrote under another ZeRO stage, or with another number of workers.

DeepSpeed itself loads only what the same stage and number of workers wrote, and its universal checkpoints
know no stage 0. Here each weight, in float32, and its two moments of AdamW are put together from the parts of
all workers (`SavedStates`), and each worker takes its own part of them (`restore`). The files are laid out as
`deepspeed.utils.zero_to_fp32` reads them: under stage 2, a worker holds a piece of all weights of a group in
one row; under stage 3, it holds a piece of each weight, padded to the same length for all workers.
"""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from training.spec import TrainingSpec

WEIGHT, MOMENTS = "fp32", ("exp_avg", "exp_avg_sq")  # the latter are torch's names
PARTITIONS = "*zero_pp_rank_*_optim_states.pt"  # one file per worker under ZeRO
MODELS = "mp_rank_00_model_states.pt"  # one file; under stage 3 one per worker
COUNTERS = ("global_steps", "global_samples", "skipped_steps")  # of an engine
_FILES_LIKE = {0: 0, 1: 2, 2: 2, 3: 3}  # stages 1 and 2 divide and write the same states


@dataclass(frozen=True)
class Sharding:
    """How states are divided: the ZeRO stage, and among how many workers (under stage 0, among none)."""

    stage: int
    workers: int

    def __str__(self) -> str:
        among = f", {self.workers} worker{'s' if self.workers > 1 else ''}" if self.stage else ""
        return f"ZeRO stage {self.stage}{among}"

    @classmethod
    def of_settings(cls, deepspeed: dict[str, Any] | None, workers: int) -> Self | None:
        """Return how DeepSpeed will divide its states; None without DeepSpeed."""
        if deepspeed is None:
            return None
        stage = _FILES_LIKE[deepspeed["zero_optimization"]["stage"]]
        return cls(stage, workers if stage else 1)

    @classmethod
    def of_engine(cls, engine: Any) -> Self:
        """Return how an engine of DeepSpeed divides its states."""
        stage = _FILES_LIKE[int(engine.zero_optimization_stage())]
        return cls(stage, engine.dp_world_size if stage else 1)

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> Self | None:
        """Return how the states of a checkpoint are divided; None if DeepSpeed has not written it."""
        if not list(checkpoint.glob("global_step*")):
            return None
        partitions = len(list(checkpoint.glob(f"global_step*/{PARTITIONS}")))
        if not partitions:
            return cls(0, 1)
        weights_too = list(checkpoint.glob(f"global_step*/zero_pp_rank_0_{MODELS}"))
        return cls(3 if weights_too else 2, partitions)


@dataclass(frozen=True)
class SavedStates:
    """The states of a checkpoint.

    sharding: How they are divided.
    models: What each of the files that end in `MODELS` holds.
    partitions: What each worker's file of `PARTITIONS` holds, in the order of the workers; none under
        stage 0.
    """

    sharding: Sharding
    models: Sequence[dict[str, Any]]
    partitions: Sequence[dict[str, Any]]

    @classmethod
    def read(cls, checkpoint: Path) -> Self:
        """Open a checkpoint's files; tensors are read from the disk when they are used."""
        sharding = Sharding.of_checkpoint(checkpoint)
        assert sharding is not None
        models, partitions = (
            [_read(file) for file in sorted(checkpoint.glob(f"global_step*/{kind}"), key=_worker)]
            for kind in (f"*{MODELS}", PARTITIONS)
        )
        return cls(sharding, models, [part["optimizer_state_dict"] for part in partitions])

    @property
    def counters(self) -> dict[str, int]:
        """The `COUNTERS` of the engine that wrote the checkpoint."""
        return {name: self.models[0][name] for name in COUNTERS}

    @property
    def learning_rates(self) -> list[float]:
        """The learning rate of each group of weights."""
        return [group["lr"] for group in self._adamw(0)["param_groups"]]

    @property
    def step(self) -> Tensor:
        """The number of updates that AdamW has made."""
        step: Tensor = next(iter(self._adamw(0)["state"].values()))["step"]
        return step

    def weights(self, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yield the states of each trained weight with its name: `WEIGHT` and `MOMENTS`, float32, as one row.

        Args:
            names: The weights in the optimiser's order; read under stage 0 alone, whose files lack it.
        """
        if self.sharding.stage == 0:
            yield from self._whole(names)
            return
        for group, shapes in enumerate(self.models[0]["param_shapes"]):
            rows = {key: self._rows(group, key) for key in (WEIGHT, *MOMENTS)}
            start = 0
            for name, shape in shapes.items():
                size = math.prod(shape)
                if self.sharding.stage == 3:
                    length = -(-size // self.sharding.workers)
                    pieces = {key: [row[start : start + length] for row in of] for key, of in rows.items()}
                    yield name, {key: torch.cat(of)[:size] for key, of in pieces.items()}
                    start += length
                else:
                    yield name, {key: _cut(of, start, size) for key, of in rows.items()}
                    start += size

    def _whole(self, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yield the states of each weight under stage 0."""
        module, optimizer = self.models[0]["module"], self.models[0]["optimizer"]
        copies = iter(copy for group in optimizer.get("fp32_groups", []) for copy in group)
        for place, name in enumerate(names):
            weight = next(copies) if "fp32_groups" in optimizer else module[name]
            state = self._adamw(0)["state"].get(place)  # none of a weight without gradients
            moments = {key: state[key] if state else torch.zeros_like(weight) for key in MOMENTS}
            whole = {WEIGHT: weight} | moments
            yield name, {key: value.flatten() for key, value in whole.items()}

    def _rows(self, group: int, key: str) -> list[Tensor]:
        """Return what each worker holds of a group's weights, or of their moments."""
        if key != WEIGHT:
            return [self._adamw(worker)["state"][group][key] for worker in range(len(self.partitions))]
        name = "fp32_flat_groups" if self.sharding.stage == 3 else "single_partition_of_fp32_groups"
        return [partition[name][group] for partition in self.partitions]

    def _adamw(self, worker: int) -> dict[str, Any]:
        """Return the state of a worker's AdamW: by weight under stage 0, by group otherwise."""
        if self.sharding.stage == 0:
            optimizer = self.models[0]["optimizer"]
            state: dict[str, Any] = optimizer.get("optimizer_state_dict", optimizer)
        elif self.sharding.stage == 3:
            state = self.partitions[worker]["optimizer_state_dict"]
        else:
            state = self.partitions[worker]["base_optimizer_state"]
        return state


def why_not_resharded(saved: Sharding | None, now: Sharding | None, training: TrainingSpec) -> str:
    """Say why an arm cannot continue states that are divided as `saved`; "" if it can.

    Args:
        saved: The sharding of a checkpoint; None if it was written without DeepSpeed.
        now: That of the arm.
        training: Its dtype and optimizer apply.
    """
    if saved == now:
        return ""
    if saved is None or now is None:
        return f"it was written with{'out' if saved is None else ''} DeepSpeed"
    if training.optimizer == "adamw_8bit":
        return f"it is of {saved}, not of {now}, and moments of 8 bits are coded in blocks of one sharding"
    if training.dtype == "float16":
        return f"it is of {saved}, not of {now}, and the scale of the loss is kept in another way there"
    return ""


def restore(engine: Any, saved: SavedStates) -> None:
    """Give an engine of DeepSpeed the states of a checkpoint that was written under another sharding."""
    places = {place.name: place for place in _places(engine)}
    basic = engine.basic_optimizer
    with torch.no_grad():
        for name, states in saved.weights(list(places)):
            places[name].fill(states, basic.state)
    for updated, state in basic.state.items():
        state["step"] = saved.step.to(updated.device, copy=True)
    for group, rate in zip(basic.param_groups, saved.learning_rates, strict=True):
        group["lr"] = rate
    for name, value in saved.counters.items():
        setattr(engine, name, value)


@contextmanager
def any_sharding() -> Iterator[None]:
    """Let transformers' Trainer resume from a checkpoint of any sharding within the block."""
    from transformers import trainer

    original = trainer.deepspeed_load_checkpoint

    def load(engine: Any, checkpoint: str, load_module_strict: bool = True) -> None:
        if Sharding.of_checkpoint(Path(checkpoint)) in (None, Sharding.of_engine(engine)):
            original(engine, checkpoint, load_module_strict)
        else:
            restore(engine, SavedStates.read(Path(checkpoint)))

    trainer.deepspeed_load_checkpoint = load
    try:
        yield
    finally:
        trainer.deepspeed_load_checkpoint = original


@dataclass(frozen=True)
class _Place:
    """Where a worker keeps a trained weight, as one row of numbers.

    name: The weight's name.
    used: The numbers of the weight with which this worker's model holds it: all, or its part.
    first_used: Which of the weight's numbers is the first of these.
    updated: What AdamW updates, in float32; it may hold other weights as well.
    start: Where in it this worker's numbers of the weight begin.
    first, count: Which of the weight's numbers is the first of these, and how many there are.
    """

    name: str
    used: Tensor
    first_used: int
    updated: Tensor
    start: int
    first: int
    count: int

    def fill(self, states: dict[str, Tensor], adamw: dict[Tensor, dict[str, Tensor]]) -> None:
        """Take this worker's numbers of the weight and its moments (`SavedStates.weights`)."""
        state = adamw[self.updated]
        targets = {WEIGHT: self.updated}
        for key in MOMENTS:
            targets[key] = state.setdefault(key, torch.zeros_like(self.updated))
        for key, target in targets.items():
            own = states[key][self.first : self.first + self.count]
            target.view(-1)[self.start : self.start + self.count] = own.to(target.device)
        used = states[WEIGHT][self.first_used : self.first_used + self.used.numel()]
        self.used.view(-1)[: len(used)] = used.to(self.used.device)


def _places(engine: Any) -> Iterator[_Place]:
    """Yield where an engine keeps each trained weight, group after group, as DeepSpeed saves them."""
    stage, optimizer, basic = engine.zero_optimization_stage(), engine.optimizer, engine.basic_optimizer
    rank = engine.global_rank
    names = {weight: name for name, weight in engine.module.named_parameters()}
    if stage == 3:
        for weights, flat in zip(optimizer.fp16_groups, optimizer.fp32_partitioned_groups_flat, strict=True):
            start = 0
            for weight in weights:
                length = weight.ds_tensor.numel()
                first = rank * length
                count = min(max(weight.ds_numel - first, 0), length)
                yield _Place(names[weight], weight.ds_tensor.data, first, flat, start, first, count)
                start += length
    elif stage:
        for weights, group in zip(optimizer.bit16_groups, basic.param_groups, strict=True):
            (flat,) = group["params"]
            start = -rank * flat.numel()  # where the weight begins, counted from this worker's piece
            for weight in weights:
                low, high = max(start, 0), min(start + weight.numel(), flat.numel())
                count = max(high - low, 0)
                yield _Place(names[weight], weight.data, 0, flat, low, low - start, count)
                start += weight.numel()
    else:
        updated = [weight for group in basic.param_groups for weight in group["params"]]
        # In half precision, AdamW updates copies in float32.
        groups = getattr(optimizer, "fp16_groups", [updated])
        for weight, copy in zip([weight for group in groups for weight in group], updated, strict=True):
            yield _Place(names[weight], weight.data, 0, copy, 0, 0, weight.numel())


def _cut(rows: Sequence[Tensor], start: int, size: int) -> Tensor:
    """Return `size` numbers from `start` on of rows that follow each other, without joining all of them."""
    parts, before = [], 0
    for row in rows:
        low, high = max(start - before, 0), min(start + size - before, len(row))
        if low < high:
            parts.append(row[low:high])
        before += len(row)
    return torch.cat(parts)


def _read(file: Path) -> dict[str, Any]:
    """Read a file of tensors and plain values; what else it may hold, `training/safe_loading.py` says."""
    content: dict[str, Any] = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    return content


def _worker(file: Path) -> int:
    """Return the number of the worker that wrote a file; 0 if one writes for all."""
    found = re.search(r"zero_pp_rank_(\d+)_", file.name)
    return int(found[1]) if found else 0
