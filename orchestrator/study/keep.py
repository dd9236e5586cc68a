"""What a study keeps of its arms besides their numbers."""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.values import Spec


class Keep(Spec):
    """Which models are kept, and where. It changes no answer and is in no `trial_id`."""

    models: Literal["none", "final"] = Field(
        "none", description="final: log the tuned model of every arm to MLflow; none: keep the numbers alone."
    )
    where: Literal["artifacts", "registry"] = Field(
        "artifacts",
        description="artifacts: logged models of the experiment; registry: also versions of the registered "
        "model that has the study's name.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.where == "registry" and self.models == "none":
            raise ValueError(
                "keep.where: registry, but keep.models is none; set models: final, or remove where"
            )
        return self
