"""The shape of a cell: the workers, cores and GPUs that it requests.

This module imports little, since every process of a sweep loads it.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from training.values import Name, Spec


def _number_or_auto(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError("give a number of GPUs (a fraction is allowed), at least 0, or auto")


def _count_or_auto(value: Any) -> Any:
    if value in (None, "auto") or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError("give a whole number of cells, at least 1, or auto; without it, arms train one by one")


AUTO, NO_DEEPSPEED = "auto", "none"  # of `deepspeed`; any other value names a file

Gpus = Annotated[Annotated[float, Field(ge=0)] | Literal["auto"], BeforeValidator(_number_or_auto)]
Together = Annotated[Annotated[int, Field(ge=1)] | Literal["auto"] | None, BeforeValidator(_count_or_auto)]


class Shape(Spec):
    """What a cell runs on; not part of a trial's identity, but recorded and compared by the gates."""

    workers: int = Field(1, ge=1, description="Ray Train workers per cell; ZeRO shards across them.")
    cpus_per_worker: float = Field(1.0, gt=0, description="CPU cores per worker.")
    gpus_per_worker: Gpus = Field(
        0.0,
        description="GPUs per worker. With a fraction, several cells share a card; with auto, as many cells "
        "share it as its memory holds.",
    )
    micro_batch: int | None = Field(
        None, ge=1, description="Pairs per forward pass; by default a worker's whole share of the batch."
    )
    activation_checkpointing: bool = Field(
        False,
        description="Compute each layer again in its backward pass instead of keeping its activations: less "
        "memory, about a third more time, the same numbers.",
    )
    cells_together: Together = Field(
        None,
        description="Cells with adapters that a lane trains side by side, both arms of each: one forward "
        "pass of the base model serves all. 1: the two arms of one cell; auto: as many cells as pay and fit. "
        "The same numbers up to rounding. By default, one arm after another.",
    )
    compile: bool = Field(
        False,
        description="Compile the model's layers with torch.compile, for a few lengths to which packed rows "
        "are filled: minutes at a lane's start for fewer launches per step. The same numbers up to rounding. "
        "Where it does not work, layers stay as they are, and the record says why.",
    )
    deepspeed: Name = Field(
        AUTO,
        description="What updates the weights. A name of a file in configs/deepspeed/, without .json: "
        "DeepSpeed under these settings. none: torch's AdamW, for one worker. auto: none where one worker "
        "trains with adamw in bfloat16 or float32, otherwise zero2. On one worker, zero2 and none give the "
        "same numbers.",
    )
    deterministic: bool = Field(
        False,
        description="Train with deterministic kernels, so that a GPU gives the same bits again; slower.",
    )

    @property
    def gpus(self) -> float:
        """`gpus_per_worker` as a number, once `orchestrator.run.share` has replaced auto."""
        assert not isinstance(self.gpus_per_worker, str)
        return self.gpus_per_worker

    @property
    def cells_at_once(self) -> int:
        """How many cells a lane trains at the same time, once `orchestrator.run.share` has replaced auto."""
        assert self.cells_together != "auto"
        return self.cells_together or 1


class Resources(Shape):
    """What cells run on, and how many run at the same time."""

    lanes: int | None = Field(
        None,
        ge=1,
        description="Largest number of lanes of one shape, each of which trains one cell at a time or "
        "`cells_together`; by default as many as fit.",
    )

    @property
    def shape(self) -> Shape:
        return Shape(**self.model_dump(exclude={"lanes"}))
