"""A condition of a study: which pairs are used, and in which splits."""

from pydantic import Field

from training.spec import Condition
from training.values import Name


class StudyCondition(Condition):
    """A setting under which splits are repeated."""

    splits: list[Name] | None = Field(
        None, min_length=1, description="The splits that are repeated under it; all of them if absent."
    )

    @property
    def setting(self) -> Condition:
        """The condition alone, which is part of a trial's identity."""
        return Condition(**self.model_dump(exclude={"splits"}))
