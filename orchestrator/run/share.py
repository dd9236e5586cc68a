"""What `auto` is: of `gpus_per_worker`, the smallest share of a card whose memory holds one worker.

Of `cells_together`, as many cells with adapters as pay and fit.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.study.files import deepspeed_config
from orchestrator.study.shape import Shape
from orchestrator.study.side_by_side import ARMS, cells_that_fit, cells_that_pay
from orchestrator.study.study import Study
from training.errors import StudyError
from training.memory import footprint

GPUS_KEY, TOGETHER_KEY = "resources.gpus_per_worker", "resources.cells_together"
MAX_WORKERS_PER_CARD = 48  # MPS accepts no more
SHARES_PER_CARD = 10_000  # Ray counts fractions in ten-thousandths


def resolve_auto(
    study: Study,
    cache: Path,
    cells: Mapping[str, int] | None = None,
    card_bytes: Callable[[], int] | None = None,
    lanes_that_fit: Callable[[Shape], int] | None = None,
    config: Callable[[], Any] | None = None,
) -> Study:
    """Return the study with a number in place of each `auto`; a study without `auto` is returned as it is.

    The smallest card of the connected cluster decides. If a lane has several workers, each gets a whole
    card, since NCCL refuses two on one card. A worker that needs more than a card gets the whole card: a cell
    that then does not fit is tried again with half the micro-batch.

    `cells_together: auto` becomes the largest number whose joint row pays and whose memory fits, but not so
    large that a lane would have no cell. On CPUs, memory is not counted.

    Args:
        cache: Where the model's files are; a tiny model is built there.
        cells: The cells of each method that are to be trained; None does not limit `cells_together`.
        card_bytes: Returns the memory of the smallest card; by default `smallest_card`.
        lanes_that_fit: Returns how many lanes the cluster holds; by default `count_lanes_that_fit`.
        config: Returns the configuration of the model's text part; by default that of the model's files.

    Raises:
        StudyError: The cluster has no GPU, or the memory of the model's architecture cannot be counted.
    """
    shapes = study.shapes
    if not any(_is_auto(shape) for shape in [*shapes.values(), study.resources]):
        return study
    looks_at_a_card = any(
        _is_auto(shape) and shape.gpus_per_worker and shape.workers == 1 for shape in shapes.values()
    )
    card = (card_bytes or smallest_card)() if looks_at_a_card else 0
    sizes = config or partial(_loaded_config, study, cache)
    cells_of = Counter(dict.fromkeys(shapes.values(), 0))
    for method, count in (cells or {}).items():
        cells_of[shapes[method]] += count

    def resolved(shape: Shape) -> Shape:
        if not _is_auto(shape):
            return shape
        together, gpus = shape.cells_together, shape.gpus_per_worker
        if together == "auto":
            together = _most_cells(study, shape, sizes, card)
        if gpus == "auto" and shape.workers > 1:
            gpus = 1.0
        elif gpus == "auto":
            gpus = card_share(_worker_bytes(study, shape, sizes, together or 1), card)
        filled = shape.model_copy(update={"cells_together": together, "gpus_per_worker": gpus})
        if shape.cells_together != "auto" or cells is None:
            return filled
        fit = (lanes_that_fit or _lanes_that_fit)(filled)
        per_lane = -(-cells_of[shape] // min(fit, study.resources.lanes or fit))
        return filled.model_copy(update={"cells_together": max(1, min(filled.cells_at_once, per_lane))})

    methods = {
        name: method.model_copy(update={"resources": Shape(**resolved(shapes[name]).model_dump())})
        for name, method in study.methods.items()
    }
    return study.model_copy(update={"methods": methods})


def card_share(worker_bytes: int, card_bytes: int) -> float:
    """Return 1/n for the most workers n that fit on a card, rounded down so that n shares are at most 1."""
    workers = min(card_bytes // worker_bytes, MAX_WORKERS_PER_CARD)
    return 1.0 if workers <= 1 else math.floor(SHARES_PER_CARD / workers) / SHARES_PER_CARD


def smallest_card(measure: Callable[[], int] | None = None) -> int:
    """Return the memory, in bytes, of the smallest GPU of the connected cluster.

    `measure` runs on each node with a GPU; by default it is `training.hardware.card_memory`. Its process ends
    right afterwards, since a process that has looked at a card holds a part of its memory.

    Raises:
        StudyError: The cluster has no GPU.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from training.hardware import card_memory

    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    if not nodes:
        raise StudyError(
            f"{GPUS_KEY}: auto needs the memory of the cluster's GPUs, and it has none; give a number"
        )
    task = ray.remote(num_cpus=0, num_gpus=1 / SHARES_PER_CARD, max_calls=1)(measure or card_memory)
    on_each = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    return int(min(ray.get([task.options(scheduling_strategy=strategy).remote() for strategy in on_each])))


def _is_auto(shape: Shape) -> bool:
    return "auto" in (shape.gpus_per_worker, shape.cells_together)


def _lanes_that_fit(shape: Shape) -> int:
    from orchestrator.run.fleet import count_lanes_that_fit

    return count_lanes_that_fit(shape)


def _micro_batch(study: Study, shape: Shape) -> int:
    return shape.micro_batch or study.training.batch_size // shape.workers


def _most_cells(study: Study, shape: Shape, sizes: Callable[[], Any], card_bytes: int) -> int:
    """Return how many cells side by side pay, and fit into a lane's share of a card."""
    pay = cells_that_pay(_micro_batch(study, shape), study.training.max_length)
    if not shape.gpus_per_worker:
        return pay
    share = 1.0 if shape.gpus_per_worker == "auto" else min(shape.gpus_per_worker, 1.0)
    return cells_that_fit(pay, partial(_worker_bytes, study, shape, sizes), int(share * card_bytes))


def _loaded_config(study: Study, cache: Path) -> Any:
    from training.model import load_config
    from training.model_path import resolve_model

    return load_config(resolve_model(study.model, study.data, cache))


def _worker_bytes(study: Study, shape: Shape, sizes: Callable[[], Any], cells: int) -> int:
    """Return the memory, in bytes, that one worker needs for so many cells at once."""
    config = sizes()
    try:
        memory = footprint(
            config,
            study.training,
            _micro_batch(study, shape),
            shape.workers,
            deepspeed_config(shape, study.training),
            study.model.lora,
            shape.activation_checkpointing,
            arms=ARMS * cells if shape.cells_together else 1,
        )
    except (AttributeError, LookupError) as error:
        key = GPUS_KEY if shape.gpus_per_worker == "auto" else TOGETHER_KEY
        raise StudyError(
            f"{key}: auto cannot count the memory of {config.model_type} models; give a number"
        ) from error
    return memory.total
