"""Decide which pairs each optimiser step trains on."""

import numpy as np
from datasets import Dataset

from training.arrays import IntArray
from training.spec import TrainingSpec

WINDOW_BATCHES = 50  # with `group_by_length`, pairs are sorted by length within this many batches


def data_order(
    rows: IntArray, lengths: IntArray, training: TrainingSpec, rng: np.random.Generator
) -> IntArray:
    """Return the row numbers in the order in which they are trained on: shape [max_steps * batch_size].

    The order is one permutation of `rows` after another, so that every batch is full and the order does not
    depend on workers or micro-batches. With `group_by_length`, pairs are sorted by length within windows of
    50 batches, and the batches of a window are shuffled.

    Args:
        rows: Row numbers of the pairs to train on.
        lengths: Tokens of every pair of the table, as `sequence_lengths` returns them: shape [pairs].
        training: Its max_steps, batch_size and group_by_length apply.
        rng: The generator of the permutations.
    """
    total = training.max_steps * training.batch_size
    epochs = -(-total // len(rows))
    order = np.concatenate([rng.permutation(rows) for _ in range(epochs)])[:total]
    if not training.group_by_length:
        return order
    window_pairs = WINDOW_BATCHES * training.batch_size
    grouped = []
    for start in range(0, total, window_pairs):
        window = order[start : start + window_pairs]
        by_length = window[np.argsort(lengths[window], kind="stable")]
        batches = by_length.reshape(-1, training.batch_size)
        grouped.append(rng.permutation(batches, axis=0).ravel())
    return np.concatenate(grouped)


def sequence_lengths(scored: Dataset) -> IntArray:
    """Return the tokens of each pair's two sequences together, after truncation: shape [pairs]."""
    prompt, chosen, rejected = (
        np.array(scored[f"{part}_tokens"][:], dtype=np.int64) for part in ("prompt", "chosen", "rejected")
    )
    lengths: IntArray = 2 * prompt + chosen + rejected
    return lengths


def packed_lengths(scored: Dataset) -> IntArray:
    """Return the tokens of each pair in a packed row, its prompt once, after truncation: shape [pairs]."""
    lengths: IntArray = sequence_lengths(scored) - np.array(scored["prompt_tokens"][:], dtype=np.int64)
    return lengths
