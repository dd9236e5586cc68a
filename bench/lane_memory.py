"""Measure whether a warm lane's memory grows while its workers train real cells of two steps per arm.

    python -m bench.lane_memory [--seeds 25]

This runs the demo study, with more seeds (200 cells), less data and fewer steps, as a separate process, and
measures Ray's workers from outside. It prints one row per worker, with the slope of its resident memory over
the cells that it trained after its first five.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from mlflow.tracking import MlflowClient

from stats.page.markdown import table

WARM_UP_CELLS = 5  # cells of a lane during which pools and caches fill
LANE_COUNT = 2


def watch(process: subprocess.Popen[str]) -> pd.DataFrame:
    """Measure the resident memory of the lanes' workers twice per second, until the process ends.

    Returns:
        Columns time (seconds since 1970), pid, mb.
    """
    rows = []
    while process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if "RayTrainWorker" in " ".join(child.cmdline()):
                    rows.append((time.time(), child.pid, child.memory_info().rss / 2**20))
            except psutil.Error:  # the process has ended
                continue
        time.sleep(0.5)
    return pd.DataFrame(rows, columns=["time", "pid", "mb"])


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--seeds", type=int, default=25, help="seeds of the study, 8 cells each")
    args = flags.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        short = ["training.max_steps=2", "curve_window=[0,2]", "data.users=60"]
        lanes = f"resources.lanes={LANE_COUNT}"
        seeds = f"seeds={list(range(args.seeds))}".replace(" ", "")
        command = [sys.executable, "-m", "orchestrator.sweep", *short, lanes, seeds]
        with (home / "output").open("w") as output:
            process = subprocess.Popen(
                command,
                env=os.environ | {"ORCHESTRATOR_HOME": str(home)},
                text=True,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            samples = watch(process)
        if process.returncode:
            sys.exit((home / "output").read_text()[-3000:])
        client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("demo")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], "tags.kind = 'cell'", max_results=5000)
        ends = np.sort([run.info.end_time / 1000 for run in runs])
    rows = []
    for pid, worker in samples.groupby("pid"):
        cells = np.searchsorted(ends, worker["time"]) / LANE_COUNT  # of this lane alone
        late = cells > WARM_UP_CELLS
        if np.unique(cells[late]).size < 10:
            continue  # a worker that trained little or nothing
        slope = np.polyfit(cells[late], worker["mb"][late], 1)[0]
        first, last = worker["mb"][late].iloc[[0, -1]]
        rows.append(
            {
                "worker": pid,
                "cells": f"{cells[-1]:.0f}",
                f"MB after {WARM_UP_CELLS}": f"{first:.0f}",
                "MB at the end": f"{last:.0f}",
                "MB per cell": f"{slope:.3f}",
            }
        )
    seconds_per_cell = (ends[-1] - ends[0]) / (len(ends) - 1)
    print(f"{len(runs)} cells on {LANE_COUNT} lanes, {seconds_per_cell:.2f} s per cell\n")
    print(table(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
