"""Measure what the intervals of a study with few seeds are worth: errors, coverage and width.

    python -m bench.few_seeds [--studies 2000] [--part grid]

`grid` draws what a study estimates: seven splits without an effect, whose seeds make up a given share of the
variance and whose spreads over seeds differ between splits by factors exp(N(0, sd)). `outcomes` draws pairs:
binary outcomes near 0.9, users with heavy tails and unequal numbers of pairs, splits that share their users
and their seeds, diffs and changes. The interval of the report is compared with Banerjee's, which steadies no
spread, and with Satterthwaite's. docs/statistics.md has the tables, and tests/test_few_seeds.py checks them
with fewer studies.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from stats.arrays import Floats
from stats.evidence.anova import MeanSquares, estimate, mean_squares
from stats.evidence.crossed import CrossedTable, GroupOutcomes, difference
from stats.evidence.estimate import BOTH, Estimate, Part
from stats.evidence.spread import Spread, moderated
from stats.page.markdown import plain, table

SPLITS, LEVEL = 7, 0.95
TAIL, FAMILY_TAIL = (1 - LEVEL) / 2, (1 - LEVEL) / 2 / SPLITS
SHARES, SPREAD_SDS, SEEDS = (0.1, 0.5, 0.9), (0.0, 0.3, 0.7), (2, 3, 5, 10)
USERS = 60  # in each of the two groups
Family = list[Estimate]


def as_reported(seeds: int, spreads: list[Spread], values: Floats, of_users: Floats, users: int) -> Family:
    """Return the estimates of a report: each split's spread is steadied by the others."""
    return unsteadied(seeds, moderated(spreads), values, of_users, users)


def unsteadied(seeds: int, spreads: list[Spread], values: Floats, of_users: Floats, users: int) -> Family:
    """Return Banerjee's intervals, for which every split is alone."""
    users_df = 2 * (users - 1)
    return [
        Estimate(float(value), (Part(spread.variance / seeds, spread.df), Part(float(part), users_df)), BOTH)
        for value, spread, part in zip(values, spreads, of_users, strict=True)
    ]


def satterthwaite(seeds: int, spreads: list[Spread], values: Floats, of_users: Floats, users: int) -> Family:
    """Return intervals with Satterthwaite's single number of degrees of freedom."""
    estimates = []
    for value, spread, part in zip(values, spreads, of_users, strict=True):
        of_seeds = spread.variance / seeds
        total = of_seeds + float(part)
        df = total**2 / (of_seeds**2 / spread.df + float(part) ** 2 / (2 * (users - 1)))
        estimates.append(Estimate(float(value), (Part(total, df),), BOTH))
    return estimates


INTERVALS: dict[str, Callable[[int, list[Spread], Floats, Floats, int], Family]] = {
    "as reported": as_reported,
    "Banerjee alone": unsteadied,
    "Satterthwaite": satterthwaite,
}


