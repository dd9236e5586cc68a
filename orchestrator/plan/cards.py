"""Which ways to train a study's model fit which card, as counted by `training/memory.py`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from orchestrator.plan.grid_table import as_text, plain_table
from orchestrator.study.files import deepspeed_config
from orchestrator.study.shape import Together
from orchestrator.study.side_by_side import ARMS, cells_that_fit, cells_that_pay
from orchestrator.study.study import Study
from training.lora_spec import LoraSpec
from training.memory import footprint
from training.model_path import known_config

CARDS_GB = (24, 48, 80)
GB = 10**9  # a card of 24 GB has a little more than 24 billion bytes
MAX_LANES = 48  # workers that NVIDIA MPS lets share a card


def cards_that_fit(study: Study) -> str:
    """Say for each way to train the study's model how many pairs and cells fit on a card.

    A card's entry is the largest micro-batch that fits, and how many cells with it share the card. Nothing is
    said of a study that uses no GPU.
    """
    shape, training = study.resources.shape, study.training
    if not shape.gpus_per_worker:
        return ""
    config = known_config(study.model)
    if config is None:
        return "cards: unknown until the model's config.json is on this disk"
    table = plain_table("what is trained", "resources", *(f"{card} GB" for card in CARDS_GB))
    try:
        for name, lora in _ways(study.model.lora):
            for checkpointing in (False, True):
                needs = partial(_needs, study, config, lora, checkpointing)
                resources = "activation_checkpointing: true" if checkpointing else ""
                together = shape.cells_together if lora else None
                fits = (_fit(study, needs, together, card * GB) for card in CARDS_GB)
                table.add_row(name, resources, *fits)
    except (AttributeError, LookupError):
        return f"cards: the memory of {config.model_type} models cannot be counted"
    return (
        "cards: the largest micro_batch that fits, and how many cells of it share a card; counted, not "
        f"measured, for max_length {training.max_length}, {training.dtype}, DeepSpeed {shape.deepspeed}"
        f"{_side_by_side(shape.cells_together)}\n"
        f"{as_text(table)}"
    )


def _side_by_side(together: Together) -> str:
    if together is None:
        return ""
    lanes = "; 2 x 3 are two lanes, each with three cells side by side" if together != 1 else ""
    return f", both arms of a cell with adapters side by side{lanes}"


def _needs(
    study: Study, config: Any, lora: LoraSpec | None, checkpointing: bool, micro_batch: int, cells: int
) -> int:
    """Return the bytes that a worker needs; `cells` is 0 where arms are trained one after another."""
    training, shape = study.training, study.resources.shape
    deepspeed, arms = deepspeed_config(shape), ARMS * cells or 1
    memory = footprint(config, training, micro_batch, shape.workers, deepspeed, lora, checkpointing, arms)
    return memory.total


def _ways(lora: LoraSpec | None) -> Iterator[tuple[str, LoraSpec | None]]:
    """Yield what may be trained, by its name in the table: weights, or adapters on these or on 4 bits."""
    adapters = (lora or LoraSpec()).model_copy(update={"quantise": None})
    yield "all weights", None
    yield f"lora: {{r: {adapters.r}}}", adapters
    small = adapters.model_copy(update={"quantise": "4bit"})
    yield f"lora: {{r: {adapters.r}, quantise: 4bit}}", small


def _fit(study: Study, needs: Callable[[int, int], int], together: Together, card_bytes: int) -> str:
    """Return the largest micro-batch that fits, and how many cells with it share the card.

    Args:
        needs: `needs(micro_batch, cells)` returns the bytes of a worker.
        together: How many cells a worker trains side by side.
        card_bytes: The memory of the card.
    """
    share = study.training.batch_size // study.resources.workers
    for micro_batch in (size for size in range(share, 0, -1) if share % size == 0):
        cells = together or 0
        if cells == "auto":
            pay = cells_that_pay(micro_batch, study.training.max_length)
            cells = cells_that_fit(pay, partial(needs, micro_batch), card_bytes)
        needed = needs(micro_batch, cells)
        if needed <= card_bytes:
            lanes = min(card_bytes // needed, MAX_LANES)
            return f"{micro_batch}{_sharing(lanes, cells)}"
    return "does not fit"


def _sharing(lanes: int, together: int) -> str:
    """Say how many cells share a card; nothing if it is one."""
    if together > 1:
        return f" ({lanes} x {together})"
    return f" ({lanes} cells)" if lanes > 1 else ""
