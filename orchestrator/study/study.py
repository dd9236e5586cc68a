"""A study file, checked: YAML, dotted overrides and environment variables become one frozen value.

Knows no ray and no mlflow, so that `--help` and `--dry-run` answer at once.
"""

from pathlib import Path
from typing import cast

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    model_validator,
)

from orchestrator.study.mistakes import known
from orchestrator.study.seeds import AdaptiveSeeds, SeedPlan, Seeds
from orchestrator.study.shape import Resources, Shape
from stats.names import BASELINE
from stats.page.language import Language
from stats.rule.thresholds import PublishedRule
from stats.survey.cuts import CUTS, W2_CUT
from training.data.traits import PRISM_TRAITS
from training.spec import (
    Condition,
    DataSource,
    HeldOut,
    MethodSpec,
    ModelSpec,
    Name,
    Spec,
    SplitSpec,
    TrainingSpec,
    TwinData,
)


class StudyMethod(MethodSpec):
    """A method of a study: its objective, and its seeds and resources where they differ from the study's."""

    seeds: Seeds | None = Field(None, description="Seeds of this method; the study's where absent.")
    resources: Shape | None = Field(
        None, description="Keys that differ from the study's `resources` for this method's cells."
    )
    published: Path | None = Field(
        None, description="CSV of published diffs that stand for this method: nothing of it is trained."
    )

    @property
    def objective(self) -> MethodSpec:
        return MethodSpec(**self.model_dump(exclude={"seeds", "resources", "published"}))


class Faults(Spec):
    """How failures are met."""

    max_attempts: int = Field(3, ge=1, description="Attempts a cell, the first included.")
    backoff_s: float = Field(
        2.0, ge=0, description="Wait before a second attempt; doubled with each further one."
    )
    record_timeout_s: float = Field(
        600.0, ge=0, description="How long an MLflow that cannot be reached is waited for."
    )
    stall_timeout_s: float | None = Field(
        1800.0,
        gt=0,
        description="A worker that makes no step for so long is ended, its cell tried again; null waits on.",
    )
    checkpoint_every: int | None = Field(
        500,
        ge=1,
        description="Optimiser steps between two checkpoints of an arm; null saves only where it is stopped.",
    )


class SurveyModel(Spec):
    """How `orchestrator.predict` models the survey."""

    traits: dict[str, str | None] = Field(
        default_factory=lambda: dict(PRISM_TRAITS),
        description="Trait to its reference level; null for a numeric one.",
    )
    cuts: tuple[float, ...] = Field(
        CUTS, min_length=1, description="Cut points of the score gap's categories."
    )
    alpha: float = Field(0.05, gt=0, lt=1, description="A trait with a smaller p becomes a split.")
    w2_cut: float = Field(W2_CUT, description="W2: gaps above it count as large.")
    w2_alpha: float = Field(0.1, gt=0, lt=1, description="`alpha` of W2.")


class Study(Spec):
    """A line of the mission: methods x splits x seeds on one model and one data set."""

    study: Name = Field(description="Name; also the MLflow experiment.")
    language: Language = Field("en", description="Language of the report: en, or ko for Korean.")
    data: DataSource = TwinData()
    held_out: HeldOut = HeldOut()
    model: ModelSpec = ModelSpec()
    splits: dict[Name, SplitSpec] = Field(
        min_length=1, description="Who is in A, who in B, and what is predicted of A minus B."
    )
    conditions: dict[Name, Condition] = Field(
        {}, description="Every split again under each of these; its name is then split@condition."
    )
    methods: dict[Name, StudyMethod] = Field(min_length=1, description="Objectives, by a name of your own.")
    reference: Name = Field("dpo", description="The method that the others are compared with.")
    seeds: SeedPlan = Field(
        description="A list, or {start, max, until: resolved}: as many as each verdict needs."
    )
    training: TrainingSpec = TrainingSpec()
    resources: Resources = Resources()
    faults: Faults = Faults()
    survey: SurveyModel = SurveyModel()
    verdicts: PublishedRule = Field(PublishedRule(), description="Thresholds of the published rule.")
    equivalence_margin_pp: float = Field(
        1.0, gt=0, description="A diff inside it counts as practically null."
    )
    stated_diffs_pp: tuple[PositiveFloat, ...] = Field(
        (1.0, 2.5, 5.0), min_length=1, description="Diffs for which the report says what seeing them needs."
    )
    curve_window: tuple[NonNegativeInt, NonNegativeInt] = Field(
        (200, 800), description="Optimiser steps between which A minus B of the learning curves is averaged."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        if self.reference not in self.methods:
            raise ValueError(f"no method is named {self.reference!r}; {known(self.reference, self.methods)}")
        if BASELINE in self.splits:
            raise ValueError(
                f"splits.{BASELINE}: the name is taken by the cells trained on all pairs; rename the split"
            )
        start, end = self.curve_window
        if start > end:
            raise ValueError(f"curve_window: ends at step {end}, before it starts at {start}; swap them")
        for method in self.methods:
            shape, where = self.shape_of(method), self.resources_of(method)
            micro = shape.micro_batch or 1
            if self.training.batch_size % (shape.workers * micro):
                raise ValueError(
                    f"training.batch_size {self.training.batch_size} is no multiple of "
                    f"{where}.workers x {where}.micro_batch = {shape.workers} x {micro}"
                )
        hours = self.adaptive.budget_gpu_hours if self.adaptive else None
        if hours and not any(shape.gpus_per_worker for shape in self.shapes.values()):
            raise ValueError(
                f"seeds.budget_gpu_hours {hours:g} where cells use no GPU; name budget_cells instead"
            )
        return self

    @property
    def adaptive(self) -> AdaptiveSeeds | None:
        """The seeds, if evidence decides how many there are."""
        return self.seeds if isinstance(self.seeds, AdaptiveSeeds) else None

    def shape_of(self, method: str) -> Shape:
        """What the cells of a method run on."""
        own = self.methods[method].resources
        return self.resources.shape.model_copy(update=own.model_dump(exclude_unset=True) if own else {})

    @property
    def shapes(self) -> dict[str, Shape]:
        """What the cells of each method run on."""
        return {method: self.shape_of(method) for method in self.methods}

    def resources_of(self, method: str) -> str:
        """Where the study file says what the cells of a method run on."""
        return f"methods.{method}.resources" if self.methods[method].resources else "resources"

    @property
    def grid_splits(self) -> dict[str, SplitSpec]:
        """The splits, and each of them under every condition."""
        conditioned = {
            f"{name}@{condition}": split.model_copy(update=setting.model_dump())
            for condition, setting in self.conditions.items()
            for name, split in self.splits.items()
        }
        return {**self.splits, **conditioned}

    @property
    def published(self) -> dict[str, Path]:
        """Methods that are not trained, with the file of their published diffs."""
        return {name: method.published for name, method in self.methods.items() if method.published}

    def seeds_of(self, method: str) -> list[int]:
        """The seeds of a method, in the order in which they are taken."""
        general = self.adaptive.order if self.adaptive else list(cast(list[int], self.seeds))
        return self.methods[method].seeds or general
