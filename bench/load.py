"""Measure how many cells a driver can handle: 10,000 planned in the record, 2,000 fake through Ray Tune.

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
from stats.status import CellStatus
from training.model import ModelFiles

TESTS = Path(__file__).resolve().parent.parent / "tests"
SLOWEST_S = 10.0  # a longer plan or look-up fails this bench
METHOD_COUNT, SPLIT_COUNT = 4, 24


def study_of_size(cells: int) -> Study:
    """Return a study of at least `cells` cells."""
    seeds = -(-cells // (METHOD_COUNT * (SPLIT_COUNT + 1)))
    return Study.model_validate(
        {
            "study": "load",
            "splits": {
                f"S{n}": {"by": "random", "seed": n, "predicted": "A = B"} for n in range(SPLIT_COUNT)
            },
            "methods": {"dpo": {}, **{f"m{n}": {"beta": 0.1 + n} for n in range(1, METHOD_COUNT)}},
            "seeds": list(range(seeds)),
            "resources": {"cpus_per_worker": 0.9, "lanes": 2},
        }
    )


def result_of(trial: Trial) -> TrialResult:
    """Return a fake result with as many numbers as a real one: per arm, 4 curves of 60 points, 10 metrics."""
    steps = np.arange(60)
    curve = pd.concat(
        pd.DataFrame({"arm": arm, "step": steps, "metric": metric, "value": steps / 60})
        for arm in trial.arms
        for metric in ("loss", "margin", "accuracy", "train_loss")
    )
    arms = [trial.arms[n % len(trial.arms)] for n in range(400)]
    outcomes = pd.DataFrame(
        {
            "arm": arms,
            "eval_group": arms,
            "user_id": [f"{arm}{n // 8}" for n, arm in enumerate(arms)],
            "pair_id": [f"{arm}p{n}" for n, arm in enumerate(arms)],
            "item": None,
            "margin": 0.1,
            "correct": True,
        }
    )
    metrics = {f"{arm}/metric{n}": 0.5 for arm in trial.arms for n in range(10)}
    return TrialResult(trial.trial_id, metrics, curve, outcomes, {"geometry": "fake", "hardware": "fake"})


def fill(ledger: Ledger, trials: list[Trial]) -> None:
    """Make the record hold these trials as finished.

    The first is written in the usual way, and the others are copied from it in the database, since writing
    them all would take an hour.
    """
    run_id = ledger.start(trials[0], {f"version.{n}": "1.0" for n in range(15)})
    ledger.finish(run_id, result_of(trials[0]), {"attempts": "1"})
    engine = create_engine(ledger.uri)
    copies = [(uuid4().hex, trial.trial_id) for trial in trials[1:]]
    with engine.begin() as connection:
        rows_by_table = {
            table: pd.read_sql(
                text(f"SELECT * FROM {table} WHERE run_uuid = :run"), connection, params={"run": run_id}
            )
            for table in ("runs", "tags", "params", "latest_metrics")
        }
        for table, rows in rows_by_table.items():
            columns = ", ".join(rows.columns)
            values = ", ".join(f":{column}" for column in rows.columns)
            insert = text(f"INSERT INTO {table} ({columns}) VALUES ({values})")
            for start in range(0, len(copies), 500):
                copied_rows = [
                    row
                    | {"run_uuid": copy_id}
                    | ({"value": trial_id} if row.get("key") == "trial_id" else {})
                    for copy_id, trial_id in copies[start : start + 500]
                    for row in rows.replace({np.nan: None}).to_dict("records")
                ]
                connection.execute(insert, copied_rows)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many seconds a call takes, and its result."""
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def record(cells: int, uri: str, home: Path) -> dict[str, Any]:
    """Time a study whose record holds all of its cells but one.

    Returns:
        The number of cells, and the seconds to plan the study, to look up its record, and to decide which
        cells to run.
    """
    os.environ["MLFLOW_TRACKING_URI"] = uri
    study = study_of_size(cells)
    planning, trials = timed(lambda: grid.expand(study))
    places = Places("load", home)
    ledger = Ledger(places)
    fill(ledger, trials[:-1])
    lookup, _ = timed(ledger.cells.statuses)
    deciding, open_cells = timed(lambda: Plan.from_record(study, places).open)
    assert [trial.trial_id for trial in open_cells] == [trials[-1].trial_id]
    return {"cells": len(trials), "planning_s": planning, "lookup_s": lookup, "resume_s": deciding}


