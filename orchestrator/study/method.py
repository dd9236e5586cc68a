"""A method of a study: its objective, and what it does differently from the study."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from orchestrator.study.seeds import MethodSeeds
from orchestrator.study.shape import Shape
from training.spec import MethodSpec, TrainingSpec
from training.values import Option, Spec


class MethodTraining(Spec):
    """How a method's arms are trained otherwise than the study's. Only given keys count.

    What decides the token ids and the reference's scores (max_length, truncation, dtype) is the same for all
    methods, and so is what they are compared by (batch_size, logging_steps).
    """

    max_steps: int | None = Option(None, ge=1, description="`training.max_steps` for this method.")
    epochs: float | None = Option(None, gt=0, description="`training.epochs` for this method.")
    learning_rate: float | None = Option(None, gt=0, description="`training.learning_rate` for this method.")
    lr_scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] | None = Option(
        None, description="`training.lr_scheduler` for this method."
    )
    warmup_steps: int | None = Option(None, ge=0, description="`training.warmup_steps` for this method.")
    weight_decay: float | None = Option(None, ge=0, description="`training.weight_decay` for this method.")
    max_grad_norm: float | None = Option(None, gt=0, description="`training.max_grad_norm` for this method.")

    def applied_to(self, training: TrainingSpec) -> TrainingSpec:
        """Return the study's training with this method's changes; its own length replaces the study's."""
        changes = self.model_dump()
        values = training.model_dump()
        if changes.keys() & {"max_steps", "epochs"}:
            values = {name: value for name, value in values.items() if name not in ("max_steps", "epochs")}
        return TrainingSpec.model_validate(values | changes)


class StudyMethod(MethodSpec):
    """An objective, with its own seeds, resources and training where these differ from the study's."""

    seeds: MethodSeeds | None = Field(
        None,
        description='Seeds of this method, as a list or by split: {S4_safety: [42, 456], "*": [42]}, where '
        "the first glob that matches a split counts (no baseline is trained if none "
        "matches it); by default the study's `seeds`.",
    )
    resources: Shape | None = Field(
        None, description="Keys of the study's `resources` that are different for this method's cells."
    )
    training: MethodTraining | None = Option(
        None, description="Keys of the study's `training` that are different for this method's cells."
    )
    published: Path | None = Field(
        None, description="CSV of published diffs to use for this method instead of training its cells."
    )

    @property
    def objective(self) -> MethodSpec:
        """The objective alone, which is part of a trial's identity."""
        return MethodSpec(**self.model_dump(exclude={"seeds", "resources", "training", "published"}))
