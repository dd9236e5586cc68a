"""Time arms with adapters: side by side in one process against one after another.

All train on the same made-up chats as `bench.steps`, half of them with DPO and half with WPO, with different
seeds. The two ways take turns. The time of a way in a round is the mean over its steps after the first,
divided by the number of arms: processor time, because others may use the CPU. The table shows medians over
rounds, and medians of the rounds' ratios with their range.

    python -m bench.adapters [--model FOLDER] [--arms 4] [--batches 1 4 16] [--steps 20] [--rounds 5]
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from bench.steps import WPO, ZERO2, StepClock, make_pairs
from stats.page.markdown import table
from training import tiny
from training.arm import ArmTask, Execution, train_arm
from training.bundle import BundleModel, train_together
from training.lora_spec import LoraSpec
from training.model import ModelFiles
from training.model_access import OWN_MODEL, ModelAccess
from training.scoring import open_scored, score
from training.spec import MethodSpec, ModelSpec, TrainingSpec, TwinData

CHARACTERS = {"prompt": 70, "answer": 200}


def main() -> None:
    """Run both ways in turns, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="model folder; default: the tiny model")
    parser.add_argument("--arms", type=int, default=4)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16], help="pairs per step")
    parser.add_argument("--steps", type=int, default=20, help="steps per arm and round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--rank", type=int, default=16)
    options = parser.parse_args()
    pairs = make_pairs(np.random.default_rng(0), 400, CHARACTERS)
    with tempfile.TemporaryDirectory() as cache:
        chats = [[*row.prompt, {"role": "assistant", "content": row.chosen}] for row in pairs.itertuples()]
        folder = options.model or str(tiny.build(chats, Path(cache) / "tiny", seed=0))
        lines = []
        for batch in options.batches:
            training = TrainingSpec(
                max_steps=options.steps,
                batch_size=batch,
                max_length=options.max_length,
                dtype="float32",
                logging_steps=10,
            )
            scored = score(pairs, ModelSpec(path=folder), TwinData(), training, Path(cache))
            arms = _Arms(ModelFiles(folder), scored.path, training, LoraSpec(r=options.rank), options.arms)
            rounds = []
            for number in range(options.rounds + 1):  # the first warms up
                rounds.append((arms.one_after_another(), arms.side_by_side()))
                print(f"{batch} pairs, round {number}: {rounds[-1]}", flush=True)
            lines.append({"pairs per step": batch, "tokens per step": arms.tokens(), **_line(rounds[1:])})
    print(f"\n{table(pd.DataFrame(lines))}")


class _Arms:
    """Arms that differ in method and seed."""

    def __init__(
        self, files: ModelFiles, scored: Path, training: TrainingSpec, lora: LoraSpec, count: int
    ) -> None:
        self.scored, self.training = open_scored(scored), training
        self.execution = Execution(training.batch_size, json.loads(ZERO2.read_text()))
        self.tasks = [
            ArmTask("bench", files, method, training, seed, np.arange(len(self.scored)), lora=lora)
            for seed, method in enumerate([MethodSpec(), WPO] * count)
        ][:count]

    def tokens(self) -> int:
        """Return the tokens of a batch's sequences on average."""
        parts = {part: np.mean(self.scored[f"{part}_tokens"][:]) for part in ("prompt", "chosen", "rejected")}
        per_pair = 2 * parts["prompt"] + parts["chosen"] + parts["rejected"]
        return round(self.training.batch_size * float(per_pair))

    def one_after_another(self) -> float:
        """Return the processor seconds per step of an arm alone, on average over the arms."""
        return statistics.mean(self._timed(task)(OWN_MODEL) for task in self.tasks)

    def side_by_side(self) -> float:
        """Return the processor seconds per step and arm."""
        model = BundleModel(self.tasks[0].model, "float32", deepspeed=True)
        outcomes = train_together([self._timed(task) for task in self.tasks], model)
        seconds = [outcome for outcome in outcomes if isinstance(outcome, float)]
        assert len(seconds) == len(outcomes), outcomes
        return statistics.mean(seconds) / len(seconds)  # each clock has seen the steps of all

    def _timed(self, task: ArmTask) -> Callable[[ModelAccess], float]:
        def train(access: ModelAccess) -> float:
            clock = StepClock()
            train_arm(task, self.scored, self.execution, on_step=clock.tick, access=access)
            return clock.step[1]

        return train


def _line(rounds: list[tuple[float, float]]) -> dict[str, str]:
    ratios = [alone / together for alone, together in rounds]
    alone, together = (statistics.median(each) for each in zip(*rounds, strict=True))
    return {
        "alone, ms": f"{1e3 * alone:.1f}",
        "side by side, ms": f"{1e3 * together:.1f}",
        "factor": f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
    }


if __name__ == "__main__":
    main()
