"""The script that test_two_workers runs as two workers; each writes what it found as JSON.

One arm is cut and resumed, one is asked to stop, one is computed under ZeRO stages 0 and 3. Arms that one
worker has cut are resumed, and others are cut for one worker to resume.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from training.arm import ArmResult, ArmTask, Execution, train_arm
from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints
from training.errors import Preempted
from training.evaluate import heldout_margins
from training.heldout_curve import HeldOut
from training.model import ModelFiles
from training.scoring import open_scored
from training.spec import MethodSpec, TrainingSpec

CONFIGS = Path(__file__).parents[2] / "configs/deepspeed"
TRAINING = TrainingSpec(
    max_steps=6, batch_size=4, learning_rate=1e-2, max_length=48, dtype="float32", logging_steps=2
)
SAMPLED, GREEDY = (MethodSpec(use_weighting=True, wpo_alignment=kind) for kind in ("sampled", "greedy"))
HELDOUT = np.arange(32, 64)


def settings(name: str) -> dict:
    """Return shipped settings, under which stage 3 partitions small weights as well."""
    shipped = json.loads((CONFIGS / f"{name}.json").read_text())
    if shipped["zero_optimization"]["stage"] == 3:
        shipped["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return shipped


def train(
    scored: str,
    model: str,
    name: str,
    method: MethodSpec = SAMPLED,
    training: TrainingSpec = TRAINING,
    **more,
) -> ArmResult:
    task = ArmTask("test", ModelFiles(model), method, training, 1, np.arange(32))
    execution = Execution(2, settings(name))
    return train_arm(task, open_scored(Path(scored)), execution, heldout=HeldOut(HELDOUT), **more)


def cut(at: int):
    def on_step(step, _):
        if step == at:
            raise ConnectionError("a node was lost")

    return on_step


def numbers(scored: str, arm: ArmResult) -> dict[str, list[float]]:
    """Return the curve of an arm, its margins of held-out pairs, and some of its weights."""
    margins = heldout_margins(arm.model, open_scored(Path(scored)), HELDOUT, 48, "test", arm.layout)
    weights = torch.cat([weight.detach().flatten() for weight in arm.model.parameters()])
    return {
        "curve": arm.curve["value"].tolist(),
        "margins": margins["margin"].tolist(),
        "weights": weights[::97].tolist(),
    }


def main(scored: str, model: str, out: str) -> None:
    torch.distributed.init_process_group("gloo")
    rank = int(os.environ["RANK"])

    whole = train(scored, model, "zero2")
    checkpoints = Checkpoints(CheckpointStore(f"{out}/cut"), 3)
    try:
        train(scored, model, "zero2", checkpoints=checkpoints, on_step=cut(5))
    except ConnectionError:
        torch.distributed.barrier()
    resumed = train(scored, model, "zero2", checkpoints=checkpoints)
    stopped = Checkpoints(CheckpointStore(f"{out}/stopped"), None)
    stop_message = ""
    try:
        train(scored, model, "zero2", checkpoints=stopped, on_step=lambda step, _: rank == 1 and step >= 3)
    except Preempted as error:
        stop_message = str(error)

    every_third = TRAINING.model_copy(update={"eval_every": 3})
    stages = {
        name: numbers(scored, train(scored, model, name, GREEDY, every_third)) for name in ("zero0", "zero3")
    }
    for name in ("zero2", "zero3"):
        try:
            for_one = Checkpoints(CheckpointStore(f"{out}/{name} of two"), 3)
            train(scored, model, name, checkpoints=for_one, on_step=cut(5))
        except ConnectionError:
            torch.distributed.barrier()
    taken = {}
    for name in ("zero2", "zero3"):
        of_one = Checkpoints(CheckpointStore(f"{out}/zero0 of one, for {name}"), None)
        arm = train(scored, model, name, checkpoints=of_one)
        taken[name] = {"notes": arm.notes, **numbers(scored, arm)}

    line = {
        "same": resumed.curve.equals(whole.curve),
        "notes": resumed.notes,
        "stopped": stop_message,
        "stages": stages,
        "whole": numbers(scored, whole),
        "taken": taken,
    }
    Path(out, f"result-{rank}.json").write_text(json.dumps(line))


if __name__ == "__main__":
    main(*sys.argv[1:])
