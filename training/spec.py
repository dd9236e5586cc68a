"""Describe what can change a trial's answer, as frozen and strict values.

This module imports no torch, because a plan needs none.
"""

import datetime
import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from training.lora_spec import LoraSpec
from training.table_data import Level, TableData
from training.values import Option, Seed, Spec

Predicted = Literal["A > B", "A < B", "A = B", "exploratory"]


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


DataSource = Annotated[TwinData | TableData, Field(discriminator="source")]


class HeldOut(Spec):
    """Pairs that no arm trains on: the same ones for every method, split and seed."""

    share: float = Field(
        0.2, gt=0, lt=1, description="Share of users that are held out, and of items where these are drawn."
    )
    seed: Seed = Field(0, description="Seed for drawing the held-out users and items.")
    by: Literal["user", "item", "both"] | None = Field(
        None,
        description="Whether no arm trains on any pair of a held-out user, of a held-out item (the same "
        "prompt and answers), or either; by default both where several users rated an item, otherwise user.",
    )


class Checks(Spec):
    """What happens to pairs on which training makes little sense; all of them are counted in the report."""

    repeated: Literal["drop", "keep"] = Field(
        "drop", description="The same pair by the same user again, whatever its ids; drop keeps the first."
    )
    contradictory: Literal["drop", "keep"] = Field(
        "drop", description="Pairs that the same user labelled both ways; drop removes all of them."
    )
    placeholders: list[str] = Field(
        ["EMPTY STRING"],
        description="Texts that stand for an empty prompt or answer; their pairs are dropped as empty.",
    )
    control_tokens: Literal["keep", "text", "drop"] = Field(
        "keep",
        description="Control tokens of the model, such as <|im_end|>, that people typed: keep them as "
        "control tokens, as TRL does; encode them as ordinary text; or drop the pairs.",
    )


class Prompt(Spec):
    """What a prompt holds besides the conversation."""

    system: str | None = Field(
        None, description="System prompt of every pair; one that the data has follows it."
    )
    with_traits: list[str] = Field(
        [], description="Traits of the user that the system prompt states, for a user-conditioned policy."
    )
    date: datetime.date | None = Field(
        None,
        description="Date that a chat template writes; without it, such a template writes the day of the "
        "sweep, and cells of another day do not count.",
    )


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
    a: list[Level] = Field(min_length=1, description="Categories of the users in A.")
    b: list[Level] = Field(min_length=1, description="Categories of the users in B.")


class MedianSplit(_Split):
    """A holds the users at or above the median of a numeric column (`>=`), B those below it."""

    by: Literal["median"] = "median"
    column: str = Field(
        description="Numeric trait of the survey or of the users' behaviour, for example prefs_safety."
    )


class QuantileSplit(_Split):
    """A holds the users at or above one quantile of a numeric column, B those at or below another."""

    by: Literal["quantile"] = "quantile"
    column: str = Field(description="Numeric trait of the users, for example age.")
    above: float = Field(0.75, gt=0, lt=1, description="Quantile at or above which a user is in A.")
    below: float = Field(0.25, gt=0, lt=1, description="Quantile at or below which a user is in B.")


class RandomSplit(_Split):
    """Random halves of the users: a null control for any study."""

    by: Literal["random"] = "random"
    seed: Seed = Field(0, description="Seed for drawing the halves.")


SplitSpec = Annotated[CategorySplit | MedianSplit | QuantileSplit | RandomSplit, Field(discriminator="by")]


# --- model, method, training ------------------------------------------------------------------------


