"""A method of a study: its objective, and what it does differently from the study."""

from pathlib import Path

from pydantic import Field

from orchestrator.study.seeds import MethodSeeds
from orchestrator.study.shape import Shape
from training.spec import MethodSpec


class StudyMethod(MethodSpec):
    """An objective, with its own seeds and resources where these differ from the study's."""

    seeds: MethodSeeds | None = Field(
        None,
        description='Seeds of this method, as a list or by split: {S4_safety: [42, 456], "*": [42]}, where '
        "the first glob that matches a split counts (no baseline is trained if none "
        "matches it); by default the study's `seeds`.",
    )
    resources: Shape | None = Field(
        None, description="Keys of the study's `resources` that are different for this method's cells."
    )
    published: Path | None = Field(
        None, description="CSV of published diffs to use for this method instead of training its cells."
    )

    @property
    def objective(self) -> MethodSpec:
        """The objective alone, which is part of a trial's identity."""
        return MethodSpec(**self.model_dump(exclude={"seeds", "resources", "published"}))
