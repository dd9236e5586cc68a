"""`resources.gpus_per_worker: auto`: the smallest share of a card whose memory holds one worker."""

import math
from collections.abc import Callable
from pathlib import Path

from orchestrator.study.files import deepspeed_config
from orchestrator.study.shape import Shape
from orchestrator.study.study import Study
from training.errors import StudyError

GPUS_KEY = "resources.gpus_per_worker"
MAX_WORKERS_PER_CARD = 48  # MPS accepts no more
SHARES_PER_CARD = 10_000  # Ray counts fractions in ten-thousandths


def resolve_auto_gpus(study: Study, cache: Path, card_bytes: Callable[[], int] | None = None) -> Study:
    """Return the study with a number in place of each `auto`; a study without `auto` is returned as it is.

    The smallest card of the connected cluster decides. If a lane has several workers, each gets a whole
    card, since NCCL refuses two on one card. A worker that needs more than a card gets the whole card: a cell
    that then does not fit is tried again with half the micro-batch.

    Args:
        cache: Where the model's files are; a tiny model is built there.
        card_bytes: Returns the memory of the smallest card; by default `smallest_card`.

    Raises:
        StudyError: The cluster has no GPU, or the memory of the model's architecture cannot be counted.
    """
    shapes = study.shapes
    if all(shape.gpus_per_worker != "auto" for shape in [*shapes.values(), study.resources]):
        return study
    shares_a_card = any(shape.gpus_per_worker == "auto" and shape.workers == 1 for shape in shapes.values())
    card = (card_bytes or smallest_card)() if shares_a_card else 0

    def resolved(shape: Shape) -> Shape:
        if shape.gpus_per_worker != "auto":
            return shape
        gpus = card_share(_worker_bytes(study, shape, cache), card) if shape.workers == 1 else 1.0
        return shape.model_copy(update={"gpus_per_worker": gpus})

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


def _worker_bytes(study: Study, shape: Shape, cache: Path) -> int:
    """Return the memory that one worker needs, in bytes."""
    from training.memory import footprint
    from training.model import load_config
    from training.model_path import resolve_model

    training = study.training
    micro_batch = shape.micro_batch or training.batch_size // shape.workers
    config = load_config(resolve_model(study.model, study.data, cache))
    try:
        memory = footprint(
            config,
            training,
            micro_batch,
            shape.workers,
            deepspeed_config(shape),
            study.model.lora,
            shape.activation_checkpointing,
            arms=2 if shape.arms_together else 1,
        )
    except (AttributeError, LookupError) as error:
        raise StudyError(
            f"{GPUS_KEY}: auto cannot count the memory of {config.model_type} models; give a number"
        ) from error
    return memory.total
