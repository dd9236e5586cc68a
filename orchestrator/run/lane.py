"""A lane: one long-lived Ray Train worker group that takes work after work from the desk.

Process start, imports and the process group are paid once a lane, not once a cell.
"""

import json
import os
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray import train
from ray.exceptions import RayActorError
from ray.train.torch import TorchTrainer

from orchestrator.plan.progress import Progress
from orchestrator.run import preemption
from orchestrator.run.desk import Failure, Worker
from orchestrator.run.job import Job, Listener, Work
from orchestrator.study.shape import Shape
from training.errors import OutOfMemory, StudyError

RunWork = Callable[[Any, Listener], Any]  # of a cell's job and of other work, to what it comes to
PROGRESS_EVERY_S = 0.5
FINAL = (StudyError, FloatingPointError)  # another attempt would end the same way
STARTS = 3  # a lane that dies so often in a row before it takes work stays down


@dataclass(frozen=True)
class LaneConfig:
    """What the workers of a lane are told."""

    lane: int
    shape: Shape
    desk: ray.actor.ActorHandle
    run_work: RunWork


class Lane(threading.Thread):
    """Keeps a worker group alive until the desk sends it home, it cannot start, or the sweep has `ended`.

    `gave_up` says why it could not start, once it has ended so.
    """

    def __init__(
        self,
        number: int,
        desk: ray.actor.ActorHandle,
        shape: Shape,
        storage: Path,
        run_work: RunWork,
        environment: Mapping[str, str],
        ended: threading.Event,
    ) -> None:
        super().__init__(name=f"lane-{number}", daemon=True)
        self._ended = ended
        self._environment = {"env_vars": dict(environment)} if environment else None
        self.number, self.shape = number, shape
        self.gave_up: str | None = None
        self._desk = desk
        self._storage = storage
        self._run_work = run_work

    def run(self) -> None:
        idle_deaths, error_text = 0, ""
        while idle_deaths < STARTS:
            try:
                self._trainer().fit()
                return
            except Exception as error:
                if self._ended.is_set():  # and Ray with it, which would start anew if it was asked
                    return
                # Whatever ended the group, its cell goes back to Tune's retries and the lane starts anew.
                error_text = "".join(traceback.format_exception_only(error)).strip()
                try:
                    reason = f"lost with its worker: {error_text}"
                    worked = ray.get(self._desk.lose.remote(self.number, reason))
                except RayActorError:  # without its desk a lane has nothing to do
                    return
                idle_deaths = 0 if worked else idle_deaths + 1
                if self._ended.wait(idle_deaths):
                    return
        self.gave_up = error_text

    def _trainer(self) -> TorchTrainer:
        wanted = self.shape
        per_worker = {"CPU": wanted.cpus_per_worker}
        if wanted.gpus:
            per_worker["GPU"] = wanted.gpus
        return TorchTrainer(
            serve,
            train_loop_config={"lane": LaneConfig(self.number, wanted, self._desk, self._run_work)},
            torch_config=preemption.ListeningTorch(),
            scaling_config=train.ScalingConfig(
                num_workers=wanted.workers,
                use_gpu=wanted.gpus > 0,
                resources_per_worker=per_worker,
            ),
            # A lane has no state worth resuming, so every life has a name of its own.
            run_config=train.RunConfig(
                name=f"lane-{self.number}-{uuid4().hex[:8]}",
                storage_path=str(self._storage),
                checkpoint_config=train.CheckpointConfig(num_to_keep=1),
                worker_runtime_env=self._environment,
            ),
        )


def serve(config: dict[str, Any]) -> None:
    """The Ray Train function: take work, do it, hand in what came of it, until sent home."""
    from ray.train.collective import broadcast_from_rank_zero

    lane: LaneConfig = config["lane"]
    first = train.get_context().get_world_rank() == 0
    visit = ray.get(lane.desk.visit.remote(lane.lane, _worker(lane.shape))) if first else 0
    while True:
        key = broadcast_from_rank_zero(ray.get(lane.desk.next.remote(lane.lane, visit)) if first else None)
        if key is None:
            return
        work: Work = ray.get(lane.desk.work.remote(key))
        try:
            with preemption.at_work():
                result = lane.run_work(work, Told(lane, visit) if first else Asked())
        except FINAL as error:
            if first:
                ray.get(lane.desk.failed.remote(lane.lane, visit, Failure(str(error), retriable=False)))
        except Exception as error:
            if first:
                ray.get(lane.desk.failed.remote(lane.lane, visit, _failure(error, work)))
            # What a crash leaves behind in a process is unknown: the next cell gets a fresh one.
            raise
        else:
            if first:
                ray.get(lane.desk.done.remote(lane.lane, visit, result))


def _worker(shape: Shape) -> Worker:
    """This worker: how to end it, where Ray keeps what it printed, what its lane's resources are."""
    printed = os.path.realpath("/proc/self/fd/2")  # Ray tells no worker its log file
    actor = ray.get_runtime_context().current_actor
    where = f"{ray.util.get_node_ip_address()}:{printed}"
    return Worker(actor, where, ray.util.get_current_placement_group(), shape)


def _failure(error: Exception, work: Work) -> Failure:
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    log = f"; log: {work.log}" if isinstance(work, Job) else ""
    return Failure(
        f"{type(error).__name__}: {error} ({place}{log})",
        retriable=True,
        traceback="".join(traceback.format_exception(error)),
        halve=isinstance(error, OutOfMemory),
    )


class Asked:
    """A worker's answer to its cell's steps: each worker can be asked to go, and each keeps checkpoints."""

    def __call__(self, arm: str, step: int, total: int) -> bool:
        return preemption.asked()

    def kept(self, uri: str, step: int) -> None:
        """Tell Ray Train of a checkpoint. It lies on the cell's shelf, where a lane on another node or of
        another driver finds it, so what Ray Train keeps for this run is a pointer to it."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "pointer.json").write_text(json.dumps({"uri": uri, "step": step}))
            mine = train.get_context().get_world_rank() == 0
            train.report({"step": step}, train.Checkpoint.from_directory(folder) if mine else None)


class Told(Asked):
    """The first worker of a lane, which also tells the desk how far its cell is."""

    def __init__(self, lane: LaneConfig, visit: int) -> None:
        self._lane, self._visit = lane, visit
        self._said, self._answers = 0.0, list[ray.ObjectRef]()

    def __call__(self, arm: str, step: int, total: int) -> bool:
        if time.monotonic() - self._said >= PROGRESS_EVERY_S or step == total:
            self._said = time.monotonic()
            # No waiting for the desk; but if it is lost, the last report's answer says so here.
            ray.get(ray.wait(self._answers, timeout=0)[0] if self._answers else [])
            progress = Progress(arm, step, total)
            self._answers = [self._lane.desk.step.remote(self._lane.lane, self._visit, progress)]
        return super().__call__(arm, step, total)
