"""What is true of the twin: who discriminates how strongly, how mixed tastes are, who wrote the answers.

A person discriminates by eta = strength * sum of the effects of their traits + b, b ~ N(0, USER_SD^2). It
does two things. It moves score gaps: logit(gap / 100) = centre + scale * (eta + e), e standard logistic, so
an ordered logit of gaps on the traits is the true model, given b. And it sets how far a rating follows the
person's own taste rather than chance.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit

from training.data.phrases import KINDS

Floats = npt.NDArray[np.float64]

MEDIAN_GAP, SPREAD = 14.4, 0.82  # logit(gap / 100) of everybody: about logistic, PRISM's median and scale
CUTS = (6, 14, 29)  # where the population-averaged effects are taken, as in the published ordered logit
USER_SD = 0.7  # of b: people differ for reasons outside the survey
CONSISTENCY = (2.0, 3.0)  # share of a rating's variance that is taste: logistic(first + second * eta)
FAMILIES = {"plain": 0.6, "formal": 0.3, "chatty": 0.1}  # share of the text: the base model is near "plain"
MODELS_A_FAMILY = 7
DECAY = 0.9  # within a family each model answers so much less often than the one before


@dataclass(frozen=True)
class Effect:
    """What people of these levels add to eta, or each point of a numeric trait (no levels)."""

    trait: str
    levels: tuple[str, ...] | None
    log_odds: float
    predicted: str  # A: these levels, or at and above the median

    def column(self, survey: pd.DataFrame) -> Floats:
        values = survey[self.trait]
        column = values if self.levels is None else values.isin(list(self.levels))
        return np.asarray(column, dtype=float)


EFFECTS = (
    Effect("age", ("18-24 years old", "25-34 years old"), 1.6, "A > B"),
    Effect("education", ("University Bachelors Degree", "Graduate / Professional degree"), 0.5, "A > B"),
    Effect("prefs_safety", None, -0.045, "A < B"),
    Effect("reside_region", ("Europe",), 0.0, "A = B"),
)
# Spread of people's own tastes about the shared one, by familiarity: the familiar are a mixed group.
TASTE_SD = {"Very familiar": 1.0, "Somewhat familiar": 0.3, "Not familiar at all": 0.3}


@dataclass(frozen=True)
class Truth:
    """effects: trait, levels, predicted, log_odds (a person's own), log_odds_population (what an ordered
    logit of the pairs on these traits estimates). tastes: lm_familiarity, taste_sd, consistency (two people's
    preferred directions among kinds of sentences, their mean inner product over that of one's with itself).
    models: model, family, share. user_sd: of b. gap_icc: between-user share of the variance of
    logit(gap / 100)."""

    effects: pd.DataFrame
    tastes: pd.DataFrame
    models: pd.DataFrame
    user_sd: float
    gap_icc: float

    def plain(self) -> dict[str, Any]:
        """Tables as lists of rows, for a JSON file."""
        return {
            name: value.to_dict(orient="records") if isinstance(value, pd.DataFrame) else value
            for name, value in vars(self).items()
        }


def truth(survey: pd.DataFrame, strength: float) -> Truth:
    """The planted table of a twin. It is kept beside the data; no analysis reads it."""
    effects = pd.DataFrame([asdict(effect) for effect in EFFECTS])
    effects["log_odds"] *= strength
    effects["log_odds_population"] = population_averaged(survey, strength)
    between = eta(survey, strength).var() + USER_SD**2
    tastes = pd.DataFrame({"lm_familiarity": TASTE_SD.keys(), "taste_sd": TASTE_SD.values()})
    tastes["consistency"] = [consistency(survey, strength, sd) for sd in TASTE_SD.values()]
    return Truth(
        effects,
        tastes,
        models(),
        USER_SD,
        float(between / (between + np.pi**2 / 3)),
    )


def models() -> pd.DataFrame:
    """The 21 source models: model, family, and the share of conversations in which each is drawn first."""
    rank = np.arange(MODELS_A_FAMILY)
    table = pd.DataFrame(
        [(f"{family}-{k}", family, share * DECAY**k) for family, share in FAMILIES.items() for k in rank],
        columns=["model", "family", "share"],
    )
    return table.assign(share=table["share"] / table["share"].sum())


def eta(survey: pd.DataFrame, strength: float) -> Floats:
    """Discrimination [users] from the traits, centred; b comes on top."""
    value = strength * sum(effect.log_odds * effect.column(survey) for effect in EFFECTS)
    return np.asarray(value - np.mean(value))


def follows(discrimination: Floats) -> Floats:
    """Correlation of a person's rating with their own taste, by eta; the rest is chance."""
    first, second = CONSISTENCY
    return np.asarray(np.sqrt(expit(first + second * discrimination)))


def consistency(survey: pd.DataFrame, strength: float, taste_sd: float, draws: int = 200_000) -> float:
    """|E m|^2 / E |m|^2 of people's mean directions m = E[chosen - rejected kinds of sentences].

    For a taste t and differences of covariance S, m is along S t / sqrt(t' S t) (a probit choice among normal
    differences) and as long as the rating follows t. S of kinds that are equally frequent. By Monte Carlo.
    """
    rng = np.random.default_rng(0)
    known = eta(survey, strength)
    length = follows(known[rng.integers(len(known), size=draws)] + USER_SD * rng.normal(size=draws))
    taste = np.array(list(KINDS.values())) + taste_sd * rng.normal(size=(draws, len(KINDS)))
    along = taste - taste.mean(axis=1, keepdims=True)
    m = length[:, None] * along / np.linalg.norm(along, axis=1, keepdims=True)
    return float((m.mean(axis=0) ** 2).sum() / (m**2).sum(axis=1).mean())


def gap_scale(survey: pd.DataFrame, strength: float) -> float:
    """Scale of one person's logit(gap / 100), such that everybody's together keep the scale SPREAD."""
    noise = np.pi**2 / 3
    return float(SPREAD * np.sqrt(noise / (noise + eta(survey, strength).var() + USER_SD**2)))


def population_averaged(survey: pd.DataFrame, strength: float, most: int = 4000) -> Floats:
    """Coefficients [effects] of the ordered logit that comes nearest to the truth with b averaged out.

    b by Gauss-Hermite quadrature; nearest in expected log-likelihood, over the first `most` people. They lie
    below the planted ones by about 1 / sqrt(1 + 0.346 USER_SD^2) (Zeger, Liang and Albert 1988).
    """
    people = survey.head(most)
    design = np.column_stack([effect.column(people) for effect in EFFECTS])
    design = design - design.mean(axis=0)
    scale = design.std(axis=0)
    scale[scale == 0] = 1.0  # a level that nobody has: its coefficient stays where it starts, at 0
    theta = (logit((np.array(CUTS) + 0.5) / 100) - logit(MEDIAN_GAP / 100)) / gap_scale(survey, strength)
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    linear = design @ (strength * np.array([effect.log_odds for effect in EFFECTS]))
    at = theta[None, :, None] - linear[:, None, None] - USER_SD * nodes
    wanted = _categories((expit(at) * weights).sum(axis=2) / weights.sum())

    def loss(parameters: Floats) -> float:
        cuts = parameters[0] + np.concatenate([[0], np.exp(parameters[1 : len(CUTS)]).cumsum()])
        fitted = _categories(expit(cuts - (design / scale @ parameters[len(CUTS) :])[:, None]))
        return -float((wanted * np.log(fitted.clip(1e-12))).sum(axis=1).mean())

    start = np.concatenate([theta[:1], np.log(np.diff(theta)), np.zeros(len(EFFECTS))])
    found = minimize(loss, start, method="BFGS", options={"gtol": 1e-7})
    return np.asarray(found.x[len(CUTS) :] / scale)


def _categories(cumulative: Floats) -> Floats:
    """Probabilities of the categories [rows, cuts + 1] from cumulative ones."""
    return np.diff(cumulative, axis=1, prepend=0.0, append=1.0)
