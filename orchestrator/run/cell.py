"""A cell as Ray Tune sees it. Every waiting trial is a process with these imports, so there are few."""

from collections.abc import Mapping
from typing import Any

import ray
from ray import tune

from orchestrator.run.job import Job
from orchestrator.run.messages import Failure

# Tune refuses 0, and a waiting trial needs no more than this. All trials share one object, whereas
# `tune.with_resources` would give each trial its own copy (2 KB).
RESOURCES_OF_A_WAITING_TRIAL = tune.PlacementGroupFactory([{"CPU": 0.01}])


class CellFailed(Exception):
    """An attempt at a cell ended without a result, and another one may succeed."""


class CellTrainable(tune.Trainable):
    """A Tune trial that hands its cell to the desk and waits for the outcome."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return RESOURCES_OF_A_WAITING_TRIAL

    def setup(self, config: dict[str, Any], jobs: Mapping[str, Job], desk: ray.actor.ActorHandle) -> None:
        self._jobs, self._desk = jobs, desk
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job = self._jobs[new_config["cell"]]
        return True

    def step(self) -> dict[str, Any]:
        failure: Failure | None = ray.get(self._desk.run.remote(self._job))
        if failure and failure.retriable:
            raise CellFailed(failure.error)
        return {"done": True, "error": failure.error if failure else ""}
