"""Do the intervals hold, is power as predicted, and what does the published rule say about nothing?

    python -m bench.calibration [--studies 1000]

Simulated held-out outcomes with known truth (`stats/simulate.py`): users and pairs that every seed scores,
users that differ, seeds that differ. Prints Markdown tables; docs/statistics.md carries them.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from stats.anova import estimate, squares, unpaired_change
from stats.bootstrap import percentile, pigeonhole
from stats.crossed import Crossed, Group, difference
from stats.markdown import table
from stats.mixed import mixed_estimate
from stats.power import design_variance, power
from stats.rule_errors import Nothing, rule_errors
from stats.seeds import mean_estimate
from stats.simulate import Truth, methods, study
from stats.verdicts import PUBLISHED

LEVEL, SPLITS, DRAWS = 0.95, 7, 400
SIZES = ((15, 4.3), (60, 8.3), (200, 12.5))  # users a group, pairs a user: about 128, 1,000 and 5,000 pairs
SEEDS = (3, 5, 10)
SEED_SDS = (0.0, 0.03, 0.06)  # latent; about 0, 1 and 2 pp of one arm's accuracy


def settings() -> Iterator[tuple[str, Truth]]:
    for seeds in SEEDS:
        for users, a_user in SIZES:
            for sd in SEED_SDS:
                truth = Truth(seeds, users, a_user, accuracy_a=0.72, accuracy_b=0.70, sd_seed=sd)
                yield (
                    f"{seeds} seeds, {round(2 * users * a_user):,} pairs, seed sd {seed_pp(truth):.1f} pp",
                    truth,
                )


def seed_pp(truth: Truth) -> float:
    """Standard deviation over seeds of one arm's true accuracy, to first order."""
    total = np.sqrt(truth.sd_seed**2 + truth.sd_user**2 + truth.sd_pair**2 + truth.sd_noise**2)
    return float(100 * norm.pdf(norm.ppf(truth.accuracy_a)) * truth.sd_seed / total)


def covers(interval: tuple[float, float] | None, truth: float) -> float:
    return np.nan if interval is None else float(interval[0] <= truth <= interval[1])


