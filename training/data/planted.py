"""Plant the twin's truth: how strongly people discriminate, how mixed tastes are, who wrote the answers.

A person discriminates between answers by eta = strength * (sum of the effects of their traits) + b, where
b ~ N(0, USER_SD^2). This has two consequences. It moves score gaps: logit(gap / 100) = centre + scale *
(eta + e), e standard logistic, so that an ordered logit of gaps on the traits is the true model, given b. And
it sets how closely a rating follows the person's own taste rather than chance.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit

from training.arrays import FloatArray
from training.data.phrases import KINDS

MEDIAN_GAP, POPULATION_SCALE = 14.4, 0.82  # logit(gap / 100) of all people, about logistic, as in PRISM
GAP_CUTS = (6, 14, 29)  # score gaps that cut the ordered logit's categories, as in the published one
USER_SD = 0.7  # standard deviation of b: people differ for reasons outside the survey
CONSISTENCY = (2.0, 3.0)  # share of a rating's variance that is taste: logistic(first + second * eta)
FAMILIES = {"plain": 0.6, "formal": 0.3, "chatty": 0.1}  # share of the text: the base model is near "plain"
MODELS_PER_FAMILY = 7
DECAY = 0.9  # within a family, each model answers less often than the one before, by this factor


@dataclass(frozen=True)
class PlantedEffect:
    """An effect on eta: of belonging to these levels, or of each point of a numeric trait (no levels).

    predicted: The prediction for a split whose group A is these levels, or at and above the median.
    """

    trait: str
    levels: tuple[str, ...] | None
    log_odds: float
    predicted: str

    def column(self, survey: pd.DataFrame) -> FloatArray:
        """Return the trait as a column of a design matrix: shape [people]."""
        values = survey[self.trait]
        column = values if self.levels is None else values.isin(list(self.levels))
        return np.asarray(column, dtype=float)


PLANTED_EFFECTS = (
    PlantedEffect("age", ("18-24 years old", "25-34 years old"), 1.6, "A > B"),
    PlantedEffect(
        "education", ("University Bachelors Degree", "Graduate / Professional degree"), 0.5, "A > B"
    ),
    PlantedEffect("prefs_safety", None, -0.045, "A < B"),
    PlantedEffect("reside_region", ("Europe",), 0.0, "A = B"),
)
# Spread of people's own tastes around the shared one, by familiarity: the very familiar are a mixed group.
TASTE_SD = {"Very familiar": 1.0, "Somewhat familiar": 0.3, "Not familiar at all": 0.3}


@dataclass(frozen=True)
class PlantedTruth:
    """Everything that was planted in a twin.

    effects: One row per effect: trait, levels, predicted, log_odds (a person's own) and log_odds_population
        (what an ordered logit of the pairs on these traits estimates).
    tastes: One row per level: lm_familiarity, taste_sd and consistency. The consistency of a group is the
        mean inner product of two people's preferred directions among kinds of sentences, divided by that of a
        person's direction with itself.
    models: One row per source model: model, family, share.
    user_sd: The standard deviation of b.
    gap_icc: The between-user share of the variance of logit(gap / 100).
    """

    effects: pd.DataFrame
    tastes: pd.DataFrame
    models: pd.DataFrame
    user_sd: float
    gap_icc: float

    def plain(self) -> dict[str, Any]:
        """Return the tables as lists of rows, for a JSON file."""
        return {
            name: value.to_dict(orient="records") if isinstance(value, pd.DataFrame) else value
            for name, value in vars(self).items()
        }


def truth(survey: pd.DataFrame, strength: float) -> PlantedTruth:
    """Return the truth planted in a twin with this survey. No analysis reads it."""
    effects = pd.DataFrame([asdict(effect) for effect in PLANTED_EFFECTS])
    effects["log_odds"] *= strength
    effects["log_odds_population"] = population_averaged(survey, strength)
    between = eta(survey, strength).var() + USER_SD**2
    tastes = pd.DataFrame({"lm_familiarity": TASTE_SD.keys(), "taste_sd": TASTE_SD.values()})
    tastes["consistency"] = [consistency(survey, strength, sd) for sd in TASTE_SD.values()]
    return PlantedTruth(
        effects=effects,
        tastes=tastes,
        models=source_models(),
        user_sd=USER_SD,
        gap_icc=float(between / (between + np.pi**2 / 3)),
    )


def source_models() -> pd.DataFrame:
    """Return the 21 source models: model, family, and the share of conversations that draw it first."""
    rank = np.arange(MODELS_PER_FAMILY)
    table = pd.DataFrame(
        [(f"{family}-{k}", family, share * DECAY**k) for family, share in FAMILIES.items() for k in rank],
        columns=["model", "family", "share"],
    )
    return table.assign(share=table["share"] / table["share"].sum())


def eta(survey: pd.DataFrame, strength: float) -> FloatArray:
    """Return the part of discrimination that comes from traits, centred, to which b is added: [people]."""
    value = strength * sum(effect.log_odds * effect.column(survey) for effect in PLANTED_EFFECTS)
    return np.asarray(value - np.mean(value))


def taste_correlation(discrimination: FloatArray) -> FloatArray:
    """Return the correlation of people's ratings with their own taste, by eta; the rest is chance."""
    first, second = CONSISTENCY
    return np.asarray(np.sqrt(expit(first + second * discrimination)))


def consistency(survey: pd.DataFrame, strength: float, taste_sd: float, draws: int = 200_000) -> float:
    """Return |E m|^2 / E |m|^2 of people's mean directions m = E[chosen - rejected kinds of sentences].

    For a taste t and differences of covariance S, m points along S t / sqrt(t' S t) (a probit choice among
    normal differences), and its length is the correlation of a rating with the taste. S is that of equally
    frequent kinds. The value is computed by Monte Carlo with `draws` people.
    """
    rng = np.random.default_rng(0)
    from_traits = eta(survey, strength)
    drawn = from_traits[rng.integers(len(from_traits), size=draws)]
    length = taste_correlation(drawn + USER_SD * rng.normal(size=draws))
    taste = np.array(list(KINDS.values())) + taste_sd * rng.normal(size=(draws, len(KINDS)))
    along = taste - taste.mean(axis=1, keepdims=True)
    m = length[:, None] * along / np.linalg.norm(along, axis=1, keepdims=True)
    return float((m.mean(axis=0) ** 2).sum() / (m**2).sum(axis=1).mean())


def gap_scale(survey: pd.DataFrame, strength: float) -> float:
    """Return the scale of a person's logit(gap / 100) that gives all people together POPULATION_SCALE."""
    noise = np.pi**2 / 3
    return float(POPULATION_SCALE * np.sqrt(noise / (noise + eta(survey, strength).var() + USER_SD**2)))


def population_averaged(survey: pd.DataFrame, strength: float, most: int = 4000) -> FloatArray:
    """Return the coefficients of the ordered logit nearest to the truth with b averaged out: [effects].

    Nearest means in expected log-likelihood, over the first `most` people; b is averaged by Gauss-Hermite
    quadrature. The coefficients are below the planted ones, by a factor of about
    1 / sqrt(1 + 0.346 USER_SD^2) (Zeger, Liang and Albert 1988).
    """
    people = survey.head(most)
    design = np.column_stack([effect.column(people) for effect in PLANTED_EFFECTS])
    design = design - design.mean(axis=0)
    scale = design.std(axis=0)
    scale[scale == 0] = 1.0  # the coefficient of a level that nobody has stays at its start, 0
    centred_cuts = logit((np.array(GAP_CUTS) + 0.5) / 100) - logit(MEDIAN_GAP / 100)
    theta = centred_cuts / gap_scale(survey, strength)
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    linear = design @ (strength * np.array([effect.log_odds for effect in PLANTED_EFFECTS]))
    at_nodes = theta[None, :, None] - linear[:, None, None] - USER_SD * nodes
    target = _categories((expit(at_nodes) * weights).sum(axis=2) / weights.sum())

    def loss(parameters: FloatArray) -> float:
        cuts = parameters[0] + np.concatenate([[0], np.exp(parameters[1 : len(GAP_CUTS)]).cumsum()])
        fitted = _categories(expit(cuts - (design / scale @ parameters[len(GAP_CUTS) :])[:, None]))
        return -float((target * np.log(fitted.clip(1e-12))).sum(axis=1).mean())

    start = np.concatenate([theta[:1], np.log(np.diff(theta)), np.zeros(len(PLANTED_EFFECTS))])
    solution = minimize(loss, start, method="BFGS", options={"gtol": 1e-7})
    return np.asarray(solution.x[len(GAP_CUTS) :] / scale)


def _categories(cumulative: FloatArray) -> FloatArray:
    """Return the probabilities of the categories [rows, cuts + 1] from cumulative ones [rows, cuts]."""
    return np.diff(cumulative, axis=1, prepend=0.0, append=1.0)
