"""Play schedules of desk, lease, agenda and shelf, any number of them; a seed that breaks a rule is printed.

PYTHONPATH=.:tests python tests/schedules.py --count 1000000
PYTHONPATH=.:tests python tests/schedules.py desk --first 4711 --count 1
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import agenda_schedules
import desk_schedules
import lease_schedules
import shelf_schedules

EXPLORE: dict[str, Callable[[int], str]] = {
    "desk": desk_schedules.explore,
    "agenda": agenda_schedules.explore,
    "lease": lease_schedules.explore,
    "shelf": shelf_schedules.explore,
}
# Of 100 schedules. One of the lease takes as long as 30 of the agenda.
SHARES = {"desk": 30, "agenda": 65, "lease": 1, "shelf": 4}
PART = 1000


def explore_all(model: str, seeds: range) -> Counter[str]:
    """Play the schedules of all seeds of a model, and count them by kind."""
    return Counter(map(EXPLORE[model], seeds))


def explore_shares(seeds: range) -> Counter[str]:
    """Play the schedules of these seeds, each by one of the models, in turn and by their shares."""
    models = [model for model, share in SHARES.items() for _ in range(share)]
    return Counter(EXPLORE[models[seed % len(models)]](seed) for seed in seeds)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("model", nargs="?", choices=EXPLORE, help="one model (default: all, by their shares)")
    flags.add_argument("--first", type=int, default=0)
    flags.add_argument("--count", type=int, default=1_000_000)
    flags.add_argument("--processes", type=int, default=1)
    args = flags.parse_args()
    start, kinds = time.monotonic(), Counter[str]()
    last = args.first + args.count
    parts = [range(first, min(first + PART, last)) for first in range(args.first, last, PART)]
    explore = partial(explore_all, args.model) if args.model else explore_shares
    with ProcessPoolExecutor(args.processes) as pool:
        for part in pool.map(explore, parts):
            kinds += part
            print(f"{kinds.total()} schedules, {time.monotonic() - start:.0f} s: {dict(kinds)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
