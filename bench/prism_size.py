"""Processor seconds to read and pair tables of PRISM's size, a plain pandas pass beside them, and memory.

    python -m bench.prism_size [--folder FOLDER] [--json]

Reads FOLDER's survey.jsonl and utterances.jsonl, or those of a twin with as many users as PRISM has, and
prints a Markdown row. Ends with 1 where the fastest of PASSES takes more than LIMIT_S of processor time.
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
from training.data import sources, twin
from training.spec import PrismData, TwinData

USERS, LIMIT_S, PASSES = 1500, 5.0, 3


def plain(folder: Path) -> int:
    """What an analyst would write: nothing is validated, and a pair has neither an id nor a conversation."""
    survey, told = (
        pd.read_json(folder / f"{name}.jsonl", orient="records", lines=True)
        for name in ("survey", "utterances")
    )
    nested = ["stated_prefs", "location"]
    flat = [pd.json_normalize(survey[name].tolist()) for name in nested]
    users = pd.concat([survey.drop(columns=nested), *flat], axis=1)
    told["model_response"] = told["model_response"].str.strip()
    later = told[(told["turn"] >= 1) & (told["model_response"] != "EMPTY STRING")]
    same = ["user_id", "conversation_id", "interaction_id", "turn", "user_prompt", "model_name"]
    both = later.merge(later, on=same)
    both = both[(both["utterance_id_x"] < both["utterance_id_y"]) & (both["score_x"] != both["score_y"])]
    pairs = both[both["model_response_x"] != both["model_response_y"]].merge(users, on="user_id")
    return len(pairs)


def measure(folder: Path) -> dict[str, float]:
    """The passes take turns, so that what else the machine does meets both. Of each the fastest is told,
    since noise only adds."""

    def ours() -> int:
        return len(sources.load(PrismData(path=str(folder))).pairs)

    spent: dict[str, list[float]] = {"seconds": [], "plain": []}
    told: dict[str, float] = {"pairs": ours()}
    # Not getrusage's maximum, which starts at what the process that forked has resident.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    told["bytes"] = int(peak[1]) * 1024
    told["plain pairs"] = plain(folder)
    for _ in range(PASSES):
        spent["seconds"].append(_timed(ours))
        spent["plain"].append(_timed(lambda: plain(folder)))
    return told | {name: min(seconds) for name, seconds in spent.items()}


def _timed(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="tables of PRISM's schema, else a twin's")
    parser.add_argument("--json", action="store_true", help="only the numbers, and no limit on them")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = args.folder
        if folder is None:
            folder = Path(made)
            twin.write(TwinData(users=USERS), folder)
            twin.tables.cache_clear()
        told = measure(folder)
    if args.json:
        print(json.dumps(told))
        return 0
    row = {
        "pairs": int(told["pairs"]),
        "s": told["seconds"],
        "plain pandas s": told["plain"],
        "times plain": told["seconds"] / told["plain"],
        "peak GB": told["bytes"] / 1e9,
    }
    print(table(pd.DataFrame([row]).round(2)))
    if told["seconds"] > LIMIT_S:
        print(f"more than {LIMIT_S:.0f} s of processor time")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
