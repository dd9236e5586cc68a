"""What is known of the attempts at a cell, from the desk, as tags of its run."""

from collections.abc import Mapping
from dataclasses import dataclass

import ray

from orchestrator.record.result import CELL_SECONDS, GPU_SECONDS
from orchestrator.run.desk_records import WorkHistory
from orchestrator.run.job import Job
from orchestrator.run.messages import Failure
from orchestrator.study.trial import Trial


@dataclass(frozen=True)
class Attempts:
    """The attempts at the cells of a desk; `jobs` holds their jobs by trial_id."""

    desk: ray.actor.ActorHandle
    jobs: Mapping[str, Job]

    def tags(self, trial: Trial, succeeded: int) -> dict[str, str]:
        """Return how many attempts were made and interrupted, why each failed one failed, and their time."""
        history = self.history(trial)
        tags = {f"attempt_{number}": str(failure) for number, failure in enumerate(history.failures, start=1)}
        if history.preemptions:
            tags["preemptions"] = str(history.preemptions)
        attempts = str(len(history.failures) + succeeded)
        return {"attempts": attempts, **tags, **self.time_tags(trial, history.seconds)}

    def time_tags(self, trial: Trial, seconds: float) -> dict[str, str]:
        """Return the tags that hold a cell's time (seconds that lanes held it) and GPU time."""
        shape = self.jobs[trial.trial_id].shape
        gpu_seconds = seconds * shape.workers * shape.gpus
        return {CELL_SECONDS: f"{seconds:.3f}", GPU_SECONDS: f"{gpu_seconds:.3f}"}

    def last_failure(self, trial: Trial) -> Failure:
        """Return the newest failure. If the Tune trial's own process died, the desk may know of none."""
        lost = Failure("its Tune trial was lost before it reached a lane", retriable=True)
        return [lost, *self.history(trial).failures][-1]

    def history(self, trial: Trial) -> WorkHistory:
        """Return what the desk remembers of a cell."""
        history: WorkHistory = ray.get(self.desk.history.remote(trial.trial_id))
        return history
