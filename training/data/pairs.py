"""Make preference pairs from rated answers: of two answers to a prompt, the higher-scored one is chosen."""

import hashlib

import numpy as np
import pandas as pd

from training.data.corpus import Corpus
from training.data.prism import PrismTables
from training.errors import StudyError
from training.spec import PrismData, TwinData

EMPTY_ANSWERS = ("", "EMPTY STRING")
SAME_PROMPT = ["user_id", "conversation_id", "interaction_id", "turn", "user_prompt"]


def from_ratings(tables: PrismTables, data: PrismData | TwinData) -> Corpus:
    """Return the pairs of rated answers, and the traits of the users who rated them.

    The two answers of a pair are by the same model, to the same prompt of the same user at turn >= 1, with a
    score gap >= min_gap. With `cross_model`, the pairs of turn 0, where models compete, are included.

    Raises:
        StudyError: No pair is left, or a user who rated answers is missing from the survey.
    """
    cross = isinstance(data, PrismData) and data.cross_model
    utterances = tables.utterances.assign(model_response=tables.utterances["model_response"].str.strip())
    empty = utterances["model_response"].isin(EMPTY_ANSWERS)
    answers = utterances[~empty]
    joined = [_join(answers[answers["turn"] >= 1], [*SAME_PROMPT, "model_name"])]
    if cross:
        joined.append(_join(answers[answers["turn"] == 0], SAME_PROMPT))
    both = pd.concat(joined, ignore_index=True)
    identical = both["model_response_x"] == both["model_response_y"]
    tie = ~identical & (both["score_x"] == both["score_y"])
    small_gap = ~identical & ~tie & ((both["score_x"] - both["score_y"]).abs() < data.min_gap)
    kept = both[~(identical | tie | small_gap)]
    if kept.empty:
        raise StudyError(
            f"data.min_gap: {len(utterances)} answers make no pair with a score gap of at least "
            f"{data.min_gap}; lower it"
        )
    pairs = _pairs(kept, _prompts(kept, answers, full=data.history == "full"))
    dropped = {
        "empty answer": empty,
        "identical answers": identical,
        "tie": tie,
        f"gap below {data.min_gap}": small_gap,
    }
    counts = {reason: int(rows.sum()) for reason, rows in dropped.items() if rows.any()}
    return Corpus(pairs, _users(tables.survey, pairs), counts, tables.generated)


def content_ids(content: pd.DataFrame) -> list[str]:
    """Return a stable id per row, made from its content alone: the order of rows does not matter."""
    rows = content.to_numpy(dtype=str).tolist()
    return [hashlib.sha256("\x1f".join(row).encode()).hexdigest()[:16] for row in rows]


def _join(answers: pd.DataFrame, shared_columns: list[str]) -> pd.DataFrame:
    """Return every two answers that agree in `shared_columns`, once each, with suffixes _x and _y."""
    columns = list(dict.fromkeys([*shared_columns, "model_name", "utterance_id", "model_response", "score"]))
    both = answers[columns].merge(answers[columns], on=shared_columns)
    if "model_name" in shared_columns:
        both = both.assign(model_name_x=both["model_name"], model_name_y=both["model_name"])
    return both[both["utterance_id_x"] < both["utterance_id_y"]]


def _pairs(kept: pd.DataFrame, prompts: list[list[dict[str, str]]]) -> pd.DataFrame:
    """Return joined answers as the table of pairs (`Corpus.pairs`)."""
    x_is_better = kept["score_x"] > kept["score_y"]
    chosen, rejected = (
        {
            name: kept[f"{name}_x"].where(take_x, kept[f"{name}_y"])
            for name in ("model_response", "utterance_id", "model_name")
        }
        for take_x in (x_is_better, ~x_is_better)
    )
    ids = pd.DataFrame({"chosen": chosen["utterance_id"], "rejected": rejected["utterance_id"]})
    return pd.DataFrame(
        {
            "pair_id": content_ids(ids),
            "user_id": kept["user_id"],
            "source_model": chosen["model_name"].where(chosen["model_name"] == rejected["model_name"]),
            "chosen_model": chosen["model_name"],
            "rejected_model": rejected["model_name"],
            "score_gap": (kept["score_x"] - kept["score_y"]).abs().astype(float),
            "turn": kept["turn"],
            "prompt": prompts,
            "chosen": chosen["model_response"],
            "rejected": rejected["model_response"],
        }
    ).sort_values("pair_id", ignore_index=True)


def _prompts(kept: pd.DataFrame, answers: pd.DataFrame, full: bool) -> list[list[dict[str, str]]]:
    """Return chat messages up to the rated prompt; `full` includes the conversation that led to it."""
    if not full:
        return [[{"role": "user", "content": text}] for text in kept["user_prompt"]]
    # A conversation continues with the answer marked chosen, or with the highest-scored one of several.
    best = answers[answers["if_chosen"]].sort_values(["score", "utterance_id"], ascending=[False, True])
    turns = best.drop_duplicates(["conversation_id", "turn"]).sort_values(["conversation_id", "turn"])
    history: dict[str, list[tuple[int, str, str]]] = {
        str(conversation): list(
            zip(group["turn"], group["user_prompt"], group["model_response"], strict=True)
        )
        for conversation, group in turns.groupby("conversation_id", sort=False)
    }
    prompts = []
    for conversation, turn, text in zip(
        kept["conversation_id"], kept["turn"], kept["user_prompt"], strict=True
    ):
        before = [
            message
            for number, question, answer in history.get(conversation, [])
            if number < turn
            for message in ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
        ]
        prompts.append([*before, {"role": "user", "content": text}])
    return prompts


def _users(survey: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the survey traits of the users of pairs, and two of behaviour: n_pairs, mean_score_gap."""
    unknown = np.setdiff1d(pairs["user_id"].unique(), survey["user_id"])
    if len(unknown):
        raise StudyError(
            f"data.path: user {unknown[0]!r} rated answers in utterances but has no row in survey; add the "
            "row, or remove the answers"
        )
    gaps = pairs.groupby("user_id")["score_gap"].agg(n_pairs="size", mean_score_gap="mean").reset_index()
    return survey.merge(gaps, on="user_id").sort_values("user_id", ignore_index=True)
