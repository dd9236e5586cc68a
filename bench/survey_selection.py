"""Simulated surveys for the selection of splits: traits of awkward shapes, with and without an effect.

`bench.survey_models` prints the tables, and tests/test_survey_selection.py checks a bounded part of them.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import expit

from stats.survey.defaults import MIN_USERS
from stats.survey.ordered_logit import ordered_logit
from stats.survey.predicted_splits import predicted_splits

ALPHA = 0.05
TRAITS = {"five": "b", "rare": "common", "slider": None, "ceiling": None, "flag": None}
RARE_LEVELS = {"first": MIN_USERS, "second": MIN_USERS, "third": 2 * MIN_USERS, "three": 3, "one": 1}
FLAGGED = 2 * MIN_USERS


@dataclass(frozen=True)
class SurveyWorld:
    """People, their pairs and what is planted.

    users: number of people. user_sd: spread of their discrimination for reasons outside the survey (logit
        scale). heavy: t3 instead of normal people, and 1 to 150 pairs each instead of about 12. effects: log
        odds by trait: of level a of `five`, of level first of `rare`, per sd of the sliders, of the flag.
    """

    users: int
    user_sd: float = 0.7
    heavy: bool = False
    effects: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the tables call this world."""
        tails = ", heavy tails, 1 to 150 pairs each" if self.heavy else ""
        return f"{self.users:,} users, sd {self.user_sd:g}{tails}"


def simulated_survey(world: SurveyWorld, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw pairs (user_id, score_gap) and users (user_id and the columns of TRAITS).

    five: five balanced levels. rare: two levels that most people share, and those of RARE_LEVELS with as many
    users. slider: normal. ceiling: a slider that half of the people set to 100. flag: 1 for FLAGGED users.
    """
    rng = np.random.default_rng([seed, world.users])
    count = world.users
    rare = np.where(rng.random(count) < 0.6, "common", "other").astype(object)
    members = np.split(rng.permutation(count), np.cumsum(list(RARE_LEVELS.values())))
    for level, positions in zip(RARE_LEVELS, members, strict=False):
        rare[positions] = level
    flag = np.zeros(count)
    flag[rng.permutation(count)[:FLAGGED]] = 1
    users = pd.DataFrame(
        {
            "user_id": np.arange(count),
            "five": np.array(list("abcde"), dtype=object)[rng.permutation(count) % 5],
            "rare": rare,
            "slider": rng.normal(60, 20, count),
            "ceiling": np.clip(np.round(rng.normal(100, 25, count)), 0, 100),
            "flag": flag,
        }
    )
    moves = {
        "five": users["five"] == "a",
        "rare": users["rare"] == "first",
        "slider": (users["slider"] - 60) / 20,
        "ceiling": (users["ceiling"] - 100) / 10,
        "flag": flag,
    }
    eta = np.zeros(count)
    for trait, effect in world.effects.items():
        eta += effect * np.asarray(moves[trait], dtype=float)
    if world.heavy:
        eta += world.user_sd * rng.standard_t(3, count) / np.sqrt(3)
        number = np.clip(np.ceil(rng.lognormal(1.8, 1.1, count)), 1, 150).astype(int)
    else:
        eta += world.user_sd * rng.normal(size=count)
        number = np.minimum(rng.geometric(1 / 12, count), 80)
    person = np.repeat(np.arange(count), number)
    gaps = 100 * expit(-1.8 + 0.65 * (eta[person] + rng.logistic(size=len(person))))
    return pd.DataFrame({"user_id": person, "score_gap": gaps}), users


def selection_of(world: SurveyWorld, seed: int) -> pd.DataFrame:
    """Return one survey's traits: world, trait, planted, p < 0.05, selected (Holm), selected (BH)."""
    pairs, users = simulated_survey(world, seed)
    fit = ordered_logit(pairs, users, TRAITS)
    by_holm, by_bh = (set(predicted_splits(fit, ALPHA, correction)["trait"]) for correction in ("holm", "bh"))
    return pd.DataFrame(
        [
            {
                "world": world.name,
                "survey": seed,
                "trait": row.trait,
                "planted": world.effects.get(str(row.trait), 0.0),
                "p < 0.05": float(row.p) < ALPHA,
                "selected (Holm)": row.trait in by_holm,
                "selected (BH)": row.trait in by_bh,
            }
            for row in fit.traits.itertuples()
        ]
    )


def selection_rates(worlds: Sequence[SurveyWorld], surveys: int, pool: Executor) -> pd.DataFrame:
    """Return shares over `surveys` surveys: world, trait, planted, p < 0.05, selected (Holm), selected (BH).

    The row "any without effect" has the share of surveys in which at least one such trait passes.
    """
    frames = []
    for world in worlds:
        drawn = pd.concat(pool.map(partial(selection_of, world), range(surveys), chunksize=10))
        passed = ["p < 0.05", "selected (Holm)", "selected (BH)"]
        frames.append(drawn.groupby(["world", "trait", "planted"], sort=False)[passed].mean().reset_index())
        nulls = drawn[drawn["planted"] == 0].groupby("survey")[passed].any().mean()
        together = {"world": world.name, "trait": "any without effect", "planted": 0.0, **nulls}
        frames.append(pd.DataFrame([together]))
    return pd.concat(frames, ignore_index=True)
