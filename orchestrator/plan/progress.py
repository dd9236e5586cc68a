"""How far a running cell is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a running cell is: the arm it trains and its optimiser step."""

    arm: str
    step: int
    total: int

    def __str__(self) -> str:
        return f"{self.arm} {self.step}/{self.total}"
