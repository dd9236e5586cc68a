"""Time training steps: DPO, WPO and length-grouped batches against a stock TRL script.

All variants train on the same made-up chats of PRISM's lengths (prompts of 70 characters on average,
answers of 565, log-normal), and take turns; the stock script keeps a live reference model. The time of a
variant in a round is the mean over its steps after the first: wall time and, because others may use the CPU,
processor time. The tables show medians over rounds, and medians of the rounds' ratios with their range. In
bfloat16, our variants run under DeepSpeed's ZeRO-2 as cells do, with bfloat16 weights; a stock script keeps
float32 weights and casts as it computes. `--compile` adds DPO with rows filled to a few
lengths, without and with compiled layers, which are compiled in the first round, the one that does not count.

    python -m bench.steps [--model FOLDER] [--dtype bfloat16] [--steps 20] [--rounds 5] [--peak-tflops 989]
        [--compile]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from transformers import AutoConfig, PrinterCallback, TrainerCallback
from trl import DPOConfig, DPOTrainer

from stats.page.markdown import table
from training import tiny
from training.arm import ArmTask, Execution, train_arm
from training.arrays import IntArray
from training.batches import data_order, sequence_lengths
from training.flops import mfu, step_flops
from training.isolation import isolated
from training.model import ModelFiles, load_model, load_tokenizer
from training.scoring import open_scored, score
from training.spec import MethodSpec, ModelSpec, TrainingSpec, TwinData

ZERO2 = Path(__file__).resolve().parent.parent / "configs/deepspeed/zero2.json"
PAIR_COUNT = 800
MEAN_CHARACTERS = {"prompt": 70, "answer": 565}
WPO = MethodSpec(use_weighting=True)
STOCK = "stock TRL, live reference"


def make_pairs(
    rng: np.random.Generator, count: int = PAIR_COUNT, characters: dict[str, int] = MEAN_CHARACTERS
) -> pd.DataFrame:
    """Return pairs of random words: pair_id, prompt, chosen, rejected.

    `characters` gives the mean length of a prompt and of an answer.
    """
    letters = np.array(list("etaoinshrdlu"))
    words = np.array(["".join(rng.choice(letters, size=rng.integers(2, 9))) for _ in range(400)])

    def text(mean: int) -> str:
        length = rng.lognormal(np.log(mean) - 0.32, 0.8)
        return " ".join(rng.choice(words, size=max(1, round(length / 6))))

    return pd.DataFrame(
        {
            "pair_id": [str(k) for k in range(count)],
            "prompt": [[{"role": "user", "content": text(characters["prompt"])}] for _ in range(count)],
            "chosen": [text(characters["answer"]) for _ in range(count)],
            "rejected": [text(characters["answer"]) for _ in range(count)],
        }
    )


class StepClock(TrainerCallback):
    """Measures wall and processor time from the end of the first step to the end of the last."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self.tick()

    def tick(self, *_: object) -> None:
        """Note that a step has ended."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append((time.monotonic(), time.process_time()))

    @property
    def step(self) -> tuple[float, float]:
        """Wall and processor seconds per step."""
        (wall, cpu), (last_wall, last_cpu) = self.times[0], self.times[-1]
        steps = len(self.times) - 1
        return (last_wall - wall) / steps, (last_cpu - cpu) / steps


def stock(pairs: pd.DataFrame, files: ModelFiles, training: TrainingSpec, clock: StepClock) -> None:
    """Run a stock TRL script on `pairs` in their order, with a live reference model."""
    rows = [
        {"prompt": row.prompt}
        | {side: [{"role": "assistant", "content": getattr(row, side)}] for side in ("chosen", "rejected")}
        for row in pairs.itertuples()
    ]
    with tempfile.TemporaryDirectory() as folder, isolated(deepspeed=False):
        trainer = DPOTrainer(
            model=load_model(files, "float32"),
            train_dataset=Dataset.from_list(rows),
            processing_class=load_tokenizer(files),
            args=DPOConfig(
                folder,
                max_steps=training.max_steps,
                per_device_train_batch_size=training.batch_size,
                max_length=training.max_length,
                learning_rate=training.learning_rate,
                logging_steps=training.logging_steps,
                bf16=training.dtype == "bfloat16",
                use_cpu=not torch.cuda.is_available(),
                activation_checkpointing=False,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                train_sampling_strategy="sequential",
            ),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(clock)
        trainer.train()


def main() -> None:
    """Run the variants in turns and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="model folder; default: the tiny model")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=20, help="steps per variant and round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument(
        "--peak-tflops", type=float, help="the hardware's peak at this dtype, for a column of MFU"
    )
    parser.add_argument("--compile", action="store_true", help="time filled rows and compiled layers")
    options = parser.parse_args()
    training = TrainingSpec(
        max_steps=options.steps, max_length=options.max_length, dtype=options.dtype, logging_steps=10
    )
    grouped = training.model_copy(update={"group_by_length": True})
    pairs = make_pairs(np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as cache:
        folder = options.model or str(_tiny(pairs, Path(cache)))
        files = ModelFiles(folder)
        scored = open_scored(score(pairs, ModelSpec(path=folder), TwinData(), training, Path(cache)).path)

        notes: set[str] = set()
        rows = np.arange(len(scored))
        order = data_order(rows, sequence_lengths(scored), training, np.random.default_rng(0))
        tokens, flops = arithmetic(scored, order[training.batch_size :], files)
        pairs_in_order = pairs.set_index("pair_id", drop=False).loc[np.array(scored["pair_id"])[order]]

        def ours(method: MethodSpec, spec: TrainingSpec, clock: StepClock, compile: bool = False) -> None:
            zero2 = json.loads(ZERO2.read_text()) if spec.dtype == "bfloat16" else None
            task = ArmTask("bench", files, method, spec, 0, rows)
            execution = Execution(spec.batch_size, zero2, compile=compile)
            notes.update(train_arm(task, scored, execution, on_step=clock.tick, tell=print).notes)

        def filled(clock: StepClock) -> None:
            with patch("training.compiled.compiled_or_why_not", lambda *_: ""):
                ours(MethodSpec(), training, clock, compile=True)

        greedy = WPO.model_copy(update={"wpo_alignment": "greedy"})
        variants: dict[str, Callable[[StepClock], None]] = {
            STOCK: lambda clock: stock(pairs_in_order, files, training, clock),
            "dpo": lambda clock: ours(MethodSpec(), training, clock),
            "wpo": lambda clock: ours(WPO, training, clock),
            "wpo greedy": lambda clock: ours(greedy, training, clock),
            "dpo, grouped by length": lambda clock: ours(MethodSpec(), grouped, clock),
        }
        if options.compile:
            variants["dpo, rows filled"] = filled
            variants["dpo, rows filled and layers compiled"] = partial(
                ours, MethodSpec(), training, compile=True
            )
        seconds: list[dict[str, tuple[float, float]]] = []
        for _ in range(options.rounds + 1):
            seconds_of_round = {}
            for name, run in variants.items():
                clock = StepClock()
                run(clock)
                seconds_of_round[name] = clock.step
            seconds.append(seconds_of_round)
    timed = training.max_steps - 1
    write(seconds[1:], tokens / timed, flops / timed, options.peak_tflops)  # the first round warms up
    print("\n" + "\n".join(sorted(notes)))


def arithmetic(scored: Dataset, order: IntArray, files: ModelFiles) -> tuple[int, int]:
    """Return the tokens of these pairs' sequences without padding, and the operations of training on them."""
    rows = scored.select(order)[:]
    answers = np.array([rows["chosen_tokens"], rows["rejected_tokens"]])
    lengths = (answers + np.array(rows["prompt_tokens"])).ravel()
    config = AutoConfig.from_pretrained(files.path)
    return int(lengths.sum()), step_flops(config, lengths.tolist(), int(answers.sum()))


def write(
    rounds: list[dict[str, tuple[float, float]]], tokens: float, flops: float, peak_tflops: float | None
) -> None:
    """Print a Markdown table for each clock; `tokens` and `flops` are per step."""
    for place, clock in enumerate(("wall", "processor")):
        lines = []
        for name in rounds[0]:
            seconds = statistics.median(one_round[name][place] for one_round in rounds)
            line = {f"{clock} s/step": f"{seconds:.4f}", "tokens/s": f"{tokens / seconds:,.0f}"}
            if peak_tflops:
                line["MFU"] = f"{mfu(flops, seconds, peak_tflops * 1e12):.1%}"
            for other in (STOCK, "dpo"):
                ratios = [one_round[name][place] / one_round[other][place] for one_round in rounds]
                middle = statistics.median(ratios)
                line[f"of {other}"] = f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            lines.append({"variant": name, **line})
        print(f"\n{table(pd.DataFrame(lines))}")


def _tiny(pairs: pd.DataFrame, cache: Path) -> Path:
    chats = [[*row.prompt, {"role": "assistant", "content": row.chosen}] for row in pairs.itertuples()]
    return tiny.build(chats, cache / "tiny", seed=0)


if __name__ == "__main__":
    main()
