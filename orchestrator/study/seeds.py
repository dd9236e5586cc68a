"""Which seeds a study has: a list, or as many as the evidence needs."""

from itertools import chain, count, islice
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from training.values import Seed, Spec


def _distinct(seeds: list[int]) -> list[int]:
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        raise ValueError(f"seed {repeated[0]} appears twice; list each seed once")
    return seeds


Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)]
FIRST_SEEDS = [42, 123, 456, 789, 999]  # those of the published study


class AdaptiveSeeds(Spec):
    """As many seeds per split as its verdict needs (`orchestrator/plan/adaptive.py`)."""

    start: int = Field(2, ge=2, description="Number of seeds that every split gets.")
    max: int = Field(20, ge=2, le=100, description="Largest number of seeds per split.")
    until: Literal["resolved"] = Field(
        "resolved", description="A split gets no further seeds once its verdict is settled."
    )
    worth: float = Field(
        0.02,
        ge=0,
        lt=1,
        description="A split gets further seeds only while some number of them would decide it with at least "
        "this chance per seed; a lower value decides more splits and trains more cells.",
    )
    first: Seeds = Field(
        FIRST_SEEDS, description="Seeds to use first; then 0, 1, 2, ... follow, except those listed here."
    )
    budget_cells: int | None = Field(
        None, ge=1, description="Largest number of cells to train, including those of earlier sweeps."
    )
    budget_gpu_hours: float | None = Field(
        None, gt=0, description="Largest number of GPU hours to use, including those of earlier sweeps."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "AdaptiveSeeds":
        if self.start > self.max:
            raise ValueError(f"start {self.start} is more than max {self.max}; lower it")
        return self

    @property
    def order(self) -> list[int]:
        """All `max` seeds, in the order in which they are used."""
        more = (seed for seed in count() if seed not in self.first)
        return list(islice(chain(self.first, more), self.max))


def _list_or_keys(value: Any) -> Any:
    if isinstance(value, list | dict | AdaptiveSeeds):
        return value
    raise ValueError(
        "give a list such as [42, 123], or {start: 2, max: 20} for as many seeds as each verdict needs"
    )


def _kind_of_plan(value: Any) -> str:
    return "listed" if isinstance(value, list) else "adaptive"


SeedPlan = Annotated[
    Annotated[Seeds, Tag("listed")] | Annotated[AdaptiveSeeds, Tag("adaptive")],
    Discriminator(_kind_of_plan),
    BeforeValidator(_list_or_keys),
]
