"""What can change a trial's answer, as frozen, strict values. Knows no torch: a plan is made without it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Predicted = Literal["A > B", "A < B", "A = B", "exploratory"]


# A plain word, safe as part of a path.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$", max_length=80)]


class Spec(BaseModel):
    """Frozen and strict: an unknown key is an error, not a silently ignored setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- data -------------------------------------------------------------------------------------------


class TwinData(Spec):
    """Generated tables of PRISM's schema with planted effects (`training/data/twin.py`)."""

    source: Literal["twin"] = "twin"
    users: int = Field(300, ge=20, description="Generated users.")
    seed: int = Field(0, description="Seed of the generator.")
    strength: float = Field(1.0, ge=0, description="Planted effects times this; 0 plants none.")
    history: Literal["full", "none"] = Field(
        "full", description="Conversation before the rated turn in the prompt."
    )
    min_gap: int = Field(1, ge=1, description="Smallest score gap that makes a pair.")


class PrismData(Spec):
    """PRISM itself: from the hub, or a local folder holding survey.jsonl and utterances.jsonl."""

    source: Literal["prism"] = "prism"
    path: str = Field("HannahRoseKirk/prism-alignment", description="Hub id, or a folder of jsonl files.")
    revision: str = Field("main", description="Hub revision; a commit for a study that must be reproducible.")
    history: Literal["full", "none"] = Field(
        "full", description="Conversation before the rated turn in the prompt."
    )
    min_gap: int = Field(1, ge=1, description="Smallest score gap that makes a pair.")
    cross_model: bool = Field(False, description="Also pairs of turn 0, between models.")


class PairsData(Spec):
    """Ready-made pairs: jsonl rows of user_id, interaction_id, prompt, chosen, rejected, kind."""

    source: Literal["pairs"] = "pairs"
    path: str = Field(description="The jsonl file.")
    kind: Literal["within_model", "cross_model", "all"] = Field(
        "within_model", description="Which rows count: both answers by one model, by two, or all."
    )
    users: int | None = Field(None, ge=4, description="Only so many users, drawn by `seed`: for a short run.")
    seed: int = Field(0, description="Seed of that draw.")


DataSource = Annotated[TwinData | PrismData | PairsData, Field(discriminator="source")]


class HeldOut(Spec):
    """Users whose pairs no arm trains on: the same ones for every method, split and seed."""

    share: float = Field(0.2, gt=0, lt=1, description="Share of users held out.")
    seed: int = Field(0, description="Seed of the draw.")


# --- splits: how users fall into A and B ------------------------------------------------------------


class Condition(Spec):
    """Which pairs of a group count: the source model held fixed, or alike in both groups."""

    source_models: list[str] | None = Field(None, description="Only pairs whose answers these models wrote.")
    match_source_models: bool = Field(
        False, description="Of every source model as many training pairs in A as in B."
    )


class _Split(Condition):
    predicted: Predicted = Field(description="What the survey model predicts of A minus B.")
    match_pairs: bool = Field(False, description="Balance A and B to the same number of training pairs.")


class CategorySplit(_Split):
    """A and B are sets of categories of one survey column; other users are in neither."""

    by: Literal["category"] = "category"
    column: str = Field(description="Trait of the survey.")
    a: list[str] = Field(min_length=1, description="Categories of the users in A.")
    b: list[str] = Field(min_length=1, description="Categories of the users in B.")


class MedianSplit(_Split):
    """A at or above the users' median of a numeric column (`>=`), B below it."""

    by: Literal["median"] = "median"
    column: str = Field(description="Numeric trait of the survey, or of the users' behaviour.")


class RandomSplit(_Split):
    """Random halves of the users: a null control for any study."""

    by: Literal["random"] = "random"
    seed: int = Field(0, description="Seed of the draw.")


SplitSpec = Annotated[CategorySplit | MedianSplit | RandomSplit, Field(discriminator="by")]


# --- model, method, training ------------------------------------------------------------------------


class ModelSpec(Spec):
    """The model that is tuned, and by being frozen is the reference."""

    path: str = Field(
        "tiny",
        description="`tiny` (1 M parameters, trained on the study's text), hub id, folder, or .gguf file.",
    )
    revision: str = Field("main", description="Hub revision.")


class MethodSpec(Spec):
    """A preference objective: TRL's arguments (`DPOConfig`) and the WPO variants TRL does not have.

    Papers and equations stand beside each in `training/objectives.py`.
    """

    loss_type: str | list[str] = Field(
        "sigmoid", description="TRL's loss, or several that are added (`training/objectives.py`)."
    )
    loss_weights: list[float] | None = Field(None, description="Of several losses, one each; 1 where absent.")
    beta: float = Field(0.1, gt=0, description="Strength of the pull towards the reference model.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Assumed share of flipped labels.")
    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = Field(
        "reverse_kl", description="Divergence from the reference model that the margin is made of."
    )
    f_alpha_divergence_coef: float = Field(0.5, description="Alpha of alpha_divergence.")
    discopop_tau: float = Field(0.05, description="Temperature of the loss discopop.")
    use_weighting: bool = Field(False, description="WPO: weight each pair by how on-policy it is.")
    wpo_clamp: Literal["authors", "trl"] = Field(
        "authors", description="authors: weight = min(w_chosen * w_rejected, 1); trl: no clamp."
    )
    wpo_alignment: Literal["sampled", "greedy"] = Field(
        "sampled", description="Which alignment of the WPO paper."
    )


class TrainingSpec(Spec):
    """How an arm is trained; part of a trial's identity."""

    max_steps: int = Field(2000, ge=1, description="Optimiser steps an arm.")
    batch_size: int = Field(8, ge=1, description="Pairs a step, over all workers.")
    learning_rate: float = Field(5e-6, gt=0, description="Of AdamW, at its highest.")
    lr_scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = Field(
        "linear", description="How the learning rate goes over the steps."
    )
    warmup_steps: int = Field(0, ge=0, description="Steps in which the learning rate grows from 0.")
    weight_decay: float = Field(0.0, ge=0, description="Of AdamW.")
    max_grad_norm: float = Field(1.0, gt=0, description="Longer gradients are cut to it.")
    max_length: int = Field(
        1024, ge=8, description="Tokens of prompt and answer; longer pairs are truncated."
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="Precision that the model is computed in."
    )
    logging_steps: int = Field(25, ge=1, description="Every so many steps the curves get a point.")
    group_by_length: bool = Field(False, description="Batches of similar length: faster, other batches.")
