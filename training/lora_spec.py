"""What a study says about LoRA. This module imports neither torch nor peft, because a plan needs neither."""

from typing import Annotated, Literal

from pydantic import Field

from training.values import Spec

AUTO = "auto"  # the target_modules that stand for all linear layers but the head


class LoraSpec(Spec):
    """Low-rank adapters that are trained in place of the weights (Hu et al. 2021, arXiv 2106.09685).

    A linear layer W x becomes W x + s B A x, where A has `r` rows and B has `r` columns, and W stays as it
    is. B starts at 0, so that an arm starts at the base model, which is the reference. All of it is part of a
    trial's identity.
    """

    r: int = Field(16, ge=1, description="Rank of the adapters.")
    alpha: int = Field(
        32, ge=1, description="Scale of the adapters: their product is multiplied by alpha / r."
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout of the adapters' inputs; the base model's dropout stays off."
    )
    target_modules: Literal["auto"] | Annotated[list[str], Field(min_length=1)] = Field(
        "auto",
        description="Names of the linear layers that get adapters, for example [q_proj, v_proj]; auto: all "
        "linear layers but the head.",
    )
    rslora: bool = Field(
        False,
        description="Multiply the adapters' product by alpha / sqrt(r) instead (Kalajdzievski 2023, arXiv "
        "2312.03732).",
    )
    quantise: Literal["4bit"] | None = Field(
        None,
        description="4bit: hold the base model's linear layers in 4 bits (QLoRA, Dettmers et al. 2023, arXiv "
        "2305.14314) through bitsandbytes; the model so held is then the reference.",
    )