def coverage(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for name, truth in settings():
        found = []
        for number in range(studies):
            drawn = study(truth, rng)
            bootstrap = percentile(pigeonhole([(1.0, drawn)], DRAWS, rng), LEVEL)
            seeds = mean_estimate(drawn.values).interval(LEVEL)
            # statsmodels' loops make a mixed model a hundred times as slow: fewer studies, smaller ones
            mixed = mixed_estimate(drawn).interval(LEVEL) if number < 100 and truth.users < 100 else None
            intervals = (estimate(drawn).interval(LEVEL), bootstrap, seeds, mixed)
            found.append([covers(interval, truth.diff_pp) for interval in intervals])
        shares = pd.DataFrame(found).mean()
        rows.append((name, *(f"{share:.3f}" if np.isfinite(share) else "" for share in shares)))
    names = [
        "setting",
        "crossed ANOVA",
        "pigeonhole bootstrap",
        "t on seed means",
        "mixed model, seeds fixed",
    ]
    return pd.DataFrame(rows, columns=names)


def one_seed(table: Crossed, seed: int) -> Crossed:
    groups = tuple(Group(g.sums[[seed]], g.pairs, g.users, g.keys) for g in table.groups)
    return Crossed((seed,), groups)


def single(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """A method with one seed, whose spread is the reference's: its diff, and its change from 5 seeds."""
    rows = []
    for users, a_user in SIZES:
        for sd in SEED_SDS[1:]:
            truth = Truth(6, users, a_user, accuracy_a=0.72, accuracy_b=0.70, sd_seed=sd)
            found = []
            for _ in range(studies):
                drawn = study(truth, rng)
                ours = one_seed(drawn, 5)
                theirs = Crossed(
                    tuple(range(5)), tuple(Group(g.sums[:5], g.pairs, g.users, g.keys) for g in drawn.groups)
                )
                diff = estimate(ours, squares(theirs)).interval(LEVEL)
                change = unpaired_change(ours, theirs).interval(LEVEL)
                found.append((covers(diff, truth.diff_pp), covers(change, 0.0)))
            shares = pd.DataFrame(found).mean()
            name = f"{round(2 * users * a_user):,} pairs, seed sd {seed_pp(truth):.1f} pp"
            rows.append((name, f"{shares[0]:.3f}", f"{shares[1]:.3f}"))
    return pd.DataFrame(rows, columns=["setting (1 seed, 5 of the reference)", "diff", "change"])


def changes(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Two methods without any difference on the same pairs: the change, paired by seed or not."""
    rows = []
    for seeds in SEEDS:
        for users, a_user in SIZES:
            truth = Truth(seeds, users, a_user, sd_seed=0.03)
            found = []
            for _ in range(studies):
                ours, theirs = methods(truth, rng, 2)
                intervals = (
                    estimate(difference(ours, theirs)).interval(LEVEL),
                    unpaired_change(ours, theirs).interval(LEVEL),
                    percentile(pigeonhole([(1.0, difference(ours, theirs))], DRAWS, rng), LEVEL),
                )
                found.append([covers(interval, 0.0) for interval in intervals])
            shares = pd.DataFrame(found).mean()
            name = f"{seeds} seeds, {round(2 * users * a_user):,} pairs"
            rows.append((name, *(f"{share:.3f}" for share in shares)))
    return pd.DataFrame(rows, columns=["setting", "paired by seed", "unpaired", "bootstrap, paired"])


def family(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Seven splits in which nothing is there: how often any of them is called different."""
    rows = []
    for seeds in SEEDS:
        truth = Truth(seeds, 60, 8.3, sd_seed=0.03)
        p = np.array([[estimate(study(truth, rng)).p or 1.0 for _ in range(SPLITS)] for _ in range(studies)])
        holm = np.mean([multipletests(row, method="holm")[0].any() for row in p])
        raw = np.mean((p < 0.05).any(axis=1))
        rows.append((f"{seeds} seeds, 996 pairs", f"{raw:.3f}", f"{holm:.3f}"))
    return pd.DataFrame(rows, columns=[f"setting ({SPLITS} splits)", "unadjusted", "Holm"])


def powers(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Predicted from the components that null studies have on average, and as it is."""
    rows = []
    for seeds in SEEDS:
        for users, a_user in SIZES[1:]:
            null = Truth(seeds, users, a_user, sd_seed=0.03)
            parts = [squares(study(null, rng)) for _ in range(300)]
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
                name = f"{seeds} seeds, {round(2 * users * a_user):,} pairs, {diff:g} pp"
                rows.append((name, f"{predicted:.3f}", f"{found:.3f}"))
    return pd.DataFrame(rows, columns=["setting", "predicted", "simulated"])


def published(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """The published rule on two arms of equal accuracy, against five reference seeds of the same."""
    rows = []
    for pairs in (128, 1024):
        for seeds in (1, 3, 5, 10):
            found = rule_errors(Nothing(seeds, 5, pairs, 0.915), PUBLISHED, studies, rng)
            share = found.set_index(["quantity", "label"])["share"]
            labels = [("verdict", label) for label in ("MATCH", "LEAN", "WEAK", "MISMATCH")]
            labels += [("null control", "NOT NULL"), ("change", "FIXED"), ("change", "IMPROVED")]
            rows.append((pairs, seeds, *(f"{share.get(label, 0.0):.2f}" for label in labels)))
    names = ["pairs", "seeds", "MATCH", "LEAN", "WEAK", "MISMATCH", "NOT NULL", "FIXED", "IMPROVED"]
    return pd.DataFrame(rows, columns=names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies a setting")
    studies = parser.parse_args().studies
    for part in (coverage, changes, single, family, powers, published):
        print(f"\n### {part.__name__}\n\n{table(part(studies, np.random.default_rng(0)))}", flush=True)


if __name__ == "__main__":
    main()
