"""Which seeds a study has: a list, or as many as the evidence asks for."""

from itertools import chain, count, islice
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from training.spec import Spec


def _distinct(seeds: list[int]) -> list[int]:
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise ValueError(f"seed {twice[0]} stands twice; name each seed once")
    return seeds


Seeds = Annotated[list[int], Field(min_length=1), AfterValidator(_distinct)]
FIRST_SEEDS = [42, 123, 456, 789, 999]  # the published study's


class AdaptiveSeeds(Spec):
    """As many seeds of each split as its verdict needs (`orchestrator/plan/adaptive.py`)."""

    start: int = Field(2, ge=2, description="Seeds that every split gets.")
    max: int = Field(20, ge=2, le=100, description="Seeds that no split passes.")
    until: Literal["resolved"] = Field("resolved", description="A split ends once its verdict is settled.")
    worth: float = Field(
        0.02,
        ge=0,
        lt=1,
        description="A split stops unless some number of further seeds decides it with this chance for each "
        "of them; lower finds more, with more cells.",
    )
    first: Seeds = Field(
        FIRST_SEEDS, description="The seeds that are taken first; then 0, 1, 2, ... that are not among them."
    )
    budget_cells: int | None = Field(
        None, ge=1, description="Cells of the study, finished ones of earlier sweeps counted."
    )
    budget_gpu_hours: float | None = Field(
        None, gt=0, description="GPU hours of the study's cells, those in the record too."
    )

    @model_validator(mode="after")
    def _ordered(self) -> "AdaptiveSeeds":
        if self.start > self.max:
            raise ValueError(f"start {self.start} is more than max {self.max}; lower it")
        return self

    @property
    def order(self) -> list[int]:
        """All seeds there may be, in the order in which they are taken."""
        more = (seed for seed in count() if seed not in self.first)
        return list(islice(chain(self.first, more), self.max))


def _list_or_keys(value: Any) -> Any:
    if isinstance(value, list | dict | AdaptiveSeeds):
        return value
    raise ValueError("give a list, as [42, 123], or how far to go, as {start: 2, max: 20}")


def _seed_plan(value: Any) -> str:
    return "listed" if isinstance(value, list) else "adaptive"


SeedPlan = Annotated[
    Annotated[Seeds, Tag("listed")] | Annotated[AdaptiveSeeds, Tag("adaptive")],
    Discriminator(_seed_plan),
    BeforeValidator(_list_or_keys),
]
