"""A lane: one long-lived Ray Train worker group that does one piece of work after another from the desk.

Process start, imports and the process group are paid once per lane, not once per cell.
"""

import threading
import time
import traceback
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from uuid import uuid4

import ray
from ray import train
from ray.exceptions import RayActorError

from orchestrator.run.attempt import LaneConfig, WorkFunction
from orchestrator.run.lane_backend import LaneBackendConfig
from orchestrator.run.lane_trainer import LaneTrainer
from orchestrator.run.serve import serve
from orchestrator.study.shape import Shape

MAX_IDLE_DEATHS = 3  # in a row, without any work in between; then a lane gives up
CUBLAS_WORKSPACE = ":4096:8"  # with which cuBLAS is deterministic, as its documentation says
GOODBYE_S = 60.0  # how long lanes that go home may take to end
KILL_AGAIN_EVERY_S = 0.2  # a trainer may be about to start its controller


class Lane(threading.Thread):
    """Keeps a worker group alive until the desk sends it home, it cannot start, or the sweep has ended.

    Args:
        storage: Where Ray Train keeps its own files.
        environment: Variables for the workers, in addition to those of their node.
        ended: An event that is set once the sweep has ended.

    Attributes:
        gave_up: Why the group could not be started, if the thread has ended for this reason; otherwise None.
        is_leaving: Whether the desk has sent the group home, so that it ends by itself.
    """

    def __init__(
        self,
        number: int,
        desk: ray.actor.ActorHandle,
        shape: Shape,
        storage: Path,
        run_work: WorkFunction,
        environment: Mapping[str, str],
        ended: threading.Event,
    ) -> None:
        super().__init__(name=f"lane-{number}", daemon=True)
        self.number, self.shape = number, shape
        self.gave_up: str | None = None
        self.is_leaving = False
        self._desk = desk
        self._storage = storage
        self._run_work = run_work
        self._environment = worker_environment(shape, environment)
        self._ended = ended
        self._lives = count()
        self._trainer: LaneTrainer | None = None

    def stop(self) -> None:
        """Kill what is left of the lane and wait for its thread.

        Ray frees a killed lane's placement group only when the sweep leaves the cluster, so it must be about
        to leave.
        """
        self._ended.set()
        while self.is_alive():
            if self._trainer:
                self._trainer.kill()
            self.join(KILL_AGAIN_EVERY_S)

    def run(self) -> None:
        idle_deaths, error_text = 0, ""
        while idle_deaths < MAX_IDLE_DEATHS:
            try:
                self._trainer = self._new_trainer()
                self._trainer.fit()
                return
            except Exception as error:
                if self._ended.is_set():
                    return
                # Whatever ended the group, its cell goes back to Tune's retries and the lane restarts.
                error_text = "".join(traceback.format_exception_only(error)).strip()
                try:
                    reason = f"lost with its worker: {error_text}"
                    has_worked = ray.get(self._desk.lose.remote(self.number, reason))
                except RayActorError:  # without its desk a lane has nothing to do
                    return
                idle_deaths = 0 if has_worked else idle_deaths + 1
                if self._ended.wait(idle_deaths):
                    return
        self.gave_up = error_text

    def _new_trainer(self) -> LaneTrainer:
        shape, life = self.shape, next(self._lives)
        per_worker = {"CPU": shape.cpus_per_worker}
        if shape.gpus:
            per_worker["GPU"] = shape.gpus
        return LaneTrainer(
            serve,
            train_loop_config={"lane": LaneConfig(self.number, life, shape, self._desk, self._run_work)},
            backend_config=LaneBackendConfig(self.number, life, self._desk),
            scaling_config=train.ScalingConfig(
                num_workers=shape.workers,
                use_gpu=shape.gpus > 0,
                resources_per_worker=per_worker,
            ),
            # A lane has no state worth resuming, so each life has its own name.
            run_config=train.RunConfig(
                name=f"lane-{self.number}-{uuid4().hex[:8]}",
                storage_path=str(self._storage),
                checkpoint_config=train.CheckpointConfig(num_to_keep=1),
                worker_runtime_env={"env_vars": self._environment},
            ),
        )


def worker_environment(shape: Shape, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a lane's workers start with, besides those of their node.

    Ray leaves the cards of a machine visible to a worker without any, and a lane must not train on a card
    that it does not hold. Deterministic cuBLAS needs its workspace before CUDA starts.
    """
    variables = dict(environment)
    if not shape.gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ""
    if shape.deterministic:
        variables["CUBLAS_WORKSPACE_CONFIG"] = CUBLAS_WORKSPACE
    return variables


def stop_lanes() -> None:
    """Wait for the lanes that are leaving, and stop all others of this process, before it leaves the cluster.

    Ray ends the whole process, at once and without a word, when a thread calls it after its shutdown.
    """
    lanes = [thread for thread in threading.enumerate() if isinstance(thread, Lane)]
    deadline = time.monotonic() + GOODBYE_S
    for lane in lanes:
        if lane.is_leaving:
            lane.join(max(0.0, deadline - time.monotonic()))
    for lane in lanes:
        lane.stop()
