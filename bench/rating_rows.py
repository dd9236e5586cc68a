"""Measure time and memory for reading and pairing a million rated answers from a Parquet file.

    python -m bench.rating_rows [--rows 1000000]

The answers are made up: `ANSWERS` per item, `ITEMS_PER_USER` items per person, about 580 characters each. It
prints a Markdown row, and exits with 1 if reading takes more than `LIMIT_S` seconds of processor time or more
than `LIMIT_BYTES` of memory.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.prism_size import peak_bytes
from stats.page.markdown import table
from training.data.sources import load_corpus
from training.table_data import Columns, TableData

ANSWERS, ITEMS_PER_USER, CHUNK_ITEMS = 4, 20, 10_000
SENTENCE = "An answer that is as long as answers of chat models are, word for word. "
LIMIT_S, LIMIT_BYTES = 60.0, 4e9
COLUMNS = Columns(user="who", item="item", prompt="prompt", response="answer", score="rating")


def write(file: Path, rows: int) -> None:
    """Write made-up ratings, a chunk at a time; every answer differs."""
    rng, writer = np.random.default_rng(0), None
    for first in range(0, rows // ANSWERS, CHUNK_ITEMS):
        items = np.arange(first, min(first + CHUNK_ITEMS, rows // ANSWERS)).repeat(ANSWERS)
        chunk = pa.table(
            {
                "who": items // ITEMS_PER_USER,
                "item": [f"i{item}" for item in items],
                "prompt": [f"Question {item}?" for item in items],
                "answer": [f"{number} {SENTENCE * 8}" for number in first * ANSWERS + np.arange(len(items))],
                "rating": rng.integers(1, 101, len(items)),
            }
        )
        writer = writer or pq.ParquetWriter(file, chunk.schema)
        writer.write_table(chunk)
    if writer:
        writer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="number of rated answers")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "ratings.parquet"
        write(file, args.rows)
        start = time.process_time()
        corpus = load_corpus(TableData(source="table", path=str(file), columns=COLUMNS))
        seconds, held = time.process_time() - start, peak_bytes()
    row = {"rows": args.rows, "pairs": len(corpus.pairs), "s": seconds, "peak GB": held / 1e9}
    print(table(pd.DataFrame([row]).round(2)))
    return 1 if seconds > LIMIT_S or held > LIMIT_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
