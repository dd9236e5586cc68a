"""Time the sweep against the loop that it replaces and against a stock Ray Tune + Ray Train program.

    python -m bench.throughput [--rounds 3] [--config configs/demo.yaml] [KEY=VALUE ...] [--out DIR]

All variants have the same pairs, model, steps and held-out pairs, and as many processes at the same time as
the sweep has lanes. In the loop, each arm runs in its own process (`plain_run.py`). The sharper loop is what
its best user would write: both arms of a cell in one process, the reference's log-probabilities computed
beforehand, batches of like lengths. In the stock program (`stock_ray.py`), each cell is a Tune trial with its
own TorchTrainer. The study is swept as it is and, where it names another engine, with the default one
(`resources.deepspeed: auto`). The variants take turns. Of each sweep, the share of its time before its first
cell begins and after its last one ends is read from its record. The results are written to throughput.json
and throughput.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from orchestrator.plan.tables import load_tables
from orchestrator.study import grid
from orchestrator.study.files import CONFIGS, load
from orchestrator.study.study import Study
from stats.page.markdown import table
from training.model_path import resolve_model

BENCH_FOLDER = Path(__file__).parent
PROCESS_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
DEFAULT_ENGINE = "sweep, deepspeed: auto"
Cells = list[list[list[str]]]  # cells of arms; an arm is a list of arguments of plain_run.py


def cells_of(study: Study, folder: Path, model: str) -> Cells:
    """Return the cells of a study, and write the pairs of their arms to JSONL files in `folder`."""
    data = load_tables(study)
    text = data.corpus.pairs.set_index("pair_id")[["prompt", "chosen", "rejected"]]
    cells = []
    for trial in grid.expand(study):
        groups = data.groups[trial.split]
        heldout = folder / f"{trial.split}-heldout.jsonl"
        _write(text.loc[groups.loc[groups["fold"] == "heldout", "pair_id"]], heldout)
        arms = []
        for arm in trial.arms:
            rows = (groups["fold"] == "train") & (groups["group"] == arm)
            train = folder / f"{trial.split}-{arm}.jsonl"
            _write(text.loc[groups.loc[rows, "pair_id"]], train)
            out = folder / f"{trial.name.replace('/', '-')}-{arm}.json"
            training = trial.training
            options = {
                "--train": train, "--heldout": heldout, "--model": model, "--out": out,
                "--deepspeed": CONFIGS / "deepspeed" / "zero2.json", "--seed": trial.seed,
                "--steps": training.max_steps, "--batch-size": training.batch_size,
                "--max-length": training.max_length, "--learning-rate": training.learning_rate,
            }  # fmt: skip
            flags = ["--cpu", *(["--wpo"] if trial.objective.use_weighting else [])]
            arms.append([str(word) for option in options.items() for word in option] + flags)
        cells.append(arms)
    return cells


def _write(pairs: pd.DataFrame, path: Path) -> None:
    if path.exists():
        return
    answers = {
        side: [[{"role": "assistant", "content": text}] for text in pairs[side]]
        for side in ("chosen", "rejected")
    }
    pairs.assign(**answers).to_json(path, orient="records", lines=True)


def loop(cells: Cells, processes: int) -> None:
    """Run every arm in its own process, `processes` of them at the same time, as a job array does."""
    _run_scripts([arm for cell in cells for arm in cell], processes)


def sharper_loop(cells: Cells, processes: int, folder: Path) -> None:
    """Run every cell in its own process, as the loop's best user would."""
    calls = []
    for number, arms in enumerate(cells):
        path = folder / f"cell-{number}.json"
        path.write_text(json.dumps([[*arm, "--sharp"] for arm in arms]))
        calls.append(["--cell", str(path)])
    _run_scripts(calls, processes)


def _run_scripts(calls: list[list[str]], processes: int) -> None:
    """Run `plain_run.py` with each of these arguments."""

    def run(number: int, argv: list[str]) -> None:
        ports = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
        env = {**os.environ, **PROCESS_ENVIRONMENT, **ports, "MASTER_PORT": str(29600 + number)}
        command = [sys.executable, str(BENCH_FOLDER / "plain_run.py"), *argv]
        subprocess.run(command, env=env, check=True, capture_output=True)

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(run, range(len(calls)), calls))


def stock(cells: Cells, folder: Path) -> None:
    """Run the stock Ray program."""
    path = folder / "jobs.json"
    path.write_text(json.dumps(cells))
    command = [sys.executable, str(BENCH_FOLDER / "stock_ray.py"), str(path)]
    subprocess.run(command, env={**os.environ, **PROCESS_ENVIRONMENT}, check=True, capture_output=True)


def sweep(arguments: list[str], home: Path, model: str) -> None:
    """Run the sweep, with its record in `home`."""
    command = [sys.executable, "-m", "orchestrator.sweep", *arguments, "--model", model]
    env = {**os.environ, "ORCHESTRATOR_HOME": str(home)}
    subprocess.run(command, env=env, check=True, capture_output=True)


