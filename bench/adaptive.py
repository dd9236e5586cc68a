"""Do verdicts hold that are looked at after every seed, and how many cells do they save?

    python -m bench.adaptive [--studies 1000] [--figure docs/seeds.png]

Simulated held-out outcomes with planted truth (`stats/simulate.py`), seven splits a study, one family;
nothing is trained. The adaptive design looks at 2 (or 3) to 20 seeds; beside it stand fixed designs with the
same estimate, Holm and Bonferroni intervals, and the fixed design that finds as many of the planted diffs.
Prints Markdown tables; docs/seeds.md carries them, and tests/test_sequential.py holds them at fewer studies.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as File

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.special import stdtr, stdtrit

from stats.crossed import Floats
from stats.judge import CONTRADICTED, NULL, SUPPORTED
from stats.markdown import plain, table
from stats.sequential import OPEN, Decision, Looks, Path, family, holm, path
from stats.simulate import Truth, methods
from stats.verdicts import change, verdict

LOOKS = Looks(start=2, most=20)
STARTS = (2, 3)
ERROR = 1 - LOOKS.level
# Standard deviations are on the latent scale of `Truth`; the page says what they are in percentage points.
SETTINGS = {
    "seeds dominate": Truth(20, 100, 10, sd_seed=0.06, sd_user=0.1, sd_pair=0.2, sd_noise=0.97),
    "balanced": Truth(20, 200, 10, sd_seed=0.06, sd_user=0.2, sd_pair=0.5, sd_noise=0.8),
    "users dominate": Truth(20, 60, 8, sd_seed=0.03, sd_user=0.3, sd_pair=0.8, sd_noise=0.5),
}
NOTHING, PLANTED = "nothing", "planted"
DIFFS = {NOTHING: (0.0,) * 7, PLANTED: (0.0, 0.0, 0.0, 3.0, -3.0, 6.0, -6.0)}
SPLITS = tuple(f"S{number}" for number in range(7))
DIRECTED = dict.fromkeys(SPLITS, "A > B")  # so that `supported` says above zero and `contradicted` below
FIXED = range(3, 21)  # seeds of the fixed designs
CHOICES = 300  # studies a setting, not among those judged, by which spending and the stop were chosen


@dataclass(frozen=True)
class Study:
    """One method's splits: all looks, and the first five diffs by seed as the published rule sees them."""

    paths: tuple[Path, ...]
    by_seed: tuple[Floats, ...]

    def under(self, looks: Looks) -> "Study":
        """The same under another design."""
        return replace(self, paths=tuple(one.under(looks) for one in self.paths))


@dataclass(frozen=True)
class Spent:
    """How a study ended, by split, and the seeds that it took."""

    decisions: tuple[Decision, ...]
    seeds: tuple[int, ...]


def draw(truth: Truth, diffs: Sequence[float], count: int, rng: np.random.Generator) -> list[Study]:
    """Equal methods on the same users and pairs, seeds of their own."""
    drawn: list[list[tuple[Path, Floats]]] = [[] for _ in range(count)]
    for diff in diffs:
        half = diff / 200
        apart = replace(truth, accuracy_a=0.7 + half, accuracy_b=0.7 - half)
        for mine, one in zip(drawn, methods(apart, rng, count), strict=True):
            mine.append((path(one.contrast, LOOKS), one.contrast.values[:5]))
    return [Study(*zip(*mine, strict=True)) for mine in drawn]


def adaptive(study: Study, looks: Looks = LOOKS) -> Spent:
    """Give every open split one seed more, until none is open."""
    taken = dict.fromkeys(SPLITS, 1)
    while True:
        seen = {split: whole.until(taken[split]) for split, whole in zip(SPLITS, study.paths, strict=True)}
        decisions = family(seen, DIRECTED, looks)
        wanted = [split for split, decision in decisions.items() if decision.state == OPEN]
        if not wanted:
            return Spent(
                tuple(decisions.values()), tuple(looks.start - 1 + count for count in taken.values())
            )
        for split in wanted:
            taken[split] += 1


