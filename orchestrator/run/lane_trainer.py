"""Ray Train's trainer, with a controller that can be killed and without a helper that a lane never uses."""

from typing import Any

import ray
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.constants import get_env_vars_to_propagate
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


class LaneTrainer(DataParallelTrainer):
    """A trainer of Ray Train that `kill` ends at any time, also while it waits for room on the cluster."""

    _controller: ray.actor.ActorHandle | None = None

    def kill(self) -> None:
        """Kill the controller, if it has one yet. Its workers end with it, and `fit` raises RayActorError."""
        if self._controller:
            ray.kill(self._controller)

    def _initialize_and_run_controller(self, **arguments: Any) -> Any:
        """Do what DataParallelTrainer does here, but keep the controller's handle and handle no signals.

        DatasetsCallback is left out: it starts a process that hands out datasets, and a lane has none. The
        process that frees a dead controller's placement group is told its cluster. Otherwise it would ask the
        newest one on this machine, which may be another sweep's and knows no such controller, and would take
        the resources of a living lane away.
        """
        callbacks = [each for each in arguments.pop("callbacks") if not isinstance(each, DatasetsCallback)]
        variables = get_env_vars_to_propagate() | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
        this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        controller_class = ray.remote(TrainController).options(
            num_cpus=0, scheduling_strategy=this_node, runtime_env={"env_vars": variables}
        )
        self._controller = controller_class.remote(callbacks=callbacks, **arguments)
        ray.get(self._controller.run.remote())
        return ray.get(self._controller.get_result.remote())
