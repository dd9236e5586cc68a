"""Do the intervals hold, is power as predicted, and what does the published rule say about nothing?

    python -m bench.calibration [--studies 1000] [--part coverage]

Simulated held-out outcomes with known truth (`stats/evidence/simulate.py`): users and pairs that every seed
scores, users that differ, seeds that differ. Prints Markdown tables; docs/statistics.md carries them, and
tests/test_calibration.py holds them at 100 studies.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import norm

from stats.evidence.anova import estimate, mean_squares, unpaired_change
from stats.evidence.bootstrap import percentile, pigeonhole
from stats.evidence.crossed import difference
from stats.evidence.judge import CONTRADICTED, SUPPORTED, judge
from stats.evidence.mixed import mixed_estimate
from stats.evidence.options import Options
from stats.evidence.power import design_variance, power
from stats.evidence.seeds import mean_estimate
from stats.evidence.simulate import SimulatedStudy, methods, study
from stats.page.markdown import plain, table
from stats.rule.changes import change
from stats.rule.rule_errors import NullDesign, rule_errors
from stats.rule.thresholds import PUBLISHED
from stats.rule.verdicts import verdict
from stats.text import plural

LEVEL, SPLITS, DRAWS = 0.95, 7, 400
MIXED = 200  # statsmodels' loops make a mixed model a hundred times as slow: fewer studies, smaller ones
SIZES = ((15, 4.3), (60, 8.3), (200, 12.5))  # users a group, pairs a user: about 128, 1,000 and 5,000 pairs
SEEDS = (3, 5, 10)
SEED_SDS = (0.0, 0.03, 0.06)  # latent; about 0, 1 and 2 pp of one arm's accuracy


def settings(sizes: Sequence[tuple[int, float]]) -> Iterator[tuple[str, SimulatedStudy]]:
    for seeds in SEEDS:
        for users, a_user in sizes:
            for sd in SEED_SDS:
                truth = SimulatedStudy(seeds, users, a_user, accuracy_a=0.72, accuracy_b=0.70, sd_seed=sd)
                yield f"{seeds} seeds, {pairs(truth)}, seed sd {seed_pp(truth):.1f} pp", truth


def pairs(truth: SimulatedStudy) -> str:
    """Held-out pairs of both groups, as a setting's name has them."""
    return f"{round(2 * truth.users * truth.pairs_per_user):,} pairs"


def seed_pp(truth: SimulatedStudy) -> float:
    """Standard deviation over seeds of one arm's true accuracy, to first order."""
    total = np.sqrt(truth.sd_seed**2 + truth.sd_user**2 + truth.sd_pair**2 + truth.sd_noise**2)
    return float(100 * norm.pdf(norm.ppf(truth.accuracy_a)) * truth.sd_seed / total)


def covers(interval: tuple[float, float] | None, truth: float) -> float:
    return np.nan if interval is None else float(interval[0] <= truth <= interval[1])


def coverage(
    studies: int,
    rng: np.random.Generator,
    sizes: Sequence[tuple[int, float]] = SIZES,
    mixed: int = MIXED,
) -> pd.DataFrame:
    """Of A minus B: each interval against the truth that it is about."""
    rows = []
    for name, truth in settings(sizes):
        found = []
        for number in range(studies):
            (drawn,) = methods(truth, rng, 1)
            table = drawn.contrast
            seeds = mean_estimate(table.values).interval(LEVEL)
            model = mixed_estimate(table).interval(LEVEL) if number < mixed and truth.users < 100 else None
            found.append(
                (
                    covers(estimate(table).interval(LEVEL), truth.diff_pp),
                    covers(percentile(pigeonhole([(1.0, table)], DRAWS, rng), LEVEL), truth.diff_pp),
                    covers(seeds, drawn.over_seeds),
                    covers(seeds, truth.diff_pp),
                    covers(model, drawn.over_users),
                )
            )
        rows.append((name, *pd.DataFrame(found).mean()))
    names = [
        "setting",
        "crossed ANOVA",
        "pigeonhole bootstrap",
        "t on seed means, of these pairs",
        "t on seed means, of new users",
        "mixed model, of these seeds",
    ]
    return pd.DataFrame(rows, columns=names)


