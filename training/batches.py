"""Which pairs a step sees."""

import numpy as np
import numpy.typing as npt
from datasets import Dataset

from training.spec import TrainingSpec

WINDOW = 50  # batches among which pairs are sorted when batches are grouped by length
Rows = npt.NDArray[np.int64]


def data_order(rows: Rows, lengths: Rows, training: TrainingSpec, rng: np.random.Generator) -> Rows:
    """Row numbers in the order they are trained on, max_steps * batch_size of them: one permutation of `rows`
    after another, so every batch is full and the order does not depend on workers or micro-batches.

    With `group_by_length`, pairs are sorted by length within windows of 50 batches and the batches of a
    window shuffled.
    """
    total = training.max_steps * training.batch_size
    epochs = -(-total // len(rows))
    order = np.concatenate([rng.permutation(rows) for _ in range(epochs)])[:total]
    if not training.group_by_length:
        return order
    window = WINDOW * training.batch_size
    grouped = []
    for start in range(0, total, window):
        part = order[start : start + window]
        batches = part[np.argsort(lengths[part], kind="stable")].reshape(-1, training.batch_size)
        grouped.append(rng.permutation(batches, axis=0).ravel())
    return np.concatenate(grouped)


def sequence_lengths(scored: Dataset) -> Rows:
    """Tokens of each pair after truncation, prompt + chosen and prompt + rejected together: shape [pairs]."""
    prompt, chosen, rejected = (
        np.array(scored[f"{part}_tokens"][:], dtype=np.int64) for part in ("prompt", "chosen", "rejected")
    )
    lengths: Rows = 2 * prompt + chosen + rejected
    return lengths
