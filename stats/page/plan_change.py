"""A change of a study's plan that came after it was sealed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlanChange:
    """How many cells had finished, of how many, when which keys of the plan changed (`key: old -> new`)."""

    finished: int
    planned: int
    keys: str
