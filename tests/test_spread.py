"""Spreads that the other splits of a method steady."""

import numpy as np
import pytest
from scipy.special import digamma, polygamma

from stats.evidence.spread import Spread, moderated, smyth_df


def chi_square_variances(rng: np.random.Generator, truths: np.ndarray, df: int) -> np.ndarray:
    return np.asarray(truths * rng.chisquare(df, len(truths)) / df)


@pytest.mark.parametrize("prior_df", [1.5, 4.0, 12.0])
def test_smyths_degrees_of_freedom_come_back(prior_df: float) -> None:
    """Drawn from the model itself: variances around truths that are scaled inverse chi-squares."""
    rng = np.random.default_rng(0)
    truths = prior_df / rng.chisquare(prior_df, 40_000)
    assert smyth_df(chi_square_variances(rng, truths, 4), np.full(40_000, 4.0)) == pytest.approx(
        prior_df, rel=0.1
    )


def test_smyths_estimate_is_his_equation_for_equal_degrees_of_freedom() -> None:
    variances, df = np.array([0.5, 1.0, 9.0, 2.0]), 3.0
    half = smyth_df(variances, np.full(4, df)) / 2
    e = np.log(variances) - digamma(df / 2) + np.log(df / 2)
    assert polygamma(1, half) == pytest.approx(((e - e.mean()) ** 2 * 4 / 3).mean() - polygamma(1, df / 2))


def test_spreads_that_do_not_differ_lend_no_more_than_the_limits() -> None:
    """Two seeds in each of seven splits: the others have six degrees of freedom, of which half count."""
    steady = moderated([Spread(variance, 1) for variance in (0.8, 1.2, 0.9, 1.1, 1.0, 1.0, 1.0)])
    assert [spread.df for spread in steady] == pytest.approx([4.0] * 7)
    assert steady[0].variance == pytest.approx((3 * 1.0 + 0.8) / 4)
    many = moderated([Spread(1.0 + number / 100, 1) for number in range(40)])
    assert many[0].df == pytest.approx(1 + 3)  # as from three further splits, however many there are


def test_a_split_alone_keeps_its_own_spread() -> None:
    assert moderated([Spread(2.0, 1)]) == [Spread(2.0, 1)]


def test_equal_diffs_by_chance_get_the_spread_of_the_others() -> None:
    steady = moderated([Spread(0.0, 1), *(Spread(1.0 + 0.1 * number, 1) for number in range(6))])
    assert steady[0].variance > 0
    assert moderated([Spread(0.0, 1), Spread(0.0, 2)]) == [Spread(0.0, 1), Spread(0.0, 2)]
