"""Simulate a sweep on 1 to 512 spot GPUs, and compare its makespan with the least possible time.

    python -m bench.scale [--mfu 0.25] [--preemptions 0.05] [--together 4] [--gain 2] [--json FILE]

Lanes take cells in the order of the agenda (`agenda.longest_first`), as the desk hands them out. The
costs of a lane's start, of a warm cell and of the driver's part of a cell were measured on two cores
(docs/faults.md, docs/speed.md) and are the defaults. The seconds of an arm are an assumption, because no
accelerator was available: 2,000 steps of 8.6 TFLOP at 25 % of an H100's bf16 peak take 70 s; LoRA saves the
third of them that are products for the gradients of weights. A reclaimed GPU is gone at once, its cells
continue elsewhere from their newest checkpoints, and another GPU comes after a wait.

LoRA cells are also simulated side by side: up to `--together` of them on a GPU, but never so many that
another GPU has none, with `--gain` times the throughput of one when there are that many, and in proportion
when there are fewer. The gain is an assumption, too.

The bound is the time of all cells' training and scoring divided by the number of GPUs, as if all GPUs were
there from the start and never reclaimed; or the time of the longest cell, if that is more. What limits a
sweep is the cost without which it would be shortest, if that saves more than 2 %.
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
ARM_TFLOP, H100_TFLOPS = 2000 * 8.6, 989.0
LORA_SHARE = 2 / 3
WITHOUT = {
    "the start of lanes": {"start": 0.0},
    "the driver": {"driver": 0.0},
    "preemptions": {"preemptions": 0.0},
}
LEAST_SAVING = 0.02


@dataclass(frozen=True)
class Costs:
    """The costs of a simulated sweep in seconds; `preemptions` are per GPU and hour."""

    arm: float = 70.0  # training steps and held-out scoring, alone on a GPU
    start: float = 40.0  # per lane: process, imports, the first model
    warm: float = 0.32  # per cell, outside its steps and its scoring
    driver: float = 0.110  # per cell in the driver, one cell at a time: 9.1 cells per second
    checkpoint: float = 17.5  # between two checkpoints: 500 of 2,000 steps
    backoff: float = 2.0  # before a cell is tried again
    preemptions: float = 0.05
    replacement: float = 300.0  # until another GPU is there
    together: int = 1  # cells at the same time on a GPU, at most
    gain: float = 1.0  # in throughput, of as many cells over one

    def cells_at_once(self, cells: int, gpus: int) -> int:
        """Return how many of the cells each GPU takes at the same time, so that none has to be idle."""
        return min(self.together, max(1, cells // gpus))

    def throughput(self, at_once: int) -> float:
        """Return that of so many cells side by side, in units of one cell's."""
        further = max(1, self.together - 1)
        return 1 + (self.gain - 1) * (at_once - 1) / further


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
    at_once = costs.cells_at_once(len(arms), gpus)
    slower = at_once / costs.throughput(at_once)  # a cell beside others than alone

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

    def place(reclaimed: float) -> Generator[Any, Any, None]:
        """Train one cell after another in one of a lane's places, until its GPU is reclaimed."""
        while True:
            item = yield queue.get()
            cell = item.item
            cell.attempts += 1
            needed = costs.warm + (cell.seconds - cell.saved) * slower
            if world.now + needed > reclaimed:
                trained = max(0.0, reclaimed - world.now - costs.warm) / slower
                saved = trained // costs.checkpoint * costs.checkpoint
                sweep.repeated += trained - saved
                cell.saved += saved
                yield world.timeout(max(0.0, reclaimed - world.now))
                world.process(retry(item))
                return
            yield world.timeout(needed)
            world.process(record(cell))

    def lane() -> Generator[Any, Any, None]:
        while True:
            rate = costs.preemptions / 3600
            reclaimed = world.now + (rng.exponential(1 / rate) if rate else np.inf)
            if world.now + costs.start < reclaimed:
                yield world.timeout(costs.start)
                yield world.all_of([world.process(place(reclaimed)) for _ in range(at_once)])
            else:
                yield world.timeout(reclaimed - world.now)
            yield world.timeout(costs.replacement)

    for _ in range(gpus):
        world.process(lane())
    world.run(until=ended)
    return sweep


