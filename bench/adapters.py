"""Time cells with adapters: side by side in one process against one arm after another, and all weights.

All train on the same made-up chats as `bench.steps`, or on the pairs and the model of a study file, a cell's
two arms on one half each, half of the cells with DPO and half with WPO, with different seeds. The ways take
turns. Times are processor time per cell, because others may use the CPU: of a step, the mean over the steps
after the first, and of the whole training, with what an arm needs before and after its steps. The table shows
medians over rounds, medians of the rounds' ratios with their range, and by how much the margins in the curves
of arms side by side differ at most from those of the arms alone.

    python -m bench.adapters [--model FOLDER] [--cells 4] [--batches 1 4 16] [--steps 20] [--rounds 2]
    python -m bench.adapters --config FILE [--full 2] [KEY=VALUE ...]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd

from bench.steps import WPO, ZERO2, StepClock, make_pairs
from orchestrator.plan.tables import study_corpus
from orchestrator.study.files import load
from stats.page.markdown import table
from training import tiny
from training.arm import ArmTask, Execution, train_arm
from training.arrays import FloatArray
from training.bundle import BundleModel, train_together
from training.lora_spec import LoraSpec
from training.model import ModelFiles
from training.model_access import OWN_MODEL, ModelAccess
from training.model_path import resolve_model
from training.scoring import open_scored, score
from training.spec import MethodSpec, ModelSpec, TrainingSpec, TwinData

CHARACTERS = {"prompt": 70, "answer": 200}


def main() -> None:
    """Run both ways in turns, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="model folder; default: the tiny model")
    parser.add_argument("--config", type=Path, help="study file whose pairs and model to take instead")
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--full", type=int, default=0, help="cells that train all weights instead")
    parser.add_argument("--batches", type=int, nargs="+", default=[2], help="pairs per step")
    parser.add_argument("--steps", type=int, default=20, help="steps per cell and round")
    parser.add_argument("--rounds", type=int, default=2, help="rounds that count")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes to the study file")
    options = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as cache:
        if options.config:
            study = load(options.config, options.overrides)
            pairs, model = study_corpus(study).pairs, study.model
            folder = resolve_model(model, study.data, Path(cache)).path
        else:
            pairs = make_pairs(np.random.default_rng(0), 400, CHARACTERS)
            chats = [
                [*row.prompt, {"role": "assistant", "content": row.chosen}] for row in pairs.itertuples()
            ]
            folder = options.model or str(tiny.build(chats, Path(cache) / "tiny", seed=0))
        lines = []
        for batch in options.batches:
            training = TrainingSpec(
                max_steps=options.steps,
                batch_size=batch,
                max_length=options.max_length,
                dtype="float32",
                logging_steps=min(10, options.steps),
                learning_rate=5e-4,
            )
            scored = score(pairs, ModelSpec(path=folder), TwinData(), training, Path(cache))
            cells = _Cells(ModelFiles(folder), scored.path, training, LoraSpec(r=options.rank), options.cells)
            rounds = []
            for number in range(options.rounds + 1):  # the first warms up
                ways = [cells.one_after_another(), cells.side_by_side()]
                if options.full:
                    ways.append(cells.all_weights(options.full))
                rounds.append(ways)
                print(f"{batch} pairs, round {number}: {[way.cost for way in ways]}", flush=True)
            lines.append({"pairs per step": batch, "tokens per step": cells.tokens(), **_line(rounds[1:])})
    print(f"\n{table(pd.DataFrame(lines))}")


@dataclass(frozen=True)
class Cost:
    """Processor seconds per cell: of a step of both its arms, and of the whole training."""

    step: float
    whole: float


@dataclass(frozen=True)
class Way:
    """One way to train the cells: its cost, and the margins in the arms' curves, shape [arms, points]."""

    cost: Cost
    margins: FloatArray


@dataclass(frozen=True)
class _Arm:
    """An arm's processor seconds per step, and the margins in its curve, shape [points]."""

    step: float
    margins: FloatArray


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

    def one_after_another(self) -> Way:
        """Train each arm alone."""
        return _alone(self.tasks, self._timed)

    def all_weights(self, cells: int) -> Way:
        """Train each arm of the first `cells` cells alone, without adapters."""
        return _alone([replace(task, lora=None) for task in self.tasks[: 2 * cells]], self._timed)

    def side_by_side(self) -> Way:
        """Train all arms of all cells together."""
        model, start = BundleModel(self.tasks[0].model, "float32", deepspeed=True), time.process_time()
        outcomes = train_together([self._timed(task) for task in self.tasks], model)
        arms = [outcome for outcome in outcomes if isinstance(outcome, _Arm)]
        assert len(arms) == len(outcomes), outcomes
        # Each clock has seen the steps of all.
        step = statistics.mean(arm.step for arm in arms) / self.count
        return Way(Cost(step, (time.process_time() - start) / self.count), _margins(arms))

    def _timed(self, task: ArmTask) -> Callable[[ModelAccess], _Arm]:
        def train(access: ModelAccess) -> _Arm:
            clock = StepClock()
            result = train_arm(task, self.scored, self.execution, on_step=clock.tick, access=access)
            curve = result.curve
            return _Arm(clock.step[1], curve.loc[curve["metric"] == "margin", "value"].to_numpy())

        return train


def _alone(tasks: list[ArmTask], timed: Callable[[ArmTask], Callable[[ModelAccess], _Arm]]) -> Way:
    start = time.process_time()
    arms = [timed(task)(OWN_MODEL) for task in tasks]
    cells = len(tasks) / 2
    return Way(
        Cost(sum(arm.step for arm in arms) / cells, (time.process_time() - start) / cells), _margins(arms)
    )


def _margins(arms: list[_Arm]) -> FloatArray:
    return np.stack([arm.margins for arm in arms])


def _line(rounds: list[list[Way]]) -> dict[str, str]:
    alone, together, *full = ([way.cost for way in ways] for ways in zip(*rounds, strict=True))
    line = {
        "alone, s per step": _seconds(alone),
        "side by side, s per step": _seconds(together),
        "factor, steps": _factor([cost.step for cost in alone], [cost.step for cost in together]),
        "factor, whole": _factor([cost.whole for cost in alone], [cost.whole for cost in together]),
        "margins, nats": f"{max(np.abs(ways[0].margins).max() for ways in rounds):.2g}",
        "differ by": f"{max(np.abs(ways[0].margins - ways[1].margins).max() for ways in rounds):.1g}",
    }
    return line | ({"all weights, s per step": _seconds(full[0])} if full else {})


def _seconds(costs: list[Cost]) -> str:
    return f"{statistics.median(cost.step for cost in costs):.3f}"


def _factor(alone: list[float], together: list[float]) -> str:
    ratios = [one / other for one, other in zip(alone, together, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
