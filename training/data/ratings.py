"""The twin's ratings in numbers: who talks with which model, what it answers, which score it gets.

As in PRISM, a conversation's first turn shows up to four models, the highest rated goes on, and every later
turn shows two of its answers. Sizes and moments are PRISM's (Kirk et al. 2024); the truth is `planted.py`'s.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from training.data import planted
from training.data.phrases import KINDS
from training.data.planted import Floats

Ints = npt.NDArray[np.int64]

SURVEY_ONLY = 104 / 1500  # share of people who answered the survey and rated nothing
MOST_TALKS, TALKS = 7, 5.74  # a person's conversations: at most, mean
LATER_TURNS, MOST_LATER_TURNS = 2.39, 21  # of a conversation: mean, at most
MODELS_SHOWN, LAST_IS_SHOWN = 4, 0.75  # in a first turn; how often the last of them is there
SENTENCES = 3  # an answer
STYLE = 6.0  # Dirichlet concentration of a model's kinds of sentences
TIES = 0.04  # share of later turns rated the same
LEVEL, PERSON_SD, TURN_SD = 70.0, 15.0, 25.0  # score points: mean, spread over people, over turns
FIRST_TURN_SD = 17.0  # spread of a first turn's scores, for a person of average discrimination
BINS = 20  # of discrimination, within which gaps are ranked


@dataclass(frozen=True)
class Raters:
    """People, one entry each. eta: discrimination. spread: scale of their logit(gap / 100). level: mean
    score. taste: [people, kinds] what a sentence of a kind is worth to them."""

    eta: Floats
    spread: float
    level: Floats
    taste: Floats


def raters(survey: pd.DataFrame, strength: float, rng: np.random.Generator) -> Raters:
    """The survey's people, with the part of them that no survey asks for drawn here."""
    users = len(survey)
    eta = planted.eta(survey, strength) + rng.normal(0, planted.USER_SD, users)
    own = survey["lm_familiarity"].map(planted.TASTE_SD).to_numpy(dtype=float)[:, None]
    taste = np.array(list(KINDS.values())) + own * rng.normal(0, 1, (users, len(KINDS)))
    level = LEVEL + rng.normal(0, PERSON_SD, users)
    return Raters(eta, planted.gap_scale(survey, strength), level, taste)


def ratings(people: Raters, rng: np.random.Generator) -> pd.DataFrame:
    """One row an answer, in the order they were given: user (position), talk, interaction, turn, place, model
    (row of `planted.models()`), kind_0 to kind_2 (positions in KINDS), score (1 to 100)."""
    users = len(people.eta)
    talks = 1 + rng.binomial(MOST_TALKS - 1, (TALKS - 1) / (MOST_TALKS - 1), users)
    talks[rng.permutation(users)[: round(SURVEY_ONLY * users)]] = 0
    user = np.repeat(np.arange(users), talks)
    shares = planted.models()["share"].to_numpy()
    styles = rng.dirichlet(np.full(len(KINDS), STYLE), size=len(shares))
    typical = shares @ styles
    variance = np.diag(typical) - np.outer(typical, typical)
    scale = np.sqrt(SENTENCES * np.einsum("uk,kl,ul->u", people.taste, variance, people.taste))

    def answers(model: Ints, who: Ints) -> tuple[Ints, Floats]:
        """Kinds of sentences [turns, answers, SENTENCES] and how the person likes them, about N(0, 1)."""
        kinds = _draw(styles[model], rng)
        worth = (
            people.taste[who[:, None, None], kinds].sum(axis=2)
            - SENTENCES * (people.taste @ typical)[who, None]
        )
        return kinds, worth / scale[who, None]

    model = _distinct(shares, len(user), rng)
    kinds, liked = answers(model, user)
    score = _first_scores(people, user, liked, rng)
    shown = np.ones(model.shape, dtype=bool)
    shown[:, -1] = rng.random(len(user)) < LAST_IS_SHOWN
    best = np.where(shown, score, 0).argmax(axis=1)
    first = _rows(user, np.arange(len(user)), np.zeros_like(user), model, kinds, score)[shown.ravel()]

    turns = np.minimum(rng.geometric(1 / LATER_TURNS, len(user)), MOST_LATER_TURNS)
    talk = np.repeat(np.arange(len(user)), turns)
    turn = 1 + np.arange(len(talk)) - np.repeat(np.cumsum(turns) - turns, turns)
    goes_on = model[np.arange(len(user)), best][talk]
    model = np.stack([goes_on, goes_on], axis=1)
    kinds, liked = answers(model, user[talk])
    later = _rows(user[talk], talk, turn, model, kinds, _later_scores(people, user[talk], liked, rng))

    table = pd.concat([first, later]).sort_values(["talk", "turn", "place"], ignore_index=True)
    return table.assign(interaction=table.groupby(["talk", "turn"], sort=False).ngroup())