def fake_trainer(job: Job, report: Listener) -> TrialResult:
    """Return a fake result at once, in place of a trained cell."""
    return result_of(job.trial)


@contextmanager
def memory(every_s: float) -> Iterator[list[tuple[float, float]]]:
    """Collect (seconds since the start, resident MB) of this process while the block runs."""
    samples: list[tuple[float, float]] = []
    ended = threading.Event()
    process, start = psutil.Process(), time.monotonic()

    def collect() -> None:
        while not ended.wait(every_s):
            samples.append((time.monotonic() - start, process.memory_info().rss / 2**20))

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def sweep(cells: int, home: Path) -> dict[str, Any]:
    """Run fake cells through real Ray Tune, lanes and MLflow.

    Returns:
        Cells per second, and the driver's memory at the start, at the end and per 1,000 cells, in MB.
    """
    from ray import cloudpickle

    from orchestrator.plan.agenda import Listed
    from orchestrator.plan.events import Event
    from orchestrator.plan.log_lines import LogLines
    from orchestrator.plan.tally import Tally
    from orchestrator.run import schedule
    from orchestrator.run.cluster import cluster
    from orchestrator.run.schedule import Prepared

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    study = study_of_size(cells)
    places, trials = Places("load", home), grid.expand(study)[:cells]
    ledger = Ledger(places)
    shape = study.shape_of("dpo")
    jobs = [
        Job(trial, ModelFiles("m"), home, home, f"{places.work}/{trial.trial_id}", home / "log", 8, {}, shape)
        for trial in trials
    ]
    finished_at: list[float] = []

    class FinishClock(LogLines):
        def tell(self, event: Event) -> None:
            if event.status == CellStatus.FINISHED:
                finished_at.append(time.monotonic())

    with cluster(), memory(every_s=2) as samples:
        agenda, watcher = Listed(trials, {}), FinishClock(Tally.of_untrained(trials))
        prepared = Prepared(agenda, trials, lambda *_: jobs, watcher)
        schedule.run(study, places, agenda, lambda: prepared, ledger, {}, fake_trainer)
    times, rss = np.array(samples).T
    rate = (len(finished_at) - 1) / (finished_at[-1] - finished_at[0])

    def slope(after: float) -> float:
        """Return the MB that 1,000 cells add once this share of the time is over."""
        late = times > times[-1] * after
        return float(np.polyfit(times[late], rss[late], 1)[0]) / rate * 1000

    # The first fifth of the time fills pools. MLflow keeps the artifact stores of the newest 1,024 runs,
    # which 2,000 cells have filled after 60 % of the time.
    return {
        "cells": len(finished_at), "cells_per_s": rate, "mb_per_1000_cells": slope(0.2),
        "mb_per_1000_cells_late": slope(0.6), "mb_first": rss[0], "mb_last": rss[-1],
    }  # fmt: skip


def main() -> None:
    flags = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    flags.add_argument("--cells", type=int, default=10_000, help="planned cells in the record; 0 for none")
    flags.add_argument(
        "--fake-cells", type=int, default=2_000, help="fake cells through Ray Tune; 0 for none"
    )
    args = flags.parse_args()
    sys.path.insert(0, str(TESTS))
    from services import Postgres

    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if args.cells:
            measured["SQLite"] = record(args.cells, f"sqlite:///{home / 'load.db'}", home)
            print(json.dumps(measured, indent=1), flush=True)
            with Postgres() as postgres:
                measured["PostgreSQL"] = record(args.cells, postgres.uri, home)
            print(json.dumps(measured, indent=1), flush=True)
        if args.fake_cells:
            measured["sweep"] = sweep(args.fake_cells, home)
    print(json.dumps(measured, indent=1))
    too_slow = [
        f"{store}: {name} took {seconds:.1f} s"
        for store in ("SQLite", "PostgreSQL")
        for name, seconds in measured.get(store, {}).items()
        if name.endswith("_s") and seconds > SLOWEST_S
    ]
    sys.exit("; ".join(too_slow) or 0)


if __name__ == "__main__":
    main()
