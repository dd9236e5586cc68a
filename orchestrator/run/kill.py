"""Kill the processes that train, on every node of a cluster. `orchestrator.drill` uses this."""

import os
import signal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from ray.util.state import list_actors


def kill_train_workers(address: str) -> None:
    """Send SIGKILL to every Ray Train worker of the cluster at `address`."""
    with ray.init(address=address, log_to_driver=False):
        is_train_worker = [("class_name", "=", "RayTrainWorker"), ("state", "=", "ALIVE")]
        for worker in list_actors(filters=is_train_worker):
            its_node = NodeAffinitySchedulingStrategy(worker.node_id, soft=False)
            kill = ray.remote(num_cpus=0)(os.kill).options(scheduling_strategy=its_node)
            ray.get(kill.remote(worker.pid, signal.SIGKILL))