def grid(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return errors, coverage and width over shares of seeds, spreads that differ, and numbers of seeds.

    Returns:
        spreads differ by, seeds, share of seeds, and for each interval: family error (any of seven splits),
        coverage (of one split at 95 %) and width (adjusted, over that with known variances).
    """
    rows = []
    for spread_sd in SPREAD_SDS:
        for seeds in SEEDS:
            for share in SHARES:
                counts = {name: [0.0, 0.0, 0.0] for name in INTERVALS}
                for _ in range(studies):
                    of_seeds = share * np.exp(2 * spread_sd * rng.standard_normal(SPLITS))
                    values = rng.standard_normal(SPLITS) * np.sqrt(of_seeds + 1 - share)
                    drawn = seeds * of_seeds * rng.chisquare(seeds - 1, SPLITS) / (seeds - 1)
                    spreads = [Spread(float(variance), seeds - 1) for variance in drawn]
                    df = 2 * (USERS - 1)
                    of_users = (1 - share) * rng.chisquare(df, SPLITS) / df
                    known = -norm.ppf(FAMILY_TAIL) * np.sqrt(of_seeds + 1 - share)
                    for name, interval in INTERVALS.items():
                        family = interval(seeds, spreads, values, of_users, USERS)
                        halves = np.array([split.half(FAMILY_TAIL) for split in family])
                        alone = np.array([split.half(TAIL) for split in family])
                        counts[name][0] += bool((np.abs(values) > halves).any())
                        counts[name][1] += float((np.abs(values) <= alone).mean())
                        counts[name][2] += float((halves / known).mean())
                row: dict[str, object] = {"spreads sd": spread_sd, "seeds": seeds, "share": share}
                for name, totals in counts.items():
                    for column, total in zip(("error", "coverage", "width"), totals, strict=True):
                        row[f"{name}: {column}"] = total / studies
                rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class PairWorld:
    """Pairs without any effect: equal methods on seven splits that share users and seeds.

    accuracy: share of pairs that every arm gets right. users: in each group. sd_seed: latent spread of an arm
    over seeds, by a factor exp(N(0, spread_sd)) for each split.
    """

    seeds: int
    users: int
    sd_seed: float
    spread_sd: float
    accuracy: float = 0.9
    sd_user: float = 0.4
    sd_pair: float = 0.7
    sd_noise: float = 0.6


def draw_family(world: PairWorld, rng: np.random.Generator) -> Iterator[tuple[CrossedTable, CrossedTable]]:
    """Yield the diffs of a method and of its reference for each split, on the same users and pairs."""
    people = {group: rng.standard_t(3, world.users) / np.sqrt(3) * world.sd_user for group in "AB"}
    counts = {group: 1 + rng.geometric(0.2, world.users) for group in "AB"}
    total = np.sqrt(world.sd_user**2 + world.sd_pair**2 + world.sd_noise**2 + world.sd_seed**2)
    level = norm.ppf(world.accuracy) * total
    for _ in range(SPLITS):
        spread = world.sd_seed * np.exp(world.spread_sd * rng.standard_normal())
        sides: tuple[list[GroupOutcomes], list[GroupOutcomes]] = ([], [])
        for group, sign in (("A", 100.0), ("B", -100.0)):
            pairs = counts[group]
            starts = np.concatenate([[0], np.cumsum(pairs)[:-1]])
            effects = np.repeat(people[group], pairs) + rng.normal(0, world.sd_pair, pairs.sum())
            names, keys = tuple(map(str, range(world.users))), np.arange(world.users, dtype=np.uint64)
            for side in sides:
                of_seeds = rng.normal(0, spread, (world.seeds, 1))
                noise = rng.normal(0, world.sd_noise, (world.seeds, pairs.sum()))
                right = level + effects + of_seeds + noise > 0
                sums = sign * np.add.reduceat(right, starts, axis=1, dtype=float)
                side.append(GroupOutcomes(sums, pairs.astype(float), names, keys))
        method, reference = (CrossedTable(tuple(range(world.seeds)), tuple(side)) for side in sides)
        yield method, reference


def outcomes(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the family-wise error and the coverage of diffs and changes on simulated pairs.

    Returns:
        users, seeds, sd of seeds, spreads sd, and for diff and change: error (any of seven splits, adjusted)
        and coverage (one split at 95 %).
    """
    rows = []
    for users in (20, 60, 300):
        for sd_seed, spread_sd in ((0.05, 0.0), (0.15, 0.3), (0.15, 0.7)):
            for seeds in SEEDS:
                world = PairWorld(seeds, users, sd_seed, spread_sd)
                errors, covered = {"diff": 0, "change": 0}, {"diff": 0.0, "change": 0.0}
                for _ in range(studies):
                    drawn = list(draw_family(world, rng))
                    squares = {
                        "diff": [mean_squares(method) for method, _ in drawn],
                        "change": [mean_squares(difference(*sides)) for sides in drawn],
                    }
                    for name, family in squares.items():
                        estimates = judged(family)
                        errors[name] += any(abs(each.value) > each.half(FAMILY_TAIL) for each in estimates)
                        inside = [abs(each.value) <= each.half(TAIL) for each in estimates]
                        covered[name] += float(np.mean(inside))
                row: dict[str, object] = {"users": users, "seeds": seeds}
                row |= {"sd of seeds": sd_seed, "spreads sd": spread_sd}
                for name in squares:
                    row[f"{name}: error"] = errors[name] / studies
                    row[f"{name}: coverage"] = covered[name] / studies
                rows.append(row)
    return pd.DataFrame(rows)


def judged(family: list[MeanSquares]) -> Family:
    """Return the estimates of one method's splits as a report has them."""
    spreads = moderated([squares.spread for squares in family if squares.spread])
    return [estimate(squares, spread) for squares, spread in zip(family, spreads, strict=True)]


PARTS: dict[str, Callable[[int, np.random.Generator], pd.DataFrame]] = {
    "grid": grid,
    "outcomes": outcomes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies per setting")
    parser.add_argument("--part", choices=PARTS, action="append", help="a table to print; both by default")
    args = parser.parse_args()
    for name in args.part or PARTS:
        result = PARTS[name](args.studies, np.random.default_rng(0))
        rounded = result.map(lambda cell: plain(cell, 3) if isinstance(cell, float) else cell)
        print(f"\n### {name}\n\n{table(rounded)}", flush=True)


if __name__ == "__main__":
    main()
