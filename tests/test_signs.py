"""The e-value of signs: a known answer, and its error when a study stops as soon as it likes what it sees."""

from math import comb

import numpy as np
import pytest

from stats.evidence.signs import sign_e_value


@pytest.mark.parametrize(("up", "down"), [(0, 0), (1, 0), (5, 0), (4, 3), (12, 1)])
def test_it_is_the_average_bet_over_all_biases(up: int, down: int) -> None:
    values = [2.5] * up + [-0.1] * down + [0.0]
    bias = (np.arange(200_000) + 0.5) / 200_000
    average = 2 ** (up + down) * np.mean(bias**up * (1 - bias) ** down)
    assert sign_e_value(values) == pytest.approx(average, rel=1e-6)
    assert sign_e_value(values) == pytest.approx(2 ** (up + down) / ((up + down + 1) * comb(up + down, up)))


def test_it_seldom_reaches_twenty_although_rare_seeds_diverge_on_one_side() -> None:
    """Seeds of median zero, one in ten of which is far below; the study stops at the first e >= 20."""
    rng, studies = np.random.default_rng(11), 4000
    seeds = rng.normal(0, 1, (studies, 20))
    seeds -= 30 * ((rng.random((studies, 20)) < 0.1) & (seeds < 0))  # moves no seed across zero
    reached = [any(sign_e_value(row[:n]) >= 20 for n in range(2, 21)) for row in seeds]
    assert np.mean(reached) < 0.05
    assert sign_e_value(np.ones(8)) >= 20 > sign_e_value(np.ones(7))
