"""Describe what can change a trial's answer, as frozen and strict values.

This module imports no torch, because a plan needs none.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Predicted = Literal["A > B", "A < B", "A = B", "exploratory"]

# A plain word that is safe as part of a path.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$", max_length=80)]

# What numpy, torch and transformers all accept as a seed.
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]


class Spec(BaseModel):
    """A frozen and strict value: an unknown key is an error, not a silently ignored setting."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- data -------------------------------------------------------------------------------------------


class TwinData(Spec):
    """Generated tables in PRISM's schema, with planted effects (`training/data/twin.py`)."""

    source: Literal["twin"] = "twin"
    users: int = Field(300, ge=20, description="Number of generated users.")
    seed: Seed = Field(0, description="Seed of the generator.")
    strength: float = Field(
        1.0, ge=0, description="Factor that multiplies the planted effects; 0 plants none."
    )
    history: Literal["full", "none"] = Field(
        "full",
        description="Whether the prompt includes the conversation before the rated turn.",
    )
    min_gap: int = Field(
        1, ge=1, description="Smallest score gap between two answers that makes them a pair."
    )


class PrismData(Spec):
    """PRISM itself, from the hub or from a local folder with survey.jsonl and utterances.jsonl."""

    source: Literal["prism"] = "prism"
    path: str = Field(
        "HannahRoseKirk/prism-alignment",
        description="Hub id, or a folder with survey.jsonl and utterances.jsonl.",
    )
    revision: str = Field(
        "main", description="Hub revision; give a commit if the study must be reproducible."
    )
    history: Literal["full", "none"] = Field(
        "full",
        description="Whether the prompt includes the conversation before the rated turn.",
    )
    min_gap: int = Field(
        1, ge=1, description="Smallest score gap between two answers that makes them a pair."
    )
    cross_model: bool = Field(
        False, description="Include the pairs of turn 0, whose answers are by different models."
    )


class PairsData(Spec):
    """Ready-made pairs from a jsonl file: user_id, interaction_id, prompt, chosen, rejected, kind."""

    source: Literal["pairs"] = "pairs"
    path: str = Field(description="Path of the jsonl file.")
    kind: Literal["within_model", "cross_model", "all"] = Field(
        "within_model",
        description="Which rows to use: those with both answers by one model, by two models, or all.",
    )
    users: int | None = Field(
        None, ge=4, description="Number of users to draw, for a short run; all users if absent."
    )
    seed: Seed = Field(0, description="Seed for drawing the users.")


DataSource = Annotated[TwinData | PrismData | PairsData, Field(discriminator="source")]


class HeldOut(Spec):
    """Users whose pairs no arm trains on: the same users for every method, split and seed."""

    share: float = Field(0.2, gt=0, lt=1, description="Share of users that are held out.")
    seed: Seed = Field(0, description="Seed for drawing the held-out users.")


# --- splits: how users fall into A and B ------------------------------------------------------------


class Condition(Spec):
    """Which pairs of a group are used: the source model is held fixed, or balanced between the groups."""

    source_models: list[str] | None = Field(
        None, description="Use only pairs whose answers these models wrote; all models if absent."
    )
    match_source_models: bool = Field(
        False, description="Balance A and B to the same number of training pairs per source model."
    )


class _Split(Condition):
    predicted: Predicted = Field(description="What the survey model predicts for A compared with B.")
    match_pairs: bool = Field(False, description="Balance A and B to the same number of training pairs.")


class CategorySplit(_Split):
    """A and B are sets of categories of one survey column; users with other categories are in neither."""

    by: Literal["category"] = "category"
    column: str = Field(description="Trait of the survey, for example age.")
    a: list[str] = Field(min_length=1, description="Categories of the users in A.")
    b: list[str] = Field(min_length=1, description="Categories of the users in B.")


class MedianSplit(_Split):
    """A holds the users at or above the median of a numeric column (`>=`), B those below it."""

    by: Literal["median"] = "median"
    column: str = Field(
        description="Numeric trait of the survey or of the users' behaviour, for example prefs_safety."
    )


class RandomSplit(_Split):
    """Random halves of the users: a null control for any study."""

    by: Literal["random"] = "random"
    seed: Seed = Field(0, description="Seed for drawing the halves.")


SplitSpec = Annotated[CategorySplit | MedianSplit | RandomSplit, Field(discriminator="by")]


# --- model, method, training ------------------------------------------------------------------------


class ModelSpec(Spec):
    """The model that is tuned; its original weights are the reference."""

    path: str = Field(
        "tiny",
        description="`tiny` (1 M parameters, built from the study's text), hub id, folder, or .gguf file.",
    )
    revision: str = Field("main", description="Hub revision of the model.")


class MethodSpec(Spec):
    """A preference objective: arguments of TRL's `DPOConfig`, and the WPO variants that TRL does not have.

    `training/losses.py` lists the losses with papers and equations.
    """

    loss_type: str | list[str] = Field(
        "sigmoid",
        description="A loss of TRL, or several that are added (`training/losses.py` lists them).",
    )
    loss_weights: list[float] | None = Field(
        None, description="Weights of several losses, one per loss; all 1 if absent."
    )
    beta: float = Field(0.1, gt=0, description="Strength of the pull towards the reference model.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Assumed share of pairs whose label is flipped."
    )
    f_divergence_type: Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"] = Field(
        "reverse_kl", description="Divergence from the reference model by which the margin is computed."
    )
    f_alpha_divergence_coef: float = Field(0.5, description="Alpha of f_divergence_type: alpha_divergence.")
    discopop_tau: float = Field(0.05, description="Temperature of loss_type: discopop.")
    router_aux_loss_coef: float | None = Field(
        None,
        ge=0,
        description="Weight of the load-balancing loss of a mixture of experts; the model's own if absent.",
    )
    use_weighting: bool = Field(False, description="WPO: weight each pair by how on-policy it is.")
    wpo_clamp: Literal["authors", "trl"] = Field(
        "authors", description="authors: weight = min(w_chosen * w_rejected, 1); trl: no clamp."
    )
    wpo_alignment: Literal["sampled", "greedy"] = Field(
        "sampled", description="Alignment of the WPO weights, sampled or greedy, as in the paper."
    )


class TrainingSpec(Spec):
    """How an arm is trained. All of it is part of a trial's identity."""

    max_steps: int = Field(2000, ge=1, description="Optimiser steps per arm.")
    batch_size: int = Field(8, ge=1, description="Pairs per step, over all workers.")
    learning_rate: float = Field(5e-6, gt=0, description="Peak AdamW learning rate.")
    lr_scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = Field(
        "linear", description="Schedule of the learning rate over the steps."
    )
    warmup_steps: int = Field(0, ge=0, description="Steps during which the learning rate rises from 0.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay.")
    max_grad_norm: float = Field(
        1.0, gt=0, description="Gradients with a larger norm are scaled down to this norm."
    )
    max_length: int = Field(
        1024, ge=8, description="Tokens of prompt and answer together; longer answers are truncated."
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="Precision in which the model is computed."
    )
    logging_steps: int = Field(25, ge=1, description="Steps between two points of the curves.")
    group_by_length: bool = Field(
        False, description="Make batches of similar length: faster with padding, but different batches."
    )
