"""Score designs of seeds on simulated studies with planted truth: right and wrong claims, and cells.

Held-out outcomes are simulated (`stats/evidence/simulate.py`): seven splits per study, which
form one family. Nothing is trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stats.arrays import Floats
from stats.evidence.decision import Decision, SplitState
from stats.evidence.estimate import BOTH, Estimate, Part
from stats.evidence.looks import EstimatePath, Looks, estimate_path
from stats.evidence.sequential import decide_family
from stats.evidence.simulate import SimulatedStudy, simulated_methods
from stats.evidence.spread import Spread, moderated
from stats.multiplicity import holm

LOOKS = Looks(start=2, most=20)
FAMILY_ERROR = 1 - LOOKS.level
# Standard deviations are on the latent scale of `SimulatedStudy`; the page gives them in percentage points.
SETTINGS = {
    "seeds dominate": SimulatedStudy(20, 100, 10, sd_seed=0.06, sd_user=0.1, sd_pair=0.2, sd_noise=0.97),
    "balanced": SimulatedStudy(20, 200, 10, sd_seed=0.06, sd_user=0.2, sd_pair=0.5, sd_noise=0.8),
    "users dominate": SimulatedStudy(20, 60, 8, sd_seed=0.03, sd_user=0.3, sd_pair=0.8, sd_noise=0.5),
}
NO_EFFECT, PLANTED = "nothing", "planted"
TRUE_DIFFS = {NO_EFFECT: (0.0,) * 7, PLANTED: (0.0, 0.0, 0.0, 3.0, -3.0, 6.0, -6.0)}
SPLIT_NAMES = tuple(f"S{number}" for number in range(7))
DIRECTED = dict.fromkeys(SPLIT_NAMES, "A > B")  # so `supported` means above zero and `contradicted` below


@dataclass(frozen=True)
class MethodSplits:
    """One method's splits.

    paths: All looks of each split.
    by_seed: The first five diffs of each split, which the published rule judges.
    """

    paths: tuple[EstimatePath, ...]
    by_seed: tuple[Floats, ...]

    def under(self, looks: Looks) -> "MethodSplits":
        """Return the same splits under another design."""
        return replace(self, paths=tuple(path.under(looks) for path in self.paths))


@dataclass(frozen=True)
class AdaptiveEnd:
    """The end of an adaptive study: decisions and seeds, by split."""

    decisions: tuple[Decision, ...]
    seeds: tuple[int, ...]


def draw(
    truth: SimulatedStudy, diffs: Sequence[float], count: int, rng: np.random.Generator
) -> list[MethodSplits]:
    """Draw equal methods on the same users and pairs, each with its own seeds."""
    splits_of: list[list[tuple[EstimatePath, Floats]]] = [[] for _ in range(count)]
    for diff in diffs:
        half = diff / 200
        with_diff = replace(truth, accuracy_a=0.7 + half, accuracy_b=0.7 - half)
        for splits, drawn in zip(splits_of, simulated_methods(with_diff, rng, count), strict=True):
            splits.append((estimate_path(drawn.contrast, LOOKS), drawn.contrast.values[:5]))
    return [MethodSplits(*zip(*splits, strict=True)) for splits in splits_of]


def simulate(
    studies: int, settings: dict[str, SimulatedStudy] = SETTINGS
) -> tuple[dict[tuple[str, str], list[MethodSplits]], dict[str, list[tuple[MethodSplits, MethodSplits]]]]:
    """Return methods by (setting, truth), and pairs of equal methods without any effect by setting."""
    methods, method_pairs = {}, {}
    for number, (setting, truth) in enumerate(settings.items()):
        rng = np.random.default_rng(number)
        drawn = [draw(truth, TRUE_DIFFS[NO_EFFECT], 2, rng) for _ in range(studies)]
        method_pairs[setting] = [(first, second) for first, second in drawn]
        methods[setting, NO_EFFECT] = [first for first, _ in drawn]
        methods[setting, PLANTED] = [draw(truth, TRUE_DIFFS[PLANTED], 1, rng)[0] for _ in range(studies)]
    return methods, method_pairs


def adaptive(study: MethodSplits, looks: Looks = LOOKS) -> AdaptiveEnd:
    """Give every open split one more seed until no split is open."""
    taken = dict.fromkeys(SPLIT_NAMES, 1)
    while True:
        paths = {
            split: path.until(taken[split]) for split, path in zip(SPLIT_NAMES, study.paths, strict=True)
        }
        decisions = decide_family(paths, DIRECTED, looks)
        still_open = [split for split, decision in decisions.items() if decision.state == SplitState.OPEN]
        if not still_open:
            return AdaptiveEnd(
                tuple(decisions.values()), tuple(looks.start - 1 + count for count in taken.values())
            )
        for split in still_open:
            taken[split] += 1


def claims(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two arrays of the states' shape: sign of the claimed difference or 0, and practically null."""
    sign = (states == SplitState.SUPPORTED).astype(int) - (states == SplitState.CONTRADICTED).astype(int)
    return sign, states == SplitState.PRACTICALLY_NULL


