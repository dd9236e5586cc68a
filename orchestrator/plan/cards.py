"""Which ways to train a study's model fit which card, as counted by `training/memory.py`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestrator.plan.grid_table import as_text, plain_table
from orchestrator.study.engine import engine_in_words, why_not_trained
from orchestrator.study.files import deepspeed_config
from orchestrator.study.shape import Together
from orchestrator.study.side_by_side import ARMS, cells_that_fit, cells_that_pay
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
        for way in _ways(study):
            needs = partial(_needs, study, config, way)
            host = needs(1, 0).host
            together = shape.cells_together if way.lora else None
            table.add_row(
                f"{way.name}, host {host / GB:.0f} GB" if host else way.name,
                way.resources(study),
                *(_fit(study, needs, together, card) for card in CARDS_GB),
            )
    except (AttributeError, LookupError):
        return f"cards: the memory of {config.model_type} models cannot be counted"
    return (
        "cards: the largest micro_batch that fits, and how many cells of it share a card; counted, not "
        f"measured, for max_length {training.max_length}, {training.dtype}, "
        f"{engine_in_words(shape, training)}{_side_by_side(shape.cells_together)}; "
        "offload to the host's memory is counted with activation_checkpointing: true\n"
        f"{as_text(table)}"
    )


@dataclass(frozen=True)
class _Way:
    """A way to train.

    name: What is trained, as the table says it.
    lora: The adapters; None trains all weights.
    deepspeed: What `resources.deepspeed` says.
    checkpointing: Whether activations are computed again.
    """

    name: str
    lora: LoraSpec | None
    deepspeed: str
    checkpointing: bool

    def resources(self, study: Study) -> str:
        """Return what to change in the study's resources; settings that offload go with checkpointing."""
        if self.deepspeed != study.resources.deepspeed:
            return f"deepspeed: {self.deepspeed}"
        return "activation_checkpointing: true" if self.checkpointing else ""


def _side_by_side(together: Together) -> str:
    if together is None:
        return ""
    lanes = "; 2 x 3 are two lanes, each with three cells side by side" if together != 1 else ""
    return f", both arms of a cell with adapters side by side{lanes}"


def _needs(study: Study, config: Any, way: _Way, micro_batch: int, cells: int) -> Footprint:
    """Return what a worker needs; `cells` is 0 where arms are trained one after another."""
    training, shape = study.training, study.resources.shape
    deepspeed = deepspeed_config(shape.model_copy(update={"deepspeed": way.deepspeed}), training)
    arms = ARMS * cells or 1
    return footprint(
        config, training, micro_batch, shape.workers, deepspeed, way.lora, way.checkpointing, arms
    )


def _ways(study: Study) -> Iterator[_Way]:
    """Yield what is possible: to train all weights, or adapters on these or on 4 bits."""
    own = study.resources.shape
    adapters = (study.model.lora or LoraSpec()).model_copy(update={"quantise": None})
    small = adapters.model_copy(update={"quantise": "4bit"})
    for name, lora in (
        ("all weights", None),
        (f"lora: {{r: {adapters.r}}}", adapters),
        (f"lora: {{r: {adapters.r}, quantise: 4bit}}", small),
    ):
        offload = () if lora or own.deepspeed in OFFLOAD else OFFLOAD
        shape = own if lora else own.model_copy(update={"cells_together": None})
        for settings in (own.deepspeed, *offload):
            deepspeed = deepspeed_config(shape.model_copy(update={"deepspeed": settings}), study.training)
            if not why_not_trained(deepspeed, lora, shape, study.training):
                for checkpointing in (True,) if settings in offload else (False, True):
                    yield _Way(name, lora, settings, checkpointing)


def _fit(study: Study, needs: Callable[[int, int], Footprint], together: Together, card_gb: int) -> str:
    """Return the largest micro-batch that fits, and how many cells with it share the card.

    Args:
        needs: `needs(micro_batch, cells)` returns what a worker needs.
        together: How many cells a worker trains side by side.
        card_gb: The memory of the card.
    """
    share = study.training.batch_size // study.resources.workers
    for micro_batch in (size for size in range(share, 0, -1) if share % size == 0):
        cells = together or 0
        if cells == "auto":
            pay = cells_that_pay(micro_batch, study.training.max_length)
            cells = cells_that_fit(pay, partial(_total, needs, micro_batch), card_gb * GB)
        needed = needs(micro_batch, cells)
        if needed.total <= card_gb * GB:
            lanes = 1 if needed.host else min(card_gb * GB // needed.total, MAX_LANES)
            return f"{micro_batch}{_sharing(lanes, cells)}"
    return "does not fit"


def _total(needs: Callable[[int, int], Footprint], micro_batch: int, cells: int) -> int:
    return needs(micro_batch, cells).total


def _sharing(lanes: int, together: int) -> str:
    """Say how many cells share a card; nothing if it is one."""
    if together > 1:
        return f" ({lanes} x {together})"
    return f" ({lanes} cells)" if lanes > 1 else ""
