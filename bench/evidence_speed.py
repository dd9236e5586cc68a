"""Speed and memory of the evidence: 100 cells x 18,000 pairs x 2 arms, and a plain pandas loop beside it.

    python -m bench.evidence_speed               3.6 million rows
    python -m bench.evidence_speed --splits 28   10 million rows

Cells are written first, as the ledger holds them: a parquet file each. Then they are read and summed one at a
time, and judged.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from stats.evidence.bootstrap import pigeonhole
from stats.evidence.crossed import crossed_table
from stats.evidence.evidence import evidence
from stats.evidence.options import Options
from stats.evidence.sums import COLUMNS, user_sums

METHODS, SEEDS = ("dpo", "wpo"), 5
USERS, PAIRS = 1393, 18_000
DRAWS, LOOPED = 2000, 3


def cells(splits: int, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """The outcomes of cells, one at a time: both arms on all held-out pairs of both groups."""
    user = np.sort(rng.integers(0, USERS, PAIRS))
    names = np.array([f"user{number}" for number in range(USERS)])[user]
    pairs = np.array([f"{number:016x}" for number in range(PAIRS)])
    effects = rng.normal(0, 0.4, USERS)[user] + rng.normal(0, 0.8, PAIRS) + 0.5
    for split in range(splits):
        group = np.where(rng.random(USERS) < 0.5, "A", "B")[user]
        for method in METHODS:
            for seed in range(SEEDS):
                frames = []
                for arm in "AB":
                    margin = effects + rng.normal(0, 0.6, PAIRS)
                    frames.append(
                        pd.DataFrame(
                            {
                                "study": "bench",
                                "method": method,
                                "split": f"S{split}",
                                "seed": seed,
                                "arm": arm,
                                "eval_group": group,
                                "user_id": names,
                                "pair_id": pairs,
                                "source_model": "model",
                                "score_gap": 10.0,
                                "margin": margin,
                                "correct": margin > 0,
                            }
                        )
                    )
                yield pd.concat(frames, ignore_index=True)


def loop(rows: pd.DataFrame, draws: int, rng: np.random.Generator) -> list[float]:
    """The pigeonhole bootstrap as one would write it first: weights merged onto the rows, draw by draw."""
    own = rows[rows["arm"] == rows["eval_group"]]
    seeds = np.sort(own["seed"].unique())
    members = {group: np.sort(part["user_id"].unique()) for group, part in own.groupby("eval_group")}
    seed_counts = rng.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), draws)
    user_counts = {
        group: rng.multinomial(len(users), np.full(len(users), 1 / len(users)), draws)
        for group, users in members.items()
    }
    values = []
    for draw in range(draws):
        of_seed = pd.DataFrame({"seed": seeds, "v": seed_counts[draw]})
        means = {}
        for group, users in members.items():
            of_user = pd.DataFrame({"user_id": users, "w": user_counts[group][draw]})
            part = own[own["eval_group"] == group].merge(of_seed, on="seed").merge(of_user, on="user_id")
            weight = part["v"] * part["w"]
            means[group] = (part["correct"] * weight).sum() / weight.sum()
        values.append(100 * float(means["A"] - means["B"]))
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10, help="splits; each has 10 cells of 36,000 rows")
    splits = parser.parse_args().splits
    with tempfile.TemporaryDirectory() as place:
        paths = []
        for number, cell in enumerate(cells(splits, np.random.default_rng(0))):
            paths.append(Path(place) / f"{number:04d}.parquet")
            cell.to_parquet(paths[-1], index=False)
        begun = time.perf_counter()
        table = pd.concat(
            [user_sums(pd.read_parquet(path, columns=COLUMNS)) for path in paths], ignore_index=True
        )
        summed = time.perf_counter() - begun
        kept = [pd.read_parquet(path) for path in paths[:SEEDS]]
    begun = time.perf_counter()
    predictions = {f"S{split}": "A > B" for split in range(splits)}
    found = evidence(table, predictions, "dpo", Options(draws=DRAWS))
    judged = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(paths)} cells, {2 * PAIRS * len(paths):,} rows, {len(found.intervals)} intervals", end="; ")
    print(f"{DRAWS} draws each bootstrap")
    print(f"read and summed by user {summed:.1f} s, evidence {judged:.1f} s, peak {peak:.2f} GB")

    rows = pd.concat(kept, ignore_index=True)
    begun = time.perf_counter()
    slow = loop(rows, LOOPED, np.random.default_rng(1))
    a_draw_slow = (time.perf_counter() - begun) / LOOPED
    same = loop_weights(rows, LOOPED)
    begun = time.perf_counter()
    contrast = crossed_table(user_sums(rows))
    fast = pigeonhole([(1.0, contrast)], DRAWS, np.random.default_rng(1))
    a_draw_fast = (time.perf_counter() - begun) / DRAWS
    assert np.allclose(slow, same), "the loop and the matrix product differ"
    assert abs(fast.mean() - contrast.value) < 0.2
    print(f"a draw: loop {1e3 * a_draw_slow:.1f} ms, vectorised {1e3 * a_draw_fast:.3f} ms", end=", ")
    print(f"{a_draw_slow / a_draw_fast:.0f} times faster, same answer")


def loop_weights(rows: pd.DataFrame, draws: int) -> np.ndarray:
    """The vectorised bootstrap with the loop's own number of draws: the same weights, so the same values."""
    return pigeonhole([(1.0, crossed_table(user_sums(rows)))], draws, np.random.default_rng(1))


if __name__ == "__main__":
    main()
