"""Simulated held-out outcomes with known truth, for tests, calibration and examples only.

The intervals and the published rule are calibrated on them. The margin of pair p of user u, scored by an arm
trained with seed s, is (latent units, all effects normal)

    margin = level + seed[s] + user[u] + pair[p] + noise[s, p],    correct = margin > 0,

so that a group's true accuracy, over all seeds and users, is Phi(level / total sd).
"""

from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
import pandas as pd
from scipy.stats import norm

from stats.arrays import Floats
from stats.evidence.crossed import CrossedTable, GroupOutcomes
from stats.names import ARMS


@dataclass(frozen=True)
class SimulatedStudy:
    """A design and its true effects.

    users, pairs_per_user: numbers in each group; a user has 1 + Poisson(pairs_per_user - 1) pairs.
    accuracy_a, accuracy_b: true accuracies (shares). sd_*: standard deviations on the latent scale.
    """

    seeds: int
    users: int
    pairs_per_user: float
    accuracy_a: float = 0.7
    accuracy_b: float = 0.7
    sd_seed: float = 0.05
    sd_user: float = 0.3
    sd_pair: float = 0.8
    sd_noise: float = 0.5

    @property
    def diff_pp(self) -> float:
        """The true diff, in percentage points."""
        return 100 * (self.accuracy_a - self.accuracy_b)

    def level(self, accuracy: float) -> float:
        """Return the level of the margins (latent units) that gives a true accuracy."""
        parts = (self.sd_seed, self.sd_user, self.sd_pair, self.sd_noise)
        return float(norm.ppf(accuracy)) * sqrt(sum(part**2 for part in parts))


@dataclass(frozen=True)
class SimulatedContrast:
    """A simulated contrast, and what it would be with part of its chance averaged away (percentage points).

    over_seeds: its value for these users and pairs under infinitely many seeds, which a t interval on seed
        means estimates.
    over_users: its value for these seeds on infinitely many users, which a model with fixed seeds estimates.
    """

    contrast: CrossedTable
    over_seeds: float
    over_users: float


def simulated_contrast(truth: SimulatedStudy, rng: np.random.Generator) -> CrossedTable:
    """Draw arm A on group A's pairs minus arm B on group B's, in percentage points of accuracy."""
    return simulated_methods(truth, rng, 1)[0].contrast


def simulated_methods(truth: SimulatedStudy, rng: np.random.Generator, count: int) -> list[SimulatedContrast]:
    """Draw the same contrast of several equal methods, on the same users and pairs, with different seeds."""
    groups: list[list[GroupOutcomes]] = [[] for _ in range(count)]
    values = np.zeros((count, 2))
    for accuracy, sign in ((truth.accuracy_a, 100.0), (truth.accuracy_b, -100.0)):
        counts = 1 + rng.poisson(truth.pairs_per_user - 1, truth.users)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        effects_of_pairs = _user_and_pair_effects(truth, counts, rng)
        names = tuple(map(str, range(truth.users)))
        for number, method in enumerate(groups):
            seeds = _seed_effects(truth, rng)
            margins = _margins(truth, accuracy, seeds, effects_of_pairs, rng)
            sums = np.add.reduceat(margins > 0, starts, axis=1, dtype=float)
            keys = np.arange(truth.users, dtype=np.uint64)
            method.append(GroupOutcomes(sign * sums, counts.astype(float), names, keys))
            level, by_seed = truth.level(accuracy), hypot(truth.sd_seed, truth.sd_noise)
            by_pair = hypot(truth.sd_user, truth.sd_pair, truth.sd_noise)
            over_seeds = norm.cdf((level + effects_of_pairs) / by_seed).mean()
            over_users = norm.cdf((level + seeds) / by_pair).mean()
            values[number] += sign * np.array([over_seeds, over_users])
    return [
        SimulatedContrast(CrossedTable(tuple(range(truth.seeds)), tuple(method)), float(a), float(b))
        for method, (a, b) in zip(groups, values, strict=True)
    ]


def simulated_outcomes(
    truth: SimulatedStudy, rng: np.random.Generator, method: str = "dpo", split: str = "S"
) -> pd.DataFrame:
    """Draw an outcomes table with both arms on both groups' pairs.

    An arm on the other group's pairs has that group's accuracy: the pairs differ, not the arms.

    Returns:
        study, method, split, arm, seed, trial_id, eval_group, user_id, pair_id, source_model, score_gap,
        margin, correct; one row per held-out pair that an arm scored.
    """
    frames = []
    for group, accuracy in (("A", truth.accuracy_a), ("B", truth.accuracy_b)):
        counts = 1 + rng.poisson(truth.pairs_per_user - 1, truth.users)
        users = np.repeat([f"{group}{user}" for user in range(truth.users)], counts)
        effects = _user_and_pair_effects(truth, counts, rng)
        for arm in ARMS:
            margins = _margins(truth, accuracy, _seed_effects(truth, rng), effects, rng)
            for seed in range(truth.seeds):
                frames.append(
                    pd.DataFrame(
                        {
                            "study": "simulated",
                            "method": method,
                            "split": split,
                            "arm": arm,
                            "seed": seed,
                            "trial_id": f"{method}-{split}-{seed}",
                            "eval_group": group,
                            "user_id": users,
                            "pair_id": [f"{group}p{pair}" for pair in range(len(users))],
                            "source_model": "m",
                            "score_gap": 10.0,
                            "margin": margins[seed],
                            "correct": margins[seed] > 0,
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


def _user_and_pair_effects(truth: SimulatedStudy, counts: np.ndarray, rng: np.random.Generator) -> Floats:
    """Draw user plus pair effects [pairs], which are the same under every seed and arm."""
    users = np.repeat(rng.normal(0, truth.sd_user, len(counts)), counts)
    return np.asarray(users + rng.normal(0, truth.sd_pair, len(users)))


def _seed_effects(truth: SimulatedStudy, rng: np.random.Generator) -> Floats:
    """Draw seed effects of one arm [seeds, 1]."""
    return np.asarray(rng.normal(0, truth.sd_seed, (truth.seeds, 1)))


def _margins(
    truth: SimulatedStudy, accuracy: float, seeds: Floats, effects_of_pairs: Floats, rng: np.random.Generator
) -> Floats:
    """Draw the margins [seeds, pairs] of one arm."""
    noise = rng.normal(0, truth.sd_noise, (truth.seeds, len(effects_of_pairs)))
    return np.asarray(truth.level(accuracy) + seeds + effects_of_pairs + noise)
