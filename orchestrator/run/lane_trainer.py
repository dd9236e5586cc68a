"""Ray Train's trainer, with a controller that can be killed and without helpers that a lane never uses."""

from typing import Any

import ray
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.constants import get_env_vars_to_propagate
from ray.train.v2._internal.execution.context import TrainRunContext
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

UNUSED = (DatasetsCallback, PlacementGroupCleanerCallback)


class LaneTrainer(DataParallelTrainer):
    """A trainer of Ray Train that `kill` ends at any time, also while it waits for room on the cluster."""

    _controller: ray.actor.ActorHandle | None = None

    def kill(self) -> None:
        """Kill the controller, if it has one yet. Its workers end with it, and `fit` raises RayActorError."""
        if self._controller:
            ray.kill(self._controller)

    def _initialize_and_run_controller(self, **arguments: Any) -> Any:
        """Do what DataParallelTrainer does here, but keep the controller's handle and handle no signals.

        Three helpers are left out, each a process of its own: the first hands out datasets, of which a lane
        has none. The second frees the placement group of a controller that was killed, which the desk does
        (`Desk.hold`). The third asks the autoscaler for a group's room in place of what the fleet asked for.
        """
        arguments["callbacks"] = [each for each in arguments["callbacks"] if not isinstance(each, UNUSED)]
        arguments["scaling_policy"] = RoomOfTheFleet(self.scaling_config)
        this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        controller_class = ray.remote(TrainController).options(
            num_cpus=0, scheduling_strategy=this_node, runtime_env={"env_vars": get_env_vars_to_propagate()}
        )
        self._controller = controller_class.remote(**arguments)
        ray.get(self._controller.run.remote())
        return ray.get(self._controller.get_result.remote())


class RoomOfTheFleet(FixedScalingPolicy):
    """A worker group of fixed size for which the fleet alone asks the autoscaler (`Fleet`)."""

    def after_controller_start(self, train_run_context: TrainRunContext) -> None:
        """Ask for nothing."""

    def _maybe_send_resource_request(self) -> None:
        """Ask for nothing."""
