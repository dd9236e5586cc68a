"""Make candidate pairs from rated answers: of two answers to a prompt, the higher-scored one is chosen."""

from typing import Any

import numpy as np
import pandas as pd

from training.data.chats import Messages, as_text, messages, question
from training.data.conversions import TEXT, flags, names, numbers, texts, turns
from training.data.pairs import Candidates, is_empty
from training.data.tables import Table
from training.errors import StudyError
from training.table_data import TableData


def candidates(table: Table, users: pd.Series, data: TableData) -> Candidates:
    """Return every two answers that one person rated for one prompt, item and turn, once each.

    Args:
        table: One row per rated answer, in the columns of `Columns` that are named.
        users: Who rated: [rows].
        data: Which of these pairs count: `models`; and whether prompts hold the `history`.

    Raises:
        StudyError: A value is no score, turn or text, or a response_id appears twice.
    """
    answers = _answers(table, users, data)
    empty_prompt = is_empty(answers["prompt_text"])
    empty = ~empty_prompt & is_empty(answers["response"])
    kept = answers[~(empty_prompt | empty)].reset_index(drop=True)
    first, second = _couples(kept, data.models)
    score = kept["score"].to_numpy()
    better = np.where(score[first] >= score[second], first, second)
    worse = first + second - better
    prompts = _prompts(kept, better, full=data.history == "full")
    chosen, rejected = (
        kept.drop(columns=["chat", "prompt_text"]).iloc[rows].reset_index(drop=True)
        for rows in (better, worse)
    )
    frame = pd.DataFrame(
        {
            "user_id": chosen["user_id"],
            "item": chosen["item"],
            "chosen_model": chosen["model"],
            "rejected_model": rejected["model"],
            "score_gap": chosen["score"] - rejected["score"],
            "turn": chosen["turn"],
            "prompt": pd.Series(prompts, dtype=object),
            "chosen": chosen["response"],
            "rejected": rejected["response"],
            "identity": chosen["response_id"] + "\x1f" + rejected["response_id"],
        }
    )
    dropped = {
        "empty prompt": int(empty_prompt.sum()),
        "empty answer": int(empty.sum()),
        "missing score": int(kept["score"].isna().sum()),
    }
    return Candidates(frame, len(answers), dropped)


def _answers(table: Table, users: pd.Series, data: TableData) -> pd.DataFrame:
    """Return one row per rated answer; what is unknown is missing, and an unknown turn is 0."""
    columns, frame = data.columns, table.frame
    unknown = pd.Series(pd.NA, index=frame.index, dtype="str")

    def named(ours: str, column: object) -> pd.Series:
        return names(table, ours, required=False) if column else unknown

    if columns.response_id:
        ids = names(table, "response_id")
        if ids.duplicated().any():
            row = int(np.argmax(ids.duplicated()))
            raise StudyError(f"{table.place(row, 'response_id')}: {ids[row]!r} appears twice; remove one")
    prompts = frame["prompt"]
    chats = prompts.map(lambda value: isinstance(value, list))
    if chats.any():
        checked = [
            messages(value, table.place(row, "prompt")) if chat else value
            for row, (value, chat) in enumerate(zip(prompts, chats, strict=True))
        ]
        prompt_text = pd.Series(
            [as_text(value) if isinstance(value, list) else value for value in checked], dtype=TEXT
        )
    else:
        checked, prompt_text = [None] * len(frame), _prompt_texts(table)
    turn = turns(table, "turn") if columns.turn else np.zeros(len(frame), dtype=np.int64)
    return pd.DataFrame(
        {
            "user_id": users,
            "item": named("item", columns.item),
            "conversation": named("conversation", columns.conversation),
            "turn": turn,
            "prompt_text": prompt_text,
            "chat": pd.Series(checked, dtype=object).where(chats, None),
            "response": texts(table, "response"),
            "score": numbers(table, "score", required=False, between=data.score_range),
            "model": named("source_model_0", columns.source_model),
            "response_id": named("response_id", columns.response_id),
            "continued": flags(table, "continued") if columns.continued else True,
        }
    )


def _prompt_texts(table: Table) -> pd.Series:
    """Return the prompts as they are written: white space around a prompt is part of it."""
    texts(table, "prompt")
    values = table.frame["prompt"].where(table.frame["prompt"].notna(), "").astype(TEXT)
    return values.where(values.str.strip() != "", "")


def _couples(answers: pd.DataFrame, models: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of every two rated answers to a prompt whose models fit: [pairs], [pairs].

    An answer without a score is in no pair, but the conversation may have gone on with it.
    """
    model = answers["model"].to_numpy(dtype=object)
    answers = answers[answers["score"].notna()]
    same = ["user_id", "conversation", "item", "turn", "prompt_text"]
    if models == "same":
        answers = answers[answers["model"].notna()]
        same.append("model")
    group = answers.groupby(same, sort=False, dropna=False).ngroup()
    rows = pd.DataFrame({"group": group.to_numpy(), "row": answers.index})
    rows = rows[rows.duplicated("group", keep=False)]
    both = rows.merge(rows, on="group")
    both = both[both["row_x"] < both["row_y"]]
    first, second = both["row_x"].to_numpy(dtype=np.int64), both["row_y"].to_numpy(dtype=np.int64)
    if models == "different":
        differ = np.array(
            [
                pd.notna(model[x]) and pd.notna(model[y]) and model[x] != model[y]
                for x, y in zip(first, second, strict=True)
            ],
            dtype=bool,
        )
        first, second = first[differ], second[differ]
    return first, second


def _prompts(answers: pd.DataFrame, rows: np.ndarray, full: bool) -> list[Messages]:
    """Return chat messages up to the rated prompt; `full` includes the conversation that led to it."""
    history = _history(answers) if full and answers["conversation"].notna().any() else {}
    known: dict[tuple[Any, ...], Messages] = {}
    prompts = []
    user, conversation, turn, text, chat = (
        answers[name].iloc[rows].to_numpy(dtype=object)
        for name in ("user_id", "conversation", "turn", "prompt_text", "chat")
    )
    for key in zip(user, conversation, turn, text, chat, strict=True):
        if key[4] is not None:
            prompts.append(key[4] if full else key[4][-1:])
            continue
        before = history.get(key[:2], []) if history else []
        short = key[:4] if before else key[3]
        if short not in known:
            earlier = [
                message
                for number, asked, answered in before
                if number < key[2]
                for message in (*question(asked), {"role": "assistant", "content": answered})
            ]
            known[short] = [*earlier, *question(key[3])]
        prompts.append(known[short])
    return prompts


def _history(answers: pd.DataFrame) -> dict[tuple[str, str], list[tuple[int, str, str]]]:
    """Return the turns of each person's conversations: (user, conversation) -> turn, prompt, answer.

    A conversation continues with the answer marked so, or with the highest-scored one of several.
    """
    where = ["user_id", "conversation", "turn"]
    best = answers[answers["continued"] & answers["conversation"].notna()]
    best = best.sort_values(["score", "response_id", "response"], ascending=[False, True, True])
    turns = best.drop_duplicates(where).sort_values(where)
    history: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    for user, conversation, turn, asked, answered in zip(
        *(turns[name] for name in (*where, "prompt_text", "response")), strict=True
    ):
        history.setdefault((user, conversation), []).append((turn, asked, answered))
    return history
