"""What a cell runs on. Imports little, since every process of a sweep reads it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from training.spec import Name, Spec


def _number_or_auto(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int | float) and value >= 0):
        return value
    raise ValueError("give a number of GPUs or a fraction, at least 0, or auto")


Gpus = Annotated[Annotated[float, Field(ge=0)] | Literal["auto"], BeforeValidator(_number_or_auto)]


class Shape(Spec):
    """What a cell runs on. Not part of a trial's identity, but recorded and compared by the gates."""

    workers: int = Field(1, ge=1, description="Ray Train workers a cell; ZeRO shards over them.")
    cpus_per_worker: float = Field(1.0, gt=0, description="CPU cores that a worker takes.")
    gpus_per_worker: Gpus = Field(
        0.0,
        description="A fraction lets several small cells share a card; auto: as many as its memory holds.",
    )
    micro_batch: int | None = Field(
        None, ge=1, description="Pairs a forward pass; the whole share where absent."
    )
    deepspeed: Name = Field("zero2", description="A file of configs/deepspeed/, without its ending.")

    @property
    def gpus(self) -> float:
        """`gpus_per_worker`, after `orchestrator.run.share` has put a number in the place of auto."""
        assert not isinstance(self.gpus_per_worker, str)
        return self.gpus_per_worker


class Resources(Shape):
    """Where cells run."""

    lanes: int | None = Field(
        None, ge=1, description="Cells of one shape at the same time; as many as fit where absent."
    )

    @property
    def shape(self) -> Shape:
        return Shape(**self.model_dump(exclude={"lanes"}))
