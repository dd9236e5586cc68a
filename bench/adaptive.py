"""Do verdicts hold that are looked at after every seed, and how many cells do they save?

    python -m bench.adaptive [--studies 1000] [--figure docs/seeds.png]

On simulated studies (`bench/designs.py`). The adaptive design looks at 2 (or 3) to 20 seeds; beside it stand
fixed designs with the same estimate, Holm and Bonferroni intervals, and the fixed design that finds as many
of the planted diffs. Prints Markdown tables; docs/seeds.md carries them, and tests/test_sequential.py holds
them at fewer studies.
"""

import argparse
from dataclasses import replace
from pathlib import Path as File

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.designs import (
    DIFFS,
    LOOKS,
    NOTHING,
    PLANTED,
    SETTINGS,
    SPLITS,
    Study,
    adaptive,
    draw,
    of_adaptive,
    of_fixed,
    of_report,
    simulate,
)
from stats.evidence.judge import CONTRADICTED, NULL, SUPPORTED
from stats.page.markdown import plain, table
from stats.rule.changes import change
from stats.rule.verdicts import verdict

STARTS = (2, 3)
FIXED = range(3, 21)  # seeds of the fixed designs
CHOICES = 300  # studies a setting, not among those judged, by which spending and the stop were chosen


def equal_power(power: float, curve: "pd.Series[float]") -> float:
    """Seeds a split of the fixed design with this power; nan where it has more with the fewest."""
    risen = np.maximum.accumulate(curve.to_numpy())
    return float(np.interp(power, risen, curve.index)) if power >= risen[0] else np.nan


def sizes(studies: dict[tuple[str, str], list[Study]]) -> pd.DataFrame:
    """Held-out pairs of a split, and the spread (pp) of one seed's diff and of the users' part."""
    rows = []
    for (setting, kind), drawn in studies.items():
        if kind == NOTHING:
            truth, paths = SETTINGS[setting], [one for study in drawn for one in study.paths]
            seeds = np.sqrt(np.mean([one.of_seeds[-1] * one.seeds[-1] for one in paths]))
            users = np.sqrt(np.mean([one.of_users[-1] for one in paths]))
            rows.append((setting, round(2 * truth.users * truth.pairs_per_user), float(seeds), float(users)))
    return pd.DataFrame(rows, columns=["setting", "pairs", "sd of one seed", "sd of users"])


