"""Measure whether verdicts that are looked at after every seed hold, and how many cells this saves.

    python -m bench.adaptive [--studies 1000] [--figure docs/seeds.png]

The studies are simulated (`bench/designs.py`). The adaptive design looks at 2 (or 3) to 20 seeds. It is
compared with fixed designs with the same estimate, Holm and Bonferroni intervals, and with the fixed design
that finds as many of the planted diffs. It prints Markdown tables. docs/seeds.md has
them, and tests/test_sequential.py checks them with fewer studies.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.designs import (
    LOOKS,
    NO_EFFECT,
    PLANTED,
    SETTINGS,
    SPLIT_NAMES,
    TRUE_DIFFS,
    MethodSplits,
    adaptive,
    draw,
    score_adaptive,
    score_finished,
    score_fixed,
    simulate,
)
from stats.evidence.decision import SplitState
from stats.page.markdown import plain, table
from stats.rule.changes import change
from stats.rule.labels import Change, Prediction, Verdict
from stats.rule.verdicts import verdict

FIRST_LOOKS = (2, 3)  # seeds at the first look of the adaptive designs
FIXED_SEEDS = range(3, 21)  # seeds of the fixed designs
CHOICE_STUDIES = 300  # separate studies per setting, on which spending and stop were chosen


def equal_power(power: float, curve: "pd.Series[float]") -> float:
    """Return the seeds per split of the fixed design with this power; NaN if the smallest one has more."""
    rising = np.maximum.accumulate(curve.to_numpy())
    return float(np.interp(power, rising, curve.index)) if power >= rising[0] else np.nan


def sizes(studies: dict[tuple[str, str], list[MethodSplits]]) -> pd.DataFrame:
    """Return held-out pairs per split, and the spread (pp) of one seed's diff and of its part from users."""
    rows = []
    for (setting, kind), drawn in studies.items():
        if kind == NO_EFFECT:
            truth, paths = SETTINGS[setting], [path for method in drawn for path in method.paths]
            seeds = np.sqrt(np.mean([path.of_seeds[-1] * path.seeds[-1] for path in paths]))
            users = np.sqrt(np.mean([path.of_users[-1] for path in paths]))
            rows.append((setting, round(2 * truth.users * truth.pairs_per_user), float(seeds), float(users)))
    return pd.DataFrame(rows, columns=["setting", "pairs", "sd of one seed", "sd of users"])


