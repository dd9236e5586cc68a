"""Draw the twin's ratings as numbers: who talks with which model, what it answers, and which score it gets.

As in PRISM, the first turn of a conversation shows up to four models, the conversation goes on with the one
rated highest, and every later turn shows two of its answers. Sizes and moments are PRISM's (Kirk et al.
2024); `training/data/planted.py` holds the planted truth. In this module a conversation is called a talk, for
short; its turns are interactions, as in PRISM.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from training.arrays import FloatArray, IntArray
from training.data import planted
from training.data.phrases import KINDS

SURVEY_ONLY = 104 / 1500  # share of people who answered the survey and rated nothing
MOST_TALKS, MEAN_TALKS = 7, 5.74  # a person's conversations: maximum, mean
MEAN_LATER_TURNS, MOST_LATER_TURNS = 2.39, 21  # later turns of a conversation: mean, maximum
MODELS_SHOWN, LAST_IS_SHOWN = 4, 0.75  # models in a first turn; share of first turns with the last one
SENTENCES_PER_ANSWER = 3
STYLE_CONCENTRATION = 6.0  # concentration of the Dirichlet distribution of a model's kinds of sentences
TIES = 0.04  # share of later turns whose two answers get the same score
MEAN_SCORE, PERSON_SD, TURN_SD = 70.0, 15.0, 25.0  # score points: mean, spread over people, over turns
FIRST_TURN_SD = 17.0  # spread of a first turn's scores, for a person of average discrimination
DISCRIMINATION_BINS = 20  # gaps are ranked within bins of people who discriminate alike


@dataclass(frozen=True)
class Raters:
    """The people who rate, with one entry per person.

    eta: Discrimination: [people].
    spread: The scale of logit(gap / 100), the same for all of them.
    level: Mean score: [people].
    taste: What a sentence of each kind is worth to them: [people, kinds].
    """

    eta: FloatArray
    spread: float
    level: FloatArray
    taste: FloatArray


def raters(survey: pd.DataFrame, strength: float, rng: np.random.Generator) -> Raters:
    """Return the survey's people, with draws of what no survey asks about: b, taste and level."""
    users = len(survey)
    eta = planted.eta(survey, strength) + rng.normal(0, planted.USER_SD, users)
    taste_sd = survey["lm_familiarity"].map(planted.TASTE_SD).to_numpy(dtype=float)[:, None]
    taste = np.array(list(KINDS.values())) + taste_sd * rng.normal(0, 1, (users, len(KINDS)))
    level = MEAN_SCORE + rng.normal(0, PERSON_SD, users)
    return Raters(eta, planted.gap_scale(survey, strength), level, taste)


def ratings(people: Raters, rng: np.random.Generator) -> pd.DataFrame:
    """Draw conversations, answers and scores.

    Returns:
        One row per answer, in the order in which answers were given: user (position), talk, interaction,
        turn, place, model (row of `planted.source_models()`), kind_0 to kind_2 (positions in KINDS), score (1
        to 100).
    """
    users = len(people.eta)
    talks = 1 + rng.binomial(MOST_TALKS - 1, (MEAN_TALKS - 1) / (MOST_TALKS - 1), users)
    talks[rng.permutation(users)[: round(SURVEY_ONLY * users)]] = 0
    user = np.repeat(np.arange(users), talks)
    shares = planted.source_models()["share"].to_numpy()
    styles = rng.dirichlet(np.full(len(KINDS), STYLE_CONCENTRATION), size=len(shares))
    typical = shares @ styles
    variance = np.diag(typical) - np.outer(typical, typical)
    scale = np.sqrt(SENTENCES_PER_ANSWER * np.einsum("uk,kl,ul->u", people.taste, variance, people.taste))

    def answers(model: IntArray, rater: IntArray) -> tuple[IntArray, FloatArray]:
        """Return kinds of sentences [turns, answers, sentences] and liking of answers, about N(0, 1)."""
        kinds = _draw_kinds(styles[model], rng)
        worth = (
            people.taste[rater[:, None, None], kinds].sum(axis=2)
            - SENTENCES_PER_ANSWER * (people.taste @ typical)[rater, None]
        )
        return kinds, worth / scale[rater, None]

    model = _draw_distinct_models(shares, len(user), rng)
    kinds, liking = answers(model, user)
    score = _first_scores(people, user, liking, rng)
    visible = np.ones(model.shape, dtype=bool)
    visible[:, -1] = rng.random(len(user)) < LAST_IS_SHOWN
    best = np.where(visible, score, 0).argmax(axis=1)
    first = _rows(user, np.arange(len(user)), np.zeros_like(user), model, kinds, score)[visible.ravel()]

    turns = np.minimum(rng.geometric(1 / MEAN_LATER_TURNS, len(user)), MOST_LATER_TURNS)
    talk = np.repeat(np.arange(len(user)), turns)
    turn = 1 + np.arange(len(talk)) - np.repeat(np.cumsum(turns) - turns, turns)
    continuing = model[np.arange(len(user)), best][talk]
    model = np.stack([continuing, continuing], axis=1)
    kinds, liking = answers(model, user[talk])
    later = _rows(user[talk], talk, turn, model, kinds, _later_scores(people, user[talk], liking, rng))

    table = pd.concat([first, later]).sort_values(["talk", "turn", "place"], ignore_index=True)
    return table.assign(interaction=table.groupby(["talk", "turn"], sort=False).ngroup())


