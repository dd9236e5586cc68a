"""Measure a whole cell, cells that share the card, and a plain loop on a machine with a GPU.

    python -m bench.card all   [--small]          all of the following, in at most 8 minutes on an H100
    python -m bench.card page                     the results of `all` into docs/speed.md
    python -m bench.card make  [--home FOLDER]    a model of Qwen2.5-0.5B's shape, pairs, their scores
    python -m bench.card probe                    packed, padded and plain numbers, compared
    python -m bench.card steps [--steps 40]       seconds per step, tokens/s, MFU: of ours and of stock TRL
    python -m bench.card cell  [--steps 2000]     one cell of v5b's shape: the share of its time inside steps
    python -m bench.card share [--lanes 1 2 3] [--mps]   several cells at once, projected to v5b's 102 arms
    python -m bench.card loop  [--lanes 1 3]      bench/plain_run.py on the same card, projected likewise

This needs neither Ray nor MLflow nor a network: a lane here is a process that runs `orchestrator.run.worker`,
as a Ray Train worker does. Later calls reuse what an earlier call made in --home: a second `all` finds the
pairs scored there, and single parts after `all` need its --pairs 6000.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.card_all import Rows, page, run_all, write_page
from bench.card_job import CARD_METHODS, PAIRS, ROOT, chats, make_job
from bench.card_steps import probe, reserved, steps
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

V5B_ARMS = {"dpo": 85, "wpo": 17}
V5B_STEPS = 2000
WARM_UP_STEPS = 5  # steps of an untimed cell, which loads imports and kernels
BARRIER_TIMEOUT_S = 120.0  # how long lanes wait for one another
Keep = Callable[[Rows], None]


@dataclass(frozen=True)
class CellTime:
    """Where the seconds of a cell went: training steps, and everything else.

    steps, outside: Seconds inside and outside training steps.
    peak: The most bytes that its process reserved on the card.
    """

    steps: float
    outside: float
    peak: int

    def arm(self, steps: int) -> float:
        """Return the seconds of an arm of v5b, projected from this cell of two arms of `steps` steps each."""
        return self.outside / 2 + V5B_STEPS * self.steps / (2 * steps)


class SilentListener:
    """Ignores the progress of a cell (`orchestrator.run.job.Listener`)."""

    def __call__(self, arm: str, step: int, total: int) -> None:
        pass

    def alive(self) -> None:
        pass

    def told(self, text: str) -> None:
        print(text, flush=True)

    def kept(self, uri: str, step: int) -> None:
        pass


def run(job: Job) -> CellTime:
    """Run a cell as a lane does, in its own folder."""
    with tempfile.TemporaryDirectory() as work:
        facts = run_trial(replace(job, store=work), SilentListener()).facts
    inside = float(facts["seconds_steps"])
    return CellTime(inside, float(facts["seconds_cell"]) - inside, reserved())


def warm_up(job: Job) -> None:
    """Run a short cell, whose time does not count."""
    short = job.trial.training.model_copy(update={"max_steps": WARM_UP_STEPS})
    run(replace(job, trial=replace(job.trial, training=short)))


def cell(job: Job, peak_tflops: float) -> pd.DataFrame:
    """Measure one cell alone on the card; return one row."""
    scored, training = open_scored(job.scored), job.trial.training
    sums = arithmetic(scored, np.arange(len(scored)), job.model)
    tokens, flops = (training.batch_size * number / len(scored) for number in sums)
    warm_up(job)
    time_of_cell = run(job)
    total = time_of_cell.steps + time_of_cell.outside
    step = time_of_cell.steps / (2 * training.max_steps)
    return pd.DataFrame(
        [
            {
                "method": job.trial.method,
                "cell s": f"{total:.1f}",
                "inside steps": f"{time_of_cell.steps / total:.1%}",
                "inside 2,000 steps": f"{V5B_STEPS * step / time_of_cell.arm(training.max_steps):.1%}",
                "s/step": f"{step:.4f}",
                "tokens/s": f"{tokens / step:,.0f}",
                "TFLOP per step": f"{flops / 1e12:.3g}",
                "MFU": f"{mfu(flops, step, peak_tflops * 1e12):.1%}",
                "GiB reserved": f"{time_of_cell.peak / 2**30:.1f}",
            }
        ]
    )


def share(jobs: dict[str, Job], lanes: Sequence[int], keep: Keep) -> pd.DataFrame:
    """Measure several lanes at once, each with a cell of every method; one row per number of lanes.

    `keep` is given the rows so far, after each of them.
    """
    rows: Rows = []
    steps, job = jobs["dpo"].trial.training.max_steps, jobs["dpo"]
    counted = footprint(load_config(job.model), job.trial.training, job.micro_batch, 1, job.deepspeed)
    context = multiprocessing.get_context("spawn")
    for width in lanes:
        barrier = (context.Barrier(width, timeout=BARRIER_TIMEOUT_S),)
        with ProcessPoolExecutor(width, context, _keep_barrier, barrier) as pool:
            futures = [pool.submit(_lane, jobs) for _ in range(width)]
            try:
                times_of_lanes = [future.result() for future in futures]
            except Exception as error:  # if the lanes do not fit, the rows before are kept
                print(f"{width} lanes: {type(error).__name__}: {error}", flush=True)
                break
        peak = max(time_of_cell.peak for times in times_of_lanes for time_of_cell in times.values())
        arms = {name: float(np.mean([times[name].arm(steps) for times in times_of_lanes])) for name in jobs}
        rows.append(
            {
                "lanes": width,
                **{f"s per arm, {name}": f"{seconds:.1f}" for name, seconds in arms.items()},
                "GiB reserved": f"{peak / 2**30:.1f}",
                "GiB counted": f"{counted.total / 2**30:.1f}",
                "102 arms, hours": f"{sum(V5B_ARMS[name] * arms[name] for name in arms) / width / 3600:.2f}",
            }
        )
        keep(rows)
    return pd.DataFrame(rows)


def _keep_barrier(barrier: Any) -> None:
    """Keep the barrier that lets the cells of all lanes start together."""
    global _barrier
    _barrier = barrier


def _lane(jobs: dict[str, Job]) -> dict[str, CellTime]:
    """Run the jobs one after another, each together with the other lanes; return their times by method."""
    times: dict[str, CellTime] = {}
    try:
        for name, job in jobs.items():
            own_job = replace(job, log=job.log.with_suffix(f".{os.getpid()}.log"))
            if not times:
                warm_up(own_job)
            _barrier.wait()
            times[name] = run(own_job)
    except BaseException:
        _barrier.abort()
        raise
    return times


def loop(job: Job, home: Path, lanes: Sequence[int], pairs: pd.DataFrame, keep: Keep) -> pd.DataFrame:
    """Measure the plain script, one process per arm, several at once; one row per number of processes.

    Every arm is DPO, which is the faster method. `keep` is given the rows so far, after each of them.
    """
    pairs = pairs.set_index("pair_id")
    groups = pd.read_parquet(job.groups)
    parts = {
        "train": groups.loc[(groups["group"] == "A") & (groups["fold"] == "train"), "pair_id"],
        "heldout": groups.loc[groups["fold"] == "heldout", "pair_id"],
    }
    for name, ids in parts.items():
        answers = {
            side: [[{"role": "assistant", "content": text}] for text in pairs.loc[ids, side]]
            for side in ("chosen", "rejected")
        }
        pairs.loc[ids].assign(**answers).to_json(home / f"{name}.jsonl", orient="records", lines=True)
    steps, training = job.trial.training.max_steps, job.trial.training

    def run_script(number: int) -> CellTime:
        out = home / f"loop-{number}.json"
        arguments = {
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
            [*command, *(str(word) for argument in arguments.items() for word in argument)],
            env=env,
            check=True,
        )
        inside = json.loads(out.read_text())["seconds_steps"]
        outside = time.monotonic() - start - inside
        return CellTime(2 * inside, 2 * outside, 0)  # doubled, since a cell has two arms

    rows: Rows = []
    for width in lanes:
        with ThreadPoolExecutor(width) as pool:
            arm = float(
                np.mean([time_of_cell.arm(steps) for time_of_cell in pool.map(run_script, range(width))])
            )
        hours = sum(V5B_ARMS.values()) * arm / width / 3600
        rows.append({"processes": width, "s per arm": f"{arm:.1f}", "102 arms, hours": f"{hours:.2f}"})
        keep(rows)
    return pd.DataFrame(rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print a Markdown table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument(
        "what", choices=["all", "page", "make", "probe", "steps", "cell", "share", "loop"], help="what to do"
    )
    flags.add_argument(
        "--home",
        type=Path,
        default=Path(tempfile.gettempdir()) / "card",
        help="folder for the model, pairs and scores",
    )
    flags.add_argument("--steps", type=int, help="steps per arm; default: 2000 for a cell, otherwise 100")
    flags.add_argument("--method", choices=list(CARD_METHODS), default="dpo", help="method of a cell")
    flags.add_argument("--lanes", type=int, nargs="+", default=[1, 2, 3], help="lanes at once")
    flags.add_argument("--mps", action="store_true", help="share the card under NVIDIA MPS")
    flags.add_argument(
        "--peak-tflops", type=float, default=989, help="dense bf16 peak of the card; default: an H100 SXM's"
    )
    flags.add_argument(
        "--small", action="store_true", help="use a small model and table, for a machine without a GPU"
    )
    flags.add_argument("--pairs", type=int, default=PAIRS, help="pairs of the made-up table")
    flags.add_argument("--out", type=Path, help="also write the rows to this file, as JSON, as they come")
    args = flags.parse_args(argv)
    if args.what == "all":
        results = run_all(args.home, args.small, (f"--peak-tflops={args.peak_tflops}", "--pairs=6000"))
        print(page(results))
        return
    if args.what == "page":
        write_page(json.loads((args.home / "results.json").read_text()))
        return
    args.home.mkdir(parents=True, exist_ok=True)

    def keep(rows: Rows) -> None:
        print(rows[-1], flush=True)
        if args.out:
            args.out.write_text(json.dumps(rows))

    steps_of_arm = args.steps or (V5B_STEPS if args.what == "cell" else 100)
    start = time.monotonic()
    jobs = {name: make_job(args.home, args.small, name, steps_of_arm, args.pairs) for name in CARD_METHODS}
    print(f"{hardware()}, torch {torch.__version__}")
    if args.what == "make":
        seconds = time.monotonic() - start
        count = len(open_scored(jobs["dpo"].scored))
        made = f"{count:,} pairs in {seconds:.1f} s, with the model and tokenising"
        keep([{"machine": hardware(), "torch": torch.__version__, "scored": made}])
    elif args.what == "probe":
        keep(probe(jobs["dpo"]))
    elif args.what == "steps":
        keep(steps(jobs, args.small, args.pairs, args.peak_tflops))
    elif args.what == "cell":
        row = cell(jobs[args.method], args.peak_tflops)
        keep(json.loads(row.to_json(orient="records")))
        print(table(row))
    elif args.what == "loop":
        pairs = chats(args.small, args.pairs)
        print(table(loop(jobs["dpo"], args.home, args.lanes, pairs, keep)))
    elif args.what == "share":
        keeper = Keeper(f"{args.home}/mps")
        if args.mps:
            if not keeper.start():
                raise SystemExit("no MPS daemon can run here")
            os.environ[PIPES] = f"{args.home}/mps/pipe"
        try:
            print(table(share(jobs, args.lanes, keep)))
        finally:
            keeper.stop()


if __name__ == "__main__":
    main()
