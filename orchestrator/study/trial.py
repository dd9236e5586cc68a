"""The identity of a cell: everything that can change its answer, hashed into `trial_id`."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from orchestrator.study.canonical import canonical
from training.lora_spec import LoraSpec
from training.spec import MethodSpec, SplitSpec, TrainingSpec

# Increment this when the training code changes so that the same trial would give different numbers.
TRAINING_RECIPE = 4
NOT_RENDERED = "not rendered"  # stands for the hash of token ids that nobody has made yet
VALUE_LENGTH = 6000  # characters of a value as text; MLflow's limit for a parameter


@dataclass(frozen=True)
class Trial:
    """A cell (method, split, seed) and everything that can change its answer.

    `study`, `method` and `split` label a trial and are not part of its identity: the same work under two
    names is one trial.
    """

    study: str
    method: str
    split: str
    seed: int
    model: str  # fingerprint of the model's weights
    data: str  # fingerprint of the data
    held_out: dict[str, Any]
    groups: SplitSpec | None  # None for a baseline cell, which trains one arm on all pairs
    objective: MethodSpec
    training: TrainingSpec
    tokens: str = NOT_RENDERED  # hash of the token ids of all pairs, as `training.rendering` made them
    rendering: dict[str, Any] = field(default_factory=dict)  # what made them, where it is no default
    lora: LoraSpec | None = None  # the adapters that are trained; None trains the model's weights

    @property
    def name(self) -> str:
        return f"{self.method}/{self.split}/{self.seed}"

    @property
    def labels(self) -> dict[str, Any]:
        """The columns that name a cell in every table: study, method, split, seed, trial_id."""
        return {name: getattr(self, name) for name in ("study", "method", "split", "seed", "trial_id")}

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that the cell trains, each named after the group whose pairs it sees."""
        return ("A", "B") if self.groups else ("all",)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What `trial_id` hashes.

        A prediction about a split changes no answer, so it stays out. So does the way to the token ids: a
        template that writes the same ids makes the same cell.
        """
        return {
            "recipe": TRAINING_RECIPE,
            "model": self.model,
            "data": self.data,
            "tokens": self.tokens,
            "held_out": self.held_out,
            "groups": self.groups.model_dump(mode="json", exclude={"predicted"}) if self.groups else None,
            "objective": self.objective.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "seed": self.seed,
            **({"lora": self.lora.model_dump(mode="json")} if self.lora else {}),
        }

    @property
    def dotted_identity(self) -> dict[str, str]:
        """The values of the identity as text, by dotted key such as `training.max_steps`.

        What made the token ids is among them, so that a plan can name it.
        """
        whole = {**self.identity, **{key: value for key, value in self.rendering.items() if value}}
        return {key: str(value)[:VALUE_LENGTH] for key, value in _dotted(whole)}

    @cached_property
    def trial_id(self) -> str:
        """The first 16 hexadecimal digits of the identity's SHA-256."""
        return hashlib.sha256(canonical(self.identity).encode()).hexdigest()[:16]


def _dotted(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested identity, each with its dotted key."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _dotted(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
