"""Make candidate pairs from rows that say which answer was preferred: pairs, and answers with a choice."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from training.data.chats import (
    Messages,
    NotAPair,
    messages,
    question,
    split_chats,
    spoken,
    written_as_json,
)
from training.data.conversions import TEXT, is_missing, names, numbers, refuse, turns
from training.data.pairs import Candidates, is_empty
from training.data.tables import Table
from training.errors import StudyError
from training.hints import suggestion
from training.table_data import RESPONSES, TableData, level_text

LETTERS_TO_COLUMN = dict(zip("ABCD", RESPONSES, strict=True))


def from_pairs(table: Table, users: pd.Series, data: TableData) -> Candidates:
    """Return the pairs of rows that name the chosen and the rejected answer.

    Raises:
        StudyError: A value is neither a text nor chat messages, or a prompt is in no column.
    """
    rows = pd.DataFrame({"row": np.arange(len(table.frame)), "chosen": "chosen", "rejected": "rejected"})
    models = _models(table, data, ("chosen", "rejected"))
    return _read(table, users, data, rows, models, _gap(table, data), Counter())


def from_choices(table: Table, users: pd.Series, data: TableData) -> Candidates:
    """Return the pairs of the preferred answer of a row with each of its other answers.

    Raises:
        StudyError: A preference has a value that nobody explained, or as for `from_pairs`.
    """
    present = [name for name in RESPONSES if getattr(data.columns, name)]
    if data.preference_values:
        preferred, gap = _by_word(table, data, present), None
    else:
        preferred, gap = _by_sign(table, data)
    answered = ~table.frame[present].isna()
    answered[["response_a", "response_b"]] = True  # a row may have fewer than four answers, and not one
    rows = [
        (row, LETTERS_TO_COLUMN[letter], other)
        for row, letter in enumerate(preferred)
        if letter in LETTERS_TO_COLUMN
        for other in present
        if other != LETTERS_TO_COLUMN[letter] and answered[other].iloc[row]
    ]
    counts = Counter(letter for letter in preferred if letter not in LETTERS_TO_COLUMN)
    models = _models(table, data, present)
    stated = _gap(table, data)
    gaps = gap if stated is None and gap is not None else stated
    frame = pd.DataFrame(rows, columns=["row", "chosen", "rejected"])
    return _read(table, users, data, frame, models, gaps, counts)


def _by_word(table: Table, data: TableData, present: list[str]) -> list[str]:
    """Return the preferred answer's letter, `tie` or `no preference`: [rows]."""
    meaning = {word: letter for letter, words in data.preference_values.items() for word in words}
    columns = {LETTERS_TO_COLUMN[letter] for letter in meaning.values() if letter != "tie"}
    if columns - set(present):
        raise StudyError(
            f"data.columns.{min(columns - set(present))}: missing; data.preference_values names it"
        )
    letters = []
    for row, value in enumerate(table.frame["preference"]):
        word = level_text(value.item() if isinstance(value, np.generic) else value)
        if is_missing(value):
            letters.append("no preference")
        elif not isinstance(word, str):
            raise refuse(table, row, "preference", value, "one word is needed, not several")
        elif word in meaning:
            letters.append(meaning[word])
        else:
            raise StudyError(
                f"{table.place(row, 'preference')}: {word!r} is not in data.preference_values; "
                f"{suggestion(str(word), meaning)}"
            )
    return letters


def _by_sign(table: Table, data: TableData) -> tuple[list[str], pd.Series]:
    """Return the preferred answer's letter, `tie` or `no preference`, and the size of the preference."""
    value = numbers(table, "preference", required=False, between=data.score_range)
    letters = np.select([value < 0, value > 0, value == 0], ["A", "B", "tie"], default="no preference")
    return letters.tolist(), value.abs()


def _gap(table: Table, data: TableData) -> pd.Series | None:
    """Return the stated score gap; None if no column holds it."""
    given = [
        numbers(table, f"score_gap_{position}", required=False)
        for position in range(len(data.columns.score_gap))
    ]
    if not given:
        return None
    return given[0] - given[1] if len(given) == 2 else given[0]


def _models(table: Table, data: TableData, answers: tuple[str, ...] | list[str]) -> dict[str, pd.Series]:
    """Return who wrote each answer, by the answer's column."""
    given = data.columns.source_model
    if not given:
        unknown = pd.Series(pd.NA, index=table.frame.index, dtype="str")
        return dict.fromkeys(answers, unknown)
    if len(given) not in (1, len(answers)):
        raise StudyError(
            f"data.columns.source_model: {len(given)} columns for {len(answers)} answers; name one "
            "column, or one per answer"
        )
    found = [names(table, f"source_model_{position}", required=False) for position in range(len(given))]
    return dict(zip(answers, found * (len(answers) if len(found) == 1 else 1), strict=True))


