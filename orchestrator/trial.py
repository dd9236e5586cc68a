"""One cell of a study: its identity, the order that runs it, and what comes back. Frozen values."""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from orchestrator.shape import Shape
from training.model import ModelFiles
from training.spec import MethodSpec, SplitSpec, TrainingSpec


class Report(Protocol):
    """Who is told how far a cell is."""

    def __call__(self, arm: str, step: int, total: int) -> bool | None:
        """An optimiser step of so many in all was made; True asks the arm to save itself and stop."""

    def kept(self, uri: str, step: int) -> None:
        """A whole checkpoint is at `uri`; every worker of the cell says so."""


# Raised when the training code changes so that the same trial would give other numbers.
RECIPE = 3
GPU_SECONDS = "gpu_seconds"  # a fact of each result: seconds times the cards that the cell held


def canonical(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN.

    Raises:
        TypeError: for a value without a canonical form (a set, a float that is not finite, an object).
    """
    _refuse_unstable(value, "trial")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _refuse_unstable(value: Any, place: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{place}: key {key!r} is no string, so the trial has no canonical form")
            _refuse_unstable(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _refuse_unstable(item, f"{place}[{position}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{place}: {value!r} has no canonical form")
    elif not isinstance(value, str | int | bool | None):
        raise TypeError(f"{place}: a {type(value).__name__} has no canonical form")


@dataclass(frozen=True)
class Trial:
    """A cell (method, split, seed) and everything that can change its answer.

    `split` is None for a baseline cell, which trains one arm on all pairs. Names label a trial and
    are not part of its identity: two names for the same thing are one trial.
    """

    study: str
    method: str
    split: str
    seed: int
    model: str  # fingerprint
    data: str  # fingerprint
    held_out: dict[str, Any]
    groups: SplitSpec | None
    objective: MethodSpec
    training: TrainingSpec

    @property
    def name(self) -> str:
        return f"{self.method}/{self.split}/{self.seed}"

    @property
    def labels(self) -> dict[str, Any]:
        """What names a cell in every table."""
        return {name: getattr(self, name) for name in ("study", "method", "split", "seed", "trial_id")}

    @property
    def arms(self) -> tuple[str, ...]:
        return ("A", "B") if self.groups else ("all",)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What `trial_id` hashes. A prediction about a split changes no answer, so it stays out."""
        return {
            "recipe": RECIPE,
            "model": self.model,
            "data": self.data,
            "held_out": self.held_out,
            "groups": self.groups.model_dump(mode="json", exclude={"predicted"}) if self.groups else None,
            "objective": self.objective.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "seed": self.seed,
        }

    @cached_property
    def trial_id(self) -> str:
        return hashlib.sha256(canonical(self.identity).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Geometry:
    """Where a trial ran: it may move the last bits of an answer, so the gates compare it."""

    device: str
    workers: int
    micro_batch: int
    dtype: str
    zero_stage: int

    def __str__(self) -> str:
        where = f"{self.device} x{self.workers}, micro-batch {self.micro_batch}"
        return f"{where}, {self.dtype}, ZeRO-{self.zero_stage}"


class Work(Protocol):
    """Something a lane does: a cell's order, or a part of the scoring pass. `key` names it."""

    @property
    def key(self) -> str: ...


@dataclass(frozen=True)
class Order:
    """A trial with the places it needs on the machines that run it: paths every node can reach.

    `work`: where it keeps finished arms and checkpoints until it is recorded, a path or a URI.
    `shape`: what its lane has to have.
    `checkpoint_every`: optimiser steps between two checkpoints; None keeps one only where it is stopped.
    """

    trial: Trial
    model: ModelFiles
    scored: Path
    groups: Path
    work: str
    log: Path
    micro_batch: int
    deepspeed: dict[str, Any]
    shape: Shape
    checkpoint_every: int | None = None

    @property
    def key(self) -> str:
        return self.trial.trial_id


@dataclass(frozen=True)
class Progress:
    """Where a running cell is: the arm it trains and its optimiser step."""

    arm: str
    step: int
    total: int

    def __str__(self) -> str:
        return f"{self.arm} {self.step}/{self.total}"


@dataclass(frozen=True)
class TrialResult:
    """What a finished trial says.

    metrics: final numbers by MLflow name (`A/pref_acc_tail`, `diff/margin_heldout`; fractions, nats).
    curves: columns arm, step, metric, value.
    outcomes: one row a held-out pair an arm scored: arm, eval_group, user_id, pair_id, source_model,
        score_gap, margin (nats, without beta), correct.
    facts: where and with what it ran (hardware, geometry, library versions), recorded, not hashed.
    """

    trial_id: str
    metrics: dict[str, float]
    curves: pd.DataFrame
    outcomes: pd.DataFrame
    facts: dict[str, str]
