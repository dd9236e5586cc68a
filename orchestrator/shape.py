"""What a cell runs on. Imports little, since every process of a sweep reads it."""

from pydantic import Field

from training.spec import Name, Spec


class Shape(Spec):
    """What a cell runs on. Not part of a trial's identity, but recorded and compared by the gates."""

    workers: int = Field(1, ge=1, description="Ray Train workers a cell; ZeRO shards over them.")
    cpus_per_worker: float = Field(1.0, gt=0)
    gpus_per_worker: float = Field(0.0, ge=0, description="A fraction lets several small cells share a card.")
    micro_batch: int | None = Field(
        None, ge=1, description="Pairs a forward pass; the whole share where absent."
    )
    deepspeed: Name = Field("zero2", description="A file of configs/deepspeed/, without its ending.")
