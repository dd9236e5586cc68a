"""The few lengths to which rows are filled."""

from itertools import combinations

import numpy as np
import pytest
from conftest import MAX_LENGTH

from training.row_lengths import LENGTHS, MULTIPLE, few_lengths, row_lengths, share_of_fill, tokens_of_rows
from training.spec import TrainingSpec


@pytest.mark.parametrize("most", [1, 2, 3, 9])
@pytest.mark.parametrize("seed", range(5))
def test_no_other_lengths_need_less_fill(most, seed):
    tokens = np.random.default_rng(seed).integers(1, 80, 30)
    values = sorted({-(-n // MULTIPLE) * MULTIPLE for n in tokens.tolist()})
    count = min(most, len(values))
    shares = [share_of_fill(tokens, (*inner, values[-1])) for inner in combinations(values[:-1], count - 1)]
    lengths = few_lengths(tokens, most)
    assert len(lengths) == count
    assert list(lengths) == sorted(set(lengths))
    assert share_of_fill(tokens, lengths) == pytest.approx(min(shares))


@pytest.mark.parametrize(("micro_batch", "most_fill"), [(8, 0.07), (4, 0.11), (1, 0.16)])
def test_rows_of_prisms_lengths_cost_little_fill(micro_batch, most_fill):
    """A prompt of 70 characters and two answers of 565 on average, log-normal, and 4 characters a token."""
    rng = np.random.default_rng(0)
    means = np.log([70, 565, 565]) - 0.32
    rows = (rng.lognormal(means, 0.8, size=(4000, micro_batch, 3)).sum(axis=(1, 2)) / 4).astype(int)
    assert share_of_fill(rows, few_lengths(rows[:1000], LENGTHS)) < most_fill


def test_longer_rows_stay_as_they_are():
    assert share_of_fill(np.array([10, 50]), (16,)) == pytest.approx(6 / 66)


def test_the_arms_of_a_table_share_their_lengths(scored):
    training = TrainingSpec(max_steps=4, batch_size=4, max_length=MAX_LENGTH)
    lengths = row_lengths(scored, training, 2)
    assert lengths == row_lengths(scored, training.model_copy(update={"max_steps": 9}), 2)
    assert len(lengths) == LENGTHS
    alike = training.model_copy(update={"batch_size": 64})  # all pairs of the table in each row
    assert len(row_lengths(scored, alike, 64)) == 1
    rows = tokens_of_rows(scored, np.arange(64), 2)
    first = scored[:2]
    assert rows[0] == sum(sum(first[f"{part}_tokens"]) for part in ("prompt", "chosen", "rejected"))
    assert share_of_fill(rows, lengths) < 0.1
