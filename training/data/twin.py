"""A generated twin of PRISM: its schema, its marginals, and planted truth about who discriminates.

Nothing in it was said or chosen by a person. People differ in how strongly a better answer moves their
score (discrimination); the planted table says which traits decide that. It is returned beside the data and
never read by an analysis. Marginals and moments are PRISM's published ones (Kirk et al. 2024).
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.data.phrases import KINDS, PROMPTS, SENTENCES, TOPICS
from training.data.prism import SLIDERS, Tables
from training.spec import TwinData

RECIPE = "twin-1"  # raised with every change of what a twin is
CONVERSATIONS_A_USER = 5.7
LATER_TURNS = 2.4  # mean number of turns after the first
SENTENCES_AN_ANSWER = 3
POINTS_A_QUALITY = 7.0  # score points that one unit of quality moves a person of discrimination 1
NOISE_POINTS = 9.0
TASTE_SD = 0.25  # how much a person's own taste differs from the shared one, a kind of sentence
USER_SD = 0.3  # spread of log discrimination for reasons outside the survey

# trait, who, what it adds to log discrimination
PLANTED = (
    ("age", "18-24 years old, 25-34 years old", 0.55),
    ("age", "35 and older", -0.55),
    ("prefs_safety", "at or above the median", -0.55),
    ("prefs_safety", "below the median", 0.55),
    ("reside_region", "any", 0.0),
)

# The model a source copies its words from, how often it answers, and how its sentences fall into KINDS.
FAMILIES = {"plain": 0.6, "formal": 0.3, "chatty": 0.1}  # the base model has read most of the plain one
MODELS_A_FAMILY = 7

MARGINALS: dict[str, dict[str, int]] = {
    "age": {
        "18-24 years old": 297, "25-34 years old": 454, "35-44 years old": 237, "45-54 years old": 208,
        "55-64 years old": 197, "65+ years old": 106, "Prefer not to say": 1,
    },
    "gender": {"Male": 757, "Female": 718, "Non-binary / third gender": 21, "Prefer not to say": 4},
    "education": {
        "University Bachelors Degree": 637, "Graduate / Professional degree": 241,
        "Some University but no degree": 236, "Completed Secondary School": 209, "Vocational": 125,
        "Some Secondary": 24, "Completed Primary School": 16, "Prefer not to say": 9, "Some Primary": 3,
    },
    "lm_familiarity": {"Somewhat familiar": 920, "Very familiar": 424, "Not familiar at all": 156},
    "reside_region": {
        "Europe": 570, "Americas": 531, "Africa": 130, "Oceania": 140, "Asia": 125, "Prefer not to say": 4,
    },
}  # fmt: skip
MOMENTS = {
    "values": (54.3, 26.3), "creativity": (69.6, 22.1), "fluency": (86.7, 16.3), "factuality": (88.7, 16.2),
    "diversity": (75.7, 20.0), "safety": (80.2, 25.2), "personalisation": (67.9, 24.6),
    "helpfulness": (89.4, 14.4),
}  # fmt: skip


def truth() -> pd.DataFrame:
    """The planted effects: trait, level, log_discrimination."""
    return pd.DataFrame(PLANTED, columns=["trait", "level", "log_discrimination"])


@lru_cache(maxsize=2)
def tables(spec: TwinData) -> Tables:
    """Survey and utterances of a twin, deterministic by its spec."""
    rng = np.random.default_rng([spec.seed, spec.users])
    survey = _survey(spec.users, rng)
    return Tables(survey, _utterances(survey, rng), generated=True)


def _survey(users: int, rng: np.random.Generator) -> pd.DataFrame:
    columns: dict[str, Any] = {"user_id": [f"user{number}" for number in range(users)]}
    for name, counts in MARGINALS.items():
        share = np.array(list(counts.values())) / sum(counts.values())
        columns[name] = rng.choice(list(counts), users, p=share)
    columns["birth_region"] = columns["reside_region"]
    for name in SLIDERS:
        mean, sd = MOMENTS[name]
        columns[f"prefs_{name}"] = np.clip(np.round(rng.normal(mean, sd, users)), 0, 100)
    return pd.DataFrame(columns)


def _discrimination(survey: pd.DataFrame, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    young = survey["age"].isin(["18-24 years old", "25-34 years old"])
    safety = survey["prefs_safety"] >= survey["prefs_safety"].median()
    effects = {(trait, level): effect for trait, level, effect in PLANTED}
    log = np.where(young, effects["age", PLANTED[0][1]], effects["age", PLANTED[1][1]])
    log = log + np.where(
        safety, effects["prefs_safety", PLANTED[2][1]], effects["prefs_safety", PLANTED[3][1]]
    )
    return np.exp(log + rng.normal(0, USER_SD, len(survey)))


def _utterances(survey: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Conversations: turn 0 shows four models, later turns two answers of the one that went on."""
    users = len(survey)
    talks = rng.poisson(CONVERSATIONS_A_USER - 1, users) + 1
    user_of_talk = np.repeat(np.arange(users), talks)
    turns = rng.poisson(LATER_TURNS, len(user_of_talk)) + 1
    talk = np.repeat(np.arange(len(user_of_talk)), turns)  # one entry an interaction from here
    turn = np.arange(len(talk)) - np.repeat(np.cumsum(turns) - turns, turns)
    topic = rng.integers(len(TOPICS), size=len(user_of_talk))[talk]
    asked = rng.integers(len(PROMPTS), size=len(talk))
    family = rng.choice(len(FAMILIES), len(user_of_talk), p=list(FAMILIES.values()))
    partner = family * MODELS_A_FAMILY + rng.integers(MODELS_A_FAMILY, size=len(user_of_talk))

    answers = np.where(turn == 0, 4, 2)
    row = np.repeat(np.arange(len(talk)), answers)  # one entry an answer from here
    place = np.arange(len(row)) - np.repeat(np.cumsum(answers) - answers, answers)
    model = np.where((turn[row] == 0) & (place > 0), rng.integers(21, size=len(row)), partner[talk[row]])
    styles = rng.dirichlet(np.full(len(KINDS), 6.0), size=21)
    kinds = _draw(styles[model], SENTENCES_AN_ANSWER, rng)
    weights = np.array(list(KINDS.values()))
    taste = weights + rng.normal(0, TASTE_SD, (users, len(KINDS)))
    user = user_of_talk[talk[row]]
    quality = taste[user[:, None], kinds].sum(axis=1)
    points = POINTS_A_QUALITY * _discrimination(survey, rng)[user] * (quality - quality.mean())
    score = np.clip(np.round(62 + points + rng.normal(0, NOISE_POINTS, len(row))), 1, 100).astype(int)
    text = _texts(kinds, model // MODELS_A_FAMILY, topic[row], rng)
    best = pd.Series(score).groupby(row).rank(method="first", ascending=False).to_numpy() == 1
    return pd.DataFrame(
        {
            "utterance_id": [f"ut{number}" for number in range(len(row))],
            "interaction_id": [f"int{number}" for number in row],
            "conversation_id": [f"c{number}" for number in talk[row]],
            "user_id": survey["user_id"].to_numpy()[user],
            "turn": turn[row],
            "within_turn_id": place,
            "model_name": [
                f"{list(FAMILIES)[number // MODELS_A_FAMILY]}-{number % MODELS_A_FAMILY}" for number in model
            ],
            "user_prompt": [
                PROMPTS[a].format(topic=TOPICS[t]) for a, t in zip(asked[row], topic[row], strict=True)
            ],
            "model_response": text,
            "score": score,
            "if_chosen": best,
        }
    )


def _draw(shares: npt.NDArray[np.float64], times: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """`times` categories a row, by the row's shares: shape [rows, times]."""
    ladder = shares.cumsum(axis=1)
    draws = rng.random((len(shares), times))
    picked: npt.NDArray[np.int64] = (draws[:, :, None] > ladder[:, None, :]).sum(axis=2)
    last: npt.NDArray[np.int64] = np.minimum(picked, shares.shape[1] - 1)  # a ladder may end a hair below 1
    return last


def _texts(
    kinds: npt.NDArray[np.int64],
    family: npt.NDArray[np.int64],
    topic: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> list[str]:
    """Answers of three sentences; which wording of a kind is used is drawn."""
    options = [[SENTENCES[name][kind] for kind in KINDS] for name in FAMILIES]
    wording = rng.random(kinds.shape)
    return [
        " ".join(
            (said := options[group][kind])[int(draw * len(said))].format(topic=TOPICS[about])
            for kind, draw in zip(row, draws, strict=True)
        )
        for row, draws, group, about in zip(
            kinds.tolist(), wording.tolist(), family.tolist(), topic.tolist(), strict=True
        )
    ]
