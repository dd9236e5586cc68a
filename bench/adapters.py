"""Time cells with adapters: side by side in one process against one arm after another.

All train on the same made-up chats as `bench.steps`, a cell's two arms on one half each, half of the cells
with DPO and half with WPO, with different seeds. The two ways take turns. Times are processor time per cell,
because others may use the CPU: of a step, the mean over the steps after the first, and of the whole training,
with what an arm needs before and after its steps. The table shows medians over rounds, and medians of the
rounds' ratios with their range.

    python -m bench.adapters [--model FOLDER] [--cells 4] [--batches 1 4 16] [--steps 20] [--rounds 5]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
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
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16], help="pairs per step")
    parser.add_argument("--steps", type=int, default=20, help="steps per cell and round")
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
            cells = _Cells(ModelFiles(folder), scored.path, training, LoraSpec(r=options.rank), options.cells)
            rounds = []
            for number in range(options.rounds + 1):  # the first warms up
                rounds.append((cells.one_after_another(), cells.side_by_side()))
                print(f"{batch} pairs, round {number}: {rounds[-1]}", flush=True)
            lines.append({"pairs per step": batch, "tokens per step": cells.tokens(), **_line(rounds[1:])})
    print(f"\n{table(pd.DataFrame(lines))}")


@dataclass(frozen=True)
class Cost:
    """Processor seconds per cell: of a step of both its arms, and of the whole training."""

    step: float
    whole: float


class _Cells:
    """Cells that differ in method and seed; their arms differ in their pairs."""

    def __init__(
        self, files: ModelFiles, scored: Path, training: TrainingSpec, lora: LoraSpec, count: int
    ) -> None:
        self.scored, self.training = open_scored(scored), training
        self.execution = Execution(training.batch_size, json.loads(ZERO2.read_text()))
        self.count = count
        self.tasks = [
            ArmTask("bench", files, method, training, seed, rows, lora=lora)
            for seed, method in zip(range(count), cycle([MethodSpec(), WPO]), strict=False)
            for rows in np.array_split(np.arange(len(self.scored)), 2)
        ]

    def tokens(self) -> int:
        """Return the tokens of the sequences of an arm's batch on average."""
        parts = {part: np.mean(self.scored[f"{part}_tokens"][:]) for part in ("prompt", "chosen", "rejected")}
        per_pair = 2 * parts["prompt"] + parts["chosen"] + parts["rejected"]
        return round(self.training.batch_size * float(per_pair))

    def one_after_another(self) -> Cost:
        """Train each arm alone."""
        start = time.process_time()
        steps = [self._timed(task)(OWN_MODEL) for task in self.tasks]
        return Cost(sum(steps) / self.count, (time.process_time() - start) / self.count)

    def side_by_side(self) -> Cost:
        """Train all arms of all cells together."""
        model, start = BundleModel(self.tasks[0].model, "float32", deepspeed=True), time.process_time()
        outcomes = train_together([self._timed(task) for task in self.tasks], model)
        steps = [outcome for outcome in outcomes if isinstance(outcome, float)]
        assert len(steps) == len(outcomes), outcomes
        # Each clock has seen the steps of all.
        return Cost(statistics.mean(steps) / self.count, (time.process_time() - start) / self.count)

    def _timed(self, task: ArmTask) -> Callable[[ModelAccess], float]:
        def train(access: ModelAccess) -> float:
            clock = StepClock()
            train_arm(task, self.scored, self.execution, on_step=clock.tick, access=access)
            return clock.step[1]

        return train


def _line(rounds: list[tuple[Cost, Cost]]) -> dict[str, str]:
    steps = [(alone.step, together.step) for alone, together in rounds]
    wholes = [(alone.whole, together.whole) for alone, together in rounds]
    alone, together = (statistics.median(each) for each in zip(*steps, strict=True))
    return {
        "alone, ms per step": f"{1e3 * alone:.1f}",
        "side by side, ms per step": f"{1e3 * together:.1f}",
        "factor, steps": _factor(steps),
        "factor, whole": _factor(wholes),
    }


def _factor(times: list[tuple[float, float]]) -> str:
    ratios = [alone / together for alone, together in times]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
