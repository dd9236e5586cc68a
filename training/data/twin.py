"""Generate a twin of PRISM: its schema, sizes and score gaps, and a planted truth about who discriminates.

    python -m training.data.twin --users 300 --seed 0 --out FOLDER

This writes survey.jsonl, utterances.jsonl and truth.json. No person said or chose any of it.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from training.data import people, planted
from training.data.phrases import KINDS, PHRASES, PROMPTS, TOPICS
from training.data.ratings import raters, ratings
from training.spec import TwinData
from training.table_data import TableData

EMPTY_SHARE = 0.001  # share of answers that are empty


@dataclass(frozen=True)
class TwinTables:
    """A twin's two tables.

    survey: One row per person: user_id and one column per trait (`prefs_*` are the sliders).
    utterances: One row per answer, in the columns of PRISM's utterances.
    """

    survey: pd.DataFrame
    utterances: pd.DataFrame


@lru_cache(maxsize=1)
def tables(spec: TwinData) -> TwinTables:
    """Return the survey and utterances of a twin; only its spec decides them."""
    rng = _rng(spec)
    survey = people.survey(spec.users, rng)
    rated = ratings(raters(survey, spec.strength, rng), rng)
    return TwinTables(survey, _utterances(survey, rated, rng))


def described(spec: TwinData) -> TableData:
    """Return the description by which a twin is read: PRISM's."""
    return TableData.model_validate({"source": "prism", "history": spec.history, "min_gap": spec.min_gap})


def truth(spec: TwinData) -> planted.PlantedTruth:
    """Return the truth planted in the twin of this spec. No analysis reads it."""
    return planted.truth(people.survey(spec.users, _rng(spec)), spec.strength)


def nested(survey: pd.DataFrame) -> pd.DataFrame:
    """Return the survey as PRISM stores it: sliders and regions in objects of their own."""
    sliders = [f"prefs_{name}" for name in people.SLIDER_MOMENTS]
    regions = ["birth_region", "reside_region"]
    objects = {
        "stated_prefs": survey[sliders].set_axis([*people.SLIDER_MOMENTS], axis=1),
        "location": survey[regions],
    }
    rest = survey.drop(columns=[*sliders, *regions]).reset_index(drop=True)
    return rest.assign(**{name: pd.Series(table.to_dict("records")) for name, table in objects.items()})


def write(spec: TwinData, folder: Path) -> None:
    """Write the twin as files of PRISM's schema, which `data: {source: prism, path: FOLDER}` reads.

    Its truth is written beside them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    twin = tables(spec)
    nested(twin.survey).to_json(folder / "survey.jsonl", orient="records", lines=True)
    twin.utterances.to_json(folder / "utterances.jsonl", orient="records", lines=True)
    (folder / "truth.json").write_text(json.dumps(truth(spec).plain(), indent=2) + "\n", encoding="utf-8")


def _rng(spec: TwinData) -> np.random.Generator:
    return np.random.default_rng([spec.seed, spec.users])


def _utterances(survey: pd.DataFrame, rated: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row per answer, in the columns of PRISM's utterances."""
    talks, interactions = rated["talk"].iloc[-1] + 1, rated["interaction"].iloc[-1] + 1
    topic = rng.integers(len(TOPICS), size=talks)[rated["talk"]]
    question = rng.integers(len(PROMPTS), size=interactions)[rated["interaction"]]
    prompts = np.array([[text.format(topic=topic) for topic in TOPICS] for text in PROMPTS], dtype=object)
    answer = _answers(rated, topic, rng)
    answer[rng.random(len(rated)) < EMPTY_SHARE] = "EMPTY STRING"
    best = rated.groupby("interaction")["score"].transform("max")
    return pd.DataFrame(
        {
            "utterance_id": _ids("ut", np.arange(len(rated))),
            "interaction_id": _ids("int", rated["interaction"]),
            "conversation_id": _ids("c", rated["talk"]),
            "user_id": survey["user_id"].to_numpy()[rated["user"]],
            "turn": rated["turn"],
            "within_turn_id": rated["place"],
            "model_name": planted.source_models()["model"].to_numpy()[rated["model"]],
            "user_prompt": prompts[question, topic],
            "model_response": answer,
            "score": rated["score"],
            "if_chosen": rated["score"] == best,  # not unique, as in PRISM
        }
    )


def _answers(rated: pd.DataFrame, topic: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return answers of three sentences in the words of the model's family; wordings are drawn."""
    phrases = [PHRASES[family][kind] for family in planted.FAMILIES for kind in KINDS]
    most = max(map(len, phrases))
    wordings = np.array(
        [
            [[text.format(topic=about) for about in TOPICS] for text in (texts * most)[:most]]
            for texts in phrases
        ],
        dtype=object,
    )
    count = np.array([len(texts) for texts in phrases])
    family = rated["model"].to_numpy() // planted.MODELS_PER_FAMILY
    sentences = []
    for column in rated.columns[rated.columns.str.startswith("kind_")]:
        row = family * len(KINDS) + rated[column].to_numpy()
        sentences.append(wordings[row, (rng.random(len(rated)) * count[row]).astype(int), topic])
    answer: np.ndarray = sentences[0]
    for sentence in sentences[1:]:
        answer = answer + " " + sentence
    return answer


def _ids(prefix: str, numbers: "np.ndarray | pd.Series[int]") -> list[str]:
    return [f"{prefix}{number}" for number in np.asarray(numbers).tolist()]


def main(argv: Sequence[str] | None = None) -> None:
    """Write a twin to a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=300, help="people in the survey")
    parser.add_argument("--seed", type=int, default=0, help="seed of the generator")
    parser.add_argument(
        "--strength",
        type=float,
        default=1.0,
        help="factor that multiplies the planted effects; 0 plants none",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    args = parser.parse_args(argv)
    write(TwinData(users=args.users, seed=args.seed, strength=args.strength), args.out)
    print(f"survey.jsonl, utterances.jsonl, truth.json: {args.out}")


if __name__ == "__main__":
    main()
