"""What `--dry-run` says that each card would do: its cells in their order, and when the last one ends."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.plan.grid_table import as_text, plain_table
from orchestrator.plan.pace import LanePace
from orchestrator.plan.plan import Plan
from orchestrator.plan.time_span import time_span
from orchestrator.run.forecast import LaneForecast, forecast
from orchestrator.run.packing import most_lanes
from orchestrator.run.share import resolve_auto
from orchestrator.study.study import Study
from stats.text import plural
from training.errors import StudyError
from training.hardware import cards_of_driver
from training.model_path import known_config

GB = 10**9
MIB = 2**20
MOST_ROWS, MOST_NAMES = 40, 3  # lanes of the table, and cells that it names of a lane
EXAMPLE = "--cards 2x24 (two cards of 24 GB)"


@dataclass(frozen=True)
class CardNode:
    """A node: how many cards it has, and the bytes of the smallest. Its CPUs are taken to suffice."""

    cards: int
    card_bytes: int


def asked_cards(text: str) -> list[CardNode]:
    """Read the nodes of `--cards`: the cards of each and their GB, as in 2x24 or 4x80,4x80."""
    nodes = []
    for part in text.split(","):
        found = re.fullmatch(r"([1-9]\d*)x(\d+(?:\.\d+)?)", part.strip())
        if found is None or not float(found[2]):
            raise StudyError(
                f"--cards {text}: give the cards of each node and their GB, as in 2x24 or 4x80,4x80"
            )
        nodes.append(CardNode(int(found[1]), int(float(found[2]) * GB)))
    return nodes


def own_cards() -> list[CardNode]:
    """Return this machine with its cards; no node if it has none, or if the sweep would run elsewhere."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    sizes = [int(card.split(",")[-1].split()[0]) * MIB for card in cards_of_driver()]
    count = (
        len(sizes) if visible is None else min(len(sizes), len([card for card in visible.split(",") if card]))
    )
    return [CardNode(count, min(sizes))] if count and not os.environ.get("RAY_ADDRESS") else []


def card_table(plan: Plan, nodes: Sequence[CardNode]) -> str:
    """Return the lanes that a sweep would have on these cards, one per row.

    The text is empty for a study that uses no GPU, and where nothing is left to train.
    """
    if not plan.open or not any(shape.gpus_per_worker for shape in plan.study.shapes.values()):
        return ""
    if not nodes:
        return f"what each card would do: unknown here; ask with {EXAMPLE}"
    study = _on_these_cards(plan, nodes)
    if study is None:
        return "what each card would do: unknown until the model's config.json is on this disk"
    shapes, pace = study.shapes, LanePace.of(plan.trials, study.shapes, plan.cell_seconds)
    places = _nodes(nodes)
    lanes = forecast(plan.agenda, shapes, places, pace.lane_time, study.resources.lanes)

    def shown(time: float) -> str:
        return time_span(time) if pace.finished else f"{time:,.0f} steps"

    table = plain_table("card", "share", "cells, in this order", "starts", "ends")
    for lane in sorted(lanes, key=lambda lane: (lane.places, lane.start))[:MOST_ROWS]:
        start = shown(lane.start) if lane.start else ""
        table.add_row(_cards(lane, nodes), f"{lane.shape.gpus:g}", _names(lane), start, shown(lane.end))
    placed = {trial.trial_id for lane in lanes for trial in lane.cells}
    outside = Counter(trial.method for trial in plan.open if trial.trial_id not in placed)
    cards = sum(node.cards for node in nodes)
    work = sum(_card_time(lane, pace) for lane in lanes)
    bound = max(work / cards, *(pace.lane_time(t, lane.shape) for lane in lanes for t in lane.cells), 0.0)
    source = (
        f"from {plural(pace.finished, 'finished cell')}" if pace.finished else "until a cell has finished"
    )
    return "\n".join(
        [
            f"on {plural(cards, 'card')}, without start-up, {source}: "
            f"{shown(max((lane.end for lane in lanes), default=0.0))} to go; no order takes less than "
            f"{shown(bound)}",
            *([as_text(table)] if lanes else []),
            *([f"... and {len(lanes) - MOST_ROWS} more lanes"] if len(lanes) > MOST_ROWS else []),
            *(
                f"{plural(count, 'cell')} of {method} fit on no node of these"
                for method, count in outside.items()
            ),
        ]
    )


def _on_these_cards(plan: Plan, nodes: Sequence[CardNode]) -> Study | None:
    """Return the study with numbers in place of `auto`; None if its model's sizes are not known here."""
    config = known_config(plan.study.model)
    shapes = plan.study.shapes.values()
    if config is None and any("auto" in (shape.gpus_per_worker, shape.cells_together) for shape in shapes):
        return None
    return resolve_auto(
        plan.study,
        plan.places.cache,
        Counter(trial.method for trial in plan.open),
        card_bytes=lambda: min(node.card_bytes for node in nodes),
        lanes_that_fit=lambda shape: most_lanes(_nodes(nodes), shape),
        config=lambda: config,
    )


def _nodes(nodes: Sequence[CardNode]) -> list[tuple[float, int]]:
    return [(float("inf"), node.cards) for node in nodes]


def _card_time(lane: LaneForecast, pace: LanePace) -> float:
    """Return the time of cards that the cells of a lane take."""
    times = (pace.lane_time(trial, lane.shape) for trial in lane.cells)
    return lane.shape.workers * lane.shape.gpus * sum(times)


def _cards(lane: LaneForecast, nodes: Sequence[CardNode]) -> str:
    """Name the cards of a lane: `0, 1`, or with their nodes, `1:0, 1:1`."""
    return ", ".join(
        f"{node}:{card}" if len(nodes) > 1 else f"{card}" for node, cards in lane.places for card in cards
    )


def _names(lane: LaneForecast) -> str:
    """Name the first cells of a lane, and how many follow."""
    names = [trial.name for trial in lane.cells]
    more = f", {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    beside = f" ({lane.shape.cells_at_once} side by side)" if lane.shape.cells_at_once > 1 else ""
    return ", ".join(names[:MOST_NAMES]) + more + beside