def cell_runs(study: Study, home: Path) -> list[Run]:
    """Return the runs of a finished sweep's cells, in the order in which they were started."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study.study)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], "tags.kind = 'cell'", order_by=["start_time"]))


def around_cells(study: Study, home: Path, start: float, end: float) -> dict[str, float]:
    """Return the shares of a sweep's time before its first cell began and after its last one ended.

    `start` and `end` are when the command started and ended, in seconds since the epoch.
    """
    runs = cell_runs(study, home)
    first = min(run.info.start_time for run in runs) / 1000
    last = max(run.info.end_time for run in runs) / 1000
    return {"before": (first - start) / (end - start), "after": (end - last) / (end - start)}


def overhead(study: Study, home: Path) -> pd.Series:
    """Return the seconds of each cell outside its training steps and held-out scoring, in ascending order.

    The two largest values are left out: they belong to the first cell of each lane.
    """
    tags = [run.data.tags for run in cell_runs(study, home)]
    seconds = pd.DataFrame(
        {name: [float(tag[f"seconds_{name}"]) for tag in tags] for name in ("cell", "steps", "heldout")}
    )
    return (seconds["cell"] - seconds["steps"] - seconds["heldout"]).sort_values().iloc[:-2]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds in which each variant runs once")
    parser.add_argument("--config", type=Path, default=CONFIGS / "demo.yaml", help="study file")
    parser.add_argument("--processes", type=int, default=2, help="arms of the loop at the same time")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for the results")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes to the study file")
    args = parser.parse_args()
    study = load(args.config, args.overrides)
    arguments = ["--config", str(args.config), *args.overrides]
    by_default = [*arguments, "resources.deepspeed=auto"]
    seconds: dict[str, list[float]] = {}
    outside: list[float] = []
    around: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        model = resolve_model(study.model, study.data, folder / "cache").path  # the same for all
        cells = cells_of(study, folder, model)
        for number in range(args.rounds):
            home, other_home = folder / f"home{number}", folder / f"home{number}-auto"
            variants: dict[str, Callable[[], None]] = {
                "loop": lambda: loop(cells, args.processes),
                "sharper loop": lambda: sharper_loop(cells, args.processes, folder),
                "stock Tune + Train": lambda: stock(cells, folder),
                "sweep": lambda home=home: sweep(arguments, home, model),  # type: ignore[misc]
                DEFAULT_ENGINE: lambda home=other_home: sweep(by_default, home, model),  # type: ignore[misc]
                "sweep again, nothing to train": lambda home=home: sweep(arguments, home, model),  # type: ignore[misc]
            }
            if study.resources.deepspeed == "auto":
                del variants[DEFAULT_ENGINE]
            for name, run in variants.items():
                start = time.time()
                run()
                end = time.time()
                seconds.setdefault(name, []).append(end - start)
                if name == "sweep":
                    around.append(around_cells(study, home, start, end))
                print(f"round {number + 1}, {name}: {end - start:.1f} s", flush=True)
            outside += overhead(study, home).tolist()
    write(args.out, study, len(cells), seconds, outside, around)


def write(
    out: Path,
    study: Study,
    cells: int,
    seconds: dict[str, list[float]],
    outside: list[float],
    around: list[dict[str, float]],
) -> None:
    """Write throughput.json with every time, and throughput.md with medians, ranges and ratios."""
    out.mkdir(parents=True, exist_ok=True)
    hardware = f"{os.cpu_count()} cores, {platform.machine()}"
    rows = []
    for name, values in seconds.items():
        ratios = [own / other for own, other in zip(seconds["sweep"], values, strict=True)]
        rows.append(
            {
                "variant": name,
                "median s": f"{statistics.median(values):.1f}",
                "range s": f"{min(values):.1f} to {max(values):.1f}",
                "sweep / variant": f"{statistics.median(ratios):.2f}",
            }
        )
    measured = {
        "hardware": hardware,
        "cells": cells,
        "seconds": seconds,
        "overhead_s": outside,
        "around": around,
    }
    (out / "throughput.json").write_text(json.dumps(measured, indent=2) + "\n")
    page = (
        f"{study.study}: {cells} cells, {study.training.max_steps} steps per arm, {hardware}, "
        f"{len(seconds['sweep'])} rounds.\n\n{table(pd.DataFrame(rows))}\n\n"
        f"Overhead per warm cell (outside steps and held-out scoring): median "
        f"{statistics.median(outside):.2f} s, {min(outside):.2f} to {max(outside):.2f}.\n"
        f"Of the sweep's time, {_median(around, 'before'):.0%} were before its first cell began and "
        f"{_median(around, 'after'):.0%} after its last one ended.\n"
    )
    (out / "throughput.md").write_text(page)
    print(page)


def _median(shares: list[dict[str, float]], name: str) -> float:
    return statistics.median(share[name] for share in shares)


if __name__ == "__main__":
    main()
