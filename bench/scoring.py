"""Time the scoring of all pairs of a twin of PRISM's size on a local cluster, and a second call.

    python -m bench.scoring [--users 1500] [--model tiny]

It prints a Markdown row: pairs, cores, seconds of the scoring pass alone, pairs/s, and seconds of the second
call, which finds the scores in the cache.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import ray

from orchestrator.plan.tables import load_tables
from orchestrator.record.places import Places
from orchestrator.run.cluster import cluster
from orchestrator.run.jobs import score
from orchestrator.study.files import CONFIGS, load
from stats.page.markdown import table
from training.model_path import resolve_model
from training.shards import Shard, score_shard


def on_tasks(shards: Sequence[Shard]) -> None:
    """Score each shard in a Ray task, as many at once as there are cores."""
    ray.get([ray.remote(score_shard).remote(shard) for shard in shards])


def main() -> None:
    """Score twice and print the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1500, help="number of people in the twin")
    parser.add_argument("--model", default="tiny", help="model.path of the study")
    parser.add_argument("--max-length", type=int, default=256, help="tokens per sequence")
    args = parser.parse_args()
    overrides = [
        f"data.users={args.users}", f"model.path={args.model}", f"training.max_length={args.max_length}",
    ]  # fmt: skip
    study = load(CONFIGS / "demo.yaml", overrides)
    with tempfile.TemporaryDirectory() as root, cluster():
        places = Places(study.study, Path(root))
        data = load_tables(study)
        resolve_model(study.model, study.data, places.cache)  # building the tiny model does not count
        seconds = []
        for _ in ("cold", "warm"):
            start = time.monotonic()
            score(study, data, places, on_tasks)
            seconds.append(time.monotonic() - start)
        cold, warm = seconds
        pairs = len(data.corpus.pairs)
        cores = ray.cluster_resources()["CPU"]
    row = {"pairs": pairs, "cores": cores, "cold s": cold, "pairs/s": pairs / cold, "warm s": warm}
    print(table(pd.DataFrame([row]).round(2)))


if __name__ == "__main__":
    main()
