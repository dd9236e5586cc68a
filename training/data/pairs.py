"""From rated answers to preference pairs: two answers to one prompt, the higher score is chosen."""

import hashlib

import numpy as np
import pandas as pd

from training.data.corpus import Corpus
from training.data.prism import PrismTables
from training.errors import StudyError
from training.spec import PrismData, TwinData

EMPTY = ("", "EMPTY STRING")
SAME = ["user_id", "conversation_id", "interaction_id", "turn", "user_prompt"]


def corpus(tables: PrismTables, data: PrismData | TwinData) -> Corpus:
    """Within-model pairs (turn >= 1, same user, model and prompt, score gap >= min_gap), and with
    `cross_model` the pairs of turn 0, where models compete. Vectorised over utterances."""
    cross = isinstance(data, PrismData) and data.cross_model
    told = tables.utterances.assign(model_response=tables.utterances["model_response"].str.strip())
    empty = told["model_response"].isin(EMPTY)
    answers = told[~empty]
    within = _join(answers[answers["turn"] >= 1], [*SAME, "model_name"])
    found = [within, _join(answers[answers["turn"] == 0], SAME)] if cross else [within]
    both = pd.concat(found, ignore_index=True)
    same = both["model_response_x"] == both["model_response_y"]
    tie = ~same & (both["score_x"] == both["score_y"])
    small = ~same & ~tie & ((both["score_x"] - both["score_y"]).abs() < data.min_gap)
    kept = both[~(same | tie | small)]
    if kept.empty:
        raise StudyError(
            f"data.min_gap: {len(told)} answers make no pair with a score gap of at least {data.min_gap}; "
            "lower it"
        )
    first = kept["score_x"] > kept["score_y"]
    chosen, rejected = (
        {
            name: kept[f"{name}_x"].where(up, kept[f"{name}_y"])
            for name in ("model_response", "utterance_id", "model_name")
        }
        for up in (first, ~first)
    )
    pairs = pd.DataFrame(
        {
            "pair_id": identify(pd.DataFrame({"c": chosen["utterance_id"], "r": rejected["utterance_id"]})),
            "user_id": kept["user_id"],
            "source_model": chosen["model_name"].where(chosen["model_name"] == rejected["model_name"]),
            "chosen_model": chosen["model_name"],
            "rejected_model": rejected["model_name"],
            "score_gap": (kept["score_x"] - kept["score_y"]).abs().astype(float),
            "turn": kept["turn"],
            "prompt": _prompts(kept, answers, full=data.history == "full"),
            "chosen": chosen["model_response"],
            "rejected": rejected["model_response"],
        }
    ).sort_values("pair_id", ignore_index=True)
    dropped = {
        "empty answer": empty,
        "identical answers": same,
        "tie": tie,
        f"gap below {data.min_gap}": small,
    }
    counts = {why: int(rows.sum()) for why, rows in dropped.items() if rows.any()}
    return Corpus(pairs, _users(tables.survey, pairs), counts, tables.generated)


def identify(content: pd.DataFrame) -> list[str]:
    """A stable id a row, from its content alone: the order of rows does not matter."""
    rows = content.to_numpy(dtype=str).tolist()
    return [hashlib.sha256("\x1f".join(row).encode()).hexdigest()[:16] for row in rows]


def _join(answers: pd.DataFrame, same: list[str]) -> pd.DataFrame:
    """Every two answers that agree in `same`, once each."""
    wanted = answers[list(dict.fromkeys([*same, "model_name", "utterance_id", "model_response", "score"]))]
    both = wanted.merge(wanted, on=same)
    if "model_name" in same:
        both = both.assign(model_name_x=both["model_name"], model_name_y=both["model_name"])
    return both[both["utterance_id_x"] < both["utterance_id_y"]]


def _prompts(kept: pd.DataFrame, answers: pd.DataFrame, full: bool) -> list[list[dict[str, str]]]:
    """Chat messages up to the rated prompt; before it stands the conversation that led there."""
    if not full:
        return [[{"role": "user", "content": text}] for text in kept["user_prompt"]]
    # The answer that went on: the one marked chosen, the best score where several are.
    best = answers[answers["if_chosen"]].sort_values(["score", "utterance_id"], ascending=[False, True])
    turns = best.drop_duplicates(["conversation_id", "turn"]).sort_values(["conversation_id", "turn"])
    history: dict[str, list[tuple[int, str, str]]] = {
        str(name): list(zip(group["turn"], group["user_prompt"], group["model_response"], strict=True))
        for name, group in turns.groupby("conversation_id", sort=False)
    }
    prompts = []
    for name, turn, text in zip(kept["conversation_id"], kept["turn"], kept["user_prompt"], strict=True):
        before = [
            message
            for number, asked, answered in history.get(name, [])
            if number < turn
            for message in ({"role": "user", "content": asked}, {"role": "assistant", "content": answered})
        ]
        prompts.append([*before, {"role": "user", "content": text}])
    return prompts


def _users(survey: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Traits of the users of pairs, with two of their behaviour: n_pairs and mean_score_gap."""
    unknown = np.setdiff1d(pairs["user_id"].unique(), survey["user_id"])
    if len(unknown):
        raise StudyError(
            f"data.path: user {unknown[0]!r} rated answers in utterances and stands in no row of survey; add "
            "the row, or leave the answers out"
        )
    gaps = pairs.groupby("user_id")["score_gap"].agg(n_pairs="size", mean_score_gap="mean").reset_index()
    return survey.merge(gaps, on="user_id").sort_values("user_id", ignore_index=True)
