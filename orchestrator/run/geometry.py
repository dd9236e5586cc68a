"""The geometry of a trial: the hardware and layout that it ran with; a `Shape` is what was requested."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """How a trial was laid out. This may change the last bits of an answer, so the gates compare it.

    `zero_stage` is None without DeepSpeed.
    """

    device: str
    workers: int
    micro_batch: int
    dtype: str
    zero_stage: int | None

    def __str__(self) -> str:
        where = f"{self.device} x{self.workers}, micro-batch {self.micro_batch}"
        engine = "no DeepSpeed" if self.zero_stage is None else f"ZeRO-{self.zero_stage}"
        return f"{where}, {self.dtype}, {engine}"