def bound(arms: Sequence[int], gpus: int, costs: Costs) -> float:
    """Return the least seconds in which these cells can be trained."""
    at_once = costs.cells_at_once(len(arms), gpus)
    return max(sum(arms) * costs.arm / gpus / costs.throughput(at_once), max(arms) * costs.arm)


def limit(arms: Sequence[int], gpus: int, costs: Costs) -> str:
    """Return the cost without which the sweep would be shortest, or that its last cells end unevenly."""

    def makespan(costs: Costs) -> float:
        return simulate(arms, gpus, costs, np.random.default_rng(0)).makespan

    whole = makespan(costs)
    if whole < (1 + LEAST_SAVING) * bound(arms, gpus, costs):
        return ""
    without = {name: makespan(replace(costs, **changes)) for name, changes in WITHOUT.items()}
    name = min(without, key=lambda cost: without[cost])
    return name if without[name] < (1 - LEAST_SAVING) * whole else "its last cells"


ARMS_OF_CELLS = {
    "v5b: 102 arms": ([2] * 8 + [1]) * 6,  # eight splits and a baseline, five seeds of DPO, one of WPO
    "10,000 cells of two arms": [2] * 10_000,
}


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--mfu", type=float, default=0.25, help="share of an H100's peak that an arm reaches")
    flags.add_argument(
        "--preemptions", type=float, default=Costs.preemptions, help="preemptions per GPU and hour"
    )
    flags.add_argument(
        "--together", type=int, default=4, help="LoRA cells at the same time on a GPU, at most"
    )
    flags.add_argument("--gain", type=float, default=2.0, help="throughput of so many over that of one")
    flags.add_argument("--draws", type=int, default=5, help="simulations per row")
    flags.add_argument("--json", type=Path, help="file for the rows of the table and the costs")
    args = flags.parse_args()
    full = ARM_TFLOP / H100_TFLOPS / args.mfu
    packed = {"together": args.together, "gain": args.gain}
    kinds = {
        "all weights": _costs(full, args.preemptions),
        "LoRA": _costs(LORA_SHARE * full, args.preemptions),
        f"LoRA, {args.together} side by side": replace(_costs(LORA_SHARE * full, args.preemptions), **packed),
    }
    rows: list[dict[str, Any]] = []
    for study, arms in ARMS_OF_CELLS.items():
        for kind, costs in kinds.items():
            rows += [{"study": study, "arms": kind} | _row(arms, n, costs, args.draws) for n in GPU_COUNTS]
    print(table(pd.DataFrame(rows)))
    if args.json:
        by_kind = {kind: asdict(costs) for kind, costs in kinds.items()}
        args.json.write_text(json.dumps({"costs": by_kind, "rows": rows}, indent=1) + "\n")


def _costs(arm: float, preemptions: float) -> Costs:
    return replace(Costs(), arm=arm, preemptions=preemptions, checkpoint=arm / 4)


def _row(arms: Sequence[int], gpus: int, costs: Costs, draws: int) -> dict[str, Any]:
    least = bound(arms, gpus, costs)
    sweeps = [simulate(arms, gpus, costs, np.random.default_rng(seed)) for seed in range(draws)]
    low, middle, high = np.quantile([sweep.makespan for sweep in sweeps], [0, 0.5, 1]) / least
    trained_twice = np.mean([sweep.repeated for sweep in sweeps]) / (sum(arms) * costs.arm)
    return {
        "GPUs": gpus,
        "bound": time_span(least),
        "makespan": time_span(middle * least),
        "over the bound": f"{middle:.2f} ({low:.2f} to {high:.2f})",
        "limited by": limit(arms, gpus, costs),
        "trained twice": f"{trained_twice:.2%}",
    }


if __name__ == "__main__":
    main()