def scores(
    sign: np.ndarray, null: np.ndarray, covered: np.ndarray, cells: np.ndarray, diffs: Sequence[float]
) -> dict[str, float]:
    """Return the shares of studies with a wrong claim and with joint coverage, diffs found, and mean cells.

    The shapes are [studies, splits] for `sign`, `null` and `covered`, [studies] for `cells`, and [splits] for
    `diffs` (pp).
    """
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


def score_adaptive(
    studies: Sequence[MethodSplits], diffs: Sequence[float], looks: Looks = LOOKS
) -> dict[str, float]:
    """Score an adaptive design; its coverage is that of every interval at every look."""
    studies = [study.under(looks) for study in studies]
    ends = [adaptive(study, looks) for study in studies]
    sign, null = claims(np.array([[d.state for d in end.decisions] for end in ends]))
    levels = looks.levels(FAMILY_ERROR / len(SPLIT_NAMES))
    covered = np.array(
        [
            [
                bool((np.abs(path.value - truth) <= path.half(levels)).all())
                for path, truth in zip(study.paths, diffs, strict=True)
            ]
            for study in studies
        ]
    )
    return scores(sign, null, covered, np.array([sum(end.seeds) for end in ends]), diffs)


def score_fixed(studies: Sequence[MethodSplits], diffs: Sequence[float], seeds: int) -> dict[str, float]:
    """Score a design of `seeds` seeds for every split and a single look, which spends all the error."""
    return score_adaptive(studies, diffs, Looks(seeds, seeds))


def score_finished(studies: Sequence[MethodSplits], diffs: Sequence[float], seeds: int) -> dict[str, float]:
    """Score a fixed design as a report judges a finished study: spreads steadied over splits, and Holm."""
    look = seeds - LOOKS.start
    p, halves, values = [], [], []
    for study in studies:
        own = [Spread(seeds * float(path.of_seeds[look]), seeds - 1) for path in study.paths]
        estimates = [
            Estimate(
                float(path.value[look]),
                (
                    Part(spread.variance / seeds, spread.df),
                    Part(float(path.of_users[look]), 2 * (path.users - 1)),
                ),
                BOTH,
            )
            for path, spread in zip(study.paths, moderated(own), strict=True)
        ]
        values.append([estimate.value for estimate in estimates])
        halves.append([estimate.half(FAMILY_ERROR / len(SPLIT_NAMES) / 2) for estimate in estimates])
        p.append([estimate.p for estimate in estimates])
    value, half = np.array(values), np.array(halves)
    null = np.abs(value) + half < LOOKS.margin_pp
    differs = holm(np.array(p, dtype=float)) <= FAMILY_ERROR
    sign = np.where(differs & ~null, np.sign(value), 0).astype(int)
    covered = np.abs(value - np.array(diffs)) <= half
    return scores(sign, null, covered, np.full(len(studies), seeds * len(SPLIT_NAMES)), diffs)
