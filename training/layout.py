"""How batches are laid out for a model, and what was measured before that was decided. Imports no torch."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class Layout(StrEnum):
    """How the sequences of a batch are given to a model."""

    PACKED = "packed"  # one row of tokens, each distinct prompt once (`training/packed.py`)
    PADDED = "padded"  # one row per sequence, as transformers and TRL do


@dataclass(frozen=True)
class Distance:
    """How far a way to compute a model is from plain `model(...).logits` of single sequences in float32.

    logps: The largest difference of a token's log-probability, in nats.
    mean_logps: The mean of these differences without sign, in nats.
    gradient: The norm of the difference of the gradients, relative to the norm of the gradient.
    """

    logps: float
    mean_logps: float
    gradient: float

    def __str__(self) -> str:
        return f"{self.logps:.1e} nats per token, gradients {self.gradient:.1e}"


@dataclass(frozen=True)
class LayoutCheck:
    """What `training.layout_check.check_layout` measured for a model on a device.

    layout: The layout to use.
    device: The name of the device (`training.hardware.device`).
    distance: How far that layout is from plain logits.
    plain: How far plain logits in the model's own precision on this device are from float32 on the CPU.
    reason: Why the layout is not packed; empty if it is.
    """

    layout: Layout
    device: str
    distance: Distance
    plain: Distance
    reason: str = ""

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.layout}{reason}; from plain logits: {self.distance}; device {self.device}"

    def to_json(self) -> dict[str, Any]:
        """Return the check as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the check that `to_json` gave."""
        distances = {name: Distance(**values[name]) for name in ("distance", "plain")}
        return cls(**{**values, **distances, "layout": Layout(values["layout"])})
