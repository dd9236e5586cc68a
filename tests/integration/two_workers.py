"""The script that test_two_workers runs as two workers: one arm is cut and resumed, one is asked to stop.

Each worker prints one line of JSON.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from training.arm import ArmTask, Execution, train_arm
from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints
from training.errors import Preempted
from training.model import ModelFiles
from training.scoring import open_scored
from training.spec import MethodSpec, TrainingSpec

ZERO2 = json.loads((Path(__file__).parents[2] / "configs/deepspeed/zero2.json").read_text())


def main(scored: str, model: str, out: str) -> None:
    torch.distributed.init_process_group("gloo")
    rank = int(os.environ["RANK"])
    training = TrainingSpec(
        max_steps=6, batch_size=4, learning_rate=1e-2, max_length=48, dtype="float32", logging_steps=2
    )

    def arm(**more):
        method = MethodSpec(use_weighting=True)
        task = ArmTask("test", ModelFiles(model), method, training, 1, np.arange(32))
        return train_arm(task, open_scored(Path(scored)), Execution(2, ZERO2), **more)

    def cut(step, _):
        if step == 5:
            raise ConnectionError("a node was lost")

    whole = arm()
    checkpoints = Checkpoints(CheckpointStore(f"{out}/cut"), 3)
    try:
        arm(checkpoints=checkpoints, on_step=cut)
    except ConnectionError:
        torch.distributed.barrier()
    resumed = arm(checkpoints=checkpoints)
    stopped = Checkpoints(CheckpointStore(f"{out}/stopped"), None)
    stop_message = ""
    try:
        arm(checkpoints=stopped, on_step=lambda step, _: rank == 1 and step >= 3)
    except Preempted as error:
        stop_message = str(error)
    line = {"same": resumed.curve.equals(whole.curve), "notes": resumed.notes, "stopped": stop_message}
    # One write a worker: the two share the pipe.
    os.write(1, f"\nRESULT {json.dumps(line)}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
