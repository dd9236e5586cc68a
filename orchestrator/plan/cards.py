"""Which ways to train a study's model fit which card, as counted by `training/memory.py`."""

from collections.abc import Iterator
from typing import Any

from orchestrator.plan.grid_table import as_text, plain_table
from orchestrator.study.files import deepspeed_config
from orchestrator.study.partitioning import why_not_partitioned
from orchestrator.study.study import Study
from training.lora_spec import LoraSpec
from training.memory import Footprint, footprint
from training.model_path import known_config

CARDS_GB = (24, 48, 80)
GB = 10**9  # a card of 24 GB has a little more than 24 billion bytes
OFFLOAD = ("zero3_offload_optimizer", "zero3_offload")  # shipped settings that use the host's memory
MAX_LANES = 48  # workers that NVIDIA MPS lets share a card


def cards_that_fit(study: Study) -> str:
    """Say for each way to train the study's model how many pairs and cells fit on a card.

    A card's entry is the largest micro-batch that fits, and how many cells with it share the card. Ways that
    offload say how much of the host's memory a worker takes. Nothing is said of a study that uses no GPU.
    """
    shape, training = study.resources.shape, study.training
    if not shape.gpus_per_worker:
        return ""
    config = known_config(study.model)
    if config is None:
        return "cards: unknown until the model's config.json is on this disk"
    table = plain_table("what is trained", "resources", *(f"{card} GB" for card in CARDS_GB))
    try:
        for name, lora, settings, checkpointing in _ways(study):
            needs = _needs(study, config, lora, settings, checkpointing)
            host = next(iter(needs.values())).host
            table.add_row(
                f"{name}, host {host / GB:.0f} GB" if host else name,
                _resources(study, settings, checkpointing),
                *(_fit(needs, card) for card in CARDS_GB),
            )
    except (AttributeError, LookupError):
        return f"cards: the memory of {config.model_type} models cannot be counted"
    return (
        "cards: the largest micro_batch that fits, and how many cells of it share a card; counted, not "
        f"measured, for max_length {training.max_length}, {training.dtype}, DeepSpeed {shape.deepspeed}"
        f"{', both arms of a cell with adapters side by side' if shape.arms_together else ''}; "
        "offload to the host's memory is counted with activation_checkpointing: true\n"
        f"{as_text(table)}"
    )


def _needs(
    study: Study, config: Any, lora: LoraSpec | None, settings: str, checkpointing: bool
) -> dict[int, Footprint]:
    """Return micro-batch -> what a worker needs, the largest micro-batch first."""
    training, shape = study.training, study.resources.shape
    arms = 2 if lora and shape.arms_together else 1
    share = training.batch_size // shape.workers
    deepspeed = deepspeed_config(shape.model_copy(update={"deepspeed": settings}))
    return {
        size: footprint(config, training, size, shape.workers, deepspeed, lora, checkpointing, arms)
        for size in range(share, 0, -1)
        if share % size == 0
    }


def _ways(study: Study) -> Iterator[tuple[str, LoraSpec | None, str, bool]]:
    """Yield ways to train: name in the table, adapters, DeepSpeed's settings, and activation checkpointing.

    Weights may be trained, or adapters on these or on 4 bits; what is not possible is left out.
    """
    own = study.resources.shape
    adapters = (study.model.lora or LoraSpec()).model_copy(update={"quantise": None})
    small = adapters.model_copy(update={"quantise": "4bit"})
    for name, lora in (
        ("all weights", None),
        (f"lora: {{r: {adapters.r}}}", adapters),
        (f"lora: {{r: {adapters.r}, quantise: 4bit}}", small),
    ):
        offload = () if lora or own.deepspeed in OFFLOAD else OFFLOAD
        shape = own if lora else own.model_copy(update={"arms_together": False})
        for settings in (own.deepspeed, *offload):
            deepspeed = deepspeed_config(shape.model_copy(update={"deepspeed": settings}))
            if not why_not_partitioned(deepspeed, lora, shape, study.training):
                for checkpointing in (True,) if settings in offload else (False, True):
                    yield name, lora, settings, checkpointing


def _resources(study: Study, settings: str, checkpointing: bool) -> str:
    """Return the resources of a way to train that differ from the study's."""
    if settings != study.resources.deepspeed:
        return f"deepspeed: {settings}"
    return "activation_checkpointing: true" if checkpointing else ""


def _fit(needs: dict[int, Footprint], card_gb: int) -> str:
    """Return the largest micro-batch that fits, and how many cells with it share the card."""
    for micro_batch, needed in needs.items():
        if needed.total <= card_gb * GB:
            lanes = 1 if needed.host else min(card_gb * GB // needed.total, MAX_LANES)
            return f"{micro_batch}" + (f" ({lanes} cells)" if lanes > 1 else "")
    return "does not fit"
