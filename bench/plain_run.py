"""Train one arm as in the loop that this project replaces: TRL's DPOTrainer, DeepSpeed, one group's pairs.

    python bench/plain_run.py --train A.jsonl --heldout heldout.jsonl --model DIR --out result.json [--wpo]

This is what a competent user would write, one script per run: load pairs, train with a live reference model,
evaluate held-out pairs, write numbers. It uses nothing of this project.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import deepspeed
from datasets import Dataset, load_dataset
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
            ),
        )
        start = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - start
        metrics = trainer.evaluate()
    return {"seconds_steps": seconds, "accuracy": metrics["eval_rewards/accuracies"]}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the script's arguments."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--train", type=Path, required=True)
    flags.add_argument("--heldout", type=Path, required=True)
    flags.add_argument("--model", required=True)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--deepspeed", required=True)
    flags.add_argument("--wpo", action="store_true")
    flags.add_argument("--cpu", action="store_true")
    flags.add_argument("--bf16", action="store_true")
    flags.add_argument("--seed", type=int, default=42)
    flags.add_argument("--steps", type=int, default=60)
    flags.add_argument("--batch-size", type=int, default=8)
    flags.add_argument("--max-length", type=int, default=256)
    flags.add_argument("--learning-rate", type=float, default=1e-3)
    return flags


if __name__ == "__main__":
    arguments = parser().parse_args()
    arguments.out.write_text(json.dumps(run(arguments)))
