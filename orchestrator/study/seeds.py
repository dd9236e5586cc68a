"""Which seeds a study has: a list, or as many as the evidence needs."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
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
SeedsBySplit = dict[str, Seeds]  # glob over the names of splits -> seeds; the first that matches counts
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


def seeds_for(split: str, seeds: "list[int] | Mapping[str, list[int]]") -> list[int]:
    """Return a split's seeds out of a method's; an empty list if no glob matches the split."""
    if isinstance(seeds, list):
        return seeds
    return next((listed for glob, listed in seeds.items() if fnmatchcase(split, glob)), [])


def seeds_text(seeds: "list[int] | Mapping[str, list[int]]") -> str:
    """Return a method's seeds as a report prints them: `42, 123`, or `S4_safety 42, 456 and * 42`."""
    if isinstance(seeds, list):
        return ", ".join(map(str, seeds))
    return " and ".join(f"{glob} {seeds_text(listed)}" for glob, listed in seeds.items())


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


def _list_or_splits(value: Any) -> Any:
    if value is None or isinstance(value, list | dict):
        return value
    raise ValueError('give a list such as [42, 123], or seeds by split: {S4_safety: [42, 456], "*": [42]}')


def _kind_of_seeds(value: Any) -> str:
    return "listed" if isinstance(value, list) else "by_split"


MethodSeeds = Annotated[
    Annotated[Seeds, Tag("listed")] | Annotated[SeedsBySplit, Tag("by_split")],
    Discriminator(_kind_of_seeds),
    BeforeValidator(_list_or_splits),
]