def _first_scores(people: Raters, user: IntArray, liking: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the scores of first turns: [turns, answers]."""
    correlation = planted.taste_correlation(people.eta)[user, None]
    judged = correlation * liking + np.sqrt(1 - correlation**2) * rng.normal(0, 1, liking.shape)
    points = FIRST_TURN_SD * np.exp(people.spread * people.eta[user, None]) * judged
    level = people.level[user, None] + rng.normal(0, TURN_SD, (len(user), 1))
    return np.clip(np.round(level + points), 1, 100)


def _later_scores(people: Raters, user: IntArray, liking: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return scores [turns, 2] with the planted gap: logit(gap / 100) = centre + spread * (eta + noise).

    The noise measures how clearly the person leans towards one answer, ranked among people who discriminate
    alike and mapped to the logistic distribution. A clearer lean thus gives a larger gap, and the ordered
    logit stays the true model.
    """
    correlation = planted.taste_correlation(people.eta)[user]
    lean = correlation * (liking[:, 0] - liking[:, 1]) / np.sqrt(2)
    lean += np.sqrt(1 - correlation**2) * rng.normal(0, 1, len(user))
    bounds = np.quantile(people.eta, np.arange(1, DISCRIMINATION_BINS) / DISCRIMINATION_BINS)
    ranked = pd.Series(np.abs(lean)).groupby(np.searchsorted(bounds, people.eta)[user])
    noise = logit((ranked.rank(method="first") - 0.5) / ranked.transform("size")).to_numpy()
    log_odds = logit(planted.MEDIAN_GAP / 100) + people.spread * (people.eta[user] + noise)
    gap = np.clip(np.round(100 * expit(log_odds)), 1, 99)
    gap[rng.random(len(gap)) < TIES] = 0
    middle = people.level[user] + rng.normal(0, TURN_SD, len(user))
    upper = np.clip(np.round(middle + gap / 2), 1 + gap, 100)
    first_wins = lean > 0
    return np.stack(
        [np.where(first_wins, upper, upper - gap), np.where(first_wins, upper - gap, upper)], axis=1
    )


def _rows(
    user: IntArray, talk: IntArray, turn: IntArray, model: IntArray, kinds: IntArray, score: FloatArray
) -> pd.DataFrame:
    """Return turns [turns] and their answers [turns, answers, ...] as a table with one row per answer."""
    answers = model.shape[1]
    columns = {"user": user, "talk": talk, "turn": turn}
    table = pd.DataFrame({name: np.repeat(values, answers) for name, values in columns.items()})
    return table.assign(
        place=np.tile(np.arange(answers), len(user)),
        model=model.ravel(),
        **{f"kind_{k}": kinds[..., k].ravel() for k in range(SENTENCES_PER_ANSWER)},
        score=score.ravel().astype(np.int64),
    )


def _draw_kinds(shares: FloatArray, rng: np.random.Generator) -> IntArray:
    """Draw the kinds of an answer's sentences by the shares [..., kinds] of each entry: [..., sentences]."""
    ladder = shares.cumsum(axis=-1)[..., None, :]
    draws = rng.random((*shares.shape[:-1], SENTENCES_PER_ANSWER, 1))
    kinds = (draws > ladder).sum(axis=-1)
    return np.asarray(np.minimum(kinds, shares.shape[-1] - 1))  # a ladder may end a hair below 1


def _draw_distinct_models(shares: FloatArray, times: int, rng: np.random.Generator) -> IntArray:
    """Draw MODELS_SHOWN different models `times` times by their shares (Gumbel top-k): [times, models]."""
    keys = np.log(shares) + rng.gumbel(size=(times, len(shares)))
    return np.asarray(np.argsort(-keys, axis=1)[:, :MODELS_SHOWN])