def _first_scores(people: Raters, user: Ints, liked: Floats, rng: np.random.Generator) -> Floats:
    follows = planted.follows(people.eta)[user, None]
    seen = follows * liked + np.sqrt(1 - follows**2) * rng.normal(0, 1, liked.shape)
    points = FIRST_TURN_SD * np.exp(people.spread * people.eta[user, None]) * seen
    level = people.level[user, None] + rng.normal(0, TURN_SD, (len(user), 1))
    return np.clip(np.round(level + points), 1, 100)


def _later_scores(people: Raters, user: Ints, liked: Floats, rng: np.random.Generator) -> Floats:
    """Scores [turns, 2] with exactly the planted gap: logit(gap / 100) = centre + spread * (eta + noise).

    The noise is how clear the person's lean is, ranked among people who discriminate alike and read off the
    logistic distribution: a clearer lean makes a larger gap, and the ordered logit stays the true model.
    """
    follows = planted.follows(people.eta)[user]
    lean = follows * (liked[:, 0] - liked[:, 1]) / np.sqrt(2)
    lean += np.sqrt(1 - follows**2) * rng.normal(0, 1, len(user))
    alike = np.searchsorted(np.quantile(people.eta, np.arange(1, BINS) / BINS), people.eta)[user]
    ranked = pd.Series(np.abs(lean)).groupby(alike)
    noise = logit((ranked.rank(method="first") - 0.5) / ranked.transform("size")).to_numpy()
    odds = logit(planted.MEDIAN_GAP / 100) + people.spread * (people.eta[user] + noise)
    gap = np.clip(np.round(100 * expit(odds)), 1, 99)
    gap[rng.random(len(gap)) < TIES] = 0
    middle = people.level[user] + rng.normal(0, TURN_SD, len(user))
    upper = np.clip(np.round(middle + gap / 2), 1 + gap, 100)
    first = lean > 0
    return np.stack([np.where(first, upper, upper - gap), np.where(first, upper - gap, upper)], axis=1)


def _rows(user: Ints, talk: Ints, turn: Ints, model: Ints, kinds: Ints, score: Floats) -> pd.DataFrame:
    """Interactions [turns] with their answers [turns, answers, ...] as one row an answer."""
    answers = model.shape[1]
    columns = {"user": user, "talk": talk, "turn": turn}
    table = pd.DataFrame({name: np.repeat(values, answers) for name, values in columns.items()})
    return table.assign(
        place=np.tile(np.arange(answers), len(user)),
        model=model.ravel(),
        **{f"kind_{k}": kinds[..., k].ravel() for k in range(SENTENCES)},
        score=score.ravel().astype(np.int64),
    )


def _draw(shares: Floats, rng: np.random.Generator) -> Ints:
    """SENTENCES categories for every entry of shares [..., categories], drawn by those shares."""
    ladder = shares.cumsum(axis=-1)[..., None, :]
    draws = rng.random((*shares.shape[:-1], SENTENCES, 1))
    picked = (draws > ladder).sum(axis=-1)
    return np.asarray(np.minimum(picked, shares.shape[-1] - 1))  # a ladder may end a hair below 1


def _distinct(shares: Floats, times: int, rng: np.random.Generator) -> Ints:
    """MODELS_SHOWN different models a time, by their shares: the largest of Gumbel-perturbed logs."""
    keys = np.log(shares) + rng.gumbel(size=(times, len(shares)))
    return np.asarray(np.argsort(-keys, axis=1)[:, :MODELS_SHOWN])
