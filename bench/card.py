"""What a machine with a GPU is asked once there is one: a whole cell, cells that share the card, the loop.

    python -m bench.card make  [--home FOLDER]    a model of Qwen2.5-0.5B's shape, 18,000 pairs, their scores
    python -m bench.card cell  [--steps 2000]     one cell of v5b's shape: the share of its time inside steps
    python -m bench.card share [--lanes 1 2 3] [--mps]   cells at once, and v5b's 102 arms projected
    python -m bench.card loop  [--lanes 1 3]      bench/plain_run.py on the same card, projected alike

Needs neither Ray nor MLflow nor a network: a lane here is a process that runs `orchestrator.run.worker`, as
a Ray Train worker does. What a call made in --home serves the next one.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.card_job import METHODS, ROOT, chats, make_job
from bench.steps import arithmetic
from orchestrator.run.job import Job
from orchestrator.run.mps import PIPES, Keeper
from orchestrator.run.worker import run_trial
from stats.page.markdown import table
from training.flops import mfu
from training.hardware import hardware
from training.memory import footprint
from training.model import load_config
from training.scoring import open_scored

ARMS = {"dpo": 85, "wpo": 17}  # of v5b
STEPS = 2000
WARM_UP = 5  # steps of a cell that is not timed: imports, kernels
TOGETHER_S = 120.0  # that lanes wait for one another


@dataclass(frozen=True)
class Timed:
    """A cell's seconds: training steps, and all else. `peak`: bytes its process had reserved on the card."""

    steps: float
    outside: float
    peak: int

    def arm(self, steps: int) -> float:
        """An arm of v5b, from a cell of two arms of so many steps."""
        return self.outside / 2 + STEPS * self.steps / (2 * steps)


class Nobody:
    """Who is told how far a cell is where nobody looks on (`orchestrator.run.job.Listener`)."""

    def __call__(self, arm: str, step: int, total: int) -> None:
        pass

    def kept(self, uri: str, step: int) -> None:
        pass


def run(job: Job) -> Timed:
    """Run a cell as a lane does, in a folder of its own."""
    with tempfile.TemporaryDirectory() as work:
        facts = run_trial(replace(job, work=work), Nobody()).facts
    inside = float(facts["seconds_steps"])
    peak = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
    return Timed(inside, float(facts["seconds_cell"]) - inside, peak)


def warm_up(job: Job) -> None:
    """A short cell, whose time is not counted."""
    short = job.trial.training.model_copy(update={"max_steps": WARM_UP})
    run(replace(job, trial=replace(job.trial, training=short)))


def cell(job: Job, peak_tflops: float) -> pd.DataFrame:
    """One cell alone on the card."""
    scored, training = open_scored(job.scored), job.trial.training
    sums = arithmetic(scored, np.arange(len(scored)), job.model)
    tokens, flops = (training.batch_size * number / len(scored) for number in sums)
    warm_up(job)
    found = run(job)
    step = found.steps / (2 * training.max_steps)
    return pd.DataFrame(
        [
            {
                "method": job.trial.method,
                "cell s": f"{found.steps + found.outside:.1f}",
                "inside steps": f"{found.steps / (found.steps + found.outside):.1%}",
                "s/step": f"{step:.4f}",
                "tokens/s": f"{tokens / step:,.0f}",
                "TFLOP a step": f"{flops / 1e12:.3g}",
                "MFU": f"{mfu(flops, step, peak_tflops * 1e12):.1%}",
                "GiB reserved": f"{found.peak / 2**30:.1f}",
            }
        ]
    )


def share(jobs: dict[str, Job], lanes: Sequence[int]) -> pd.DataFrame:
    """So many lanes at once, each with a cell of every method after another."""
    rows = []
    steps, job = jobs["dpo"].trial.training.max_steps, jobs["dpo"]
    counted = footprint(load_config(job.model), job.trial.training, job.micro_batch, 1, job.deepspeed)
    context = multiprocessing.get_context("spawn")
    for width in lanes:
        together = (context.Barrier(width, timeout=TOGETHER_S),)
        with ProcessPoolExecutor(width, context, _meet, together) as pool:
            futures = [pool.submit(_lane, jobs) for _ in range(width)]
            try:
                found = [future.result() for future in futures]
            except Exception as error:  # what does not fit costs its row, not the rows before
                print(f"{width} lanes: {type(error).__name__}: {error}", flush=True)
                break
        arms = {name: float(np.mean([times[name].arm(steps) for times in found])) for name in jobs}
        rows.append(
            {
                "lanes": width,
                **{f"s an arm, {name}": f"{seconds:.1f}" for name, seconds in arms.items()},
                "GiB reserved": f"{max(one.peak for times in found for one in times.values()) / 2**30:.1f}",
                "GiB counted": f"{counted.total / 2**30:.1f}",
                "102 arms, hours": f"{sum(ARMS[name] * arms[name] for name in arms) / width / 3600:.2f}",
            }
        )
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def _meet(barrier: Any) -> None:
    """Lanes' cells of a method start at once."""
    global _together
    _together = barrier


