"""The same study as a stock Ray Tune + Ray Train program: a Tune trial a cell, which starts a TorchTrainer.

    python bench/stock_ray.py jobs.json

jobs.json: a list of cells, each a list of `plain_run.py` argument lists (its arms). Two cells at once.
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
    sys.path.insert(0, config["folder"])
    import plain_run
    from accelerate.state import AcceleratorState, GradientState

    for words in config["arms"]:
        arguments = plain_run.parser().parse_args(words)
        arguments.out.write_text(json.dumps(plain_run.run(arguments)))
        AcceleratorState._reset_state(reset_partial_state=False)
        GradientState._reset_state()
    train.report({"done": 1})


def cell(config: dict[str, Any]) -> None:
    TorchTrainer(
        train_cell,
        train_loop_config=config,
        scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.9}),
        run_config=train.RunConfig(storage_path=config["storage"]),
    ).fit()
    tune.report({"done": 1})


def main() -> None:
    jobs = json.loads(Path(sys.argv[1]).read_text())
    ray.init(address="local", log_to_driver=False, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}})
    folder, storage = str(Path(__file__).parent), str(Path(sys.argv[1]).parent / f"ray-{os.getpid()}")
    found = tune.Tuner(
        tune.with_resources(cell, {"cpu": 0.01}),
        param_space={
            "arms": tune.grid_search(jobs),
            "folder": folder,
            "storage": storage,
        },
        tune_config=tune.TuneConfig(max_concurrent_trials=2),
        run_config=tune.RunConfig(storage_path=storage, verbose=0),
    ).fit()
    ray.shutdown()
    if found.errors:
        raise SystemExit(str(found.errors[0]))


if __name__ == "__main__":
    main()
