"""Measure speed and memory of the evidence on 100 cells x 18,000 pairs x 2 arms.

    python -m bench.evidence_speed               3.6 million rows
    python -m bench.evidence_speed --splits 28   10 million rows
    python -m bench.evidence_speed --items 6000  3.6 million rows, each item rated by three users
    python -m bench.evidence_speed --one-table   the same rows as one table, judged by `stats.judge`

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

import stats
from stats.evidence.held_out import held_out_evidence
from stats.evidence.options import Options
from stats.evidence.sums import CELL_OUTCOMES, user_sums
from stats.names import CELL

SPEED_METHODS, SEEDS_PER_SPLIT = ("dpo", "wpo"), 5
HELD_OUT_USERS, HELD_OUT_PAIRS = 1393, 18_000


def cells(splits: int, items: int, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
    """Yield the outcomes of cells, one at a time: both arms on all held-out pairs of both groups.

    The pairs are of `items` items.
    """
    user = np.sort(rng.integers(0, HELD_OUT_USERS, HELD_OUT_PAIRS))
    names = np.array([f"user{number}" for number in range(HELD_OUT_USERS)])[user]
    pairs = np.array([f"{number:016x}" for number in range(HELD_OUT_PAIRS)])
    item_of_pair = pairs[rng.permutation(HELD_OUT_PAIRS) % items]
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
                                "item": item_of_pair,
                                "pair_id": pairs,
                                "source_model": "model",
                                "score_gap": 10.0,
                                "margin": margin,
                                "correct": margin > 0,
                            }
                        )
                    )
                yield pd.concat(frames, ignore_index=True)


def _judge_one_table(outcomes: pd.DataFrame) -> None:
    before, started = _peak_gib(), time.process_time()
    splits = outcomes["split"].unique()
    predictions = pd.DataFrame({"study": "bench", "split": splits, "predicted": "A > B"})
    table = stats.judge(outcomes, predictions, "dpo")
    print(f"{len(outcomes):,} rows in one table, judged in {len(table)} rows")
    print(
        f"{time.process_time() - started:.1f} s of processor time, peak {_peak_gib():.2f} GiB, "
        f"{before:.2f} before"
    )


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--splits", type=int, default=10, help="number of splits; each has 10 cells of 36,000 rows"
    )
    parser.add_argument("--items", type=int, default=HELD_OUT_PAIRS, help="number of items of the pairs")
    parser.add_argument("--one-table", action="store_true", help="judge one table with `stats.judge`")
    args = parser.parse_args()
    splits = args.splits
    if args.one_table:
        _judge_one_table(pd.concat(cells(splits, args.items, np.random.default_rng(0)), ignore_index=True))
        return
    with tempfile.TemporaryDirectory() as scratch:
        paths = []
        for number, cell in enumerate(cells(splits, args.items, np.random.default_rng(0))):
            paths.append(Path(scratch) / f"{number:04d}.parquet")
            cell.to_parquet(paths[-1], index=False)
        started = time.perf_counter()
        table = pd.concat(
            [user_sums(pd.read_parquet(path, columns=[*CELL, *CELL_OUTCOMES])) for path in paths],
            ignore_index=True,
        )
        summed = time.perf_counter() - started
    started = time.perf_counter()
    predictions = {f"S{split}": "A > B" for split in range(splits)}
    families = {("bench", method): splits for method in SPEED_METHODS}
    evidence = held_out_evidence(table, predictions, "dpo", Options(), families)
    judged = time.perf_counter() - started
    print(
        f"{len(paths)} cells, {2 * HELD_OUT_PAIRS * len(paths):,} rows, {len(evidence.intervals)} intervals"
    )
    print(f"read and summed by user {summed:.1f} s, evidence {judged:.1f} s, peak {_peak_gib():.2f} GiB")


if __name__ == "__main__":
    main()
