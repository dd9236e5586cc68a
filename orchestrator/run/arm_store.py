"""A trained and evaluated arm, and the folder that keeps it until its cell is recorded."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from training.checkpoint_store import CheckpointStore, DamagedFolder

ARM_FOLDER = "arm"
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
    """

    summary: dict[str, float]
    curve: pd.DataFrame
    outcomes: pd.DataFrame
    seconds: dict[str, float]
    notes: list[str]


def keep_arm(arm: Arm, store: CheckpointStore, checkpoints: CheckpointStore) -> None:
    """Keep a finished arm and clear its checkpoints. If the store fails, the arm gets a note instead.

    Args:
        arm: The finished arm.
        store: Where the arm is kept.
        checkpoints: Where the checkpoints of the unfinished arm are.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        arm.outcomes.to_parquet(folder / OUTCOMES, index=False)
        arm.curve.to_parquet(folder / CURVE, index=False)
        (folder / NUMBERS).write_text(
            json.dumps({"summary": arm.summary, "seconds": arm.seconds, "notes": arm.notes})
        )
        try:
            store.put(folder, ARM_FOLDER)
            checkpoints.clear()
        except OSError as error:  # a full disk costs what a retry would repeat, not the arm
            arm.notes.append(f"not kept until the cell is recorded: {error}")


def kept_arm(store: CheckpointStore) -> Arm | None:
    """Return the arm that an earlier attempt kept; None if there is none or its files are damaged."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / ARM_FOLDER
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
