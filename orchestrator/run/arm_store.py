"""A trained and evaluated arm, and the folder that keeps it until its cell is recorded."""

import json
from dataclasses import dataclass

import pandas as pd

from training.checkpoint_store import CheckpointStore, DamagedFolder
from training.scratch import scratch

ARM_FOLDER = "finished"
MODEL_FOLDER = "model"  # the tuned model, where a study keeps it
OUTCOMES, CURVE, NUMBERS = "outcomes.parquet", "curve.parquet", "numbers.json"


@dataclass(frozen=True)
class Arm:
    """A trained and evaluated arm.

    Attributes:
        summary: Final metrics by name; among them the arm's training pairs, how many of these are truncated
            to `max_length`, and how many of the held-out pairs have the token ids of a training pair.
        curve: Columns step, metric, value.
        outcomes: One row per held-out pair: eval_group, user_id, item, pair_id, source_model, score_gap,
            margin (nats, without beta), correct.
        seconds: Wall time of the training steps (`steps`) and of held-out scoring (`heldout`).
        notes: Warnings collected during training.
        origin: What made it, by name: geometry, hardware, code and library versions.
    """

    summary: dict[str, float]
    curve: pd.DataFrame
    outcomes: pd.DataFrame
    seconds: dict[str, float]
    notes: list[str]
    origin: dict[str, str]


def keep_arm(arm: Arm, store: CheckpointStore, checkpoints: CheckpointStore) -> None:
    """Keep a finished arm and clear its checkpoints. If the store fails, the arm gets a note instead.

    Args:
        arm: The finished arm.
        store: Where the arm is kept.
        checkpoints: Where the checkpoints of the unfinished arm are.
    """
    with scratch() as folder:
        arm.outcomes.to_parquet(folder / OUTCOMES, index=False)
        arm.curve.to_parquet(folder / CURVE, index=False)
        (folder / NUMBERS).write_text(
            json.dumps(
                {
                    "summary": arm.summary,
                    "seconds": arm.seconds,
                    "notes": arm.notes,
                    "origin": arm.origin,
                }
            )
        )
        try:
            store.put(folder, ARM_FOLDER)
            checkpoints.clear()
        except OSError as error:  # a full disk costs what a retry would repeat, not the arm
            arm.notes.append(f"not kept until the cell is recorded: {error}")


def kept_arm(store: CheckpointStore) -> Arm | None:
    """Return the arm that an earlier attempt kept; None if there is none or its files are damaged."""
    with scratch() as scratch_folder:
        folder = scratch_folder / ARM_FOLDER
        try:
            store.fetch(ARM_FOLDER, folder)
        except DamagedFolder as damage:  # this includes a missing folder
            print(f"{store.uri}: {damage}; the arm will be trained", flush=True)
            return None
        return Arm(
            curve=pd.read_parquet(folder / CURVE),
            outcomes=pd.read_parquet(folder / OUTCOMES),
            **json.loads((folder / NUMBERS).read_text()),
        )
