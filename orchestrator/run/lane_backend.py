"""How the workers of a lane become a torch process group, and take SIGTERM as a request to stop.

Ray's own torch backend does the first from the controller of the lane, which would load torch for nothing:
3 s of processor time and 200 MB per lane. Here torch is loaded in the workers alone.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import ray
from ray import train
from ray.train._internal.utils import get_address_and_port
from ray.train.backend import Backend, BackendConfig

from orchestrator.run.preemption import listen
from training.importing import importing


class LaneBackend(Backend):
    """Joins the workers of a lane before their train function starts. Their end leaves the group.

    The desk is told of their placement group first, so that it can free it if the controller is killed.

    Only a worker's main thread may set the handler of a signal. A backend starts in that thread, whereas a
    train function runs in another one.
    """

    share_cuda_visible_devices = True  # as torch's own backend has it

    def on_start(self, worker_group: Any, backend_config: "LaneBackendConfig") -> None:
        lane = backend_config
        placement = worker_group.execute_single(0, ray.util.get_current_placement_group)
        ray.get(lane.desk.hold.remote(lane.number, lane.life, placement))
        address, port = worker_group.execute_single(0, get_address_and_port)
        worker_group.execute(_join, address, port)
        worker_group.execute(listen)


@dataclass
class LaneBackendConfig(BackendConfig):
    """Chooses `LaneBackend`, and the card that a worker's train function finds as its own.

    Attributes:
        number: The lane's number.
        life: The number of this life of the lane.
        desk: The sweep's desk.
    """

    number: int
    life: int
    desk: ray.actor.ActorHandle

    @property
    def backend_cls(self) -> type[LaneBackend]:
        return LaneBackend

    @property
    def train_func_context(self) -> Any:
        return _own_card


def _join(address: str, port: int) -> None:
    """Join the process group whose first worker listens at `address` and `port`; run by each worker."""
    with importing():
        from ray.train.torch import get_device

        from training import process_group

    context, device = train.get_context(), get_device()
    variables = {
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
        "RANK": str(context.get_world_rank()),
        "WORLD_SIZE": str(context.get_world_size()),
        "LOCAL_RANK": str(context.get_local_rank()),
        "LOCAL_WORLD_SIZE": str(context.get_local_world_size()),
        "NODE_RANK": str(context.get_node_rank()),
        "ACCELERATE_TORCH_DEVICE": str(device),
    }
    process_group.join(variables, on_card=device.type == "cuda")


def _own_card() -> AbstractContextManager[Any]:
    from ray.train.torch import TorchConfig

    context: AbstractContextManager[Any] = TorchConfig().train_func_context()
    return context
