"""A study: the whole content of a study file as one checked, frozen value.

This module imports neither ray nor mlflow, so that `--help` and `--dry-run` answer at once.
"""

from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import cast

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from orchestrator.study.condition import StudyCondition
from orchestrator.study.evidence import Controls, Divergence
from orchestrator.study.faults import Faults
from orchestrator.study.keep import Keep
from orchestrator.study.method import StudyMethod
from orchestrator.study.notify import Notify
from orchestrator.study.seeds import AdaptiveSeeds, SeedPlan, seeds_for
from orchestrator.study.shape import Resources, Shape
from orchestrator.study.side_by_side import why_not_together
from orchestrator.study.survey import SurveyModel
from stats.evidence.beforehand import MissingRule
from stats.names import BASELINE
from stats.page.language import Language
from stats.rule.thresholds import PublishedRule
from training.hints import suggestion
from training.objectives import batch_losses
from training.spec import (
    Checks,
    DataSource,
    HeldOut,
    ModelSpec,
    Prompt,
    SplitSpec,
    TrainingSpec,
    TwinData,
)
from training.values import Name, Spec, Title


class Study(Spec):
    """A grid of methods x splits x seeds on one model and one data set."""

    study: Title = Field(description="Name of the study and of its MLflow experiment.")
    language: Language = Field("en", description="Language of the report: en for English, ko for Korean.")
    data: DataSource = Field(TwinData(), description="Where the people and their preferences come from.")
    checks: Checks = Field(
        Checks(), description="What happens to pairs on which training makes little sense."
    )
    prompt: Prompt = Field(Prompt(), description="What a prompt holds besides the conversation.")
    held_out: HeldOut = Field(HeldOut(), description="Pairs that no arm trains on.")
    model: ModelSpec = Field(
        ModelSpec(), description="The model to tune; its untouched copy is the reference of the losses."
    )
    splits: dict[Name, SplitSpec] = Field(
        min_length=1,
        description="Named splits: who is in group A, who is in B, and the predicted sign of A minus B.",
    )
    conditions: dict[Name, StudyCondition] = Field(
        {}, description="Named conditions; each repeats the splits under the name split@condition."
    )
    methods: dict[Name, StudyMethod] = Field(
        min_length=1, description="Preference objectives, each under a name of your choice."
    )
    reference: Name = Field("dpo", description="The method with which the others are compared.")
    seeds: SeedPlan = Field(
        description="A list of seeds, or {start, max, until: resolved} for as many as each verdict needs."
    )
    training: TrainingSpec = Field(
        TrainingSpec(), description="How an arm is trained; a change trains every cell again."
    )
    resources: Resources = Field(Resources(), description="What cells run on; changes no answer.")
    keep: Keep = Field(Keep(), description="What is kept besides numbers; changes no answer.")
    strict_code: bool = Field(
        False,
        description="Refuse to go on with finished cells that other code or library versions made, unless "
        "--accept-code is given; false only says so in the plan and the report.",
    )
    faults: Faults = Field(Faults(), description="How a sweep deals with failures; changes no answer.")
    notify: Notify | None = Field(
        None, description="Where a sweep posts its end, failures and stalls; nowhere if absent."
    )
    survey: SurveyModel = Field(SurveyModel(), description="How `orchestrator.predict` models the survey.")
    verdicts: PublishedRule = Field(PublishedRule(), description="Thresholds of the published rule.")
    equivalence_margin_pp: float = Field(
        1.0, gt=0, description="A diff smaller than this, in percentage points, counts as practically null."
    )
    missing: MissingRule = Field(
        MissingRule.REQUIRE,
        description="require: a split with a missing cell has no verdict, and pairs that could not be scored "
        "are left out; bound: it keeps its verdict, and its intervals hold whatever is missing.",
    )
    divergence: Divergence = Field(Divergence(), description="What becomes of cells that diverged.")
    controls: Controls = Field(
        Controls(), description="Cells that show what chance alone does; they cost training time."
    )
    stated_diffs_pp: tuple[PositiveFloat, ...] = Field(
        (1.0, 2.5, 5.0),
        min_length=1,
        description="Diffs in percentage points; the report says what it takes to detect each of them.",
    )
    curve_window: tuple[NonNegativeInt, NonNegativeInt] = Field(
        (200, 800),
        description="First and last optimiser step of the window in which A minus B of the learning curves "
        "is averaged.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        if self.reference not in self.methods:
            hint = suggestion(self.reference, self.methods)
            raise ValueError(f"reference: no method is named {self.reference!r}; {hint}")
        if BASELINE in self.splits:
            raise ValueError(
                f"splits.{BASELINE}: the name is reserved for cells trained on all pairs; rename the split"
            )
        taken = sorted(self.controls.splits.keys() & self.splits.keys())
        if taken:
            raise ValueError(f"splits.{taken[0]}: the name is reserved for a control; rename the split")
        if self.adaptive and self.missing == MissingRule.BOUND:
            raise ValueError(
                "missing: `bound` goes with a list of seeds; an adaptive study trains what is missing"
            )
        for name, condition in self.conditions.items():
            for split in condition.splits or []:
                if split not in self.splits:
                    hint = suggestion(split, self.splits)
                    raise ValueError(f"conditions.{name}.splits: no split is named {split!r}; {hint}")
        start, end = self.curve_window
        if start > end:
            raise ValueError(f"curve_window: ends at step {end}, before it starts at {start}; swap them")
        for name, method in self.methods.items():
            if method.training and method.training.epochs and method.training.max_steps:
                raise ValueError(f"methods.{name}.training: names both epochs and max_steps; remove one")
            self._check_batch(name)
            self._check_seeds(name)
            self._check_dtype(name)
            self._check_cells_together(name)
        hours = self.adaptive.budget_gpu_hours if self.adaptive else None
        if hours and not any(shape.gpus_per_worker for shape in self.shapes.values()):
            raise ValueError(
                f"seeds.budget_gpu_hours {hours:g}: the study's cells use no GPU; set budget_cells instead"
            )
        return self

    def _check_seeds(self, method: str) -> None:
        """Refuse seeds by split that leave a split without seeds, or whose glob matches no split."""
        listed, splits = self.methods[method].seeds, [BASELINE, *self.grid_splits]
        if not isinstance(listed, dict):
            return
        for glob in listed:
            if not any(fnmatchcase(split, glob) for split in splits):
                hint = suggestion(glob, splits)
                raise ValueError(f"methods.{method}.seeds: no split has a name like {glob!r}; {hint}")
        for split in self.grid_splits:  # a baseline may have no seeds
            if not seeds_for(split, listed):
                raise ValueError(
                    f'methods.{method}.seeds: no seeds for {split}; add them, or "*": [42] for all others'
                )

    def _check_dtype(self, method: str) -> None:
        """Refuse float16 on CPUs, for which DeepSpeed does not scale losses."""
        if self.training.dtype == "float16" and self.shape_of(method).gpus_per_worker == 0:
            raise ValueError(
                f"training.dtype: float16 needs a GPU, and {self.resources_of(method)}.gpus_per_worker is 0; "
                "set it to auto, or the dtype to bfloat16 or float32"
            )

    def _check_cells_together(self, method: str) -> None:
        """Refuse cells side by side where something that the method's cells need rules it out."""
        shape, objective = self.shape_of(method), self.methods[method].objective
        reason = why_not_together(self.model.lora, shape, self.training_of(method), objective)
        if shape.cells_together and reason:
            raise ValueError(f"{self.resources_of(method)}.cells_together: {reason}")

    def _check_batch(self, method: str) -> None:
        """Refuse a batch that the workers and micro-batches of a method's cells cannot divide evenly."""
        shape, place = self.shape_of(method), self.resources_of(method)
        micro_batch = shape.micro_batch or 1
        if self.training.batch_size % (shape.workers * micro_batch):
            raise ValueError(
                f"training.batch_size {self.training.batch_size} is not a multiple of "
                f"{place}.workers x {place}.micro_batch = {shape.workers} x {micro_batch}"
            )
        cut = shape.workers > 1 or shape.micro_batch not in (None, self.training.batch_size)
        across = batch_losses(self.methods[method].objective)
        if across and cut:
            raise ValueError(
                f"{place}: workers {shape.workers}, micro_batch {shape.micro_batch}, but {across[0]} of "
                f"methods.{method} looks across the pairs of a batch; set workers: 1 and micro_batch: "
                f"{self.training.batch_size}, or lower training.batch_size"
            )

    @property
    def adaptive(self) -> AdaptiveSeeds | None:
        """The seed plan if the evidence decides how many seeds there are, otherwise None."""
        return self.seeds if isinstance(self.seeds, AdaptiveSeeds) else None

    def shape_of(self, method: str) -> Shape:
        """Return what the cells of a method run on."""
        override = self.methods[method].resources
        changes = override.model_dump(exclude_unset=True) if override else {}
        return self.resources.shape.model_copy(update=changes)

    def training_of(self, method: str) -> TrainingSpec:
        """Return how the arms of a method are trained."""
        override = self.methods[method].training
        return override.applied_to(self.training) if override else self.training

    @property
    def shapes(self) -> dict[str, Shape]:
        """What the cells of each method run on."""
        return {method: self.shape_of(method) for method in self.methods}

    def resources_of(self, method: str) -> str:
        """Return the key of the study file that says what the cells of a method run on."""
        return f"methods.{method}.resources" if self.methods[method].resources else "resources"

    @property
    def grid_splits(self) -> dict[str, SplitSpec]:
        """The splits by name, each of them under every condition as `split@condition`, and the controls."""
        conditioned = {
            f"{name}@{condition}": split.model_copy(update=under.setting.model_dump())
            for condition, under in self.conditions.items()
            for name, split in self.splits.items()
            if not under.splits or name in under.splits
        }
        return {**self.splits, **conditioned, **self.controls.splits}

    @property
    def published(self) -> dict[str, Path]:
        """Methods that are not trained, each with the file of its published diffs."""
        return {name: method.published for name, method in self.methods.items() if method.published}

    def seeds_of(self, method: str, split: str | None = None) -> list[int]:
        """Return the seeds of a method, in the order in which they are used.

        Args:
            method: The method's name.
            split: Only the seeds of this split; None returns those of any split.
        """
        study_seeds = self.adaptive.order if self.adaptive else list(cast(list[int], self.seeds))
        listed = self.methods[method].seeds or study_seeds
        if split is not None:
            return seeds_for(split, listed)
        return listed if isinstance(listed, list) else list(dict.fromkeys(chain(*listed.values())))