class ModelSpec(Spec):
    """The model that is tuned; its original weights are the reference."""

    path: str = Field(
        "tiny",
        description="`tiny` (1 M parameters, built from the study's text), hub id, folder, or .gguf file.",
    )
    revision: str = Field("main", description="Hub revision of the model.")
    lora: LoraSpec | None = Field(
        None, description="Train low-rank adapters in place of the weights; absent, all weights are trained."
    )


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
    beta: float = Field(0.1, gt=0, le=1e6, description="Strength of the pull towards the reference model.")
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
    gamma: float | None = Option(
        None, ge=0, description="Target margin of loss_type: simpo, in the units of its reward."
    )
    ld_alpha: float | None = Option(
        None,
        ge=0,
        le=1,
        description="LD-DPO: how much the tokens count that an answer has more than the other one; 1 is DPO.",
    )
    weights_from: Literal["score_gap"] | None = Option(
        None, description="Weight each pair by its score gap, relative to the mean gap of the arm's pairs."
    )
    margin_from: Literal["score_gap", "log_score_gap"] | None = Option(
        None,
        description="ODPO: beta * margin has to exceed margin_scale times the pair's score gap, or its log.",
    )
    margin_scale: float | None = Option(
        None, gt=0, description="Factor of margin_from (alpha in the paper); 1 if absent."
    )

    @property
    def reads_gaps(self) -> bool:
        """Whether the score gaps of the pairs are part of the objective."""
        return bool(self.weights_from or self.margin_from)

    @property
    def reference_free(self) -> bool:
        """Whether the loss reads no reference model."""
        return "simpo" in self.loss_type  # a name, or a list of names


class TrainingSpec(Spec):
    """How an arm is trained. All of it is part of a trial's identity."""

    max_steps: int = Field(2000, ge=1, description="Optimiser steps per arm.")
    epochs: float | None = Option(
        None,
        gt=0,
        description="In place of max_steps: passes over the training pairs of the cell's smaller arm. Both "
        "arms make the same number of steps.",
    )
    batch_size: int = Field(8, ge=1, description="Pairs per step, over all workers.")
    learning_rate: float = Field(5e-6, gt=0, description="Peak AdamW learning rate.")
    optimizer: Literal["adamw", "adamw_8bit"] = Option(
        "adamw", description="adamw_8bit keeps AdamW's moments in 8 bits; it needs bitsandbytes."
    )
    lr_scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = Field(
        "linear", description="Schedule of the learning rate over the steps."
    )
    warmup_steps: int = Field(0, ge=0, description="Steps during which the learning rate rises from 0.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay.")
    max_grad_norm: float = Field(
        1.0, gt=0, description="Gradients with a larger norm are scaled down to this norm."
    )
    max_length: int = Field(
        1024, ge=8, description="Tokens of prompt and answer together; longer pairs are truncated."
    )
    truncation: Literal["keep_start", "keep_end", "drop_turns"] = Field(
        "keep_start",
        description="What a pair that is too long keeps: the start of prompt and answer; their end; or, "
        "without the oldest turns of its conversation, the start.",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16",
        description="Precision in which the model is computed; float16, with a scaled loss, is for GPUs "
        "without bfloat16.",
    )
    logging_steps: int = Field(25, ge=1, description="Steps between two points of the curves.")
    eval_every: int | None = Option(
        None,
        ge=1,
        description="Steps between two points of the held-out curve, which scores the arm's own held-out "
        "pairs; none if absent. It changes no weight.",
    )
    group_by_length: bool = Field(
        False, description="Make batches of similar length: faster with padding, but different batches."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and "max_steps" in self.model_fields_set:
            raise ValueError("epochs and max_steps both say how long an arm trains; remove one of them")
        return self

    @model_serializer(mode="wrap")
    def _without_unused_steps(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        if self.epochs is not None:
            values.pop("max_steps", None)
        return values

    def for_pairs(self, pairs: int) -> "TrainingSpec":
        """Return the same settings with epochs as steps, as transformers' Trainer counts them.

        These are ceil(epochs * ceil(pairs / batch_size)) steps. The last batch of a Trainer's epoch may be
        smaller; here it is filled with pairs of the next one.

        Args:
            pairs: Training pairs of the smaller arm, after every filter.
        """
        if self.epochs is None:
            return self
        steps = math.ceil(self.epochs * math.ceil(pairs / self.batch_size))
        return self.model_copy(update={"epochs": None, "max_steps": steps})
