"""Show which of a sweep's processes take how much processor time, before its first cell begins and after.

    python -m bench.processes [--config configs/demo.yaml] [KEY=VALUE ...]

The sweep runs once, in a folder of its own, and its processes are looked at from outside, four times per
second. It prints a row per kind of process, and how long each part of the sweep took.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from bench.throughput import cell_runs
from orchestrator.study.files import CONFIGS, load
from stats.page.markdown import table
from training.model_path import resolve_model

EVERY_S = 0.25
KINDS = {
    "orchestrator.sweep": "the driver",
    "RayTrainWorker": "the lanes' workers",
    "TrainController": "their controllers",
    "SynchronizationActor": "what else Ray Train starts",
    "Desk": "the desk",
    "CellTrainable": "Ray Tune's trials",
}
OTHERS = "Ray itself"
PARTS = ("before the first cell", "until the last one's end", "until the report", "after it")


def kind_of(command: str) -> str:
    """Return the kind of a process, by its command line."""
    return next((kind for word, kind in KINDS.items() if word in command), OTHERS)


def watch(process: subprocess.Popen[bytes]) -> pd.DataFrame:
    """Read the processor time of a process and all its descendants until it ends.

    Returns:
        Columns id (of a process), kind, time (seconds since 1970), cpu (seconds so far).
    """
    rows, kinds = [], defaultdict(lambda: OTHERS)
    sweep = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            family = [sweep, *sweep.children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        for member in family:
            try:
                spent, command = member.cpu_times(), " ".join(member.cmdline())
            except psutil.Error:  # it has ended
                continue
            if (kind := kind_of(command)) != OTHERS:
                kinds[member] = kind  # Ray names a process anew as it ends
            rows.append((member, time.time(), spent.user + spent.system))
        time.sleep(EVERY_S)
    found = [(hash(member), kinds[member], when, cpu) for member, when, cpu in rows]
    return pd.DataFrame(found, columns=["id", "kind", "time", "cpu"])


def by_part(samples: pd.DataFrame, first: float, last: float, report: float) -> pd.DataFrame:
    """Return the processor time of each kind of process in each part of a sweep, and how many there were.

    Args:
        samples: What `watch` returns.
        first: When the first cell began.
        last: When the last cell ended.
        report: When the report was written.
    """
    ends = np.array([first, last, report, np.inf])

    def spent(own: pd.DataFrame) -> pd.Series:
        until = [own.loc[own["time"] <= end, "cpu"].max() for end in ends]
        return pd.Series(np.diff(np.nan_to_num(until), prepend=0.0), index=PARTS)

    each = samples.groupby(["kind", "id"])[["time", "cpu"]].apply(spent).reset_index()
    whole = each.groupby("kind")[list(PARTS)].sum()
    whole.insert(0, "processes", each.groupby("kind").size())
    return whole.sort_values(PARTS[0], ascending=False)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--config", type=Path, default=CONFIGS / "demo.yaml", help="study file")
    flags.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes to the study file")
    args = flags.parse_args()
    study = load(args.config, args.overrides)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        model = resolve_model(study.model, study.data, home / "cache").path  # as for `bench.throughput`
        command = [sys.executable, "-m", "orchestrator.sweep", "--config", str(args.config), *args.overrides]
        start = time.time()
        with (home / "output").open("w") as output:
            process = subprocess.Popen(
                [*command, "--model", model],
                env=os.environ | {"ORCHESTRATOR_HOME": str(home)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            samples = watch(process)
        end = time.time()
        if process.returncode:
            sys.exit((home / "output").read_text()[-3000:])
        runs = cell_runs(study, home)
        report = (home / "runs" / study.study / "report").stat().st_ctime  # when it got its name
    first = min(run.info.start_time for run in runs) / 1000
    last = max(run.info.end_time for run in runs) / 1000
    rows = by_part(samples, first, last, report)
    print(f"{study.study}: {len(runs)} cells, {os.cpu_count()} cores; processor time in seconds\n")
    print(table(rows.round(1).reset_index()))
    seconds = np.diff([start, first, last, report, end])
    print(f"\ntime: {', '.join(f'{part:.1f} s ({part / (end - start):.1%})' for part in seconds)}")


if __name__ == "__main__":
    main()
