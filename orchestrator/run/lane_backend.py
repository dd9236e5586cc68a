"""What Ray Train sets up for a lane: torch's process group, and SIGTERM as a request to stop.

A driver starts lanes and trains nothing, so torch is loaded in their processes alone. It costs seconds.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ray.train.backend import Backend, BackendConfig

from orchestrator.run.preemption import listen


class LaneBackend(Backend):
    """Ray Train's torch backend, which also takes over SIGTERM.

    Only a worker's main thread may set the handler of a signal. A backend starts in that thread, whereas a
    train function runs in another one.
    """

    share_cuda_visible_devices = True  # as torch's own backend has it

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        from ray.train.torch import TorchConfig

        config = TorchConfig()
        config.backend_cls().on_start(worker_group, config)
        worker_group.execute(listen)

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        from ray.train.torch import TorchConfig

        config = TorchConfig()
        config.backend_cls().on_shutdown(worker_group, config)


@dataclass
class LaneBackendConfig(BackendConfig):
    """Chooses `LaneBackend`, and the card that a worker's train function finds as its own."""

    @property
    def backend_cls(self) -> type[LaneBackend]:
        return LaneBackend

    @property
    def train_func_context(self) -> Any:
        return _own_card


def _own_card() -> AbstractContextManager[Any]:
    from ray.train.torch import TorchConfig

    context: AbstractContextManager[Any] = TorchConfig().train_func_context()
    return context
