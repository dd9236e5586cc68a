"""Run a study as a stock Ray Tune + Ray Train program: each Tune trial is a cell with its own TorchTrainer.

    python bench/stock_ray.py jobs.json

jobs.json is a list of cells. A cell is a list of arms, and an arm is a list of arguments of `plain_run.py`.
Two cells run at the same time.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import ray
from ray import train, tune
from ray.train.torch import TorchTrainer


def train_cell(config: dict[str, Any]) -> None:
    """Train the arms of a cell one after the other, in a worker of Ray Train."""
    sys.path.insert(0, config["folder"])
    import plain_run

    plain_run.run_cell(config["arms"])
    train.report({"done": 1})


def run_trial(config: dict[str, Any]) -> None:
    """Run a cell as a Tune trial."""
    TorchTrainer(
        train_cell,
        train_loop_config=config,
        scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.9}),
        run_config=train.RunConfig(storage_path=config["storage"]),
    ).fit()
    tune.report({"done": 1})


def main() -> None:
    cells = json.loads(Path(sys.argv[1]).read_text())
    ray.init(address="local", log_to_driver=False, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}})
    folder, storage = str(Path(__file__).parent), str(Path(sys.argv[1]).parent / f"ray-{os.getpid()}")
    results = tune.Tuner(
        tune.with_resources(run_trial, {"cpu": 0.01}),
        param_space={
            "arms": tune.grid_search(cells),
            "folder": folder,
            "storage": storage,
        },
        tune_config=tune.TuneConfig(max_concurrent_trials=2),
        run_config=tune.RunConfig(storage_path=storage, verbose=0),
    ).fit()
    ray.shutdown()
    if results.errors:
        raise SystemExit(str(results.errors[0]))


if __name__ == "__main__":
    main()
