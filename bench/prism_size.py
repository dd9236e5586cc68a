"""Measure time and memory for reading and pairing tables of PRISM's size, beside a plain pandas pass.

    python -m bench.prism_size [--folder FOLDER] [--json]

This reads FOLDER's survey.jsonl and utterances.jsonl, or those of a twin with as many users as PRISM has, and
prints a Markdown row. It exits with 1 if the fastest of `PASSES` passes takes more than `LIMIT_S` seconds of
processor time.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from stats.page.markdown import table
from training.data import twin
from training.data.sources import load_corpus
from training.spec import TwinData
from training.table_data import TableData

USERS, LIMIT_S, PASSES = 1500, 5.0, 3


def count_plain_pairs(folder: Path) -> int:
    """Count pairs as an analyst would: without validation, ids or conversations."""
    survey, utterances = (
        pd.read_json(folder / f"{name}.jsonl", orient="records", lines=True)
        for name in ("survey", "utterances")
    )
    nested = ["stated_prefs", "location"]
    flat = [pd.json_normalize(survey[name].tolist()) for name in nested]
    users = pd.concat([survey.drop(columns=nested), *flat], axis=1)
    utterances["model_response"] = utterances["model_response"].str.strip()
    later = utterances[(utterances["turn"] >= 1) & (utterances["model_response"] != "EMPTY STRING")]
    shared_columns = ["user_id", "conversation_id", "interaction_id", "turn", "user_prompt", "model_name"]
    both = later.merge(later, on=shared_columns)
    both = both[(both["utterance_id_x"] < both["utterance_id_y"]) & (both["score_x"] != both["score_y"])]
    pairs = both[both["model_response_x"] != both["model_response_y"]].merge(users, on="user_id")
    return len(pairs)


def measure(folder: Path) -> dict[str, float]:
    """Time both passes in turn, so that other work on the machine affects both.

    The fastest pass of each counts, because noise only adds time.

    Returns:
        pairs and plain pairs (counts), bytes (peak resident memory), seconds and plain (processor seconds).
    """

    def count_pairs() -> int:
        return len(load_corpus(TableData(source="prism", path=str(folder))).pairs)

    spent: dict[str, list[float]] = {"seconds": [], "plain": []}
    measured: dict[str, float] = {"pairs": count_pairs()}
    measured["bytes"] = peak_bytes()
    measured["plain pairs"] = count_plain_pairs(folder)
    for _ in range(PASSES):
        spent["seconds"].append(_timed(count_pairs))
        spent["plain"].append(_timed(lambda: count_plain_pairs(folder)))
    return measured | {name: min(seconds) for name, seconds in spent.items()}


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far."""
    # getrusage's maximum would start at the resident memory of the process that forked this one.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return int(peak[1]) * 1024


def _timed(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="folder of tables in PRISM's schema; default: a twin's")
    parser.add_argument("--json", action="store_true", help="print only the numbers, and set no limit")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder
        if folder is None:
            folder = Path(scratch)
            twin.write(TwinData(users=USERS), folder)
            twin.tables.cache_clear()
        measured = measure(folder)
    if args.json:
        print(json.dumps(measured))
        return 0
    row = {
        "pairs": int(measured["pairs"]),
        "s": measured["seconds"],
        "plain pandas s": measured["plain"],
        "times plain": measured["seconds"] / measured["plain"],
        "peak GB": measured["bytes"] / 1e9,
    }
    print(table(pd.DataFrame([row]).round(2)))
    if measured["seconds"] > LIMIT_S:
        print(f"more than {LIMIT_S:.0f} s of processor time")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
