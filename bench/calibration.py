"""Measure the coverage of intervals, power against its prediction, and the errors of the published rule.

    python -m bench.calibration [--studies 1000] [--part coverage]

Held-out outcomes are simulated with known truth (`stats/evidence/simulate.py`): every seed scores the same
users and pairs, users differ, and seeds differ. It prints Markdown tables. docs/statistics.md has them, and
tests/test_calibration.py checks them with 100 studies.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import norm

from stats.evidence.anova import estimate, mean_squares, nested_estimates, unpaired_change
from stats.evidence.crossed import CrossedTable, difference
from stats.evidence.estimate import Estimate
from stats.evidence.held_out_power import design_variance
from stats.evidence.options import Options
from stats.evidence.power import power
from stats.evidence.simulate import SimulatedStudy, simulated_contrast, simulated_methods
from stats.evidence.spread import moderated
from stats.evidence.words import EvidenceWord, word_for
from stats.page.markdown import plain, table
from stats.rule.changes import change
from stats.rule.labels import Change, Prediction, Verdict
from stats.rule.rule_errors import NullDesign, rule_errors
from stats.rule.thresholds import PUBLISHED
from stats.rule.verdicts import verdict
from stats.text import plural

COVERAGE_LEVEL, FAMILY_SIZE = 0.95, 7
SIZES = ((15, 4.3), (60, 8.3), (200, 12.5))  # users per group, pairs per user: about 128, 1,000, 5,000 pairs
SEEDS_TRIED = (3, 5, 10)
SEED_SDS = (0.0, 0.03, 0.06)  # latent; about 0, 1 and 2 pp of one arm's accuracy


def settings(sizes: Sequence[tuple[int, float]]) -> Iterator[tuple[str, SimulatedStudy]]:
    """Yield the name and the truth of each setting of `coverage`."""
    for seeds in SEEDS_TRIED:
        for users, pairs_per_user in sizes:
            for sd in SEED_SDS:
                truth = SimulatedStudy(
                    seeds, users, pairs_per_user, accuracy_a=0.72, accuracy_b=0.70, sd_seed=sd
                )
                yield f"{seeds} seeds, {pairs(truth)}, seed sd {seed_pp(truth):.1f} pp", truth


def pairs(truth: SimulatedStudy) -> str:
    """Return the held-out pairs of both groups, as part of a setting's name."""
    return f"{round(2 * truth.users * truth.pairs_per_user):,} pairs"


def seed_pp(truth: SimulatedStudy) -> float:
    """Return the standard deviation over seeds of one arm's true accuracy (pp), to first order."""
    total = np.sqrt(truth.sd_seed**2 + truth.sd_user**2 + truth.sd_pair**2 + truth.sd_noise**2)
    return float(100 * norm.pdf(norm.ppf(truth.accuracy_a)) * truth.sd_seed / total)


def covers(interval: tuple[float, float] | None, truth: float) -> float:
    """Return 1 if the interval holds the truth, 0 if it does not, and NaN without an interval."""
    return np.nan if interval is None else float(interval[0] <= truth <= interval[1])


def alone(table: CrossedTable) -> Estimate:
    """Estimate a contrast whose method has no other split."""
    return estimate(mean_squares(table))


def unpaired(method: CrossedTable, reference: CrossedTable) -> Estimate:
    """Estimate the change of a method that shares no seeds with its reference, and has no other split."""
    spreads = mean_squares(method).spread, mean_squares(reference).spread
    return unpaired_change(method, reference, spreads)


def coverage(
    studies: int, rng: np.random.Generator, sizes: Sequence[tuple[int, float]] = SIZES
) -> pd.DataFrame:
    """Return how often each interval of A minus B covers the truth that it is about."""
    rows = []
    for name, truth in settings(sizes):
        results = []
        for _ in range(studies):
            (drawn,) = simulated_methods(truth, rng, 1)
            squares = mean_squares(drawn.contrast)
            (_, of_seeds), (_, of_users) = nested_estimates(squares)
            results.append(
                (
                    covers(estimate(squares).interval(COVERAGE_LEVEL), truth.diff_pp),
                    covers(of_seeds.interval(COVERAGE_LEVEL), drawn.over_seeds),
                    covers(of_seeds.interval(COVERAGE_LEVEL), truth.diff_pp),
                    covers(of_users.interval(COVERAGE_LEVEL), drawn.over_users),
                )
            )
        rows.append((name, *pd.DataFrame(results).mean()))
    names = [
        "setting",
        "seeds and users",
        "seeds alone, of these pairs",
        "seeds alone, of new users",
        "users alone, of these seeds",
    ]
    return pd.DataFrame(rows, columns=names)


