"""Measure the coverage of shrunken intervals, and how much of the largest diff is chance.

    python -m bench.shrunken [--studies 1000]

Seven diffs per study have a common distribution, as the hierarchical model assumes. docs/statistics.md has
the table; tests/test_shrinkage.py checks the model with known standard errors.
"""

import argparse

import numpy as np
import pandas as pd

from stats.evidence.anova import estimate, mean_squares
from stats.evidence.family import Judged, judge_family
from stats.evidence.options import Options
from stats.evidence.simulate import SimulatedStudy, simulated_contrast
from stats.evidence.spread import moderated
from stats.page.markdown import plain, table
from stats.rule.labels import Prediction

SPLITS, SEEDS, SPREADS_PP = 7, (2, 3, 5, 10), (0.0, 1.0, 3.0)
USERS, PAIRS_PER_USER, SD_SEED = 60, 8.3, 0.03  # about 1,000 held-out pairs


def coverage(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return coverage and width of shrunken intervals, and by how much the largest diff is too large (pp)."""
    rows = []
    for seeds in SEEDS:
        for spread_pp in SPREADS_PP:
            results = [judged(seeds, spread_pp, rng) for _ in range(studies)]
            coverage_rate, shrunken_width, raw_width, raw_excess, shrunken_excess = np.mean(results, axis=0)
            rows.append(
                {
                    "seeds": seeds,
                    "true spread, pp": spread_pp,
                    "coverage": coverage_rate,
                    "width": shrunken_width,
                    "raw width": raw_width,
                    "largest: too large by": shrunken_excess,
                    "raw: too large by": raw_excess,
                }
            )
    return pd.DataFrame(rows)


def judged(seeds: int, spread_pp: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Return one study's coverage, mean widths (shrunken, raw) and excess of the largest (raw, shrunken)."""
    truths = spread_pp * rng.standard_normal(SPLITS)
    squares = [
        mean_squares(
            simulated_contrast(
                SimulatedStudy(
                    seeds,
                    USERS,
                    PAIRS_PER_USER,
                    accuracy_a=0.7 + diff / 200,
                    accuracy_b=0.7 - diff / 200,
                    sd_seed=SD_SEED,
                ),
                rng,
            )
        )
        for diff in truths
    ]
    spreads = moderated([of.spread for of in squares if of.spread])
    family: list[Judged] = [
        ({}, Prediction.A_ABOVE_B, estimate(of, spread)) for of, spread in zip(squares, spreads, strict=True)
    ]
    result = judge_family(family, Options(), SPLITS)
    covered = (result["low_shrunken"] <= truths) & (truths <= result["high_shrunken"])
    largest = int(result["estimate"].argmax())
    return (
        float(covered.mean()),
        float((result["high_shrunken"] - result["low_shrunken"]).mean()),
        float((result["high"] - result["low"]).mean()),
        float(result["estimate"].iloc[largest] - truths[largest]),
        float(result["shrunken"].iloc[largest] - truths[largest]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies per setting")
    args = parser.parse_args()
    result = coverage(args.studies, np.random.default_rng(0))
    print(table(result.map(lambda cell: plain(cell, 3) if isinstance(cell, float) else cell)))


if __name__ == "__main__":
    main()