def single(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """A method with one seed, whose spread is the reference's: its diff, and its change from 5 seeds."""
    rows = []
    for users, a_user in SIZES:
        for sd in SEED_SDS[1:]:
            truth = SimulatedStudy(6, users, a_user, accuracy_a=0.72, accuracy_b=0.70, sd_seed=sd)
            found = []
            for _ in range(studies):
                drawn = study(truth, rng)
                ours, theirs = drawn.taking([5]), drawn.taking(range(5))
                diff = estimate(ours, mean_squares(theirs)).interval(LEVEL)
                change = unpaired_change(ours, theirs).interval(LEVEL)
                found.append((covers(diff, truth.diff_pp), covers(change, 0.0)))
            name = f"{pairs(truth)}, seed sd {seed_pp(truth):.1f} pp"
            rows.append((name, *pd.DataFrame(found).mean()))
    return pd.DataFrame(rows, columns=["setting (1 seed, 5 of the reference)", "diff", "change"])


def changes(
    studies: int, rng: np.random.Generator, sizes: Sequence[tuple[int, float]] = SIZES
) -> pd.DataFrame:
    """Two methods without any difference on the same pairs: the change, paired by seed or not."""
    rows = []
    for seeds in SEEDS:
        for users, a_user in sizes:
            truth = SimulatedStudy(seeds, users, a_user, sd_seed=0.03)
            found = []
            for _ in range(studies):
                ours, theirs = (drawn.contrast for drawn in methods(truth, rng, 2))
                intervals = (
                    estimate(difference(ours, theirs)).interval(LEVEL),
                    unpaired_change(ours, theirs).interval(LEVEL),
                    percentile(pigeonhole([(1.0, difference(ours, theirs))], DRAWS, rng), LEVEL),
                )
                found.append([covers(interval, 0.0) for interval in intervals])
            rows.append((f"{seeds} seeds, {pairs(truth)}", *pd.DataFrame(found).mean()))
    return pd.DataFrame(rows, columns=["setting", "paired by seed", "unpaired", "bootstrap, paired"])


def family(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Seven splits in which nothing is there: how often any of them is called different."""
    rows = []
    for seeds in SEEDS:
        truth = SimulatedStudy(seeds, 60, 8.3, sd_seed=0.03)
        found = []
        for _ in range(studies):
            estimates = [estimate(study(truth, rng)) for _ in range(SPLITS)]
            p = np.array([one.p for one in estimates], dtype=float)
            adjusted = [one.interval(1 - (1 - LEVEL) / SPLITS) for one in estimates]
            words = {judge("A > B", interval, Options().margin_pp) for interval in adjusted}
            holm = (p < 0.05 / SPLITS).any()  # whether Holm rejects anything: its first step
            found.append(((p < 0.05).any(), holm, bool(words & {SUPPORTED, CONTRADICTED})))
        rows.append((f"{seeds} seeds, {pairs(truth)}", *pd.DataFrame(found).astype(float).mean()))
    return pd.DataFrame(
        rows, columns=[f"setting ({SPLITS} splits)", "unadjusted", "Holm", "supported or contradicted"]
    )


def powers(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Predicted from the components that null studies have on average, and as it is."""
    rows = []
    for seeds in SEEDS:
        for users, a_user in SIZES[1:]:
            null = SimulatedStudy(seeds, users, a_user, sd_seed=0.03)
            parts = [mean_squares(study(null, rng)) for _ in range(300)]
            row = pd.Series(
                {
                    "seed_variance": np.mean(
                        [p.over_seeds - sum(g.residual / g.users for g in p.groups) for p in parts]
                    ),
                    "user_variance": np.mean(
                        [sum(g.between - g.residual / p.seeds for g in p.groups) for p in parts]
                    ),
                    "residual_variance": np.mean([p.residual_variance for p in parts]),
                }
            )
            for diff in (3.0, 6.0):
                truth = replace(null, accuracy_a=0.7 + diff / 200, accuracy_b=0.7 - diff / 200)
                found = np.mean([(estimate(study(truth, rng)).p or 1.0) < 0.05 for _ in range(studies)])
                predicted = float(power(diff, *design_variance(row, seeds, users), 0.05))
                rows.append((f"{seeds} seeds, {pairs(truth)}, {diff:g} pp", predicted, float(found)))
    return pd.DataFrame(rows, columns=["setting", "predicted", "simulated"])


def published(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """The published rule on two arms of equal accuracy, against five reference seeds of the same."""
    rows = []
    for count in (128, 1024):
        for seeds in (1, 3, 5, 10):
            found = rule_errors(NullDesign(seeds, 5, count, 0.915), PUBLISHED, studies, rng)
            share = found.set_index(["quantity", "label"])["share"]
            labels = [("verdict", label) for label in ("MATCH", "LEAN", "WEAK", "MISMATCH")]
            labels += [("null control", "NOT NULL"), ("change", "FIXED"), ("change", "IMPROVED")]
            rows.append((count, seeds, *(share.get(label, 0.0) for label in labels)))
    names = ["pairs", "seeds", "MATCH", "LEAN", "WEAK", "MISMATCH", "NOT NULL", "FIXED", "IMPROVED"]
    return pd.DataFrame(rows, columns=names)


def rule(studies: int, rng: np.random.Generator, sizes: Sequence[tuple[int, float]] = SIZES) -> pd.DataFrame:
    """The published rule and the evidence on the same held-out outcomes, in which nothing is there.

    One split a study, predicted A > B, so that no multiplicity helps the evidence. The reference has five
    seeds on the same users and pairs.
    """
    rows = []
    for seeds in (1, *SEEDS):
        for users, a_user in sizes:
            truth = SimulatedStudy(max(seeds, 5), users, a_user, sd_seed=0.03)
            found = []
            for _ in range(studies):
                ours, theirs = (drawn.contrast for drawn in methods(truth, rng, 2))
                ours, theirs = ours.taking(range(seeds)), theirs.taking(range(5))
                after, before = (verdict(side.values, "A > B") for side in (ours, theirs))
                label = change(before, after)
                moved = (
                    estimate(difference(ours, theirs)) if seeds > 1 else unpaired_change(ours, theirs)
                ).interval(LEVEL)
                diff = estimate(ours, mean_squares(theirs)).interval(LEVEL)
                margin = Options().margin_pp
                found.append(
                    (
                        after == "MATCH",
                        judge("A > B", diff, margin) == SUPPORTED,
                        label == "FIXED",
                        label in ("FIXED", "IMPROVED"),
                        judge("A > B", moved, margin) == SUPPORTED,
                    )
                )
            rows.append((f"{plural(seeds, 'seed')}, {pairs(truth)}", *pd.DataFrame(found).mean()))
    names = ["setting (reference: 5 seeds)", "MATCH", "diff supported", "FIXED", "FIXED or IMPROVED"]
    return pd.DataFrame(rows, columns=[*names, "change supported"])


PARTS: dict[str, Callable[[int, np.random.Generator], pd.DataFrame]] = {
    part.__name__: part for part in (coverage, changes, single, family, powers, published, rule)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies a setting")
    parser.add_argument("--part", choices=PARTS, action="append", help="one of the tables; all by default")
    args = parser.parse_args()
    for name in args.part or PARTS:
        found = PARTS[name](args.studies, np.random.default_rng(0))
        shown = found.map(lambda cell: plain(cell, 3) if isinstance(cell, float) else cell)
        print(f"\n### {name}\n\n{table(shown)}", flush=True)


if __name__ == "__main__":
    main()