def single(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return how often intervals of a method with one seed cover.

    The interval of its diff borrows the spread over seeds from the reference; that of its change compares it
    with the reference's five seeds.
    """
    rows = []
    for users, pairs_per_user in SIZES:
        for sd in SEED_SDS[1:]:
            truth = SimulatedStudy(6, users, pairs_per_user, accuracy_a=0.72, accuracy_b=0.70, sd_seed=sd)
            results = []
            for _ in range(studies):
                drawn = simulated_contrast(truth, rng)
                method, reference = drawn.taking([5]), drawn.taking(range(5))
                lender = mean_squares(reference)
                diff = estimate(mean_squares(method), lender=lender).interval(COVERAGE_LEVEL)
                moved = unpaired(method, reference).interval(COVERAGE_LEVEL)
                results.append((covers(diff, truth.diff_pp), covers(moved, 0.0)))
            name = f"{pairs(truth)}, seed sd {seed_pp(truth):.1f} pp"
            rows.append((name, *pd.DataFrame(results).mean()))
    return pd.DataFrame(rows, columns=["setting (1 seed, 5 of the reference)", "diff", "change"])


def changes(
    studies: int, rng: np.random.Generator, sizes: Sequence[tuple[int, float]] = SIZES
) -> pd.DataFrame:
    """Return how often intervals of the change between two equal methods on the same pairs cover 0."""
    rows = []
    for seeds in SEEDS_TRIED:
        for users, pairs_per_user in sizes:
            truth = SimulatedStudy(seeds, users, pairs_per_user, sd_seed=0.03)
            results = []
            for _ in range(studies):
                method, reference = (drawn.contrast for drawn in simulated_methods(truth, rng, 2))
                intervals = (
                    alone(difference(method, reference)).interval(COVERAGE_LEVEL),
                    unpaired(method, reference).interval(COVERAGE_LEVEL),
                )
                results.append([covers(interval, 0.0) for interval in intervals])
            rows.append((f"{seeds} seeds, {pairs(truth)}", *pd.DataFrame(results).mean()))
    return pd.DataFrame(rows, columns=["setting", "paired by seed", "unpaired"])


def family(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return how often any of seven splits without an effect is called different."""
    rows = []
    for seeds in SEEDS_TRIED:
        truth = SimulatedStudy(seeds, 60, 8.3, sd_seed=0.03)
        results = []
        for _ in range(studies):
            squares = [mean_squares(simulated_contrast(truth, rng)) for _ in range(FAMILY_SIZE)]
            spreads = moderated([split.spread for split in squares if split.spread])
            estimates = [estimate(split, spread) for split, spread in zip(squares, spreads, strict=True)]
            p = np.array([split.p for split in estimates], dtype=float)
            adjusted = [split.interval(1 - (1 - COVERAGE_LEVEL) / FAMILY_SIZE) for split in estimates]
            words = {word_for(Prediction.A_ABOVE_B, interval, Options().margin_pp) for interval in adjusted}
            holm = (p < 0.05 / FAMILY_SIZE).any()  # Holm rejects anything if its first step does
            results.append(
                ((p < 0.05).any(), holm, bool(words & {EvidenceWord.SUPPORTED, EvidenceWord.CONTRADICTED}))
            )
        rows.append((f"{seeds} seeds, {pairs(truth)}", *pd.DataFrame(results).astype(float).mean()))
    return pd.DataFrame(
        rows, columns=[f"setting ({FAMILY_SIZE} splits)", "unadjusted", "Holm", "supported or contradicted"]
    )


def powers(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Compare simulated power with that predicted from the average variance components of null studies."""
    rows = []
    for seeds in SEEDS_TRIED:
        for users, pairs_per_user in SIZES[1:]:
            null = SimulatedStudy(seeds, users, pairs_per_user, sd_seed=0.03)
            parts = [mean_squares(simulated_contrast(null, rng)) for _ in range(300)]
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
                results = np.mean(
                    [(alone(simulated_contrast(truth, rng)).p or 1.0) < 0.05 for _ in range(studies)]
                )
                predicted = float(power(diff, design_variance(row, seeds, users, splits=1), 0.05))
                rows.append((f"{seeds} seeds, {pairs(truth)}, {diff:g} pp", predicted, float(results)))
    return pd.DataFrame(rows, columns=["setting", "predicted", "simulated"])


def published(studies: int, rng: np.random.Generator) -> pd.DataFrame:
    """Label two arms of equal accuracy by the published rule, against five seeds of an equal reference."""
    rows = []
    for count in (128, 1024):
        for seeds in (1, 3, 5, 10):
            results = rule_errors(NullDesign(seeds, 5, count, 0.915), PUBLISHED, studies, rng)
            share = results.set_index(["quantity", "label"])["share"]
            labels = [
                ("verdict", label) for label in (Verdict.MATCH, Verdict.LEAN, Verdict.WEAK, Verdict.MISMATCH)
            ]
            labels += [
                ("null control", Verdict.NOT_NULL),
                ("change", Change.FIXED),
                ("change", Change.IMPROVED),
            ]
            rows.append((count, seeds, *(share.get(label, 0.0) for label in labels)))
    names = ["pairs", "seeds", "MATCH", "LEAN", "WEAK", "MISMATCH", "NOT NULL", "FIXED", "IMPROVED"]
    return pd.DataFrame(rows, columns=names)


def rule(studies: int, rng: np.random.Generator, sizes: Sequence[tuple[int, float]] = SIZES) -> pd.DataFrame:
    """Compare the published rule with the evidence on the same held-out outcomes without an effect.

    Each study has one split, predicted A > B, so that no multiplicity helps the evidence. The reference
    has five seeds on the same users and pairs.
    """
    rows = []
    for seeds in (1, *SEEDS_TRIED):
        for users, pairs_per_user in sizes:
            truth = SimulatedStudy(max(seeds, 5), users, pairs_per_user, sd_seed=0.03)
            results = []
            for _ in range(studies):
                method, reference = (drawn.contrast for drawn in simulated_methods(truth, rng, 2))
                method, reference = method.taking(range(seeds)), reference.taking(range(5))
                after, before = (verdict(side.values, Prediction.A_ABOVE_B) for side in (method, reference))
                label = change(before, after)
                moved = (
                    alone(difference(method, reference)) if seeds > 1 else unpaired(method, reference)
                ).interval(COVERAGE_LEVEL)
                lender = mean_squares(reference) if seeds == 1 else None
                diff = estimate(mean_squares(method), lender=lender).interval(COVERAGE_LEVEL)
                margin = Options().margin_pp
                results.append(
                    (
                        after == Verdict.MATCH,
                        word_for(Prediction.A_ABOVE_B, diff, margin) == EvidenceWord.SUPPORTED,
                        label == Change.FIXED,
                        label in (Change.FIXED, Change.IMPROVED),
                        word_for(Prediction.A_ABOVE_B, moved, margin) == EvidenceWord.SUPPORTED,
                    )
                )
            rows.append((f"{plural(seeds, 'seed')}, {pairs(truth)}", *pd.DataFrame(results).mean()))
    names = ["setting (reference: 5 seeds)", "MATCH", "diff supported", "FIXED", "FIXED or IMPROVED"]
    return pd.DataFrame(rows, columns=[*names, "change supported"])


PARTS: dict[str, Callable[[int, np.random.Generator], pd.DataFrame]] = {
    part.__name__: part for part in (coverage, changes, single, family, powers, published, rule)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies per setting")
    parser.add_argument("--part", choices=PARTS, action="append", help="a table to print; all by default")
    args = parser.parse_args()
    for name in args.part or PARTS:
        result = PARTS[name](args.studies, np.random.default_rng(0))
        rounded = result.map(lambda cell: plain(cell, 3) if isinstance(cell, float) else cell)
        print(f"\n### {name}\n\n{table(rounded)}", flush=True)


if __name__ == "__main__":
    main()
