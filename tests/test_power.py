"""Power: against statsmodels, against simulation, and the published design."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.power import TTestPower

from stats.compare import compare_published
from stats.evidence.anova import estimate, mean_squares
from stats.evidence.estimate import BOTH, Estimate, Part
from stats.evidence.held_out_power import (
    design_variance,
    detectable,
    held_out_power,
    needed,
    smallest_by_design,
)
from stats.evidence.options import Options
from stats.evidence.power import DesignVariance, power, smallest_effect
from stats.evidence.seed_power import seeds_needed, smallest_by_comparison, smallest_by_seeds
from stats.evidence.simulate import SimulatedStudy, simulated_contrast
from stats.rule.published import restore

REFERENCE = Path(__file__).parent.parent / "configs" / "reference"


@pytest.mark.parametrize(("effect", "seeds", "alpha"), [(0.5, 10, 0.05), (1.2, 4, 0.05), (2.0, 3, 0.01)])
def test_power_is_that_of_the_noncentral_t(effect: float, seeds: int, alpha: float) -> None:
    expected = TTestPower().power(effect, seeds, alpha)  # effect in standard deviations of one seed
    assert float(power(effect, DesignVariance(1 / seeds, seeds - 1), alpha)) == pytest.approx(
        expected, abs=1e-3
    )


def test_smallest_effect_has_the_power_it_claims() -> None:
    for df in (1.0, 4.0, 50.0):
        for design in (DesignVariance(2.5, df), DesignVariance(0.5, df, 2.0, 60.0)):
            effect = smallest_effect(design, 0.05)
            assert float(power(effect, design, 0.05)) == pytest.approx(0.8, abs=1e-6)


def test_power_with_two_parts_is_what_simulated_intervals_have() -> None:
    """Seeds with two degrees of freedom and users with many: as `Estimate` judges them."""
    rng, effect, studies = np.random.default_rng(0), 6.0, 4000
    of_seeds, of_users, df, user_df = 1.0, 2.0, 2, 80
    values = effect + rng.normal(0, np.sqrt(of_seeds + of_users), studies)
    parts = of_seeds * rng.chisquare(df, studies) / df, of_users * rng.chisquare(user_df, studies) / user_df
    rejected = [
        abs(value) > Estimate(value, (Part(seeds, df), Part(users, user_df)), BOTH).half(0.025)
        for value, seeds, users in zip(values, *parts, strict=True)
    ]
    predicted = float(power(effect, DesignVariance(of_seeds, df, of_users, user_df), 0.05))
    assert np.mean(rejected) == pytest.approx(predicted, abs=0.03)


def test_more_pairs_never_make_the_smallest_diff_larger() -> None:
    table = variances(SimulatedStudy(2, 60, 6), np.random.default_rng(2), 60)
    for _, line in smallest_by_design(table, 0.05, (2, 3, 5), splits=7).groupby("seeds"):
        assert line.sort_values("pairs")["smallest_pp"].is_monotonic_decreasing


def variances(truth: SimulatedStudy, rng: np.random.Generator, studies: int) -> pd.DataFrame:
    parts = [mean_squares(simulated_contrast(truth, rng)) for _ in range(studies)]
    # Averages before truncation at zero: means of unbiased estimates.
    seed = np.mean([p.over_seeds - sum(g.residual / g.users for g in p.groups) for p in parts])
    user = np.mean([sum(g.between - g.residual / p.seeds for g in p.groups) for p in parts])
    row = {
        "study": "s",
        "method": "dpo",
        "split": "S",
        "quantity": "A minus B",
        "n_seeds": truth.seeds,
        "users": 2 * truth.users,
        "pairs": 2 * truth.users * truth.pairs_per_user,
        "seed_variance": max(0.0, float(seed)),
        "user_variance": float(user),
        "residual_variance": float(np.mean([p.residual_variance for p in parts])),
    }
    return pd.DataFrame([row])


def test_predicted_power_is_what_simulated_studies_have() -> None:
    null = SimulatedStudy(seeds=5, users=60, pairs_per_user=6, accuracy_a=0.7, accuracy_b=0.7)
    rng = np.random.default_rng(0)
    table = variances(null, rng, 200)
    diff = float(detectable(table, 0.05, splits=1)["smallest_pp"].iloc[0])
    truth = SimulatedStudy(5, 60, 6, accuracy_a=0.7 + diff / 200, accuracy_b=0.7 - diff / 200)
    result = [estimate(mean_squares(simulated_contrast(truth, rng))).p for _ in range(400)]
    assert np.mean([p is not None and p < 0.05 for p in result]) == pytest.approx(0.8, abs=0.06)


def test_needed_is_the_first_design_that_is_enough() -> None:
    table = variances(SimulatedStudy(5, 150, 6, sd_seed=0.1), np.random.default_rng(1), 30)
    row = table.iloc[0]
    expected = needed(table, (9.0, 0.01), 0.05, splits=1).set_index("diff_pp")
    seeds = int(expected.loc[9.0, "seeds"])
    enough = [
        float(power(9.0, design_variance(row, count, 150, splits=1), 0.05)) >= 0.8
        for count in (seeds - 1, seeds)
    ]
    assert enough == [False, True]
    assert np.isinf(expected.loc[0.01, "seeds"])
    designs = smallest_by_design(table, 0.05, (3, 10), splits=1)
    assert (designs.groupby("pairs")["smallest_pp"].apply(lambda part: part.is_monotonic_decreasing)).all()


def test_the_published_design_could_not_have_seen_its_own_diffs() -> None:
    """STATS.md: pooled seed sd 3.54 pp, about what 128 pairs alone produce (3.47 at its accuracy)."""
    diffs = restore(pd.read_csv(REFERENCE / "v5b_diffs.csv"))
    result = smallest_by_comparison(diffs, "dpo", 128, 0.915, 0.05)
    assert result["sd_pp"].round(1).unique().tolist() == [3.5]
    one = result[result["design"].str.startswith("one seed") & result["spread"].str.startswith("observed")]
    assert one["smallest_pp"].iloc[0] > diffs["diff_pp"].abs().max()
    table = smallest_by_seeds(float(result["sd_pp"].iloc[0]), 0.05, splits=7).set_index("seeds")
    assert table.loc[18, "smallest_pp"] <= 2.5 < table.loc[17, "smallest_pp"]
    assert table.loc[29, "smallest_adjusted_pp"] <= 2.5 < table.loc[28, "smallest_adjusted_pp"]


def test_the_design_that_published_diffs_need_has_the_power_it_claims() -> None:
    """Sampling noise of the needed pairs, with the spread of the seeds, gives 80 % power after adjustment."""
    diffs = restore(pd.read_csv(REFERENCE / "v5b_diffs.csv"))
    result = seeds_needed(diffs, "dpo", 128, 0.915, (0.5, 2.5, 9.0), 0.05, splits=7).set_index("diff_pp")
    assert result.loc[2.5, ["seeds", "seeds_adjusted"]].tolist() == [18, 29]
    assert np.isinf(result.loc[0.5, "pairs"])  # the spread of the seeds remains, however many pairs there are
    pooled = float(smallest_by_comparison(diffs, "dpo", 128, 0.915, 0.05)["sd_pp"].iloc[0]) ** 2
    seed_variance = pooled - 2 * 100**2 * 0.915 * 0.085 / 128
    for column, factor in (("pairs", 1 / 5), ("pairs_one_seed", 1 + 1 / 5)):
        pairs = result.loc[9.0, column]
        variance = (seed_variance + 2 * 100**2 * 0.915 * 0.085 / pairs) * factor
        assert float(power(9.0, DesignVariance(variance, 4.0), 0.05 / 7)) == pytest.approx(0.8, abs=0.01)
    assert result.loc[2.5, "pairs"] > 128  # five seeds with 128 pairs do not see 2.5 pp


def test_seeds_and_outcomes_that_never_differ_tell_nothing_of_power() -> None:
    cells = [("s", "dpo", "S1", seed) for seed in (1, 2, 3)]
    diffs = pd.DataFrame(cells, columns=["study", "method", "split", "seed"])
    predictions = pd.DataFrame({"study": ["s"], "split": ["S1"], "predicted": ["A > B"]})
    alike, apart = (
        compare_published(diffs.assign(diff_pp=values), predictions, "dpo").tail_power
        for values in ([0.0, 0.0, 0.0], [0.0, 6.25, 3.125])
    )
    assert alike.designs.empty
    assert alike.by_seeds.empty
    assert (apart.designs["smallest_pp"] > 0).all()

    known = variances(SimulatedStudy(2, 60, 6), np.random.default_rng(2), 60)
    unknown = known.assign(split="S2", seed_variance=0.0, user_variance=0.0, residual_variance=0.0)
    both = held_out_power(pd.concat([known, unknown]), 2, Options())
    assert set(both.detectable["split"]) == set(known["split"])
    assert held_out_power(unknown, 1, Options()).detectable.empty
