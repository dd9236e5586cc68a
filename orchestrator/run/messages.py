"""What lanes and the desk tell each other, besides work and its results."""

from dataclasses import dataclass
from typing import Any

from orchestrator.study.shape import Shape


@dataclass(frozen=True)
class Failure:
    """Why an attempt ended without a result.

    Attributes:
        error: What went wrong.
        retriable: False if another attempt would end the same way, as it does after a mistake in the study or
            its data.
        traceback: The worker's traceback, if there is one.
        logs: Where Ray keeps what the worker printed: the node's address and a path.
        halve_micro_batch: Whether the next attempt should use half the micro-batch.
        preempted: Whether the attempt was interrupted after it had saved itself, and could go on elsewhere.
        kind: What failures that are alike have in common, such as the type of an error and its place in the
            code; empty if the failure says nothing about other work.
        node: The node on which it happened; empty if it reached none.
        lane: The number of the lane in which it happened; None if it reached none.
    """

    error: str
    retriable: bool
    traceback: str = ""
    logs: str = ""
    halve_micro_batch: bool = False
    preempted: bool = False
    kind: str = ""
    node: str = ""
    lane: int | None = None

    def __str__(self) -> str:
        """Return the error, and the node on which it happened unless the node cannot be its cause."""
        return f"{self.error} [node {self.node}]" if self.node and self.retriable else self.error


@dataclass(frozen=True)
class FirstWorker:
    """How the desk reaches the worker group of a lane.

    Attributes:
        actor: The actor of the group's first worker.
        logs: Where Ray keeps what that worker prints: the node's address and a path.
        shape: The shape of the lane.
        node: The address and id of that worker's node.
        life: The number of this life of the lane; each is larger than those before.
    """

    actor: Any
    logs: str
    shape: Shape
    node: str
    life: int
