"""A sweep on 1 to 512 spot GPUs, simulated: how its makespan compares with the least time there could be.

    python -m bench.scale [--arm-s 43] [--preemptions 0.05] [--json FILE]

Lanes take cells in the scheduler's order (`agenda.longest_first`) as the desk hands them out. What a lane's
start, a warm cell and the driver's part of a cell cost is measured on two cores (docs/faults.md,
docs/speed.md) and given here as defaults; the seconds of an arm are an assumption as long as no accelerator
was lent: 2,000 steps of 8.6 TFLOP at 40 % of an H100's bf16 peak take 43 s. A reclaimed GPU is gone at once,
its cell goes on from its newest checkpoint elsewhere, and another GPU comes after a wait.

The bound is the cells' own training and scoring divided by the GPUs, all there from the start and never
reclaimed, or the longest cell where that is more.
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

from orchestrator.plan.display import span
from stats.page.markdown import table

GPUS = (1, 4, 16, 64, 128, 256, 512)


@dataclass(frozen=True)
class Costs:
    """Seconds, but for `preemptions` (a GPU and hour)."""

    arm: float = 43.0  # training steps and held-out scoring
    start: float = 40.0  # a lane's: process, imports, the first model
    warm: float = 0.32  # a cell's outside its steps and its scoring
    driver: float = 0.110  # a cell's in the driver, one at a time: 9.1 a second
    checkpoint: float = 11.0  # between two: 500 of 2,000 steps
    backoff: float = 2.0
    preemptions: float = 0.05
    replacement: float = 300.0  # until another GPU is there


@dataclass
class Sweep:
    """What came of a simulated sweep: seconds from its start to its last recorded cell, seconds of training
    that were done twice, attempts at each recorded cell."""

    makespan: float = 0.0
    repeated: float = 0.0
    attempts: list[int] = field(default_factory=list)


@dataclass
class Cell:
    """Seconds of training and scoring in all, and those that are on its shelf."""

    seconds: float
    kept: float = 0.0
    attempts: int = 0


def simulate(arms: Sequence[int], gpus: int, costs: Costs, rng: np.random.Generator) -> Sweep:
    """Run cells of so many arms each on so many GPUs, a lane each."""
    world, seen = simpy.Environment(), Sweep()
    line: Any = simpy.PriorityStore(world)
    driver = simpy.Resource(world)
    for number, count in enumerate(sorted(arms, reverse=True)):
        line.put(simpy.PriorityItem(number, Cell(count * costs.arm)))
    ended = world.event()

    def record(cell: Cell) -> Generator[Any, Any, None]:
        with driver.request() as turn:
            yield turn
            yield world.timeout(costs.driver)
        seen.makespan = world.now
        seen.attempts.append(cell.attempts)
        if len(seen.attempts) == len(arms):
            ended.succeed()

    def again(item: Any) -> Generator[Any, Any, None]:
        yield world.timeout(costs.backoff)
        line.put(item)

    def lane() -> Generator[Any, Any, None]:
        while True:
            rate = costs.preemptions / 3600
            reclaimed = world.now + (rng.exponential(1 / rate) if rate else np.inf)
            if world.now + costs.start < reclaimed:
                yield world.timeout(costs.start)
                while True:
                    item = yield line.get()
                    cell = item.item
                    cell.attempts += 1
                    needed = costs.warm + cell.seconds - cell.kept
                    if world.now + needed > reclaimed:
                        done = max(0.0, reclaimed - world.now - costs.warm)
                        safe = done // costs.checkpoint * costs.checkpoint
                        seen.repeated += done - safe
                        cell.kept += safe
                        yield world.timeout(max(0.0, reclaimed - world.now))
                        world.process(again(item))
                        break
                    yield world.timeout(needed)
                    world.process(record(cell))
            else:
                yield world.timeout(reclaimed - world.now)
            yield world.timeout(costs.replacement)

    for _ in range(gpus):
        world.process(lane())
    world.run(until=ended)
    return seen


def bound(arms: Sequence[int], gpus: int, costs: Costs) -> float:
    """The least seconds that training these cells takes."""
    return max(sum(arms) * costs.arm / gpus, max(arms) * costs.arm)


STUDIES = {
    "v5b: 102 arms": ([2] * 8 + [1]) * 6,  # eight splits and a baseline, five seeds of DPO, one of WPO
    "10,000 cells of two arms": [2] * 10_000,
}


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--arm-s", type=float, default=Costs.arm, help="seconds an arm")
    flags.add_argument("--preemptions", type=float, default=Costs.preemptions, help="a GPU and hour")
    flags.add_argument("--draws", type=int, default=5)
    flags.add_argument("--json", type=Path, help="every draw, with the costs")
    args = flags.parse_args()
    costs = replace(Costs(), arm=args.arm_s, preemptions=args.preemptions, checkpoint=args.arm_s / 4)
    rows: list[dict[str, Any]] = []
    for study, arms in STUDIES.items():
        for gpus in GPUS:
            least = bound(arms, gpus, costs)
            draws = [simulate(arms, gpus, costs, np.random.default_rng(seed)) for seed in range(args.draws)]
            spans = [draw.makespan for draw in draws]
            attempts = np.concatenate([draw.attempts for draw in draws])
            twice = np.mean([draw.repeated for draw in draws]) / (sum(arms) * costs.arm)
            low, middle, high = np.quantile(spans, [0, 0.5, 1]) / least
            rows.append(
                {
                    "study": study,
                    "GPUs": gpus,
                    "bound": span(least),
                    "makespan": span(middle * least),
                    "over the bound": f"{middle:.2f} ({low:.2f} to {high:.2f})",
                    "trained twice": f"{twice:.2%}",
                    "cells of 2 attempts": f"{np.mean(attempts == 2):.2%}",
                    "of more": f"{np.mean(attempts > 2):.3%}",
                }
            )
    print(table(pd.DataFrame(rows)))
    if args.json:
        args.json.write_text(json.dumps({"costs": asdict(costs), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
