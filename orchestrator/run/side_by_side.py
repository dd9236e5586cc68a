"""Train the arms of a cell side by side: one forward pass of the base model serves them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from orchestrator.run.arm_store import Arm
from orchestrator.run.job import Job, Listener
from training.bundle import Bundle, BundleModel, opened_bundle, train_together
from training.bundle_access import SharedModel
from training.errors import Preempted
from training.model_access import ModelAccess

TrainArm = Callable[[Job, str, Listener, ModelAccess], Arm]


def bundle_of(job: Job) -> AbstractContextManager[Bundle]:
    """Open a bundle in which the arms of a job, and of others of its study and shape, can train."""
    return opened_bundle(_model_of(job))


def arms_side_by_side(
    job: Job, report: Listener, train: TrainArm, access: SharedModel | None
) -> dict[str, Arm]:
    """Return the arms of a job's trial by name, as `train(job, name, report, access)` returns each.

    An arm that fails does not stop the others, which end and are kept for the next attempt. `access` is the
    cell's own to a bundle; with None, the arms have a bundle to themselves.

    Raises:
        Exception: What an arm has raised; a request to stop only if no arm has raised anything else.
    """
    names, heard = job.trial.arms, _Together(report)
    functions = [partial(train, job, name, heard) for name in names]
    outcomes = access.train_together(functions) if access else train_together(functions, _model_of(job))
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, Preempted))
    return {name: arm for name, arm in zip(names, outcomes, strict=True) if isinstance(arm, Arm)}


def _model_of(job: Job) -> BundleModel:
    return BundleModel(
        job.model,
        job.trial.training.dtype,
        job.deepspeed is not None,
        job.shape.activation_checkpointing,
    )


class _Together:
    """A listener of several arms, which reports those that train as one: its step is that of the slowest."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._steps: dict[str, int] = {}

    def __call__(self, arm: str, step: int, total: int) -> bool | None:
        self._steps[arm] = step
        return self._listener("+".join(sorted(self._steps)), min(self._steps.values()), total)

    def alive(self) -> bool | None:
        return self._listener.alive()

    def told(self, text: str) -> None:
        self._listener.told(text)

    def kept(self, uri: str, step: int) -> None:
        self._listener.kept(uri, step)
