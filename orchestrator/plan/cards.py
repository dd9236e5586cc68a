"""Which ways to train a study's model fit which card, as counted by `training/memory.py`."""

from collections.abc import Iterator
from typing import Any

from orchestrator.plan.grid_table import as_text, plain_table
from orchestrator.study.files import deepspeed_config
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
                needs = _needs(study, config, lora, checkpointing)
                resources = "activation_checkpointing: true" if checkpointing else ""
                table.add_row(name, resources, *(_fit(needs, card * GB) for card in CARDS_GB))
    except (AttributeError, LookupError):
        return f"cards: the memory of {config.model_type} models cannot be counted"
    return (
        "cards: the largest micro_batch that fits, and how many cells of it share a card; counted, not "
        f"measured, for max_length {training.max_length}, {training.dtype}, DeepSpeed {shape.deepspeed}"
        f"{', both arms of a cell with adapters side by side' if shape.arms_together else ''}\n"
        f"{as_text(table)}"
    )


def _needs(study: Study, config: Any, lora: LoraSpec | None, checkpointing: bool) -> dict[int, int]:
    """Return micro-batch -> the bytes that a worker needs, the largest micro-batch first."""
    training, shape = study.training, study.resources.shape
    arms = 2 if lora and shape.arms_together else 1
    share, deepspeed = training.batch_size // shape.workers, deepspeed_config(shape)
    return {
        size: footprint(config, training, size, shape.workers, deepspeed, lora, checkpointing, arms).total
        for size in range(share, 0, -1)
        if share % size == 0
    }


def _ways(lora: LoraSpec | None) -> Iterator[tuple[str, LoraSpec | None]]:
    """Yield what may be trained, by its name in the table: weights, or adapters on these or on 4 bits."""
    adapters = (lora or LoraSpec()).model_copy(update={"quantise": None})
    yield "all weights", None
    yield f"lora: {{r: {adapters.r}}}", adapters
    small = adapters.model_copy(update={"quantise": "4bit"})
    yield f"lora: {{r: {adapters.r}, quantise: 4bit}}", small


def _fit(needs: dict[int, int], card_bytes: int) -> str:
    """Return the largest micro-batch that fits, and how many cells with it share the card."""
    for micro_batch, needed in needs.items():
        if needed <= card_bytes:
            lanes = min(card_bytes // needed, MAX_LANES)
            return f"{micro_batch}" + (f" ({lanes} cells)" if lanes > 1 else "")
    return "does not fit"