def designs(studies: dict[tuple[str, str], list[Study]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the table, the fixed designs' power by seeds) of all settings."""
    rows, curves = [], []
    for (setting, kind), drawn in studies.items():
        diffs = DIFFS[kind]
        label = {"setting": setting, "truth": kind}
        ends = {start: of_adaptive(drawn, diffs, replace(LOOKS, start=start)) for start in STARTS}
        rows += [{**label, "design": f"adaptive, {start} to 20 seeds", **ends[start]} for start in STARTS]
        for name, design in (("fixed", of_fixed), ("fixed, Satterthwaite", of_report)):
            fixed = {n: design(drawn, diffs, n) for n in FIXED}
            rows += [{**label, "design": f"{name}, {n} seeds", **fixed[n]} for n in (3, 5, 20)]
            if kind == PLANTED:
                power = pd.Series({n: one["power"] for n, one in fixed.items()})
                for start, found in ends.items():
                    seeds = equal_power(found["power"], power)
                    equal = {"power": found["power"], "cells": seeds * len(SPLITS)}
                    saved = 1 - found["cells"] / equal["cells"]
                    shown = f"{name}, finds as many as {start} to 20 ({plain(seeds, 1)} seeds)"
                    rows.append({**label, "design": shown, **equal, "saved": saved})
                curves += [
                    {
                        "setting": setting,
                        "design": name,
                        "seeds": n,
                        "power": one,
                        **_prefixed(ends[LOOKS.start]),
                    }
                    for n, one in power.items()
                ]
    return pd.DataFrame(rows), pd.DataFrame(curves)


def _prefixed(found: dict[str, float]) -> dict[str, float]:
    return {f"adaptive {name}": found[name] for name in ("power", "cells")}


def choices(count: int) -> pd.DataFrame:
    """What the spending and the worth of a seed were chosen from: planted diffs, other studies."""
    rows, diffs = [], DIFFS[PLANTED]
    for number, (setting, truth) in enumerate(SETTINGS.items()):
        rng = np.random.default_rng([number, 1])
        drawn = [draw(truth, diffs, 1, rng)[0] for _ in range(count)]
        curve = pd.Series({n: of_fixed(drawn, diffs, n)["power"] for n in FIXED})
        for spending in ((1.0, 1.0), (3.0, 1.0), (2.0, 3.0), (4.0, 6.0), (5.0, 6.0)):
            for worth in (0.01, 0.02, 0.03):
                looks = replace(LOOKS, spending=spending, worth=worth)
                found = of_adaptive(drawn, diffs, looks)
                cells = len(SPLITS) * equal_power(found["power"], curve)
                saved = 1 - found["cells"] / cells
                shown = f"Beta({spending[0]:g}, {spending[1]:g})"
                rows.append((setting, shown, worth, found["power"], found["cells"], saved))
    return pd.DataFrame(rows, columns=["setting", "spending", "worth", "power", "cells", "saved"])


def published(pairs: dict[str, list[tuple[Study, Study]]]) -> pd.DataFrame:
    """The published rule beside the adaptive decision where nothing is there and nothing changed.

    Every split is predicted A > B. The reference has five seeds under the published rule. The adaptive
    counterpart of FIXED: the reference contradicted or practically null, and the method supported.
    """
    rows = []
    for setting, drawn in pairs.items():
        for seeds in (1, 3, 5):
            labels = [
                [
                    (after := verdict(mine[:seeds], "A > B"), change(verdict(other, "A > B"), after))
                    for mine, other in zip(method.by_seed, reference.by_seed, strict=True)
                ]
                for reference, method in drawn
            ]
            rows.append((setting, f"published rule, {seeds} of the method", *_shares(np.array(labels))))
        ends = [(adaptive(reference), adaptive(method)) for reference, method in drawn]
        labels = [
            [
                (
                    "MATCH" if mine.state == SUPPORTED else mine.state,
                    "FIXED" if mine.state == SUPPORTED and other.state in (CONTRADICTED, NULL) else "",
                )
                for mine, other in zip(method.decisions, reference.decisions, strict=True)
            ]
            for reference, method in ends
        ]
        rows.append((setting, "adaptive decision", *_shares(np.array(labels))))
    names = ["MATCH (or supported)", "FIXED", "studies with a MATCH", "studies with a FIXED"]
    return pd.DataFrame(rows, columns=["setting", "judged by", *names])


def _shares(labels: np.ndarray) -> tuple[float, float, float, float]:
    """Of labels [studies, splits, (verdict, change)]: shares of splits, and of studies with one or more."""
    match, fixed = labels[..., 0] == "MATCH", labels[..., 1] == "FIXED"
    return match.mean(), fixed.mean(), match.any(axis=1).mean(), fixed.any(axis=1).mean()


def figure(curves: pd.DataFrame) -> Figure:
    """Power by cells: a line for fixed designs, a point for the adaptive one; a panel a setting."""
    drawn = Figure(figsize=(6.5, 2.6), layout="constrained")
    FigureCanvasAgg(drawn)
    panels = drawn.subplots(1, curves["setting"].nunique(), sharey=True)
    for ax, (setting, part) in zip(panels, curves.groupby("setting", sort=False), strict=True):
        part = part[part["design"] == "fixed"]
        cells = part["seeds"] * len(SPLITS)
        ends = part["seeds"].isin([5, 20])
        ax.plot(cells, part["power"], "-", color="0.4", label="fixed, 3 to 20 seeds")
        ax.plot(cells[ends], part["power"][ends], "o", color="0.4", mfc="white", label="fixed, 5 and 20")
        ax.plot(part["adaptive cells"][:1], part["adaptive power"][:1], "D", color="C3", label="adaptive")
        ax.set(title=setting, xlabel="cells (7 splits)", ylim=(0, 1), xlim=(0, 147))
        ax.grid(alpha=0.3)
    panels[0].set_ylabel("planted diffs found")
    panels[-1].legend(fontsize=7, loc="upper left")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies a setting and truth")
    parser.add_argument("--figure", type=File, help="where to draw power by cells")
    args = parser.parse_args()
    single, double = simulate(args.studies)
    found, curves = designs(single)
    chosen = choices(min(CHOICES, args.studies))
    tables = {"settings": sizes(single), "designs": found, "published": published(double), "choices": chosen}
    for name, frame in tables.items():
        shown = frame.map(lambda cell: plain(cell, 3) if isinstance(cell, float) else cell)
        print(f"\n### {name}\n\n{table(shown)}", flush=True)
    if args.figure:
        figure(curves).savefig(args.figure, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
