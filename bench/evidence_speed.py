"""Measure speed and memory of the evidence on 100 cells x 18,000 pairs x 2 arms, beside a plain pandas loop.

    python -m bench.evidence_speed               3.6 million rows
    python -m bench.evidence_speed --splits 28   10 million rows

Cells are first written as the ledger holds them, one parquet file per cell. Then they are read and summed one
at a time, and judged.
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
from stats.evidence.held_out import held_out_evidence
from stats.evidence.options import Options
from stats.evidence.sums import OUTCOME_COLUMNS, user_sums

SPEED_METHODS, SEEDS_PER_SPLIT = ("dpo", "wpo"), 5
HELD_OUT_USERS, HELD_OUT_PAIRS = 1393, 18_000
VECTORISED_DRAWS, LOOPED_DRAWS = 2000, 3


def cells(splits: int, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Yield the outcomes of cells, one at a time: both arms on all held-out pairs of both groups."""
    user = np.sort(rng.integers(0, HELD_OUT_USERS, HELD_OUT_PAIRS))
    names = np.array([f"user{number}" for number in range(HELD_OUT_USERS)])[user]
    pairs = np.array([f"{number:016x}" for number in range(HELD_OUT_PAIRS)])
    effects = rng.normal(0, 0.4, HELD_OUT_USERS)[user] + rng.normal(0, 0.8, HELD_OUT_PAIRS) + 0.5
    for split in range(splits):
        group = np.where(rng.random(HELD_OUT_USERS) < 0.5, "A", "B")[user]
        for method in SPEED_METHODS:
            for seed in range(SEEDS_PER_SPLIT):
                frames = []
                for arm in "AB":
                    margin = effects + rng.normal(0, 0.6, HELD_OUT_PAIRS)
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


def looped_bootstrap(rows: pd.DataFrame, draws: int, rng: np.random.Generator) -> list[float]:
    """Draw the pigeonhole bootstrap in a plain loop, which merges weights onto the rows for every draw."""
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
        seed_weights = pd.DataFrame({"seed": seeds, "v": seed_counts[draw]})
        means = {}
        for group, users in members.items():
            user_weights = pd.DataFrame({"user_id": users, "w": user_counts[group][draw]})
            part = own[own["eval_group"] == group].merge(seed_weights, on="seed")
            part = part.merge(user_weights, on="user_id")
            weight = part["v"] * part["w"]
            means[group] = (part["correct"] * weight).sum() / weight.sum()
        values.append(100 * float(means["A"] - means["B"]))
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--splits", type=int, default=10, help="number of splits; each has 10 cells of 36,000 rows"
    )
    splits = parser.parse_args().splits
    with tempfile.TemporaryDirectory() as scratch:
        paths = []
        for number, cell in enumerate(cells(splits, np.random.default_rng(0))):
            paths.append(Path(scratch) / f"{number:04d}.parquet")
            cell.to_parquet(paths[-1], index=False)
        started = time.perf_counter()
        table = pd.concat(
            [user_sums(pd.read_parquet(path, columns=OUTCOME_COLUMNS)) for path in paths], ignore_index=True
        )
        summed = time.perf_counter() - started
        kept = [pd.read_parquet(path) for path in paths[:SEEDS_PER_SPLIT]]
    started = time.perf_counter()
    predictions = {f"S{split}": "A > B" for split in range(splits)}
    evidence = held_out_evidence(table, predictions, "dpo", Options(draws=VECTORISED_DRAWS))
    judged = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{len(paths)} cells, {2 * HELD_OUT_PAIRS * len(paths):,} rows, {len(evidence.intervals)} intervals",
        end="; ",
    )
    print(f"{VECTORISED_DRAWS} draws per bootstrap")
    print(f"read and summed by user {summed:.1f} s, evidence {judged:.1f} s, peak {peak:.2f} GB")

    rows = pd.concat(kept, ignore_index=True)
    started = time.perf_counter()
    looped = looped_bootstrap(rows, LOOPED_DRAWS, np.random.default_rng(1))
    looped_s = (time.perf_counter() - started) / LOOPED_DRAWS
    same_weights = vectorised_bootstrap(rows, LOOPED_DRAWS)
    started = time.perf_counter()
    contrast = crossed_table(user_sums(rows))
    vectorised = pigeonhole([(1.0, contrast)], VECTORISED_DRAWS, np.random.default_rng(1))
    vectorised_s = (time.perf_counter() - started) / VECTORISED_DRAWS
    assert np.allclose(looped, same_weights), "the loop and the matrix product differ"
    assert abs(vectorised.mean() - contrast.value) < 0.2
    print(f"one draw: loop {1e3 * looped_s:.1f} ms, vectorised {1e3 * vectorised_s:.3f} ms", end=", ")
    print(f"{looped_s / vectorised_s:.0f} times faster, same answer")


def vectorised_bootstrap(rows: pd.DataFrame, draws: int) -> np.ndarray:
    """Draw the vectorised bootstrap with the loop's weights, which must give the loop's values."""
    return pigeonhole([(1.0, crossed_table(user_sums(rows)))], draws, np.random.default_rng(1))


if __name__ == "__main__":
    main()