def _lane(jobs: dict[str, Job]) -> dict[str, Timed]:
    found: dict[str, Timed] = {}
    try:
        for name, job in jobs.items():
            mine = replace(job, log=job.log.with_suffix(f".{os.getpid()}.log"))
            if not found:
                warm_up(mine)
            _together.wait()
            found[name] = run(mine)
    except BaseException:
        _together.abort()
        raise
    return found


def loop(job: Job, home: Path, lanes: Sequence[int], small: bool) -> pd.DataFrame:
    """The plain script, a process an arm, so many at once: every arm DPO, which is the faster one."""
    made = chats(small).set_index("pair_id")
    groups = pd.read_parquet(job.groups)
    parts = {
        "train": groups.loc[(groups["group"] == "A") & (groups["fold"] == "train"), "pair_id"],
        "heldout": groups.loc[groups["fold"] == "heldout", "pair_id"],
    }
    for name, ids in parts.items():
        answers = {
            side: [[{"role": "assistant", "content": text}] for text in made.loc[ids, side]]
            for side in ("chosen", "rejected")
        }
        made.loc[ids].assign(**answers).to_json(home / f"{name}.jsonl", orient="records", lines=True)
    steps, training = job.trial.training.max_steps, job.trial.training

    def one(number: int) -> Timed:
        out = home / f"loop-{number}.json"
        words = {
            "--train": home / "train.jsonl", "--heldout": home / "heldout.jsonl", "--model": job.model.path,
            "--out": out, "--deepspeed": ROOT / "configs/deepspeed/zero2.json", "--steps": steps,
            "--max-length": training.max_length, "--learning-rate": training.learning_rate,
        }  # fmt: skip
        flags = ["--bf16"] if torch.cuda.is_available() else ["--cpu"]
        ports = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
        env = {**os.environ, **ports, "MASTER_PORT": str(29600 + number)}
        command = [sys.executable, str(ROOT / "bench/plain_run.py"), *flags]
        start = time.monotonic()
        subprocess.run(
            [*command, *(str(word) for pair in words.items() for word in pair)], env=env, check=True
        )
        inside = json.loads(out.read_text())["seconds_steps"]
        return Timed(2 * inside, 2 * (time.monotonic() - start - inside), 0)  # as of a cell: two arms

    rows = []
    for width in lanes:
        with ThreadPoolExecutor(width) as pool:
            arm = float(np.mean([timed.arm(steps) for timed in pool.map(one, range(width))]))
        hours = sum(ARMS.values()) * arm / width / 3600
        rows.append({"processes": width, "s an arm": f"{arm:.1f}", "102 arms, hours": f"{hours:.2f}"})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main(argv: Sequence[str] | None = None) -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("what", choices=["make", "cell", "share", "loop"])
    flags.add_argument("--home", type=Path, default=Path(tempfile.gettempdir()) / "card")
    flags.add_argument("--steps", type=int, help="an arm; 2000 for a cell, otherwise 100")
    flags.add_argument("--method", choices=list(METHODS), default="dpo", help="of a cell")
    flags.add_argument("--lanes", type=int, nargs="+", default=[1, 2, 3])
    flags.add_argument("--mps", action="store_true", help="share under NVIDIA MPS")
    flags.add_argument("--peak-tflops", type=float, default=989, help="bf16, dense: an H100 SXM's")
    flags.add_argument("--small", action="store_true", help="a model and a table for a machine without a GPU")
    args = flags.parse_args(argv)
    args.home.mkdir(parents=True, exist_ok=True)
    steps = args.steps or (STEPS if args.what == "cell" else 100)
    jobs = {name: make_job(args.home, args.small, name, steps) for name in METHODS}
    print(f"{hardware()}, torch {torch.__version__}")
    if args.what == "cell":
        print(table(cell(jobs[args.method], args.peak_tflops)))
    elif args.what == "loop":
        print(table(loop(jobs["dpo"], args.home, args.lanes, args.small)))
    elif args.what == "share":
        keeper = Keeper(f"{args.home}/mps")
        if args.mps:
            print(f"MPS: {keeper.start()}")
            os.environ[PIPES] = f"{args.home}/mps/pipe"
        try:
            print(table(share(jobs, args.lanes)))
        finally:
            keeper.stop()


if __name__ == "__main__":
    main()
