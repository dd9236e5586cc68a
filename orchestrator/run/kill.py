"""Kill the processes that train, on whichever node they are: what `orchestrator.drill` does to a cluster."""

import os
import signal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from ray.util.state import list_actors


def kill_train_workers(address: str) -> None:
    """Send SIGKILL to every Ray Train worker of the cluster at `address`."""
    with ray.init(address=address, log_to_driver=False):
        alive = [("class_name", "=", "RayTrainWorker"), ("state", "=", "ALIVE")]
        for worker in list_actors(filters=alive):
            there = NodeAffinitySchedulingStrategy(worker.node_id, soft=False)
            kill = ray.remote(num_cpus=0)(os.kill).options(scheduling_strategy=there)
            ray.get(kill.remote(worker.pid, signal.SIGKILL))
