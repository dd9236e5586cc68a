"""Time single steps on a card for `bench.card`: DPO, WPO, the default engine and stock TRL, in turn."""

from typing import Any

import numpy as np
import torch

from bench.card_check import compare
from bench.card_job import chats
from bench.steps import STOCK, StepClock, arithmetic, stock
from orchestrator.run.job import Job
from training.arm import ArmTask, Execution, train_arm
from training.batches import data_order, sequence_lengths
from training.flops import mfu
from training.layout_check import check_layout
from training.likelihood import Answers
from training.model import load_model
from training.scoring import open_scored

PROBE_PAIRS = 8
DEFAULT_ENGINE = "dpo, without DeepSpeed"  # `resources.deepspeed: auto` on one worker


def probe(job: Job) -> list[dict[str, Any]]:
    """Return how the model may be computed here, and how far packed rows are from float32."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    check = check_layout(load_model(job.model, job.trial.training.dtype), device)
    pairs = open_scored(job.scored)[:PROBE_PAIRS]
    distances = compare(job.model, Answers.of_pairs(pairs, job.trial.training.max_length))
    return [
        {"layout": str(check)},
        *({"bfloat16": way, **of_way} for way, of_way in distances.T.to_dict().items()),
    ]


def steps(jobs: dict[str, Job], small: bool, pairs: int, peak_tflops: float) -> list[dict[str, Any]]:
    """Return seconds per step, tokens per second, MFU and reserved memory: one row per variant.

    The steps are those of `bench.steps`, in which all variants train on the same pairs in the same order.
    """
    job = jobs["dpo"]
    training, scored = job.trial.training, open_scored(job.scored)
    rows = np.arange(len(scored))
    order = data_order(rows, sequence_lengths(scored), training, np.random.default_rng(0))
    timed = training.max_steps - 1
    tokens, flops = (number / timed for number in arithmetic(scored, order[training.batch_size :], job.model))
    table = chats(small, pairs).set_index("pair_id", drop=False)
    in_order = table.loc[np.array(scored["pair_id"])[order]]

    engines = dict.fromkeys(jobs, job.deepspeed) | {DEFAULT_ENGINE: None}
    methods = jobs | {DEFAULT_ENGINE: job}

    def ours(name: str, clock: StepClock) -> None:
        task = ArmTask(name, job.model, methods[name].trial.objective, training, 0, rows)
        train_arm(task, scored, Execution(job.micro_batch, engines[name]), on_step=clock.tick)

    results: list[dict[str, Any]] = []
    for name in (*engines, STOCK):
        clock = StepClock()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        if name == STOCK:
            stock(in_order, job.model, training, clock)
        else:
            ours(name, clock)
        seconds, _ = clock.step
        results.append(
            {
                "variant": name,
                "s/step": f"{seconds:.4f}",
                "tokens/s": f"{tokens / seconds:,.0f}",
                "MFU": f"{mfu(flops, seconds, peak_tflops * 1e12):.1%}",
                "GiB reserved": f"{reserved() / 2**30:.1f}",
            }
        )
    return results


def reserved() -> int:
    """Return the most bytes that this process reserved on the card; 0 without a card."""
    return torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
