"""How a sweep deals with failures."""

from pydantic import Field

from training.values import Spec


class Faults(Spec):
    """How a sweep deals with failures; changes no answer."""

    max_attempts: int = Field(3, ge=1, description="Attempts per cell, including the first.")
    max_preemptions: int = Field(
        100,
        ge=0,
        description="How many times a cell may save itself on SIGTERM and go on before this costs attempts.",
    )
    backoff_s: float = Field(
        2.0, ge=0, description="Seconds before the second attempt; each further wait is twice as long."
    )
    record_timeout_s: float = Field(
        600.0, ge=0, description="Seconds to wait for an MLflow server that cannot be reached."
    )
    stall_timeout_s: float | None = Field(
        1800.0,
        gt=0,
        description="Seconds without a step, or a batch scored, after which a worker is killed and its cell "
        "retried; null waits forever.",
    )
    room_timeout_s: float = Field(
        1800.0,
        ge=0,
        description="Seconds to wait for a cluster to grow if none of its nodes can hold a cell.",
    )
    checkpoint_every: int | None = Field(
        500,
        ge=1,
        description="Optimiser steps between two checkpoints of an arm; null saves only when it is stopped.",
    )
