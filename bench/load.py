"""How much a driver carries: 10,000 planned cells against the record, 2,000 fake cells through Ray Tune.

python -m bench.load [--cells 10000] [--fake-cells 2000]
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import psutil
from sqlalchemy import create_engine, text

from orchestrator.plan.plan import Plan
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.result import TrialResult
from orchestrator.run.job import Job, Listener
from orchestrator.study import grid
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training.model import ModelFiles

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 10.0
METHODS, SPLITS = 4, 24


def study(cells: int) -> Study:
    """A study of at least so many cells."""
    seeds = -(-cells // (METHODS * (SPLITS + 1)))
    return Study.model_validate(
        {
            "study": "load",
            "splits": {f"S{n}": {"by": "random", "seed": n, "predicted": "A = B"} for n in range(SPLITS)},
            "methods": {"dpo": {}, **{f"m{n}": {"beta": 0.1 + n} for n in range(1, METHODS)}},
            "seeds": list(range(seeds)),
            "resources": {"cpus_per_worker": 0.9, "lanes": 2},
        }
    )


def result(trial: Trial) -> TrialResult:
    """As many numbers as a real cell has: a curve of 60 points of 4 metrics an arm, 20 final metrics."""
    steps = np.arange(60)
    curve = pd.concat(
        pd.DataFrame({"arm": arm, "step": steps, "metric": metric, "value": steps / 60})
        for arm in trial.arms
        for metric in ("loss", "margin", "accuracy", "train_loss")
    )
    outcomes = pd.DataFrame({"arm": "A", "pair_id": [f"p{n}" for n in range(400)], "margin": 0.1})
    metrics = {f"{arm}/metric{n}": 0.5 for arm in trial.arms for n in range(10)}
    return TrialResult(trial.trial_id, metrics, curve, outcomes, {"geometry": "fake", "hardware": "fake"})


def fill(ledger: Ledger, trials: list[Trial]) -> None:
    """A record that holds these trials as finished: one is written as it should be, the others copied from it
    by the database, since writing them all would take an hour."""
    run_id = ledger.start(trials[0], {f"version.{n}": "1.0" for n in range(15)})
    ledger.finish(run_id, result(trials[0]), {"attempts": "1"})
    engine = create_engine(ledger.uri)
    names = [{"new": uuid4().hex, "trial_id": trial.trial_id} for trial in trials[1:]]
    with engine.begin() as connection:
        frames = {
            name: pd.read_sql(
                text(f"SELECT * FROM {name} WHERE run_uuid = :run"), connection, params={"run": run_id}
            )
            for name in ("runs", "tags", "params", "latest_metrics")
        }
        for name, rows in frames.items():
            for start in range(0, len(names), 500):
                part = names[start : start + 500]
                copies = [
                    row
                    | {"run_uuid": new["new"]}
                    | ({"value": new["trial_id"]} if row.get("key") == "trial_id" else {})
                    for new in part
                    for row in rows.replace({np.nan: None}).to_dict("records")
                ]
                columns = ", ".join(rows.columns)
                values = ", ".join(f":{column}" for column in rows.columns)
                connection.execute(text(f"INSERT INTO {name} ({columns}) VALUES ({values})"), copies)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def record(cells: int, uri: str, home: Path) -> dict[str, Any]:
    """Seconds to plan a study, to look up a record that holds all but one of its cells, and to decide what is
    left."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    wanted = study(cells)
    planning, trials = timed(lambda: grid.expand(wanted))
    places = Places("load", home)
    ledger = Ledger(places)
    fill(ledger, trials[:-1])
    lookup, _ = timed(ledger.status)
    deciding, plan = timed(lambda: Plan.of(wanted, trials, places).open)
    assert [trial.trial_id for trial in plan] == [trials[-1].trial_id]
    return {"cells": len(trials), "planning_s": planning, "lookup_s": lookup, "resume_s": deciding}


def fake_trainer(job: Job, report: Listener) -> TrialResult:
    return result(job.trial)


@contextmanager
def memory(every_s: float) -> Iterator[list[tuple[float, float]]]:
    """(seconds, resident MB) of this process while the block runs."""
    seen: list[tuple[float, float]] = []
    ended = threading.Event()
    process, start = psutil.Process(), time.monotonic()

    def look() -> None:
        while not ended.wait(every_s):
            seen.append((time.monotonic() - start, process.memory_info().rss / 2**20))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def sweep(cells: int, home: Path) -> dict[str, Any]:
    """Fake cells through real Ray Tune, lanes and MLflow: cells a second, and the driver's memory."""
    from ray import cloudpickle

    from orchestrator.plan.agenda import Listed
    from orchestrator.plan.display import Event, Lines
    from orchestrator.run import schedule
    from orchestrator.run.cluster import cluster

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    wanted = study(cells)
    places, trials = Places("load", home), grid.expand(wanted)[:cells]
    ledger = Ledger(places)
    shape = wanted.shape_of("dpo")
    jobs = [
        Job(trial, ModelFiles("m"), home, home, f"{places.work}/{trial.trial_id}", home / "log", 8, {}, shape)
        for trial in trials
    ]
    done: list[float] = []

    class Done(Lines):
        def tell(self, event: Event) -> None:
            if event.status == "finished":
                done.append(time.monotonic())

    with cluster(), memory(every_s=2) as seen:
        schedule.run(
            wanted, places, Listed(trials, {}), lambda *_: jobs, trials, ledger, {}, Done(), fake_trainer
        )
    times, rss = np.array(seen).T
    rate = (len(done) - 1) / (done[-1] - done[0])

    def slope(after: float) -> float:
        """MB that 1,000 cells add once this share of the time is over."""
        late = times > times[-1] * after
        return float(np.polyfit(times[late], rss[late], 1)[0]) / rate * 1000

    # The first fifth fills pools; MLflow keeps the artifact stores of the newest 1,024 runs, and 2,000 cells
    # have filled them at 60 %.
    return {
        "cells": len(done), "cells_per_s": rate, "mb_per_1000_cells": slope(0.2),
        "mb_per_1000_cells_late": slope(0.6), "mb_first": rss[0], "mb_last": rss[-1],
    }  # fmt: skip


def main() -> None:
    flags = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    flags.add_argument("--cells", type=int, default=10_000)
    flags.add_argument("--fake-cells", type=int, default=2_000)
    args = flags.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    from services import Postgres

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        if args.cells:
            found["SQLite"] = record(args.cells, f"sqlite:///{home / 'load.db'}", home)
            print(json.dumps(found, indent=1), flush=True)
            with Postgres() as postgres:
                found["PostgreSQL"] = record(args.cells, postgres.uri, home)
            print(json.dumps(found, indent=1), flush=True)
        if args.fake_cells:
            found["sweep"] = sweep(args.fake_cells, home)
    print(json.dumps(found, indent=1))
    slow = [
        f"{store}: {name} took {seconds:.1f} s"
        for store in ("SQLite", "PostgreSQL")
        for name, seconds in found.get(store, {}).items()
        if name.endswith("_s") and seconds > LIMIT_S
    ]
    sys.exit("; ".join(slow) or 0)


if __name__ == "__main__":
    main()
