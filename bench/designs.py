"""Designs of seeds on simulated studies with planted truth: what each claims, rightly or not, and its cells.

Held-out outcomes are made up (`stats/evidence/simulate.py`), seven splits a study, one family; nothing is
trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

from stats.evidence.crossed import Floats
from stats.evidence.judge import CONTRADICTED, NULL, SUPPORTED
from stats.evidence.sequential import OPEN, Decision, Looks, Path, family, holm, path
from stats.evidence.simulate import SimulatedStudy, methods

LOOKS = Looks(start=2, most=20)
ERROR = 1 - LOOKS.level
# Standard deviations are on the latent scale of `SimulatedStudy`; the page gives them in percentage points.
SETTINGS = {
    "seeds dominate": SimulatedStudy(20, 100, 10, sd_seed=0.06, sd_user=0.1, sd_pair=0.2, sd_noise=0.97),
    "balanced": SimulatedStudy(20, 200, 10, sd_seed=0.06, sd_user=0.2, sd_pair=0.5, sd_noise=0.8),
    "users dominate": SimulatedStudy(20, 60, 8, sd_seed=0.03, sd_user=0.3, sd_pair=0.8, sd_noise=0.5),
}
NOTHING, PLANTED = "nothing", "planted"
DIFFS = {NOTHING: (0.0,) * 7, PLANTED: (0.0, 0.0, 0.0, 3.0, -3.0, 6.0, -6.0)}
SPLITS = tuple(f"S{number}" for number in range(7))
DIRECTED = dict.fromkeys(SPLITS, "A > B")  # so that `supported` says above zero and `contradicted` below


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


def draw(truth: SimulatedStudy, diffs: Sequence[float], count: int, rng: np.random.Generator) -> list[Study]:
    """Equal methods on the same users and pairs, seeds of their own."""
    drawn: list[list[tuple[Path, Floats]]] = [[] for _ in range(count)]
    for diff in diffs:
        half = diff / 200
        apart = replace(truth, accuracy_a=0.7 + half, accuracy_b=0.7 - half)
        for mine, one in zip(drawn, methods(apart, rng, count), strict=True):
            mine.append((path(one.contrast, LOOKS), one.contrast.values[:5]))
    return [Study(*zip(*mine, strict=True)) for mine in drawn]


def simulate(
    studies: int, settings: dict[str, SimulatedStudy] = SETTINGS
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
    """The same with Satterthwaite's degrees of freedom: what `stats.evidence.judge` says of a finished
    study."""
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
