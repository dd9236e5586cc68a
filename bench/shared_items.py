"""Measure coverage where users rate the same few items: with items as a source of chance, and without.

    python -m bench.shared_items [--studies 1000]

The diff's truth is zero. An item and a seed decide together how an arm judges it, and every user who rated
the item shares that. Groups rate different items, or the same ones. docs/statistics.md has the table, and
tests/test_shared_items.py checks it with fewer studies.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stats.evidence.anova import estimate, mean_squares
from stats.evidence.crossed import CrossedTable, GroupOutcomes
from stats.evidence.shared_items import SharedItems
from stats.page.markdown import plain, table


@dataclass(frozen=True)
class ItemWorld:
    """Users who rate a few items each.

    users, items: numbers in each group. rated: items per user, on average. same_items: whether both groups
    rate the same items. sd_*: standard deviations on the latent scale; sd_seed_item is of what a seed makes
    of an item, sd_pair of what a user makes of it.
    """

    seeds: int
    users: int
    items: int
    sd_item: float
    rated: int = 4
    same_items: bool = False
    level: float = 0.5
    sd_seed: float = 0.1
    sd_seed_item: float = 0.5
    sd_user: float = 0.3
    sd_pair: float = 0.4


WORLDS = (
    ItemWorld(3, 60, 10, 0.6),
    ItemWorld(5, 60, 10, 0.6),
    ItemWorld(10, 60, 10, 0.6),
    ItemWorld(5, 60, 20, 0.6),
    ItemWorld(5, 60, 40, 0.6),
    ItemWorld(10, 200, 15, 1.0, rated=6),
    ItemWorld(10, 100, 200, 0.5, rated=8),
    ItemWorld(5, 60, 10, 0.2),
    ItemWorld(5, 60, 40, 0.0),
    ItemWorld(5, 60, 10, 0.6, same_items=True),
)


def contrast(world: ItemWorld, rng: np.random.Generator) -> CrossedTable:
    """Draw a diff whose truth is zero, in percentage points."""
    groups = []
    for number, sign in enumerate((100.0, -100.0)):
        counts = np.minimum(rng.integers(1, 2 * world.rated, world.users), world.items)
        item = np.concatenate([np.sort(rng.choice(world.items, count, replace=False)) for count in counts])
        if number == 0 or not world.same_items:
            of_items = rng.normal(0, world.sd_item, world.items)
        margins = (
            world.level
            + rng.normal(0, world.sd_seed, (world.seeds, 1))
            + (of_items + rng.normal(0, world.sd_seed_item, (world.seeds, world.items)))[:, item]
            + np.repeat(rng.normal(0, world.sd_user, world.users), counts)
            + rng.normal(0, world.sd_pair, len(item))
        )
        outcomes = sign * (margins > 0)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        names = (item + (0 if world.same_items else number * world.items)).astype(np.uint64)
        groups.append(
            GroupOutcomes(
                np.add.reduceat(outcomes, starts, axis=1),
                counts.astype(float),
                tuple(map(str, range(world.users))),
                np.arange(world.users, dtype=np.uint64),
                shared=SharedItems(names, np.ones(len(item)), outcomes),
            )
        )
    return CrossedTable(tuple(range(world.seeds)), tuple(groups))


def coverage(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return coverage and mean half width (pp) of 95 % intervals, with items and with users only."""
    rows = []
    for world in WORLDS:
        covered, halves = np.zeros(2), np.zeros(2)
        for _ in range(studies):
            with_items = contrast(world, rng)
            users_only = CrossedTable(
                with_items.seeds, tuple(replace(group, shared=None) for group in with_items.groups)
            )
            for place, of in enumerate((with_items, users_only)):
                result = estimate(mean_squares(of))
                half = result.half(0.025)
                covered[place] += abs(result.value) <= half
                halves[place] += half
        setting = {"seeds": world.seeds, "users": world.users, "items": world.items}
        items = {"items per user": world.rated, "sd of items": world.sd_item, "same items": world.same_items}
        numbers = {
            "coverage": covered[0] / studies,
            "half width": halves[0] / studies,
            "coverage, users only": covered[1] / studies,
            "half width, users only": halves[1] / studies,
        }
        rows.append({**setting, **items, **numbers})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies per setting")
    args = parser.parse_args()
    result = coverage(args.studies, np.random.default_rng(0))
    print(table(result.map(lambda cell: plain(cell, 3) if isinstance(cell, float) else cell)))


if __name__ == "__main__":
    main()
