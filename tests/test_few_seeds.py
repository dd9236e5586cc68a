"""Few seeds: the simulations of bench/few_seeds.py with fewer studies.

The bench runs 2,000 studies per setting; docs/statistics.md has its tables.
"""

import numpy as np
import pandas as pd
import pytest

import bench.few_seeds as few_seeds
from bench.few_seeds import PairWorld, draw_family, judged
from stats.evidence.anova import mean_squares
from stats.evidence.crossed import difference

STUDIES = 300


@pytest.fixture(scope="module")
def hardest() -> pd.DataFrame:
    """Two and three seeds that make up nine tenths of the variance, with unequal spreads: where tests err."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few_seeds, "SHARES", (0.9,))
        patch.setattr(few_seeds, "SEEDS", (2, 3))
        return few_seeds.grid(STUDIES, np.random.default_rng(0))


def test_the_report_keeps_its_family_wise_error_where_satterthwaite_does_not(hardest: pd.DataFrame) -> None:
    error = np.sqrt(0.05 * 0.95 / STUDIES)
    assert (hardest["as reported: error"] <= 0.05 + 3 * error).all()
    assert (hardest["Satterthwaite: error"] > 0.08).all()
    assert hardest["as reported: coverage"].between(0.93, 0.99).all()


def test_steadied_spreads_make_intervals_much_narrower(hardest: pd.DataFrame) -> None:
    ratio = hardest["as reported: width"] / hardest["Banerjee alone: width"]
    assert (ratio < 0.85).all()
    assert (ratio[hardest["seeds"] == 2] < 0.4).all()


def test_changes_of_simulated_pairs_are_rarely_called_different() -> None:
    """Changes lose the users' variance to the pairing and keep the seeds', so they err most easily."""
    rng, wrong, studies = np.random.default_rng(1), 0, 60
    for _ in range(studies):
        world = PairWorld(seeds=2, users=20, sd_seed=0.15, spread_sd=0.3)
        squares = [mean_squares(difference(*sides)) for sides in draw_family(world, rng)]
        family = judged(squares)
        wrong += any(abs(split.value) > split.half(few_seeds.FAMILY_TAIL) for split in family)
    assert wrong / studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