def claims(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sign of a claimed difference, else 0; whether practically null), of an array of states."""
    sign = (states == SUPPORTED).astype(int) - (states == CONTRADICTED).astype(int)
    return sign, states == NULL


def scores(
    sign: np.ndarray, null: np.ndarray, covered: np.ndarray, cells: np.ndarray, diffs: Sequence[float]
) -> dict[str, float]:
    """Of claims [studies, splits]: wrong ones by study, joint coverage, diffs found in their direction."""
    truth = np.array(diffs)
    right = sign == np.sign(truth)
    return {
        "wrong difference": float(((sign != 0) & ~right).any(axis=1).mean()),
        "wrong null": float((null & (np.abs(truth) >= LOOKS.margin_pp)).any(axis=1).mean()),
        "coverage": float(covered.all(axis=1).mean()),
        **{
            f"finds {size:g} pp": float(right[:, np.abs(truth) == size].mean())
            for size in sorted(set(np.abs(truth)) - {0.0})
        },
        "power": float(right[:, truth != 0].mean()) if truth.any() else np.nan,
        "cells": float(cells.mean()),
    }


def of_adaptive(studies: Sequence[Study], diffs: Sequence[float], looks: Looks = LOOKS) -> dict[str, float]:
    """Scores of a design; its coverage is that of every interval at every look."""
    studies = [study.under(looks) for study in studies]
    ends = [adaptive(study, looks) for study in studies]
    sign, null = claims(np.array([[d.state for d in end.decisions] for end in ends]))
    levels = looks.levels(ERROR / len(SPLITS))
    covered = np.array(
        [
            [
                bool((np.abs(one.value - truth) <= one.half(levels)).all())
                for one, truth in zip(study.paths, diffs, strict=True)
            ]
            for study in studies
        ]
    )
    return scores(sign, null, covered, np.array([sum(end.seeds) for end in ends]), diffs)


def of_fixed(studies: Sequence[Study], diffs: Sequence[float], seeds: int) -> dict[str, float]:
    """The same with so many seeds for every split and one look, at which the whole error is spent."""
    return of_adaptive(studies, diffs, Looks(seeds, seeds))


def of_report(studies: Sequence[Study], diffs: Sequence[float], seeds: int) -> dict[str, float]:
    """The same with Satterthwaite's degrees of freedom: what `stats.judge` says of a finished study."""
    look = seeds - LOOKS.start
    value, of_seeds, of_users = (
        np.array([[getattr(one, name)[look] for one in study.paths] for study in studies])
        for name in ("value", "of_seeds", "of_users")
    )
    users = np.array([one.users for one in studies[0].paths])
    variance = of_seeds + of_users
    df = variance**2 / (of_seeds**2 / (seeds - 1) + of_users**2 / (2 * (users - 1)))
    se = np.sqrt(variance)
    half = stdtrit(df, 1 - ERROR / len(SPLITS) / 2) * se
    null = np.abs(value) + half < LOOKS.margin_pp
    found = holm(2 * stdtr(df, -np.abs(value) / se)) <= ERROR
    sign = np.where(found & ~null, np.sign(value), 0).astype(int)
    covered = np.abs(value - np.array(diffs)) <= half
    return scores(sign, null, covered, np.full(len(studies), seeds * len(SPLITS)), diffs)


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


def simulate(
    studies: int, settings: dict[str, Truth] = SETTINGS
) -> tuple[dict[tuple[str, str], list[Study]], dict[str, list[tuple[Study, Study]]]]:
    """(studies by setting and truth, pairs of equal methods by setting where nothing is there)."""
    single, double = {}, {}
    for number, (setting, truth) in enumerate(settings.items()):
        rng = np.random.default_rng(number)
        drawn = [draw(truth, DIFFS[NOTHING], 2, rng) for _ in range(studies)]
        double[setting] = [(first, second) for first, second in drawn]
        single[setting, NOTHING] = [first for first, _ in drawn]
        single[setting, PLANTED] = [draw(truth, DIFFS[PLANTED], 1, rng)[0] for _ in range(studies)]
    return single, double


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
