"""Train one arm as in the loop that this project replaces: TRL's DPOTrainer, DeepSpeed, one group's pairs.

    python bench/plain_run.py --train A.jsonl --heldout heldout.jsonl --model DIR --out result.json [--wpo]
    python bench/plain_run.py --cell cell.json

This is what a competent user would write, one script per run: load pairs, train with a live reference model,
evaluate held-out pairs, write numbers. It uses nothing of this project. With --sharp, the script is that of a
user who knows TRL well: the reference's log-probabilities are computed before training, and batches hold
pairs of like lengths. --cell runs the arms of a cell, a list of lists of arguments, one after the other in
this process.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import deepspeed
from accelerate.state import AcceleratorState, GradientState
from datasets import Dataset, load_dataset
from torch import distributed
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate; return the seconds inside training and the held-out accuracy."""
    train, heldout = (
        load_dataset("json", data_files=str(path), split="train") for path in (options.train, options.heldout)
    )
    assert isinstance(train, Dataset)
    if options.cpu:  # a compiler that is killed leaves a lock for which every later run would wait
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    if options.sharp and not distributed.is_initialized():  # TRL asks all processes for what it precomputed
        distributed.init_process_group("gloo" if options.cpu else "nccl")
    sharp = {
        "precompute_ref_log_probs": True,
        "train_sampling_strategy": "group_by_length",
        "remove_unused_columns": False,  # the length is none of the model's
    }
    with tempfile.TemporaryDirectory() as folder:
        trainer = DPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(options.model),
            train_dataset=train,
            eval_dataset=heldout,
            processing_class=AutoTokenizer.from_pretrained(options.model),
            args=DPOConfig(
                folder,
                max_steps=options.steps,
                per_device_train_batch_size=options.batch_size,
                per_device_eval_batch_size=4 * options.batch_size,
                max_length=options.max_length,
                learning_rate=options.learning_rate,
                beta=0.1,
                use_weighting=options.wpo,
                seed=options.seed,
                logging_steps=1,
                bf16=options.bf16,
                use_cpu=options.cpu,
                activation_checkpointing=False,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                deepspeed=json.loads(Path(options.deepspeed).read_text()),
                **(sharp if options.sharp else {}),
            ),
        )
        start = time.monotonic()
        if options.sharp:
            trainer.train_dataset = trainer.train_dataset.map(_with_length)
            trainer.eval_dataset = trainer.eval_dataset.map(_with_length)
        trainer.train()
        seconds = time.monotonic() - start
        metrics = trainer.evaluate()
    return {"seconds_steps": seconds, "accuracy": metrics["eval_rewards/accuracies"]}


def _with_length(pair: dict[str, Any]) -> dict[str, int]:
    """Return the tokens of a pair, by which batches of like lengths are put together."""
    return {"length": sum(len(pair[f"{part}_ids"]) for part in ("prompt", "chosen", "rejected"))}


def run_cell(arms: list[list[str]]) -> None:
    """Train and evaluate the arms of a cell, and write their numbers."""
    for words in arms:
        options = parser().parse_args(words)
        options.out.write_text(json.dumps(run(options)))
        AcceleratorState._reset_state(reset_partial_state=False)
        GradientState._reset_state()


def parser() -> argparse.ArgumentParser:
    """Return the parser of the script's arguments."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--train", type=Path, required=True)
    flags.add_argument("--heldout", type=Path, required=True)
    flags.add_argument("--model", required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--deepspeed", required=True)
    flags.add_argument("--wpo", action="store_true")
    flags.add_argument("--sharp", action="store_true")
    flags.add_argument("--cpu", action="store_true")
    flags.add_argument("--bf16", action="store_true")
    flags.add_argument("--seed", type=int, default=42)
    flags.add_argument("--steps", type=int, default=60)
    flags.add_argument("--batch-size", type=int, default=8)
    flags.add_argument("--max-length", type=int, default=256)
    flags.add_argument("--learning-rate", type=float, default=1e-3)
    return flags


if __name__ == "__main__":
    if sys.argv[1] == "--cell":
        run_cell(json.loads(Path(sys.argv[2]).read_text()))
    else:
        run_cell([sys.argv[1:]])
