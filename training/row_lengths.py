"""Choose the few lengths to which packed rows are filled, so that a compiled model sees few shapes."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from datasets import Dataset

from training.arrays import IntArray
from training.batches import data_order, packed_lengths, sequence_lengths
from training.spec import TrainingSpec

# Each is compiled once per process. With eight, 6 % of the tokens are fill for rows of 8 pairs of PRISM's
# lengths, 10 % for 4 and 15 % for single pairs.
LENGTHS = 8
ENOUGH = 0.03  # share of fill for which fewer lengths do
STEPS = 1000  # that are drawn to see how long rows are
MULTIPLE = 8  # tokens, which suits the tiles of matrix products


@dataclass(frozen=True)
class FilledRows:
    """To which lengths an arm's rows are filled, and what that costs.

    lengths: The lengths in tokens, ascending (`row_lengths`).
    fill: The share of fill among the tokens of the filled rows.
    """

    lengths: tuple[int, ...]
    fill: float

    @classmethod
    def of(cls, scored: Dataset, training: TrainingSpec, order: IntArray, micro_batch: int) -> Self:
        """Return the lengths for a scored table, and the fill of an arm with this order of its pairs."""
        lengths = row_lengths(scored, training, micro_batch)
        return cls(lengths, share_of_fill(tokens_of_rows(scored, order, micro_batch), lengths))

    def __str__(self) -> str:
        lengths = ", ".join(map(str, self.lengths))
        return f"rows of {lengths} tokens; {self.fill:.1%} of the tokens are fill"


def row_lengths(scored: Dataset, training: TrainingSpec, micro_batch: int) -> tuple[int, ...]:
    """Return the lengths for arms that train on a table: ascending, at most `LENGTHS`, and fewer if they do.

    They follow from the whole table, and not from the pairs of an arm, so that the arms of a study in one
    process compile once. A few rows may be longer than the longest.

    Args:
        scored: A table that `training.scoring.open_scored` opened.
        training: Its batch_size and group_by_length apply.
        micro_batch: Pairs of a row.
    """
    drawn = training.model_copy(update={"max_steps": STEPS})
    order = data_order(np.arange(len(scored)), sequence_lengths(scored), drawn, np.random.default_rng(0))
    tokens = tokens_of_rows(scored, order, micro_batch)
    choices = (few_lengths(tokens, most) for most in range(1, LENGTHS))
    enough = (lengths for lengths in choices if share_of_fill(tokens, lengths) <= ENOUGH)
    return next(enough, few_lengths(tokens, LENGTHS))


def tokens_of_rows(scored: Dataset, order: IntArray, micro_batch: int) -> IntArray:
    """Return the tokens of each row of `micro_batch` pairs, in the order in which they are trained on.

    Prompts that several pairs share are counted for each of them.
    """
    tokens: IntArray = packed_lengths(scored)[order].reshape(-1, micro_batch).sum(axis=1)
    return tokens


def few_lengths(tokens: IntArray, most: int) -> tuple[int, ...]:
    """Return at most `most` lengths, multiples of `MULTIPLE`, with the least fill for rows of these tokens.

    Found by dynamic programming over the lengths that occur: the last one is the longest row's.
    """
    values, counts = np.unique(-(-tokens // MULTIPLE) * MULTIPLE, return_counts=True)
    end = np.arange(len(values) + 1)
    rows, length = np.concatenate([[0], np.cumsum(counts)]), np.concatenate([[0], values])
    # cost[i, j]: the tokens of all rows of the values i to j - 1, filled to the last of them
    cost = np.where(end > end[:, None], (rows - rows[:, None]) * length, np.inf)
    best, cuts = np.where(end == 0, 0.0, np.inf), []
    for _ in range(min(most, len(values))):
        total = best[:, None] + cost
        cuts.append(total.argmin(axis=0))
        best = total.min(axis=0)
    ends = [len(values)]
    for cut in reversed(cuts):
        ends.append(int(cut[ends[-1]]))
    return tuple(int(values[end - 1]) for _, end in pairwise(reversed(ends)))


def share_of_fill(tokens: IntArray, lengths: tuple[int, ...]) -> float:
    """Return the share of fill among all tokens when rows are filled, those beyond the longest length not."""
    place = np.searchsorted(lengths, tokens)
    filled = np.append(lengths, 0)[place]
    return float(1 - tokens.sum() / np.maximum(filled, tokens).sum())
