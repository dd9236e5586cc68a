"""Train the arms of a cell side by side: one forward pass of the base model serves them."""

from collections.abc import Callable
from functools import partial

from orchestrator.run.arm_store import Arm
from orchestrator.run.job import Job, Listener
from training.bundle import BundleModel, train_together
from training.errors import Preempted
from training.model_access import ModelAccess

TrainArm = Callable[[Job, str, Listener, ModelAccess], Arm]


def arms_side_by_side(job: Job, report: Listener, train: TrainArm) -> dict[str, Arm]:
    """Return the arms of a job's trial by name, as `train(job, name, report, access)` returns each.

    An arm that fails does not stop the others, which end and are kept for the next attempt.

    Raises:
        Exception: What an arm has raised; a request to stop only if no arm has raised anything else.
    """
    names, training = job.trial.arms, job.trial.training
    heard = _Together(report)
    model = BundleModel(job.model, training.dtype, True, job.shape.activation_checkpointing)
    outcomes = train_together([partial(_train, job, name, heard, train) for name in names], model)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, Preempted))
    return {name: arm for name, arm in zip(names, outcomes, strict=True) if isinstance(arm, Arm)}


def _train(job: Job, name: str, report: Listener, train: TrainArm, access: ModelAccess) -> Arm:
    return train(job, name, report, access)


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
