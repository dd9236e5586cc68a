"""`resources.gpus_per_worker: auto`: which part of a card a worker asks for, so that all share it who fit."""

import math
from collections.abc import Callable
from pathlib import Path

from orchestrator.study.files import deepspeed_config
from orchestrator.study.shape import Shape
from orchestrator.study.study import Study
from training.errors import StudyError

KEY = "resources.gpus_per_worker"
MOST = 48  # workers of one card: MPS takes no more
DIGITS = 10_000  # Ray counts fractions in ten-thousandths


def sized(study: Study, cache: Path, smallest: Callable[[], int] | None = None) -> Study:
    """The study with a number in the place of `auto`; a study without it as it is.

    The cluster must be connected: its smallest card decides, which `smallest` tells in bytes. `cache`: where
    the tiny model is built. Workers of a group of several get a whole card each, since NCCL knows no two on
    one. A worker that needs more than a card gets the card: what then does not fit is tried again with half
    the micro-batch.

    Raises:
        StudyError: for a cluster without GPUs, and for a model whose memory is not counted.
    """
    shapes = study.shapes
    if all(shape.gpus_per_worker != "auto" for shape in [*shapes.values(), study.resources]):
        return study
    alone = [shape for shape in shapes.values() if shape.gpus_per_worker == "auto" and shape.workers == 1]
    card = (smallest or smallest_card)() if alone else 0

    def fitted(shape: Shape) -> Shape:
        if shape.gpus_per_worker != "auto":
            return shape
        gpus = share(_need(study, shape, cache), card) if shape.workers == 1 else 1.0
        return shape.model_copy(update={"gpus_per_worker": gpus})

    methods = {
        name: method.model_copy(update={"resources": Shape(**fitted(shapes[name]).model_dump())})
        for name, method in study.methods.items()
    }
    return study.model_copy(update={"methods": methods})


def share(need: int, card: int) -> float:
    """1/n of a card of so many bytes for the greatest n that fit, cut so that n of them are at most one."""
    fit = min(card // need, MOST)
    return 1.0 if fit <= 1 else math.floor(DIGITS / fit) / DIGITS


def smallest_card(measure: Callable[[], int] | None = None) -> int:
    """Bytes of the smallest GPU among the connected cluster's nodes, which `measure` finds out on each.

    A process that has looked at a card holds a part of its memory, so it ends at once.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from training.hardware import card_memory

    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    if not nodes:
        raise StudyError(
            f"{KEY}: auto asks the cluster's GPUs for their memory, and it has none; give a number"
        )
    ask = ray.remote(num_cpus=0, num_gpus=1 / DIGITS, max_calls=1)(measure or card_memory)
    here = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    return int(min(ray.get([ask.options(scheduling_strategy=node).remote() for node in here])))


def _need(study: Study, shape: Shape, cache: Path) -> int:
    """Bytes that one worker needs."""
    from training.memory import footprint
    from training.model import load_config, resolve

    training = study.training
    micro_batch = shape.micro_batch or training.batch_size // shape.workers
    config = load_config(resolve(study.model, study.data, cache))
    try:
        need = footprint(config, training, micro_batch, shape.workers, deepspeed_config(shape))
    except AttributeError as error:
        raise StudyError(
            f"{KEY}: auto cannot count the memory of {config.model_type} models; give a number"
        ) from error
    return need.total
