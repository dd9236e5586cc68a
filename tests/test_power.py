"""Power: against statsmodels, against simulation, and the published design."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestPower

from stats.anova import estimate, squares
from stats.power import (
    by_seeds,
    design_variance,
    detectable,
    needed,
    power,
    power_curves,
    seed_power,
    smallest_effect,
)
from stats.simulate import Truth, study


@pytest.mark.parametrize(("effect", "seeds", "alpha"), [(0.5, 10, 0.05), (1.2, 4, 0.05), (2.0, 3, 0.01)])
def test_is_the_noncentral_t(effect: float, seeds: int, alpha: float) -> None:
    wanted = TTestPower().power(effect, seeds, alpha)  # effect in standard deviations of one seed
    assert float(power(effect, 1 / seeds, seeds - 1.0, alpha)) == pytest.approx(wanted, abs=1e-3)


def test_smallest_effect_has_the_power_it_claims() -> None:
    for df in (1.0, 4.0, 50.0):
        effect = smallest_effect(2.5, df, 0.05)
        assert float(power(effect, 2.5, df, 0.05)) == pytest.approx(0.8, abs=1e-6)


def variances(truth: Truth, rng: np.random.Generator, studies: int) -> pd.DataFrame:
    parts = [squares(study(truth, rng)) for _ in range(studies)]
    # Averages before truncation at zero: means of unbiased estimates.
    seed = np.mean([p.over_seeds - sum(g.residual / g.users for g in p.groups) for p in parts])
    user = np.mean([sum(g.between - g.residual / p.seeds for g in p.groups) for p in parts])
    row = {
        "study": "s",
        "method": "dpo",
        "split": "S",
        "n_seeds": truth.seeds,
        "users": 2 * truth.users,
        "pairs": 2 * truth.users * truth.pairs_per_user,
        "seed_variance": max(0.0, float(seed)),
        "user_variance": float(user),
        "residual_variance": float(np.mean([p.residual_variance for p in parts])),
    }
    return pd.DataFrame([row])


def test_predicted_power_is_what_simulated_studies_have() -> None:
    null = Truth(seeds=5, users=60, pairs_per_user=6, accuracy_a=0.7, accuracy_b=0.7)
    rng = np.random.default_rng(0)
    table = variances(null, rng, 200)
    diff = float(detectable(table, 0.05, 1)["smallest_pp"].iloc[0])
    truth = Truth(5, 60, 6, accuracy_a=0.7 + diff / 200, accuracy_b=0.7 - diff / 200)
    found = [estimate(study(truth, rng)).p for _ in range(400)]
    assert np.mean([p is not None and p < 0.05 for p in found]) == pytest.approx(0.8, abs=0.06)


def test_needed_is_the_first_design_that_is_enough() -> None:
    table = variances(Truth(5, 150, 6, sd_seed=0.1), np.random.default_rng(1), 30)
    row = table.iloc[0]
    wanted = needed(table, (9.0, 0.01), 0.05).set_index("diff_pp")
    seeds = int(wanted.loc[9.0, "seeds"])
    enough = [
        float(power(9.0, *design_variance(row, count, 150), 0.05)) >= 0.8 for count in (seeds - 1, seeds)
    ]
    assert enough == [False, True]
    assert np.isinf(wanted.loc[0.01, "seeds"])
    grid = power_curves(table, 0.05, (3, 10))
    assert (grid.groupby("pairs")["smallest_pp"].apply(lambda part: part.is_monotonic_decreasing)).all()


def test_the_published_design_could_not_have_seen_its_own_diffs() -> None:
    """STATS.md: pooled seed sd 3.54 pp, about what 128 pairs alone make (3.47 at its accuracy)."""
    from pathlib import Path

    from stats.published import restore

    diffs = restore(pd.read_csv(Path(__file__).parent.parent / "configs" / "reference" / "v5b_diffs.csv"))
    found = seed_power(diffs, "dpo", 128, 0.915, 0.05)
    assert found["sd_pp"].round(1).unique().tolist() == [3.5]
    one = found[found["design"].str.startswith("one seed") & found["spread"].str.startswith("observed")]
    assert one["smallest_pp"].iloc[0] > diffs["diff_pp"].abs().max()
    table = by_seeds(float(found["sd_pp"].iloc[0]), 0.05, splits=7).set_index("seeds")
    assert table.loc[18, "smallest_pp"] <= 2.5 < table.loc[17, "smallest_pp"]
    assert table.loc[29, "smallest_adjusted_pp"] <= 2.5 < table.loc[28, "smallest_adjusted_pp"]