def designs(studies: dict[tuple[str, str], list[MethodSplits]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return, for all settings, the table of designs and the power of fixed designs by seeds."""
    rows, curves = [], []
    for (setting, kind), drawn in studies.items():
        diffs = TRUE_DIFFS[kind]
        label = {"setting": setting, "truth": kind}
        ends = {start: score_adaptive(drawn, diffs, replace(LOOKS, start=start)) for start in FIRST_LOOKS}
        rows += [
            {**label, "design": f"adaptive, {start} to 20 seeds", **ends[start]} for start in FIRST_LOOKS
        ]
        for name, design in (("fixed", score_fixed), ("fixed, as a finished study", score_finished)):
            fixed = {n: design(drawn, diffs, n) for n in FIXED_SEEDS}
            rows += [{**label, "design": f"{name}, {n} seeds", **fixed[n]} for n in (3, 5, 20)]
            if kind == PLANTED:
                power = pd.Series({n: scores["power"] for n, scores in fixed.items()})
                for start, scores in ends.items():
                    seeds = equal_power(scores["power"], power)
                    equal = {"power": scores["power"], "cells": seeds * len(SPLIT_NAMES)}
                    saved = 1 - scores["cells"] / equal["cells"]
                    equal_design = f"{name}, finds as many as {start} to 20 ({plain(seeds, 1)} seeds)"
                    rows.append({**label, "design": equal_design, **equal, "saved": saved})
                curves += [
                    {
                        "setting": setting,
                        "design": name,
                        "seeds": n,
                        "power": share,
                        **_of_adaptive(ends[LOOKS.start]),
                    }
                    for n, share in power.items()
                ]
    return pd.DataFrame(rows), pd.DataFrame(curves)


def _of_adaptive(scores: dict[str, float]) -> dict[str, float]:
    return {f"adaptive {name}": scores[name] for name in ("power", "cells")}


def choices(count: int) -> pd.DataFrame:
    """Compare choices of error spending and of a seed's worth, on separate studies with planted diffs."""
    rows, diffs = [], TRUE_DIFFS[PLANTED]
    for number, (setting, truth) in enumerate(SETTINGS.items()):
        rng = np.random.default_rng([number, 1])
        drawn = [draw(truth, diffs, 1, rng)[0] for _ in range(count)]
        curve = pd.Series({n: score_fixed(drawn, diffs, n)["power"] for n in FIXED_SEEDS})
        for spending in ((1.0, 1.0), (3.0, 1.0), (2.0, 3.0), (4.0, 6.0), (5.0, 6.0)):
            for worth in (0.01, 0.02, 0.03):
                looks = replace(LOOKS, spending=spending, worth=worth)
                scores = score_adaptive(drawn, diffs, looks)
                cells = len(SPLIT_NAMES) * equal_power(scores["power"], curve)
                saved = 1 - scores["cells"] / cells
                name = f"Beta({spending[0]:g}, {spending[1]:g})"
                rows.append((setting, name, worth, scores["power"], scores["cells"], saved))
    return pd.DataFrame(rows, columns=["setting", "spending", "worth", "power", "cells", "saved"])


def published(pairs: dict[str, list[tuple[MethodSplits, MethodSplits]]]) -> pd.DataFrame:
    """Compare the published rule with the adaptive decision where there is no effect and no change.

    Every split is predicted A > B. The reference has five seeds under the published rule. The adaptive
    counterpart of FIXED is a reference that is contradicted or practically null, and a method that is
    supported.
    """
    rows = []
    for setting, drawn in pairs.items():
        for seeds in (1, 3, 5):
            labels = [
                [
                    (
                        after := verdict(values[:seeds], Prediction.A_ABOVE_B),
                        change(verdict(before, Prediction.A_ABOVE_B), after),
                    )
                    for values, before in zip(method.by_seed, reference.by_seed, strict=True)
                ]
                for reference, method in drawn
            ]
            rows.append((setting, f"published rule, {seeds} of the method", *_shares(np.array(labels))))
        ends = [(adaptive(reference), adaptive(method)) for reference, method in drawn]
        labels = [
            [
                (
                    Verdict.MATCH if after.state == SplitState.SUPPORTED else after.state,
                    Change.FIXED
                    if after.state == SplitState.SUPPORTED
                    and before.state in (SplitState.CONTRADICTED, SplitState.PRACTICALLY_NULL)
                    else "",
                )
                for after, before in zip(method.decisions, reference.decisions, strict=True)
            ]
            for reference, method in ends
        ]
        rows.append((setting, "adaptive decision", *_shares(np.array(labels))))
    names = ["MATCH (or supported)", "FIXED", "studies with a MATCH", "studies with a FIXED"]
    return pd.DataFrame(rows, columns=["setting", "judged by", *names])


def _shares(labels: np.ndarray) -> tuple[float, float, float, float]:
    """Return the shares of splits with MATCH and with FIXED, and of studies with at least one of each.

    `labels` has the shape [studies, splits, 2]: verdict and change.
    """
    match, fixed = labels[..., 0] == Verdict.MATCH, labels[..., 1] == Change.FIXED
    return match.mean(), fixed.mean(), match.any(axis=1).mean(), fixed.any(axis=1).mean()


def power_by_cells(curves: pd.DataFrame) -> Figure:
    """Draw power by cells: a line for fixed designs, a point for the adaptive one; one panel per setting."""
    figure = Figure(figsize=(6.5, 2.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, curves["setting"].nunique(), sharey=True)
    for ax, (setting, part) in zip(panels, curves.groupby("setting", sort=False), strict=True):
        part = part[part["design"] == "fixed"]
        cells = part["seeds"] * len(SPLIT_NAMES)
        ends = part["seeds"].isin([5, 20])
        ax.plot(cells, part["power"], "-", color="0.4", label="fixed, 3 to 20 seeds")
        ax.plot(cells[ends], part["power"][ends], "o", color="0.4", mfc="white", label="fixed, 5 and 20")
        ax.plot(part["adaptive cells"][:1], part["adaptive power"][:1], "D", color="C3", label="adaptive")
        ax.set(title=setting, xlabel="cells (7 splits)", ylim=(0, 1), xlim=(0, 147))
        ax.grid(alpha=0.3)
    panels[0].set_ylabel("planted diffs found")
    panels[-1].legend(fontsize=7, loc="upper left")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies per setting and truth")
    parser.add_argument("--figure", type=Path, help="file for the figure of power by cells")
    args = parser.parse_args()
    methods, method_pairs = simulate(args.studies)
    scored, curves = designs(methods)
    tables = {
        "settings": sizes(methods),
        "designs": scored,
        "published": published(method_pairs),
        "choices": choices(min(CHOICE_STUDIES, args.studies)),
    }
    for name, frame in tables.items():
        rounded = frame.map(lambda cell: plain(cell, 3) if isinstance(cell, float) else cell)
        print(f"\n### {name}\n\n{table(rounded)}", flush=True)
    if args.figure:
        power_by_cells(curves).savefig(args.figure, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
