"""Simulate a sweep on 1 to 512 spot GPUs, and compare its makespan with the least possible time.

    python -m bench.scale [--arm-s 43] [--preemptions 0.05] [--json FILE]

Lanes take cells in the order of the agenda (`agenda.longest_first`), as the desk hands them out. The
costs of a lane's start, of a warm cell and of the driver's part of a cell were measured on two cores
(docs/faults.md, docs/speed.md) and are the defaults. The seconds of an arm are an assumption, because no
accelerator was available: 2,000 steps of 8.6 TFLOP at 40 % of an H100's bf16 peak take 43 s. A reclaimed GPU
is gone at once, its cell continues elsewhere from its newest checkpoint, and another GPU comes after a wait.

The bound is the time of all cells' training and scoring divided by the number of GPUs, as if all GPUs were
there from the start and never reclaimed; or the time of the longest cell, if that is more.
"""

import argparse
import json
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import simpy

from orchestrator.plan.time_span import time_span
from stats.page.markdown import table

GPU_COUNTS = (1, 4, 16, 64, 128, 256, 512)


@dataclass(frozen=True)
class Costs:
    """The costs of a simulated sweep in seconds; `preemptions` are per GPU and hour."""

    arm: float = 43.0  # training steps and held-out scoring
    start: float = 40.0  # per lane: process, imports, the first model
    warm: float = 0.32  # per cell, outside its steps and its scoring
    driver: float = 0.110  # per cell in the driver, one cell at a time: 9.1 cells per second
    checkpoint: float = 11.0  # between two checkpoints: 500 of 2,000 steps
    backoff: float = 2.0  # before a cell is tried again
    preemptions: float = 0.05
    replacement: float = 300.0  # until another GPU is there


@dataclass
class SimulatedSweep:
    """The outcome of a simulated sweep.

    Attributes:
        makespan: Seconds from the start to the last recorded cell.
        repeated: Seconds of training that were done twice.
        attempts: The number of attempts of each recorded cell.
    """

    makespan: float = 0.0
    repeated: float = 0.0
    attempts: list[int] = field(default_factory=list)


@dataclass
class SimulatedCell:
    """A cell, with the seconds that it needs in total and those that its checkpoint has saved."""

    seconds: float
    saved: float = 0.0
    attempts: int = 0


def simulate(arms: Sequence[int], gpus: int, costs: Costs, rng: np.random.Generator) -> SimulatedSweep:
    """Simulate cells on `gpus` GPUs with one lane per GPU; `arms` holds each cell's number of arms."""
    world, sweep = simpy.Environment(), SimulatedSweep()
    queue: Any = simpy.PriorityStore(world)
    driver = simpy.Resource(world)
    for number, count in enumerate(sorted(arms, reverse=True)):
        queue.put(simpy.PriorityItem(number, SimulatedCell(count * costs.arm)))
    ended = world.event()

    def record(cell: SimulatedCell) -> Generator[Any, Any, None]:
        with driver.request() as turn:
            yield turn
            yield world.timeout(costs.driver)
        sweep.makespan = world.now
        sweep.attempts.append(cell.attempts)
        if len(sweep.attempts) == len(arms):
            ended.succeed()

    def retry(item: Any) -> Generator[Any, Any, None]:
        yield world.timeout(costs.backoff)
        queue.put(item)

    def lane() -> Generator[Any, Any, None]:
        while True:
            rate = costs.preemptions / 3600
            reclaimed = world.now + (rng.exponential(1 / rate) if rate else np.inf)
            if world.now + costs.start < reclaimed:
                yield world.timeout(costs.start)
                while True:
                    item = yield queue.get()
                    cell = item.item
                    cell.attempts += 1
                    needed = costs.warm + cell.seconds - cell.saved
                    if world.now + needed > reclaimed:
                        trained = max(0.0, reclaimed - world.now - costs.warm)
                        saved = trained // costs.checkpoint * costs.checkpoint
                        sweep.repeated += trained - saved
                        cell.saved += saved
                        yield world.timeout(max(0.0, reclaimed - world.now))
                        world.process(retry(item))
                        break
                    yield world.timeout(needed)
                    world.process(record(cell))
            else:
                yield world.timeout(reclaimed - world.now)
            yield world.timeout(costs.replacement)

    for _ in range(gpus):
        world.process(lane())
    world.run(until=ended)
    return sweep


def bound(arms: Sequence[int], gpus: int, costs: Costs) -> float:
    """Return the least seconds in which these cells can be trained."""
    return max(sum(arms) * costs.arm / gpus, max(arms) * costs.arm)


ARMS_OF_CELLS = {
    "v5b: 102 arms": ([2] * 8 + [1]) * 6,  # eight splits and a baseline, five seeds of DPO, one of WPO
    "10,000 cells of two arms": [2] * 10_000,
}


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--arm-s", type=float, default=Costs.arm, help="seconds per arm")
    flags.add_argument(
        "--preemptions", type=float, default=Costs.preemptions, help="preemptions per GPU and hour"
    )
    flags.add_argument("--draws", type=int, default=5, help="simulations per row")
    flags.add_argument("--json", type=Path, help="file for the rows of the table and the costs")
    args = flags.parse_args()
    costs = replace(Costs(), arm=args.arm_s, preemptions=args.preemptions, checkpoint=args.arm_s / 4)
    rows: list[dict[str, Any]] = []
    for study, arms in ARMS_OF_CELLS.items():
        for gpus in GPU_COUNTS:
            least = bound(arms, gpus, costs)
            draws = [simulate(arms, gpus, costs, np.random.default_rng(seed)) for seed in range(args.draws)]
            makespans = [draw.makespan for draw in draws]
            attempts = np.concatenate([draw.attempts for draw in draws])
            trained_twice = np.mean([draw.repeated for draw in draws]) / (sum(arms) * costs.arm)
            low, middle, high = np.quantile(makespans, [0, 0.5, 1]) / least
            rows.append(
                {
                    "study": study,
                    "GPUs": gpus,
                    "bound": time_span(least),
                    "makespan": time_span(middle * least),
                    "over the bound": f"{middle:.2f} ({low:.2f} to {high:.2f})",
                    "trained twice": f"{trained_twice:.2%}",
                    "cells of 2 attempts": f"{np.mean(attempts == 2):.2%}",
                    "of more": f"{np.mean(attempts > 2):.3%}",
                }
            )
    print(table(pd.DataFrame(rows)))
    if args.json:
        args.json.write_text(json.dumps({"costs": asdict(costs), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