def _read(
    table: Table,
    users: pd.Series,
    data: TableData,
    rows: pd.DataFrame,
    models: dict[str, pd.Series],
    gap: pd.Series | None,
    dropped: "Counter[str]",
) -> Candidates:
    """Return the candidates of rows (row, and the columns of the chosen and the rejected answer)."""
    row = rows["row"].to_numpy(dtype=np.int64)
    chat, kept = _Conversations(table, data), []
    prompts: list[Messages] = []
    texts: list[tuple[str, str]] = []
    for position, (number, chosen, rejected) in enumerate(rows.itertuples(index=False)):
        try:
            prompt, *answers = chat.split(number, chosen, rejected)
        except NotAPair as reason:
            dropped[str(reason)] += 1
            continue
        kept.append(position)
        prompts.append(prompt)
        texts.append((answers[0], answers[1]))
    rows, row = rows.iloc[kept], row[kept]
    writers = {
        side: pd.Series(
            [models[column].iat[number] for number, column in zip(row, rows[side], strict=True)], dtype="str"
        )
        for side in ("chosen", "rejected")
    }
    unknown = pd.Series(pd.NA, index=range(len(row)), dtype="str")
    item = names(table, "item", required=False) if data.columns.item else None
    turn = turns(table, "turn") if data.columns.turn else None
    frame = pd.DataFrame(
        {
            "user_id": users.iloc[row].reset_index(drop=True),
            "item": unknown if item is None else item.iloc[row].reset_index(drop=True),
            "chosen_model": writers["chosen"],
            "rejected_model": writers["rejected"],
            "score_gap": np.nan if gap is None else gap.to_numpy()[row],
            "turn": [sum(message["role"] == "user" for message in prompt) - 1 for prompt in prompts]
            if turn is None
            else turn.to_numpy()[row],
            "prompt": pd.Series(prompts, dtype=object),
            "chosen": pd.Series([chosen.strip() for chosen, _ in texts], dtype=TEXT),
            "rejected": pd.Series([rejected.strip() for _, rejected in texts], dtype=TEXT),
            "identity": unknown,
        }
    )
    if len(frame):
        last = pd.Series([prompt[-1]["content"].strip() for prompt in prompts], dtype="str")
        empty = is_empty(last)
        dropped["empty prompt"] += int(empty.sum())
        frame = frame[~empty]
        if data.models != "any":
            same = (frame["chosen_model"] == frame["rejected_model"]).fillna(False).astype(bool)
            known = frame["chosen_model"].notna() & frame["rejected_model"].notna()
            frame = frame[(same if data.models == "same" else known & ~same)]
    backwards = frame["score_gap"] < 0
    dropped["higher score for the rejected answer"] += int(backwards.sum())
    return Candidates(frame[~backwards].reset_index(drop=True), len(table.frame), dict(dropped))


class _Conversations:
    """Reads the prompt and the answers of a row, whether they are texts or chats."""

    def __init__(self, table: Table, data: TableData):
        self._table, self._data = table, data
        self._columns = {name: table.frame[name].to_numpy(dtype=object) for name in table.frame}
        self._asked: dict[str, Messages] = {}  # equal prompts share one list

    def split(self, row: int, chosen: str, rejected: str) -> tuple[Messages, str, str]:
        """Return the prompt and both answers of a row; `NotAPair` if they make no pair."""
        prompt = self._prompt(row)
        answers = [self._answer(row, column) for column in (chosen, rejected)]
        if all(isinstance(answer, str) for answer in answers):
            if prompt is None:
                raise StudyError(
                    "data.columns.prompt: missing, and the answers are plain texts; name the column of the "
                    "prompt, or set data.format: human_assistant if the texts hold `Human:` and `Assistant:`"
                )
            return prompt, str(answers[0]), str(answers[1])
        chats = [
            [{"role": "assistant", "content": answer}] if isinstance(answer, str) else answer
            for answer in answers
        ]
        before, *found = split_chats(prompt or [], *chats)
        return (before if self._data.history == "full" else before[-1:]), found[0], found[1]

    def _prompt(self, row: int) -> Messages | None:
        if "prompt" not in self._columns:
            return None
        value = self._as_chat("prompt", row)
        if isinstance(value, list):
            chat = messages(value, self._table.place(row, "prompt"))
            return chat if self._data.history == "full" else chat[-1:]
        text = "" if is_missing(value) else value
        if not isinstance(text, str):
            raise refuse(self._table, row, "prompt", value, "a text or chat messages are needed")
        return self._asked.setdefault(text, question(text))

    def _as_chat(self, column: str, row: int) -> Any:
        """Return a value; a text that holds chat messages as JSON, as in a csv, as these messages."""
        value = self._columns[column][row]
        if isinstance(value, str) and value.lstrip()[:1] == "[":
            return written_as_json(value, self._table.place(row, column)) or value
        return value

    def _answer(self, row: int, column: str) -> str | Messages:
        value = self._as_chat(column, row)
        if is_missing(value):
            return ""
        if self._data.format == "human_assistant" and isinstance(value, str):
            return spoken(value, self._table.place(row, column))
        if isinstance(value, str):
            return value
        return messages(value, self._table.place(row, column))
