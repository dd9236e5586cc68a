"""Shrunken effects: a published example, planted effects, and the limits."""

import numpy as np
import pytest

from stats.evidence.shrinkage import shrink

# Eight schools (Rubin 1981), and their posterior means in Gelman et al., Bayesian Data Analysis (3rd edition,
# table 5.3): medians of 11, 8, 7, 8, 5, 6, 10 and 8.
SCHOOLS = [28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18]
POSTERIOR = [11, 8, 7, 8, 5, 6, 10, 8]


def test_eight_schools_are_those_of_the_book() -> None:
    result = shrink(*SCHOOLS, level=0.95)
    assert result is not None
    assert result.value == pytest.approx(POSTERIOR, abs=1.1)
    assert (result.low[0], result.high[0]) == pytest.approx((-2, 31), abs=2.5)


def test_effects_that_chance_explains_collapse_and_others_stay() -> None:
    equal = shrink([1.0, 1.1, 0.9, 1.0], [2.0] * 4, 0.95)
    apart = shrink([-50.0, 0.0, 50.0, 100.0], [1.0] * 4, 0.95)
    assert equal is not None
    assert apart is not None
    assert np.ptp(equal.value) < 0.15
    assert apart.value == pytest.approx([-50, 0, 50, 100], abs=0.2)
    assert shrink([1.0, 2.0], [1.0, 1.0], 0.95) is None


@pytest.mark.parametrize("tau", [0.0, 1.0, 4.0])
def test_intervals_cover_planted_effects_and_the_largest_is_no_longer_too_large(tau: float) -> None:
    rng = np.random.default_rng(0)
    covered, raw, shrunken = [], [], []
    for _ in range(150):
        se = rng.uniform(1.0, 3.0, 7)
        effects = 0.5 + tau * rng.standard_normal(7)
        estimates = effects + se * rng.standard_normal(7)
        result = shrink(estimates, se, 0.95)
        assert result is not None
        covered += ((result.low <= effects) & (effects <= result.high)).tolist()
        best = int(np.argmax(estimates))
        raw.append(estimates[best] - effects[best])
        shrunken.append(result.value[best] - effects[best])
    assert 0.93 <= np.mean(covered) <= 1.0
    assert np.mean(raw) > 1.0
    assert abs(np.mean(shrunken)) < 0.5 * np.mean(raw)
